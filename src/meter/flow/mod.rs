//! Facts to flows.

mod record;

pub use record::{
    CHAINS, Chain, DISTINCT, Distinct, Extra, FinishedFlow, FlowBatch, FlowRecord, Fragments, Key,
    Layer2, RUNS, Reverse, SEGMENTS, Segments, TcpOptions, Tunnel, TunnelKind, end_reason, feature,
};
