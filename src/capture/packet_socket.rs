//! Packet socket (AF_PACKET, packet(7)) as a source.

pub(crate) mod option;
pub(crate) mod promiscuous;
