//! The one buffer that frames are borrowed from.
//!
//! In: reads of an input. Out: the octets not yet consumed, contiguous. Invariant: never larger than [`MOST`].
//! Small enough to stay in the second-level cache: the kernel writes it, the meter reads it, memory is not touched.

use super::super::CaptureError;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Octets of the buffer unless one record needs more.
pub(super) const USUAL: usize = 256 * 1024;

/// Most octets of the buffer: the largest frame with the options a pcapng block may hold.
pub(super) const MOST: usize = 1024 * 1024;

/// What the input shares with the buffer across a decompressor.
#[derive(Debug)]
pub(super) struct Shared {
    /// Octets read of the file as it is stored.
    pub(super) read: AtomicU64,
    /// Milliseconds that a read may wait; negative: for ever.
    pub(super) wait: AtomicI64,
    /// Octets of the file as it is stored, if it is a file.
    pub(super) size: Option<u64>,
}

impl Shared {
    pub(super) fn new(size: Option<u64>) -> Arc<Self> {
        Arc::new(Self { read: AtomicU64::new(0), wait: AtomicI64::new(-1), size })
    }
}

/// What came of asking for more octets.
#[derive(Debug)]
pub(super) enum Refill {
    /// As many as were needed are there.
    Ready,
    /// Nothing came in time.
    Idle,
    /// The input has no more; fewer than needed are there.
    End,
    /// The input cannot be read on.
    Failed(String),
}

pub(super) struct Buffer {
    input: Box<dyn Read + Send>,
    octets: Box<[u8]>,
    start: usize,
    end: usize,
    /// Octets consumed in all.
    offset: u64,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffer")
            .field("start", &self.start)
            .field("end", &self.end)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

impl Buffer {
    pub(super) fn new(input: Box<dyn Read + Send>, shared: Arc<Shared>) -> Self {
        let octets = vec![0; USUAL].into_boxed_slice();
        Self { input, octets, start: 0, end: 0, offset: 0, shared }
    }

    /// What is there and not consumed.
    #[inline]
    pub(super) fn octets(&self) -> &[u8] {
        self.octets.get(self.start..self.end).unwrap_or(&[])
    }

    #[inline]
    pub(super) fn consume(&mut self, octets: usize) {
        let octets = octets.min(self.end - self.start);
        self.start += octets;
        self.offset += octets as u64;
    }

    /// Octets consumed since the start of the (decompressed) input.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn progress(&self) -> Option<(u64, u64)> {
        let size = self.shared.size?;
        Some((self.shared.read.load(Ordering::Relaxed).min(size), size))
    }

    /// Reads until `need` octets are there, waiting at most `timeout` for each part of them.
    pub(super) fn refill(&mut self, need: usize, timeout: Duration) -> Refill {
        let wait = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
        self.shared.wait.store(wait, Ordering::Relaxed);
        self.make_room(need);
        while self.end - self.start < need {
            let Some(room) = self.octets.get_mut(self.end..).filter(|room| !room.is_empty()) else {
                return Refill::Failed(format!("a record of more than {MOST} octets"));
            };
            match self.input.read(room) {
                Ok(0) => return Refill::End,
                Ok(octets) => self.end += octets.min(room.len()),
                Err(error) if idle(&error) => return Refill::Idle,
                Err(error) => return Refill::Failed(failure(&error)),
            }
        }
        Refill::Ready
    }

    /// Waits as long as it takes for `need` octets; the end of the input is not an error here.
    pub(super) fn refill_to(&mut self, need: usize, name: &str) -> Result<(), CaptureError> {
        loop {
            match self.refill(need, Duration::MAX) {
                Refill::Ready | Refill::End => return Ok(()),
                Refill::Idle => {}
                Refill::Failed(what) => {
                    let offset = self.offset + (self.end - self.start) as u64;
                    return Err(CaptureError::Damaged { what: format!("{name}: {what}"), offset });
                }
            }
        }
    }

    /// Moves what is left to the front, and grows within the bound if one record needs it.
    fn make_room(&mut self, need: usize) {
        if self.start > 0 {
            self.octets.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if need > self.octets.len() && need <= MOST {
            let mut larger = vec![0; need.next_multiple_of(USUAL).min(MOST)];
            larger[..self.end].copy_from_slice(&self.octets[..self.end]);
            self.octets = larger.into_boxed_slice();
        }
    }
}

fn idle(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn failure(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return "the compressed file ends early".to_owned();
    }
    format!("cannot be read on: {error}")
}
