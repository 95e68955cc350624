//! Selection Process (RFC 5475): some of a source's frames are lent, the others are counted.
//!
//! In: a source and a [`Selector`]: a capture filter ([`super::filter`]) or a sampling scheme ([`super::sampling`]). Out: a
//! source of fewer frames. Selectors stand one behind the other by wrapping one [`Selected`] into another. Invariant: every
//! frame of the inner source is either lent or counted as passed over.

use super::{BATCH, CaptureError, Description, Frame, Poll, Source, SourceCounters};
use arrayvec::ArrayVec;
use std::time::{Duration, Instant};

/// What decides about frames.
pub trait Selector {
    /// Whether the frame is selected.
    ///
    /// # Errors
    /// No frame like this one can be decided on: the source ends.
    fn selects(&mut self, frame: &Frame<'_>) -> Result<bool, CaptureError>;

    /// Puts the frames selected and passed over into the lines they belong to. `counters` are the inner source's.
    fn count(selected: u64, passed_over: u64, counters: &mut SourceCounters);
}

/// A source of the frames that `L` selects of those of `S`. All else about it is as `S` has it.
#[derive(Debug)]
pub struct Selected<S, L> {
    source: S,
    selector: L,
    selected: u64,
    passed_over: u64,
}

impl<S: Source, L: Selector> Selected<S, L> {
    /// The frames of `source` that `selector` selects.
    pub fn of(source: S, selector: L) -> Self {
        Self { source, selector, selected: 0, passed_over: 0 }
    }
}

impl<S: Source, L: Selector> Source for Selected<S, L> {
    fn poll(
        &mut self,
        timeout: Duration,
        sink: &mut dyn FnMut(&[Frame<'_>]),
    ) -> Result<Poll, CaptureError> {
        let mut began = None;
        loop {
            let (mut seen, mut lent) = (0, 0);
            let mut wrong = None;
            let Self { source, selector, .. } = &mut *self;
            let poll = source.poll(timeout, &mut |frames| {
                let mut selected = ArrayVec::<Frame<'_>, BATCH>::new();
                for frame in frames.iter().take(BATCH) {
                    match selector.selects(frame) {
                        Ok(true) => selected.push(*frame),
                        Ok(false) => {}
                        Err(error) => {
                            wrong = Some(error);
                            break;
                        }
                    }
                    seen += 1;
                }
                lent = selected.len();
                if lent > 0 {
                    sink(&selected);
                }
            })?;
            self.selected += lent as u64;
            self.passed_over += (seen - lent) as u64;
            if let Some(error) = wrong {
                return Err(error);
            }
            if lent > 0 {
                return Ok(Poll::Frames(lent));
            }
            let Poll::Frames(_) = poll else { return Ok(poll) };
            // A batch without a selected frame: go on, but not past the time that the caller gave.
            if began.get_or_insert_with(Instant::now).elapsed() >= timeout {
                return Ok(Poll::Idle);
            }
        }
    }

    fn counters(&mut self) -> SourceCounters {
        let mut counters = self.source.counters();
        L::count(self.selected, self.passed_over, &mut counters);
        counters
    }

    fn stop(&mut self) -> bool {
        self.source.stop()
    }

    fn progress(&self) -> Option<(u64, u64)> {
        self.source.progress()
    }

    fn describe(&mut self) -> Option<Description> {
        self.source.describe()
    }
}
