//! Octets of one frame to facts.
