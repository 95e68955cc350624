//! Metering Process (RFC 5470 section 5.2): octets to facts to flows.
//!
//! In: frames. Out: finished flows, in batches. Sans-I/O: no clock, no socket, no allocation in the loop.

pub mod flow;
pub mod packet;
