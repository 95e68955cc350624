//! Counts, proves that the counts add up, shows them.
//!
//! In: what workers and exporter publish, as a [`Reading`]. Out: the ledger, metrics for Prometheus, a status page, and the
//! live flows for whoever asks. Nothing here is on the way of a packet.

mod client;
mod collector;
mod endpoint;
pub mod http;
mod ledger;
pub mod live;
pub mod metrics;
mod reading;
mod status;

pub use client::{Client, ClientError};
pub use collector::{CollectorCounters, Lost};
pub use endpoint::{
    Audience, Endpoints, Subject, control_path, control_paths, listen, listen_unix,
};
pub use ledger::{CaptureSide, Equation, FlowSide, InterfaceSide, Ledger, LiveLedger, ParseSide};
pub use reading::{Reading, STALLED, Traffic, WorkerReading};
pub use status::{Collector, Loss, Status, Worker};
