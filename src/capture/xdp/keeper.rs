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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_keep_capabilities,
};

use super::super::CaptureError;
use super::super::interface::Interface;
use super::super::interface::steering::Steering;
use super::queue::Queue;
use super::{Attachment, Options, establish, ladder, permit, plan, steer};

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
    fresh: Mutex<Vec<Opened>>,
    /// Counts the queues that were opened because the interface got more.
    more: AtomicU64,
    /// Those of them that no worker has taken over yet.
    unclaimed: Mutex<Vec<Opened>>,
}

/// A queue with its socket.
type Opened = (u32, Arc<Attachment>, Queue);

impl Ready {
    fn fresh(&self) -> MutexGuard<'_, Vec<Opened>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unclaimed(&self) -> MutexGuard<'_, Vec<Opened>> {
        self.unclaimed.lock().unwrap_or_else(PoisonError::into_inner)
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
        let (started, has_started) = channel();
        let mut watch = Watch {
            options: options.clone(),
            queues: attachment.queues().iter().copied().collect(),
            attachment: Arc::downgrade(attachment),
            in_use: plan::receive_queues(&attachment.interface),
            interface: attachment.interface.clone(),
            away: false,
            complaint: String::new(),
            steering,
            ready: Arc::clone(&ready),
        };
        let thread = std::thread::Builder::new()
            .name(format!("keeper-{}", attachment.interface.name))
            .spawn(move || {
                keep_capabilities();
                // Whoever opened the capture may change the user once this is done; it waits below.
                let _ = started.send(());
                watch.run(&ended);
            })
            .map_err(|error| {
                CaptureError::Environment(format!("no thread to watch the interface: {error}"))
            })?;
        // An error is a thread that has ended; joining it tells no more.
        let _ = has_started.recv();
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

    /// Counts the queues that the interface has got since it was opened.
    #[inline]
    pub(super) fn more(&self) -> u64 {
        self.ready.more.load(Ordering::Acquire)
    }

    /// One of them that nobody reads.
    pub(super) fn claim_more(&self) -> Option<Opened> {
        self.ready.unclaimed().pop()
    }

    /// The socket of a queue in the latest opening.
    pub(super) fn claim(&self, queue: u32) -> Option<(Arc<Attachment>, Queue)> {
        let mut fresh = self.ready.fresh();
        let place = fresh.iter().position(|(number, ..)| *number == queue)?;
        let (_, attachment, queue) = fresh.swap_remove(place);
        Some((attachment, queue))
    }
}

/// What opening an interface again takes, of what this process has: [`permit::NEEDED`], and CAP_IPC_LOCK, which stands for a high
/// enough limit of locked memory.
fn of_use(sets: &CapabilitySets) -> CapabilitySet {
    let needed = permit::NEEDED.into_iter().map(|(capability, _)| capability);
    let all = needed.fold(CapabilitySet::IPC_LOCK, |all, capability| all | capability);
    sets.permitted & all
}

/// Leaves this thread the capabilities that are of use here, and lets it keep them when the process becomes another user. Both
/// are a thread's own. Changing the user stays possible until then: the C library does that in all threads, and ends the process when one
/// of them may not.
fn keep_capabilities() {
    let Ok(sets) = capabilities(None) else { return };
    let user = sets.permitted & (CapabilitySet::SETUID | CapabilitySet::SETGID);
    if let Err(error) = leave(of_use(&sets) | user).and_then(|()| set_keep_capabilities(true)) {
        tracing::debug!("capabilities will not outlive a change of user: {error}");
    }
}

/// A change of user leaves capabilities permitted, not effective. After it, no other change is wanted.
fn raise_capabilities() {
    let Ok(sets) = capabilities(None) else { return };
    let usable = of_use(&sets);
    if !sets.effective.contains(usable) {
        let _ = leave(usable);
    }
}

fn leave(these: CapabilitySet) -> rustix::io::Result<()> {
    let inheritable = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: these, permitted: these, inheritable })
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.running.take();
        if let Some(thread) = self.thread.take() {
            // A panic there is no reason for one here.
            let _ = thread.join();
        }
        self.ready.unclaimed().clear();
        self.ready.fresh().clear();
    }
}

/// What the thread knows.
struct Watch {
    options: Options,
    queues: Vec<u32>,
    /// Gone when all sources are.
    attachment: Weak<Attachment>,
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
            raise_capabilities();
            self.look();
            if let Some(attachment) = self.attachment.upgrade() {
                attachment.clock.compare();
            }
        }
        raise_capabilities();
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
            (false, true) => {
                tracing::info!(interface = %name, "the link is up");
                if let Some(attachment) = self.attachment.upgrade() {
                    attachment.set_pause();
                }
            }
            _ => {}
        }
        if before.name != found.name {
            tracing::info!("{} is called {name} now", before.name);
        }
        let in_use = plan::receive_queues(&found);
        if in_use != self.in_use {
            tracing::warn!(interface = %name, "{in_use} receive queues instead of {}", self.in_use);
            if self.options.queues.is_none() {
                self.open_more(&found, in_use);
            }
            self.in_use = in_use;
        }
        self.interface = found;
    }

    /// Opens the queues that have no socket yet, for a worker to take over.
    fn open_more(&mut self, found: &Interface, in_use: u32) {
        let Some(attachment) = self.attachment.upgrade() else { return };
        for number in (0..in_use).filter(|number| !self.queues.contains(number)).collect::<Vec<_>>()
        {
            let opened = ladder::open_queue(
                &self.options,
                found,
                &attachment.program,
                number,
                attachment.shape,
                attachment.mode,
            );
            match opened {
                Ok(queue) => {
                    self.queues.push(number);
                    attachment.queues().insert(number);
                    self.ready.unclaimed().push((number, Arc::clone(&attachment), queue));
                    self.ready.more.fetch_add(1, Ordering::Release);
                    tracing::info!(interface = %found.name, queue = number, "captured too");
                }
                Err(reason) => tracing::warn!(
                    interface = %found.name,
                    "queue {number} not opened ({reason}): its frames go to the kernel and are counted as passed"
                ),
            }
        }
    }

    fn open_again(&mut self, found: Interface) -> Result<(), CaptureError> {
        permit::no_other_program(&found)?;
        let in_use = plan::receive_queues(&found);
        let queues: Vec<u32> =
            self.queues.iter().copied().filter(|&queue| queue < in_use).collect();
        // The old settings were those of an interface that is gone.
        self.steering = steer(&self.options, &found);
        let (attachment, sockets) = establish(&self.options, found.clone(), &queues)?;
        self.attachment = Arc::downgrade(&attachment);
        // What was opened for more queues and not taken over belonged to the interface that is gone.
        self.ready.unclaimed().clear();
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
