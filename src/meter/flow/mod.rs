//! Facts to flows.
//!
//! In: batches of facts, and the time of their frames. Out: [`FlowRecord`]s with what belongs to them, in [`FlowBatch`]es.
//! [`FlowMeter`] holds it together; [`table`] finds the record of a key, [`fragments`] finds the flow of a fragment.
//!
//! Invariants: no clock (time is that of the frames), no allocation for a plain packet or a new flow once running, every
//! table bounded, every packet in exactly one record.

mod chains;
mod extra;
pub mod fragments;
mod hash;
mod meter;
mod numbers;
mod record;
mod table;
mod user;

use crate::capture::Timestamp;
pub use meter::{Counters, FlowMeter, MeterError, Outlet, Settings};

pub use crate::meter::packet::{
    Chain, Key, Layer2, RUNS, SEGMENTS, Section, Segments, ShortChain, TcpOptions, Tunnel,
    TunnelKind, feature,
};
pub use record::{
    CHAINS, DISTINCT, Distinct, Extra, FinishedFlow, FlowBatch, FlowRecord, Fragments, Reverse,
    end_reason,
};
pub use user::MOST_DISTINCT;
