//! A thread that writes, so that a disk that hangs holds up nobody else.
//!
//! In: jobs, each with what it holds. Out: what became of them, for the books. Invariants: what waits is bounded by weight; a
//! job that finds no room is counted as lost, or waits in a run over a file; the end takes no longer than it may, and what
//! is not written then is lost and counted.

use super::transport::{Outcome, Tally};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Problems kept until somebody asks.
const PROBLEMS: usize = 16;

/// Jobs that may wait where another is asked for that has no weight.
const ASKED: usize = 4096;

/// Jobs kept for their buffers.
const SPARE: usize = 64;

/// How long one that is dropped in the middle waits for its thread.
const PARTING: Duration = Duration::from_secs(1);

/// What the thread does.
pub(super) trait Work: Send + 'static {
    type Job: Send + 'static;

    /// Does a job, and says in `done` what became of records. Gives the job back if its buffers are worth using again.
    fn work(&mut self, job: Self::Job, done: &mut Done) -> Option<Self::Job>;

    /// No more jobs come: completes what was begun.
    fn end(&mut self, done: &mut Done);
}

/// What came of jobs.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) outcome: Outcome,
    pub(super) problems: Vec<String>,
}

/// How far the thread is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// What waits is done, then [`Work::end`].
    Ending,
    /// What waits is done, and what was begun stays as it is: as if the process had been killed.
    Left,
    Over,
}

struct State<J> {
    jobs: VecDeque<(J, usize)>,
    /// Of the jobs that wait and of the one that is being done.
    weight: usize,
    stage: Stage,
    done: Done,
    spare: Vec<J>,
}

struct Shared<J> {
    state: Mutex<State<J>>,
    changed: Condvar,
}

impl<J> Shared<J> {
    fn state(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<J>>) -> MutexGuard<'a, State<J>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `reached`, at most `patience`; whether it came to that.
    fn wait_for(&self, patience: Duration, reached: impl Fn(&State<J>) -> bool) -> bool {
        let state = self.state();
        let (state, _) = self
            .changed
            .wait_timeout_while(state, patience, |state| !reached(state))
            .unwrap_or_else(PoisonError::into_inner);
        reached(&state)
    }
}

/// The hold on the thread.
pub(super) struct Writer<W: Work> {
    shared: Arc<Shared<W::Job>>,
    thread: Option<JoinHandle<()>>,
    name: String,
    /// Most weight that waits.
    most: usize,
    /// Rather wait for room than lose.
    patient: bool,
    /// What was submitted and is not settled.
    outstanding: Tally,
    complained: bool,
    problems: Vec<String>,
}

impl<W: Work> std::fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<W: Work> Writer<W> {
    /// Starts the thread. `name`: what it writes to, for messages; `most`: weight of jobs that may wait.
    pub(super) fn start(mut work: W, name: String, most: usize, patient: bool) -> io::Result<Self> {
        let state = State {
            jobs: VecDeque::new(),
            weight: 0,
            stage: Stage::Open,
            done: Done::default(),
            spare: Vec::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || run(&mut work, &theirs))?;
        Ok(Self {
            shared,
            thread: Some(thread),
            name,
            most,
            patient,
            outstanding: Tally::default(),
            complained: false,
            problems: Vec::new(),
        })
    }

    /// A job that was done, for its buffers.
    pub(super) fn spare(&self) -> Option<W::Job> {
        self.shared.state().spare.pop()
    }

    /// Gives a job that holds no records; `false` if there is no room for it.
    pub(super) fn ask(&self, job: W::Job) -> bool {
        let mut state = self.shared.state();
        if state.stage != Stage::Open || state.jobs.len() >= ASKED {
            return false;
        }
        state.jobs.push_back((job, 0));
        self.shared.changed.notify_all();
        true
    }

