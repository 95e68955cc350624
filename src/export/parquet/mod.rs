//! Records into Parquet files, for engines that read directories: DuckDB, Spark.
//!
//! ```text
//! flows ──► columns: rows of one row group ──► bounded queue ──► writer's thread: file.tmp ──► file.parquet
//! ```
//!
//! In: flows. Out: files with one column an element ([`columns`]), in a directory for each day. Invariants: a file that
//! ends in `.parquet` is whole; the queue is bounded, and rows that find it full are counted as lost; a record is `sent`
//! when its file is whole.

mod columns;
mod file_writer;

use super::books;
use super::exporter::ExportPlan;
use super::json::Elements;
use super::record::Records;
use super::sink::ParquetDirectory;
use super::transport::{Outcome, Tally, TransportError};
use super::writer::Writer;
use crate::capture::Timestamp;
use crate::meter::flow::FinishedFlow;
use crate::telemetry::CollectorCounters;
use columns::{Rows, Schema};
use file_writer::{FileWriter, Job};
use std::sync::Arc;
use std::time::Duration;

/// Octets of the longest record there can be.
const LONGEST_RECORD: usize = 65_535;
/// Rows of a row group: what is held in memory and encoded at once.
const ROWS: usize = 65_536;
/// Row groups that wait for the writer or are being written.
const QUEUE: usize = 5;

/// A directory of Parquet files.
pub(super) struct Parquet {
    schema: Arc<Schema>,
    rows: Box<Rows>,
    record: Vec<u8>,
    writer: Writer<FileWriter>,
    rotate: u64,
    /// Which multiple of the rotation time it is; changes when a file is to be completed.
    period: u64,
    /// A file is to be completed, and the queue was full.
    closing: bool,
    pub(super) counters: CollectorCounters,
}

impl std::fmt::Debug for Parquet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parquet").field("writer", &self.writer).finish_non_exhaustive()
    }
}

impl Parquet {
    /// Makes the directory and starts the writer.
    pub(super) fn open(
        directory: &ParquetDirectory,
        plan: &ExportPlan,
    ) -> Result<Self, TransportError> {
        let name = format!("parquet:{}", directory.path.display());
        let wrong = |problem: String| TransportError::Sink { name: name.clone(), problem };
        std::fs::create_dir_all(&directory.path).map_err(|error| wrong(error.to_string()))?;
        let schema = Arc::new(Schema::new(&plan.preset, Elements::of(plan)).map_err(wrong)?);
        let writer = FileWriter::new(directory.path.clone(), Arc::clone(&schema));
        let writer = Writer::start(writer, name.clone(), QUEUE, plan.patient)
            .map_err(|error| wrong(format!("no thread: {error}")))?;
        Ok(Self {
            rows: Box::new(schema.rows()),
            schema,
            record: vec![0; LONGEST_RECORD],
            writer,
            rotate: u64::try_from(directory.rotate.as_nanos()).unwrap_or(u64::MAX).max(1),
            period: 0,
            closing: false,
            counters: CollectorCounters { sessions: 1, ..CollectorCounters::default() },
        })
    }

    /// Takes a flow that `records` has prepared for template `index`.
    pub(super) fn push(
        &mut self,
        records: &mut Records,
        index: usize,
        flow: &FinishedFlow<'_>,
        now: Timestamp,
    ) {
        self.counters.records += 1;
        let tally = Tally::of(flow);
        let Some(length) = records.encode(index, flow, &mut self.record) else {
            return books::lose_encode(&mut self.counters, tally, now);
        };
        self.schema.add(&mut self.rows, records.templates(), index, &self.record[..length]);
        self.rows.tally += tally;
        if self.rows.count == ROWS {
            self.submit(now);
        }
    }

    /// Gives the rows to the writer; lost if it is behind.
    fn submit(&mut self, now: Timestamp) {
        if self.rows.count == 0 {
            return;
        }
        let rows = std::mem::replace(&mut self.rows, Box::new(self.schema.rows()));
        let tally = rows.tally;
        let mut outcome = Outcome::default();
        self.writer.submit(Job::Rows(rows, now), (1, 1), tally, &mut outcome);
        books::settle(&mut self.counters, &outcome, now);
    }

    /// What time brings: the end of a file.
    pub(super) fn tick(&mut self, now: Timestamp) {
        let period = now.0 / self.rotate;
        if period != self.period {
            if self.period != 0 {
                self.submit(now);
                self.closing = true;
            }
            self.period = period;
        }
        self.closing = self.closing && !self.writer.ask(Job::Close);
        self.settle(now);
    }

    fn settle(&mut self, now: Timestamp) {
        let mut outcome = Outcome::default();
        self.writer.settle(&mut outcome);
        books::settle(&mut self.counters, &outcome, now);
    }

    /// Nothing more comes: the last rows, and the last file is to be completed.
    pub(super) fn close(&mut self, now: Timestamp) {
        self.submit(now);
        self.writer.end();
    }

    /// Waits, at most `patience`, for the last file; whether it is still being written.
    pub(super) fn drain(&mut self, now: Timestamp, patience: Duration) -> bool {
        let waits = self.writer.waits(patience);
        self.settle(now);
        waits
    }

    /// The end. What is not in a whole file after `patience` is lost.
    pub(super) fn finish(&mut self, now: Timestamp, patience: Duration) {
        let mut outcome = Outcome::default();
        self.writer.finish(patience, &mut outcome);
        books::settle(&mut self.counters, &outcome, now);
    }

    pub(super) fn take_problem(&mut self) -> Option<String> {
        self.writer.take_problem()
    }
}
