//! Exporting Process: flow to record to message to collector.

pub mod destination;
pub mod preset;
pub mod record;
