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
mod writer;

use super::books;
use super::exporter::ExportPlan;
use super::json::Elements;
use super::record::Records;
use super::sink::ParquetDirectory;
use super::transport::{Account, Outcome, Tally, TransportError};
use crate::capture::Timestamp;
use crate::meter::flow::FinishedFlow;
use crate::telemetry::CollectorCounters;
use columns::{Rows, Schema};
use crossbeam::channel::{Sender, TrySendError, bounded};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use writer::Writer;

/// Octets of the longest record there can be.
const LONGEST_RECORD: usize = 65_535;
/// Rows of a row group: what is held in memory and encoded at once.
const ROWS: usize = 65_536;
/// Row groups that wait for the writer.
const QUEUE: usize = 4;

/// What the writer is told.
enum Job {
    /// A row group; the time names the file if one must be begun.
    Rows(Box<Rows>, Timestamp),
    /// The file is to be completed.
    Close,
}

/// What the writer tells.
#[derive(Default)]
struct Report {
    outcome: Outcome,
    problem: Option<String>,
}

/// A directory of Parquet files.
pub(super) struct Parquet {
    schema: Arc<Schema>,
    rows: Box<Rows>,
    record: Vec<u8>,
    jobs: Option<Sender<Job>>,
    report: Arc<Mutex<Report>>,
    thread: Option<JoinHandle<()>>,
    rotate: u64,
    /// Which multiple of the rotation time it is; changes when a file is to be completed.
    period: u64,
    /// A file is to be completed, and the queue was full.
    closing: bool,
    patient: bool,
    name: String,
    complained: bool,
    problem: Option<String>,
    pub(super) counters: CollectorCounters,
}

impl std::fmt::Debug for Parquet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parquet").field("name", &self.name).finish_non_exhaustive()
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
        let schema = Schema::new(&plan.preset, Elements::of(plan)).map_err(wrong)?;
        let schema = Arc::new(schema);
        let report = Arc::new(Mutex::new(Report::default()));
        let (jobs, taken) = bounded(QUEUE);
        let mut writer =
            Writer::new(directory.path.clone(), Arc::clone(&schema), Arc::clone(&report));
        let thread = std::thread::Builder::new()
            .name("parquet".into())
            .spawn(move || writer.run(&taken))
            .map_err(|error| wrong(format!("no thread: {error}")))?;
        Ok(Self {
            rows: Box::new(schema.rows()),
            schema,
            record: vec![0; LONGEST_RECORD],
            jobs: Some(jobs),
            report,
            thread: Some(thread),
            rotate: u64::try_from(directory.rotate.as_nanos()).unwrap_or(u64::MAX).max(1),
            period: 0,
            closing: false,
            patient: plan.patient,
            name,
            complained: false,
            problem: None,
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
        let (packets, octets) = (flow.record.packets, flow.record.octets);
        let tally = Tally { flows: 1, options: 0, packets, octets };
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
        let Some(jobs) = &self.jobs else { return };
        let job = Job::Rows(rows, now);
        let taken = match self.patient {
            true => jobs.send(job).is_ok(),
            false => !matches!(
                jobs.try_send(job),
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_))
            ),
        };
        if !taken {
            let queue_full = Account { messages: 1, length: 0, tally };
            let outcome = Outcome { queue_full, ..Outcome::default() };
            books::settle(&mut self.counters, &outcome, now);
            if !std::mem::replace(&mut self.complained, true) {
                self.problem = Some(format!(
                    "{}: the disk or its processor is too slow; records are lost",
                    self.name
                ));
            }
        }
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
        if self.closing
            && let Some(jobs) = &self.jobs
        {
            self.closing = jobs.try_send(Job::Close).is_err();
        }
        self.settle(now);
    }

    fn settle(&mut self, now: Timestamp) {
        let report = {
            let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *report)
        };
        self.problem = self.problem.take().or(report.problem);
        books::settle(&mut self.counters, &report.outcome, now);
    }

    /// Everything that is left, and the last file.
    pub(super) fn finish(&mut self, now: Timestamp) {
        // There is nothing left to keep pace with: wait.
        self.patient = true;
        self.submit(now);
        // The writer completes its file when nobody can send any more.
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            self.problem = Some(format!("{}: the writer ended in a panic", self.name));
        }
        self.settle(now);
    }

    pub(super) fn take_problem(&mut self) -> Option<String> {
        self.problem.take()
    }
}
