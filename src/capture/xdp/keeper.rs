//! Watches an interface while it is captured.
//!
//! In: what the kernel says of the interface, once a second. Out: log lines, and new sockets when an interface that was removed
//! is back under its name.
//!
//! It is a thread of its own because capabilities are a thread's: workers may have dropped theirs when a program has to be
//! attached again, or settings have to be given back.
//!
//! Invariant: sources change over by themselves, when their ring is empty; the keeper never touches a socket in use.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::super::CaptureError;
use super::super::interface::Interface;
use super::super::interface::steering::Steering;
use super::queue::Queue;
use super::{Attachment, Options, establish, permit, plan, steer};

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(1);

/// The thread, and what it has ready for the sources.
#[derive(Debug)]
pub(super) struct Keeper {
    ready: Arc<Ready>,
    busy_poll: bool,
    /// Dropped to end the thread.
    running: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What a new opening gave, until the sources have claimed it.
#[derive(Debug, Default)]
struct Ready {
    opening: AtomicU64,
    fresh: Mutex<Vec<(u32, Arc<Attachment>, Queue)>>,
}

impl Ready {
    fn fresh(&self) -> MutexGuard<'_, Vec<(u32, Arc<Attachment>, Queue)>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper {
    /// Starts the thread with the capabilities of this one.
    pub(super) fn start(
        options: &Options,
        attachment: &Arc<Attachment>,
        steering: Option<Steering>,
    ) -> Result<Self, CaptureError> {
        let ready = Arc::new(Ready::default());
        let (running, ended) = channel();
        let mut watch = Watch {
            options: options.clone(),
            queues: attachment.queues.clone(),
            in_use: plan::receive_queues(&attachment.interface),
            interface: attachment.interface.clone(),
            away: false,
            complaint: String::new(),
            steering,
            ready: Arc::clone(&ready),
        };
        let thread = std::thread::Builder::new()
            .name(format!("keeper-{}", attachment.interface.name))
            .spawn(move || watch.run(&ended))
            .map_err(|error| {
                CaptureError::Environment(format!("no thread to watch the interface: {error}"))
            })?;
        let busy_poll = options.busy_poll.is_some();
        Ok(Self { ready, busy_poll, running: Some(running), thread: Some(thread) })
    }

    pub(super) const fn busy_poll(&self) -> bool {
        self.busy_poll
    }

    /// Counts the openings after the first.
    pub(super) fn opening(&self) -> u64 {
        self.ready.opening.load(Ordering::Acquire)
    }

    /// The socket of a queue in the latest opening.
    pub(super) fn claim(&self, queue: u32) -> Option<(Arc<Attachment>, Queue)> {
        let mut fresh = self.ready.fresh();
        let place = fresh.iter().position(|(number, ..)| *number == queue)?;
        let (_, attachment, queue) = fresh.swap_remove(place);
        Some((attachment, queue))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.running.take();
        if let Some(thread) = self.thread.take() {
            // A panic there is no reason for one here.
            let _ = thread.join();
        }
    }
}

/// What the thread knows.
struct Watch {
    options: Options,
    queues: Vec<u32>,
    /// Receive queues in use when last looked.
    in_use: u32,
    interface: Interface,
    away: bool,
    /// What was said last of why the interface is not open again: it is not said twice.
    complaint: String,
    steering: Option<Steering>,
    ready: Arc<Ready>,
}

impl Watch {
    /// Looks until the keeper is dropped; then `steering` goes, and gives the settings back.
    fn run(&mut self, ended: &Receiver<()>) {
        while ended.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
            self.look();
        }
        self.steering.take();
    }

    fn look(&mut self) {
        let name = self.interface.name.clone();
        match Interface::by_index(self.interface.index) {
            Ok(Some(found)) if !self.away => self.compare(found),
            Ok(None) if !self.away => {
                tracing::warn!(interface = %name, "the interface is gone; waiting for one of that name");
                self.away = true;
            }
            _ => {}
        }
        if self.away
            && let Ok(Some(found)) = Interface::by_name(&name)
            && found.up
        {
            match self.open_again(found) {
                Ok(()) => {
                    self.away = false;
                    self.complaint.clear();
                }
                Err(error) => {
                    let complaint = error.to_string();
                    if complaint != self.complaint {
                        tracing::warn!(interface = %name, "not opened again: {complaint}");
                        self.complaint = complaint;
                    }
                }
            }
        }
    }

    /// Reports what has changed on an interface that is there.
    fn compare(&mut self, found: Interface) {
        let name = &found.name;
        let before = &self.interface;
        match (before.up && before.carrier, found.up && found.carrier) {
            (true, false) => tracing::warn!(interface = %name, "the link is down"),
            (false, true) => tracing::info!(interface = %name, "the link is up"),
            _ => {}
        }
        if before.name != found.name {
            tracing::info!("{} is called {name} now", before.name);
        }
        let in_use = plan::receive_queues(&found);
        if in_use != self.in_use {
            tracing::warn!(
                interface = %name,
                "{} receive queues instead of {}: queues without a worker go to the kernel and are counted as passed; start again to capture them",
                in_use, self.in_use
            );
            self.in_use = in_use;
        }
        self.interface = found;
    }

    fn open_again(&mut self, found: Interface) -> Result<(), CaptureError> {
        permit::no_other_program(&found)?;
        let in_use = plan::receive_queues(&found);
        let queues: Vec<u32> =
            self.queues.iter().copied().filter(|&queue| queue < in_use).collect();
        // The old settings were those of an interface that is gone.
        self.steering = steer(&self.options, &found);
        let (attachment, sockets) = establish(&self.options, found.clone(), &queues)?;
        let opened = queues.into_iter().zip(sockets);
        *self.ready.fresh() =
            opened.map(|(number, queue)| (number, Arc::clone(&attachment), queue)).collect();
        self.ready.opening.fetch_add(1, Ordering::Release);
        tracing::info!(interface = %found.name, ifindex = found.index, "the interface is back and captured again");
        self.interface = found;
        self.in_use = in_use;
        Ok(())
    }
}
