//! Traffic whose truth is known.
//!
//! In: a plan (addresses, which cases) or a load profile. Out: a capture file or frames on an interface, and beside
//! them what a right exporter must say of them. The truth is written down by each case from what it meant to send;
//! nothing here reads a packet back. Every packet is valid, checksums too, unless its case says otherwise.

pub mod cases;
mod checksum;
mod header;
pub mod load;
mod random;
pub mod send;
mod transport;
pub mod truth;
mod write;

pub use cases::{Case, Frame, Plan, Set, suite};
pub use write::PcapWriter;