    /// Gives a job with `messages` messages of `weight` octets in all. Without room for it, it is lost.
    pub(super) fn submit(
        &mut self,
        job: W::Job,
        (messages, weight): (u64, usize),
        tally: Tally,
        outcome: &mut Outcome,
    ) {
        let mut state = self.shared.state();
        let no_room = |state: &State<W::Job>| {
            state.stage == Stage::Open && state.weight > 0 && state.weight + weight > self.most
        };
        while self.patient && no_room(&state) {
            state = self.shared.wait(state);
        }
        if state.stage != Stage::Open || no_room(&state) {
            drop(state);
            outcome.queue_full.messages += messages;
            outcome.queue_full.length += weight as u64;
            outcome.queue_full.tally += tally;
            if !std::mem::replace(&mut self.complained, true) {
                self.problems.push(format!(
                    "{}: what it is on is too slow, or hangs; records are lost",
                    self.name
                ));
            }
            return;
        }
        state.jobs.push_back((job, weight));
        state.weight += weight;
        self.outstanding += tally;
        self.shared.changed.notify_all();
    }

    /// What became of jobs since the last call.
    pub(super) fn settle(&mut self, outcome: &mut Outcome) {
        let Done { outcome: done, problems } = std::mem::take(&mut self.shared.state().done);
        self.outstanding.take_away(done.sent.tally);
        self.outstanding.take_away(done.refused.tally);
        outcome.sent += done.sent;
        outcome.refused += done.refused;
        self.problems.extend(problems);
    }

    /// Waits, at most `patience`, until nothing waits; whether something still does.
    pub(super) fn waits(&self, patience: Duration) -> bool {
        let patience = if self.patient { Duration::MAX } else { patience };
        let idle = |state: &State<W::Job>| match state.stage {
            Stage::Open | Stage::Left => state.weight == 0 && state.jobs.is_empty(),
            Stage::Ending | Stage::Over => state.stage == Stage::Over,
        };
        !self.shared.wait_for(patience, idle)
    }

    /// No more jobs come: what was begun is to be completed. Waits for nothing.
    pub(super) fn end(&self) {
        let mut state = self.shared.state();
        if state.stage == Stage::Open {
            state.stage = Stage::Ending;
            self.shared.changed.notify_all();
        }
    }

    /// Waits, at most `patience`, for the end. What is not written then is lost.
    pub(super) fn finish(&mut self, patience: Duration, outcome: &mut Outcome) {
        self.end();
        let patience = if self.patient { Duration::MAX } else { patience };
        let over = self.shared.wait_for(patience, |state| state.stage == Stage::Over);
        let thread = self.thread.take();
        self.settle(outcome);
        if over && thread.is_some_and(|thread| thread.join().is_err()) {
            self.problems.push(format!("{}: its writer ended in a panic", self.name));
        }
        let lost = std::mem::take(&mut self.outstanding);
        if lost != Tally::default() {
            outcome.queue_full.messages += 1;
            outcome.queue_full.tally += lost;
        }
    }

    /// Something else that went wrong.
    pub(super) fn complain(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// What went wrong, each told once.
    pub(super) fn take_problem(&mut self) -> Option<String> {
        (!self.problems.is_empty()).then(|| self.problems.remove(0))
    }
}

impl<W: Work> Drop for Writer<W> {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        {
            let mut state = self.shared.state();
            if state.stage == Stage::Open {
                state.stage = Stage::Left;
            }
            self.shared.changed.notify_all();
        }
        if self.shared.wait_for(PARTING, |state| state.stage == Stage::Over) {
            let _ = thread.join();
        }
    }
}

/// Says that the thread is over, however it ends.
struct Over<'a, J>(&'a Shared<J>);

impl<J> Drop for Over<'_, J> {
    fn drop(&mut self) {
        self.0.state().stage = Stage::Over;
        self.0.changed.notify_all();
    }
}

fn run<W: Work>(work: &mut W, shared: &Shared<W::Job>) {
    let _over = Over(shared);
    loop {
        let mut state = shared.state();
        let (job, weight) = loop {
            match (state.jobs.pop_front(), state.stage) {
                (Some(next), _) => break next,
                (None, Stage::Open) => state = shared.wait(state),
                (None, Stage::Ending) => {
                    drop(state);
                    let mut done = Done::default();
                    work.end(&mut done);
                    shared.state().add(done);
                    return;
                }
                (None, Stage::Left | Stage::Over) => return,
            }
        };
        drop(state);
        let mut done = Done::default();
        let spare = work.work(job, &mut done);
        let mut state = shared.state();
        state.add(done);
        state.weight -= weight;
        if state.spare.len() < SPARE {
            state.spare.extend(spare);
        }
        drop(state);
        shared.changed.notify_all();
    }
}

