//! Collecting Process (RFC 5470 section 5.5): octets from anywhere to messages to records.
//!
//! ```text
//! file, capture, socket, standard input ──► Input ──► octets of one message + Transport
//!                                                       │
//!                           Collector (Templates by session and domain) ──► Event: header, Templates,
//!                                                                            records, anomalies
//! ```
//!
//! In: IPFIX, NetFlow v9 and v5. Out: [`Event`]s in order of the octets, each with its place in the message.
//! What must stay true:
//! - Memory is bounded by [`Limits`], whatever comes; what is passed over is told as an anomaly or counted.
//! - No fault ends the collector; only an input that cannot be read ends.
//! - No allocation a record or field (Templates, learnt names and reassembly allocate).

mod collector;
mod event;
mod input;
pub mod json;
mod names;
mod netflow;
mod session;
#[cfg(test)]
mod tests;

pub use crate::ipfix::{Anomaly, Kind};
pub use collector::Collector;
pub use event::{
    Change, Checksum, Event, Header, Message, MessageEnd, Position, Protocol, Record, SetEnd,
    Transport, Version,
};
pub use input::{Input, InputCounters, InputError, Received};
pub use names::{Learnt, Names};
pub use session::Limits;
