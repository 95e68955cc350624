//! An [`Output`] that a thread of its own writes to.
//!
//! In: whole units (messages, lines), one behind the other, and the word that it is time for the next file. Out: an account of
//! each unit. IPFIX messages get their sequence numbers here, as they are written: what a full disk refuses leaves no gap.
//!
//! Invariant: what is submitted after [`Background::next`] is in the next file, or in none.

use super::super::destination::Files;
use super::super::writer::{Done, Work, Writer};
use super::output::{Output, Schedule, write};
use super::recovery::Unit;
use super::{Outcome, SEQUENCE, Tally, TransportError};
use crate::capture::Timestamp;
use std::io::{self, Stdout, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Octets that wait for a slow disk.
const QUEUE: usize = 16 << 20;

/// A next file that could not be begun is tried again so often.
const TRY_AGAIN: u64 = 10_000_000_000;

/// A compressed file is written so often at least: what a crash may cost.
const COMPRESS_EVERY: u64 = 2_000_000_000;

/// What the thread is told.
pub(in super::super) enum Job {
    Units(Units),
    /// Another file, of this time.
    Next(Timestamp),
}

/// Units back to back, with the length and contents of each.
#[derive(Debug, Default)]
pub(in super::super) struct Units {
    pub(in super::super) octets: Vec<u8>,
    pub(in super::super) each: Vec<(usize, Tally)>,
}

impl Units {
    fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        self.each.iter().for_each(|(_, tally)| sum += *tally);
        sum
    }
}

/// Which file the thread writes.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    /// Files asked for before it.
    number: u64,
    /// Octets in it; `None`: it could not be begun.
    written: Option<u64>,
}

/// A file, a file after the other, or standard output.
#[derive(Debug)]
pub(in super::super) struct Background {
    writer: Writer<Writing>,
    schedule: Option<Schedule>,
    standing: Arc<Mutex<Standing>>,
    /// Files asked for beside the first.
    number: u64,
    /// The time span of the file asked for last.
    slot: i64,
    asked: Timestamp,
    compresses: bool,
    /// When something was last given to the thread.
    given: Timestamp,
}

impl Background {
    /// Creates the first file, or empties it. `patient`: rather wait for a slow disk than lose records.
    pub(in super::super) fn create(
        files: &Files,
        unit: Unit,
        patient: bool,
    ) -> Result<Self, TransportError> {
        let mut output = Output::create(files, unit)?;
        let problems: Vec<_> = std::iter::from_fn(|| output.take_problem()).collect();
        let schedule = output.schedule();
        let name = files.path.display().to_string();
        let writing = Writing::new(Sink::File(Box::new(output)), unit, &name);
        let failed = |source| TransportError::File { path: files.path.clone(), source };
        let mut file = Self::start(writing, name, patient, schedule, files.zstd).map_err(failed)?;
        problems.into_iter().for_each(|problem| file.writer.complain(problem));
        Ok(file)
    }

    /// Standard output.
    pub(in super::super) fn standard(patient: bool) -> Result<Self, TransportError> {
        let name = "standard output".to_owned();
        let writing = Writing::new(Sink::Standard(io::stdout()), Unit::Line, &name);
        let failed = |source| TransportError::File { path: "-".into(), source };
        Self::start(writing, name, patient, None, false).map_err(failed)
    }

    fn start(
        writing: Writing,
        name: String,
        patient: bool,
        schedule: Option<Schedule>,
        compresses: bool,
    ) -> io::Result<Self> {
        let standing = Arc::clone(&writing.standing);
        Ok(Self {
            writer: Writer::start(writing, name, QUEUE, patient)?,
            schedule,
            standing,
            number: 0,
            slot: schedule.map_or(0, |schedule| schedule.slot(here_and_now())),
            asked: Timestamp(0),
            compresses,
            given: Timestamp(0),
        })
    }

    /// Whether it is time for the next file: what belongs into this one is to be submitted now.
    pub(in super::super) fn due(&self, now: Timestamp) -> bool {
        let Some(schedule) = &self.schedule else { return false };
        let standing = *self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        // Of a file that the thread has not come to nothing is known yet.
        let known = standing.number == self.number;
        match standing.written.filter(|_| known) {
            None if known => now.since(self.asked) >= TRY_AGAIN,
            written => schedule.is_over(self.slot, written.unwrap_or(0), now),
        }
    }

    /// Whether units that have not filled a buffer are to be submitted.
    pub(in super::super) fn wants(&mut self, now: Timestamp) -> bool {
        let wants = !self.compresses || now.since(self.given) >= COMPRESS_EVERY;
        if wants {
            self.given = now;
        }
        wants
    }

    /// Begins the next file. `false`: not now, there is no room to say so.
    pub(in super::super) fn next(&mut self, now: Timestamp) -> bool {
        let Some(schedule) = &self.schedule else { return false };
        if !self.writer.ask(Job::Next(now)) {
            return false;
        }
        self.number += 1;
        self.slot = schedule.slot(now);
        (self.asked, self.given) = (now, now);
        true
    }

