//! sixtap: a flow probe that gets IPv6 right, and the instrument that shows whether other exporters do.
//!
//! The modules stand in the order in which a packet meets them (RFC 5470's architecture):
//!
//! ```text
//!   wire, file ──► capture ──► meter::packet ──► meter::flow ──► export ──► collector
//!                  frames      facts             flows           records,
//!                                                                messages
//!                       telemetry: every packet and record in one line of the ledger
//!
//!   export stream ──► collect ──► validate ──► findings, report
//!   traffic       ──► validate::reference ──┘
//! ```
//!
//! - [`config`]: what the user asked for, resolved once into numbers.
//! - [`capture`]: Observation Point. Batches of borrowed frames from AF_XDP, a packet socket or a file.
//! - [`meter`]: Metering Process. [`meter::packet`] reads octets into facts, [`meter::flow`] gathers facts
//!   into flows. No clock, no socket and no allocation in the loop: time and octets are arguments.
//! - [`ipfix`]: the wire format (RFC 7011), both directions, with octet offsets. Knows no flow.
//! - [`export`]: Exporting Process. Flow to record to message to collector.
//! - [`probe`]: the threads: one worker a queue, one exporter, one supervisor.
//! - [`telemetry`]: the ledger and its outlets.
//! - [`collect`]: Collecting Process. Files, captures and sockets to messages to records.
//! - [`validate`]: rules, reference meter, matching, findings and reports.
//! - [`craft`]: traffic whose truth is known.
//! - [`cli`]: one file a command; words in, plan out.
//!
//! `tests/architecture.rs` holds the edges between them.

pub mod capture;
pub mod cli;
pub mod collect;
pub mod config;
pub mod craft;
pub mod export;
pub mod ipfix;
pub mod meter;
pub mod probe;
pub mod telemetry;
pub mod validate;