impl<J> State<J> {
    fn add(&mut self, Done { outcome, problems }: Done) {
        self.done.outcome.sent += outcome.sent;
        self.done.outcome.refused += outcome.refused;
        let room = PROBLEMS.saturating_sub(self.done.problems.len());
        self.done.problems.extend(problems.into_iter().take(room));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Instant;

    /// Does a job when it is let, and refuses those of odd number.
    struct Gate(mpsc::Receiver<()>);

    impl Work for Gate {
        type Job = u64;

        fn work(&mut self, job: u64, done: &mut Done) -> Option<u64> {
            self.0.recv().ok()?;
            let account = if job.is_multiple_of(2) {
                &mut done.outcome.sent
            } else {
                &mut done.outcome.refused
            };
            account.add(10, flows(1));
            None
        }

        fn end(&mut self, done: &mut Done) {
            done.problems.push("ended".to_owned());
        }
    }

    fn flows(flows: u64) -> Tally {
        Tally { flows, ..Tally::default() }
    }

    fn gate(most: usize, patient: bool) -> (mpsc::Sender<()>, Writer<Gate>) {
        let (open, gate) = mpsc::channel();
        (open, Writer::start(Gate(gate), "gate".to_owned(), most, patient).unwrap())
    }

    #[test]
    fn one_that_hangs_costs_what_finds_no_room_and_no_time() {
        let (_open, mut writer) = gate(30, false);
        let mut outcome = Outcome::default();
        let began = Instant::now();
        for job in 0..10 {
            writer.submit(job, (1, 10), flows(1), &mut outcome);
        }
        assert_eq!(outcome.queue_full.tally.flows, 7);
        assert!(writer.take_problem().unwrap().contains("hangs; records are lost"));
        assert!(writer.ask(0), "what weighs nothing finds room");
        assert!(writer.waits(Duration::from_millis(20)));
        writer.finish(Duration::from_millis(50), &mut outcome);
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!(outcome.queue_full.tally.flows, 10, "nothing was done in time");
        assert_eq!(outcome.sent.tally.flows, 0);
    }

    #[test]
    fn every_job_is_settled_once_and_the_end_comes_last() {
        let (open, mut writer) = gate(1_000, false);
        let mut outcome = Outcome::default();
        for job in 0..10 {
            writer.submit(job, (1, 10), flows(1), &mut outcome);
            open.send(()).unwrap();
        }
        writer.finish(Duration::from_secs(10), &mut outcome);
        assert_eq!((outcome.sent.tally.flows, outcome.refused.tally.flows), (5, 5));
        assert_eq!(outcome.queue_full.tally.flows, 0);
        assert_eq!(writer.take_problem().as_deref(), Some("ended"));
    }

    #[test]
    fn a_patient_one_waits_for_room() {
        let (open, mut writer) = gate(10, true);
        let opener = std::thread::spawn(move || {
            for _ in 0..50 {
                std::thread::sleep(Duration::from_millis(1));
                open.send(()).unwrap();
            }
        });
        let mut outcome = Outcome::default();
        for job in 0..50 {
            writer.submit(2 * job, (1, 10), flows(1), &mut outcome);
        }
        writer.finish(Duration::ZERO, &mut outcome);
        assert_eq!((outcome.sent.tally.flows, outcome.queue_full.tally.flows), (50, 0));
        opener.join().unwrap();
    }

    #[test]
    fn a_panic_is_told_and_its_records_are_lost() {
        struct Falls;
        impl Work for Falls {
            type Job = ();
            fn work(&mut self, (): (), _: &mut Done) -> Option<()> {
                panic!("as it may");
            }
            fn end(&mut self, _: &mut Done) {}
        }
        let mut writer = Writer::start(Falls, "falls".to_owned(), 100, false).unwrap();
        let mut outcome = Outcome::default();
        writer.submit((), (1, 10), flows(3), &mut outcome);
        writer.finish(Duration::from_secs(10), &mut outcome);
        assert_eq!(outcome.queue_full.tally.flows, 3);
        assert!(writer.take_problem().unwrap().contains("panic"));
    }
}