    /// Gives units to the thread; `units` is empty afterwards.
    pub(in super::super) fn submit(&mut self, units: &mut Units, outcome: &mut Outcome) {
        if !units.each.is_empty() {
            let fresh = match self.writer.spare() {
                Some(Job::Units(spare)) => spare,
                _ => Units {
                    octets: Vec::with_capacity(units.octets.capacity()),
                    each: Vec::with_capacity(units.each.capacity()),
                },
            };
            let full = std::mem::replace(units, fresh);
            let (messages, tally) = (full.each.len() as u64, full.tally());
            let weight = full.octets.len();
            self.writer.submit(Job::Units(full), (messages, weight), tally, outcome);
        }
        self.writer.settle(outcome);
    }

    /// Waits, at most `patience`, until all is written; whether something still waits.
    pub(in super::super) fn waits(&mut self, patience: Duration, outcome: &mut Outcome) -> bool {
        let waits = self.writer.waits(patience);
        self.writer.settle(outcome);
        waits
    }

    /// The end: the file gets its name. What is not written after `patience` is lost.
    pub(in super::super) fn finish(&mut self, patience: Duration, outcome: &mut Outcome) {
        self.writer.finish(patience, outcome);
    }

    pub(in super::super) fn take_problem(&mut self) -> Option<String> {
        self.writer.take_problem()
    }
}

/// When the first file is created: the only one that the exporter's time has nothing to do with.
fn here_and_now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}

#[derive(Debug)]
enum Sink {
    Standard(Stdout),
    File(Box<Output>),
}

/// The thread's side.
#[derive(Debug)]
pub(in super::super) struct Writing {
    sink: Sink,
    unit: Unit,
    name: String,
    /// Data Records written to this file, modulo 2³².
    sequence: u32,
    standing: Arc<Mutex<Standing>>,
    failing: bool,
}

impl Writing {
    fn new(sink: Sink, unit: Unit, name: &str) -> Self {
        let mut writing = Self {
            sink,
            unit,
            name: name.to_owned(),
            sequence: 0,
            standing: Arc::default(),
            failing: false,
        };
        writing.stand(0);
        writing
    }

    /// Tells which file it is, or that there is none.
    fn stand(&mut self, more: u64) {
        let written = match &self.sink {
            Sink::File(output) => output.written(),
            Sink::Standard(_) => Some(0),
        };
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        *standing = Standing { number: standing.number + more, written };
    }

    /// Fills in the sequence numbers, as if all of it were written.
    fn number(&self, units: &mut Units) {
        let (mut sequence, mut start) = (self.sequence, 0);
        for (length, tally) in &units.each {
            let place = start + SEQUENCE.start..start + SEQUENCE.end;
            if let Some(place) = units.octets.get_mut(place) {
                place.copy_from_slice(&sequence.to_be_bytes());
            }
            sequence = sequence.wrapping_add(tally.records() as u32);
            start += length;
        }
    }

    fn write(&mut self, units: &mut Units, done: &mut Done) {
        if self.unit == Unit::Message {
            self.number(units);
        }
        let (octets, failure) = self.sink.write(&units.octets);
        let (mut whole, mut end) = (0, 0);
        for (length, tally) in units.each.drain(..) {
            end += length;
            if end <= octets {
                whole = end;
                self.sequence = self.sequence.wrapping_add(tally.records() as u32);
                done.outcome.sent.add(length, tally);
            } else {
                done.outcome.refused.add(length, tally);
            }
        }
        units.octets.clear();
        let Some(error) = failure else {
            self.failing = false;
            return;
        };
        let cut = match &mut self.sink {
            // Takes back the unit that was written in part; of a pipe it cannot be had.
            Sink::File(output) => output.cut(octets - whole),
            Sink::Standard(_) => octets == whole,
        };
        if !std::mem::replace(&mut self.failing, true) {
            let end = match (cut, self.unit) {
                (false, _) => "it is cut",
                (true, Unit::Line) => "the file ends with a whole line",
                (true, _) => "the file ends with a whole message",
            };
            done.problems.push(format!("{}: {error}; records are lost, {end}", self.name));
        }
    }
}

impl Work for Writing {
    type Job = Job;

    fn work(&mut self, job: Job, done: &mut Done) -> Option<Job> {
        let mut more = 0;
        let spare = match job {
            Job::Units(mut units) => {
                self.write(&mut units, done);
                Some(Job::Units(units))
            }
            Job::Next(now) => {
                more = 1;
                if let Sink::File(output) = &mut self.sink {
                    output.rotate(now);
                    self.sequence = 0;
                }
                None
            }
        };
        self.stand(more);
        self.tell(done);
        spare
    }

    fn end(&mut self, done: &mut Done) {
        if let Sink::File(output) = &mut self.sink {
            output.close();
        }
        self.tell(done);
    }
}

impl Writing {
    fn tell(&mut self, done: &mut Done) {
        if let Sink::File(output) = &mut self.sink {
            done.problems.extend(std::iter::from_fn(|| output.take_problem()));
        }
    }
}

impl Sink {
    fn write(&mut self, octets: &[u8]) -> (usize, Option<io::Error>) {
        match self {
            Self::File(output) => output.write(octets),
            Self::Standard(out) => {
                let (done, failure) = write(out, octets);
                (done, failure.or_else(|| out.flush().err()))
            }
        }
    }
}
