//! Exporting Process (RFC 5470 section 5.6): flow to record to message to collector.
//!
//! ```text
//! FlowBatch ──► record::Records ──► session (one a collector) ──► transport: UDP, TCP, TLS, SCTP, UNIX, file
//!               preset: fields      messages, Templates,
//!               Templates by kind   sequence numbers, options
//!                             ├──► json: one object a line
//!                             ├──► kafka: a topic, JSON or IPFIX
//!                             ├──► parquet: files of columns
//!                             └──► netflow: NetFlow v9 over UDP
//! ```
//!
//! In: batches of ended flows, the time, and the supervisor's [`Statistics`]. Out: records at every collector, and one
//! [`crate::telemetry::CollectorCounters`] each. What must stay true:
//! - `records = sent + lost + held`, always; a collector that is away stops nothing.
//! - No clock is read here but where the end waits for what is slow.
//! - Whatever may hang is waited for by a thread of its own ([`writer`]), or not at all.
//! - Templates, queues and buffers are bounded.
//!
//! The thread that owns the [`Exporter`] calls, in this order:
//!
//! ```no_run
//! use sixtap::capture::Timestamp;
//! use sixtap::export::{ExportPlan, Exporter, Statistics};
//! use sixtap::meter::flow::FlowBatch;
//!
//! let destinations = vec!["udp://[::1]:4739".parse()?, "file:out.ipfix".parse()?];
//! let plan = ExportPlan { destinations, ..ExportPlan::default() };
//! let mut exporter = Exporter::new(&plan)?;
//! let (now, statistics, batch) = (Timestamp::default(), Statistics::default(), FlowBatch::default());
//! exporter.consume(&batch, now); // each batch from the ring
//! exporter.tick(now, &statistics); // several times a second
//! exporter.finish(now, &statistics); // once
//! for (destination, counters) in exporter.counters() {
//!     println!("{destination}: {} records sent, {} lost", counters.sent, counters.lost.total());
//! }
//! for problem in exporter.take_problems() {
//!     eprintln!("{problem}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod anonymise;
mod books;
mod change;
mod destination;
mod ending;
mod exporter;
mod group;
mod json;
#[cfg(feature = "kafka")]
mod kafka;
mod netflow;
mod options;
mod outlet;
#[cfg(feature = "parquet")]
mod parquet;
pub mod preset;
pub mod record;
mod session;
mod sink;
mod transport;
mod writer;

pub use anonymise::{Anonymisation, parse_key};
pub use change::Opening;
pub use destination::{
    DEFAULT_PORT, DEFAULT_TLS_PORT, Destination, DestinationError, Files, Host, Network, Sharing,
    TlsFiles,
};
pub use exporter::{ExportPlan, Exporter};
pub use options::{InterfaceName, Keys, Statistics};
pub use session::Intervals;
pub use sink::{KafkaFormat, KafkaTopic, ParquetDirectory};
pub use transport::TransportError;

#[cfg(test)]
mod tests;
