//! Capture files as a source: pcap and pcapng, plain, gzip or zstd, from a file, a pipe or standard input.
//!
//! In: octets of a capture. Out: frames borrowed from one read buffer: no copy and no system call a packet.
//! Invariants: the buffer is bounded ([`buffer::MOST`]) whatever the file says; every frame before a damaged place
//! is lent before the damage is reported; nothing that the file contains makes the reader panic.

mod buffer;
mod classic;
mod input;
mod pcapng;

#[cfg(test)]
mod tests;

use super::{BATCH, CaptureError, Description, Frame, LinkType, Poll, Source, SourceCounters};
use arrayvec::ArrayVec;
use buffer::{Buffer, Refill};
use classic::Classic;
use pcapng::Pcapng;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

/// Largest frame that is believed: libpcap's `MAXIMUM_SNAPLEN`. A larger captured length is damage.
pub const LARGEST_FRAME: u32 = 262_144;

type Batch<'a> = ArrayVec<Frame<'a>, BATCH>;

/// Why a scan over the buffered octets came back.
#[derive(Debug)]
enum Stop {
    /// The batch is full, or the scan wants to be called again.
    Again,
    /// The next record or block needs this many octets to be in the buffer.
    Need(usize),
    /// This many octets hold nothing for the meter, buffered or not yet.
    Skip(u64),
    /// The octets at the place where the scan stopped cannot be a record.
    Damaged(String),
}

/// How far a scan came, in octets from the start of what it was given, and why it stopped.
#[derive(Debug)]
struct Scan {
    consumed: usize,
    stop: Stop,
}

#[derive(Debug)]
enum Format {
    Classic(Classic),
    Pcapng(Pcapng),
}

/// A capture file being read.
#[derive(Debug)]
pub struct PcapSource {
    name: String,
    buffer: Buffer,
    format: Format,
    counters: SourceCounters,
    /// Octets still to be passed over.
    skip: u64,
    ended: bool,
}

/// Opens a capture file, or standard input when `path` is `-`. Blocks until the first octets are there.
///
/// pcap (microseconds, nanoseconds, Kuznetzov's variant; both byte orders) and pcapng are told apart by their
/// magic, as are gzip and zstd around them.
///
/// # Errors
/// [`CaptureError::Usage`] if the file does not exist or is not a capture (it says what it looks like),
/// [`CaptureError::Environment`] if it may not be read, [`CaptureError::Damaged`] if its header is cut.
pub fn open(path: impl AsRef<Path>) -> Result<PcapSource, CaptureError> {
    let path = path.as_ref();
    let (buffer, name) = if path.as_os_str() == "-" {
        (input::standard_input()?, "standard input".to_owned())
    } else {
        (input::file(path)?, path.display().to_string())
    };
    PcapSource::new(buffer, name)
}

/// Reads a capture from octets that are not a file of the system, such as a test's. Never waits.
///
/// # Errors
/// As for [`open`].
pub fn from_reader(
    reader: impl Read + Send + 'static,
    name: &str,
) -> Result<PcapSource, CaptureError> {
    PcapSource::new(input::reader(Box::new(reader), name)?, name.to_owned())
}

impl PcapSource {
    fn new(mut buffer: Buffer, name: String) -> Result<Self, CaptureError> {
        buffer.refill_to(classic::FILE_HEADER, &name)?;
        let start = buffer.octets();
        let format = if let Some(classic) = Classic::recognise(start) {
            if start.len() < classic::FILE_HEADER {
                return Err(CaptureError::Damaged {
                    what: format!(
                        "{name}: the file ends inside the pcap header ({} of {} octets)",
                        start.len(),
                        classic::FILE_HEADER
                    ),
                    offset: start.len() as u64,
                });
            }
            buffer.consume(classic::FILE_HEADER);
            Format::Classic(classic)
        } else if Pcapng::recognise(start) {
            Format::Pcapng(Pcapng::default())
        } else {
            return Err(CaptureError::Usage(format!(
                "{name}: {}, not a capture file (pcap or pcapng, plain, gzip or zstd)",
                input::looks_like(start)
            )));
        };
        let mut source = Self {
            name,
            buffer,
            format,
            counters: SourceCounters::default(),
            skip: 0,
            ended: false,
        };
        source.find_link_type();
        Ok(source)
    }

