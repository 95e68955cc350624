//! Several queues read by one worker.
//!
//! In: sources of one or several queues. Out: their frames, a batch of one queue at a time, in turn.
//! Invariant: no queue waits for another: those that have frames are served in turn, and the wait is for all at once.
//!
//! A worker that has emptied its rings pauses before it asks to be woken. To be woken for each frame costs more than the frame, on both
//! sides; during the pause nobody is woken, and some frames gather. It is so short that the ring cannot fill meanwhile
//! ([`super::plan::pause`]). A frame that comes after a longer silence is taken at once.

use std::time::Duration;

use super::super::{CaptureError, Description, Frame, Poll, Source, SourceCounters};
use super::source::{XdpSource, add, wait};

/// Queues of one worker; never empty.
#[derive(Debug)]
pub struct Group {
    sources: Vec<XdpSource>,
    next: usize,
    /// Queues of the interface that were looked at for adoption.
    adopted: u64,
    /// Frames have come since the last pause.
    fresh: bool,
}

/// Spreads sources over at most `workers` workers, each of which gets every `workers`-th queue.
#[must_use]
pub fn share(sources: Vec<XdpSource>, workers: usize) -> Vec<Group> {
    let workers = workers.clamp(1, sources.len().max(1));
    let mut groups: Vec<Vec<XdpSource>> = (0..workers).map(|_| Vec::new()).collect();
    for (number, source) in sources.into_iter().enumerate() {
        groups[number % workers].push(source);
    }
    groups
        .into_iter()
        .filter(|sources| !sources.is_empty())
        .map(|sources| Group { sources, next: 0, adopted: 0, fresh: false })
        .collect()
}

impl Group {
    /// The sources, in the order of their queues; one that was adopted comes last.
    #[must_use]
    pub fn sources(&self) -> &[XdpSource] {
        &self.sources
    }

    /// Numbers of the queues.
    #[must_use]
    pub fn queues(&self) -> Vec<u32> {
        self.sources.iter().map(XdpSource::queue).collect()
    }

    /// One batch of the next queue that has frames. `None`: none has.
    fn lend(&mut self, sink: &mut dyn FnMut(&[Frame<'_>])) -> Result<Option<usize>, CaptureError> {
        let count = self.sources.len();
        for _ in 0..count {
            let number = self.next;
            self.next = if number + 1 < count { number + 1 } else { 0 };
            if let Some(lent) = self.sources[number].lend_whole(sink)? {
                return Ok(Some(lent));
            }
        }
        Ok(None)
    }

    /// Takes over a queue that the interface has more than before.
    fn adopt(&mut self) {
        if let Some(more) = self.sources[0].adopt(&mut self.adopted) {
            self.sources.push(more);
        }
    }
}

impl Source for Group {
    fn poll(
        &mut self,
        timeout: Duration,
        sink: &mut dyn FnMut(&[Frame<'_>]),
    ) -> Result<Poll, CaptureError> {
        self.adopt();
        if let Some(lent) = self.lend(sink)? {
            self.fresh = true;
            return Ok(Poll::Frames(lent));
        }
        if self.sources[0].busy_polls() {
            for source in &self.sources {
                source.drive()?;
            }
            if let Some(lent) = self.lend(sink)? {
                return Ok(Poll::Frames(lent));
            }
        } else if std::mem::take(&mut self.fresh) {
            std::thread::sleep(self.sources[0].pause());
            if let Some(lent) = self.lend(sink)? {
                self.fresh = true;
                return Ok(Poll::Frames(lent));
            }
        }
        wait(self.sources.iter(), timeout)?;
        if let Some(lent) = self.lend(sink)? {
            self.fresh = true;
            return Ok(Poll::Frames(lent));
        }
        self.sources.iter_mut().for_each(XdpSource::change_over);
        Ok(Poll::Idle)
    }

    fn stop(&mut self) -> bool {
        self.sources.iter_mut().for_each(|source| {
            source.stop();
        });
        true
    }

    fn counters(&mut self) -> SourceCounters {
        let mut sum = SourceCounters::default();
        for source in &mut self.sources {
            let counters = source.counters();
            add(&mut sum, &counters);
            sum.delivered += counters.delivered;
            sum.unstamped += counters.unstamped;
        }
        sum
    }

    fn progress(&self) -> Option<(u64, u64)> {
        None
    }

    fn describe(&mut self) -> Option<Description> {
        let mut descriptions = self.sources.iter_mut().filter_map(Source::describe);
        let mut all = descriptions.next()?;
        for more in descriptions {
            all.queues.extend(more.queues);
            all.statistics.extend(more.statistics);
        }
        Some(all)
    }
}