    /// What the first octet of the frames belongs to: that of the first interface. `None` if a pcapng file names
    /// none before its first frames (a later interface may have another one: [`Frame::link`] holds).
    #[must_use]
    pub fn link_type(&self) -> Option<LinkType> {
        match &self.format {
            Format::Classic(classic) => Some(classic.link),
            Format::Pcapng(pcapng) => pcapng.first_link(),
        }
    }

    /// The file name, or `standard input`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the blocks ahead of the first frame that are buffered, so that [`Self::link_type`] has an answer.
    fn find_link_type(&mut self) {
        if let Format::Pcapng(pcapng) = &mut self.format {
            let scan = pcapng.describe(self.buffer.octets());
            self.buffer.consume(scan);
        }
    }

    fn damaged(&mut self, what: &str) -> CaptureError {
        self.ended = true;
        self.counters.damaged = 1;
        CaptureError::Damaged {
            what: format!("{}: {what}", self.name),
            offset: self.buffer.offset(),
        }
    }

    /// Gets at least `need` octets, or says why not.
    fn refill(&mut self, need: usize, timeout: Duration) -> Result<Option<Poll>, CaptureError> {
        match self.buffer.refill(need, timeout) {
            Refill::Ready => Ok(None),
            Refill::Idle => Ok(Some(Poll::Idle)),
            Refill::Failed(what) => Err(self.damaged(&what)),
            Refill::End => {
                let have = self.buffer.octets().len();
                if have == 0 {
                    self.ended = true;
                    return Ok(Some(Poll::End));
                }
                Err(self
                    .damaged(&format!("the file ends inside a record ({have} of {need} octets)")))
            }
        }
    }

    /// Passes over octets that hold nothing for the meter, reading as needed.
    fn pass_over(&mut self, timeout: Duration) -> Result<Option<Poll>, CaptureError> {
        while self.skip > 0 {
            let have = self.buffer.octets().len();
            let step = usize::try_from(self.skip).unwrap_or(usize::MAX).min(have);
            self.buffer.consume(step);
            self.skip -= step as u64;
            if self.skip == 0 {
                break;
            }
            match self.buffer.refill(1, timeout) {
                Refill::Ready => {}
                Refill::Idle => return Ok(Some(Poll::Idle)),
                Refill::Failed(what) => return Err(self.damaged(&what)),
                Refill::End => {
                    let what =
                        format!("the file ends inside a block ({} octets missing)", self.skip);
                    return Err(self.damaged(&what));
                }
            }
        }
        Ok(None)
    }
}

impl Source for PcapSource {
    fn poll(
        &mut self,
        timeout: Duration,
        sink: &mut dyn FnMut(&[Frame<'_>]),
    ) -> Result<Poll, CaptureError> {
        loop {
            if self.ended {
                return Ok(Poll::End);
            }
            if let Some(poll) = self.pass_over(timeout)? {
                return Ok(poll);
            }
            let octets = self.buffer.octets();
            let mut batch = Batch::new();
            let scan = match &mut self.format {
                Format::Classic(classic) => classic.scan(octets, &mut batch),
                Format::Pcapng(pcapng) => pcapng.scan(octets, &mut batch),
            };
            let frames = batch.len();
            if frames > 0 {
                sink(&batch);
            }
            drop(batch);
            self.buffer.consume(scan.consumed);
            self.counters.delivered += frames as u64;
            if let Stop::Skip(octets) = scan.stop {
                self.skip = octets;
            }
            if frames > 0 {
                // Whatever stopped the scan stops the next one at the same place.
                return Ok(Poll::Frames(frames));
            }
            match scan.stop {
                Stop::Again | Stop::Skip(_) => {}
                Stop::Need(need) => {
                    if let Some(poll) = self.refill(need, timeout)? {
                        return Ok(poll);
                    }
                }
                Stop::Damaged(what) => return Err(self.damaged(&what)),
            }
        }
    }

    fn stop(&mut self) -> bool {
        false
    }

    fn counters(&mut self) -> SourceCounters {
        self.counters
    }

    fn progress(&self) -> Option<(u64, u64)> {
        self.buffer.progress()
    }

    fn describe(&mut self) -> Option<Description> {
        None
    }
}
