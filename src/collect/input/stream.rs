//! Files and pipes: an IPFIX file (RFC 5655), datagrams written one behind the other, or a capture; with gzip or zstd
//! around it or not.

use super::capture::Capture;
use super::framer::{Framer, Piece};
use super::{InputCounters, InputError, Received, Source};
use crate::collect::event::Transport;
use crate::ipfix::{Anomaly, Kind};
use std::fs::File;
use std::io::{Cursor, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Octets read at a time.
const READ: usize = 64 * 1024;

pub(super) type Reader = Box<dyn Read + Send>;

/// A file that counts what is read of it.
struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        let octets = self.file.read(room)?;
        self.read.fetch_add(octets as u64, Ordering::Relaxed);
        Ok(octets)
    }
}

/// How far a file has been read, and its size.
pub(super) type Progress = (Arc<AtomicU64>, u64);

/// Opens a file, or standard input when `name` is `-`.
pub(super) fn open(name: &str) -> Result<(Source, Option<Progress>), InputError> {
    if name == "-" {
        return Ok((recognise(Box::new(std::io::stdin()), "standard input")?, None));
    }
    let file = File::open(name).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => {
            InputError::Environment(format!("{name}: may not be read by this user"))
        }
        _ => InputError::Usage(format!("{name}: cannot be opened: {error}")),
    })?;
    let metadata = file.metadata().ok();
    if metadata.as_ref().is_some_and(std::fs::Metadata::is_dir) {
        return Err(InputError::Usage(format!("{name}: a directory, not a file of messages")));
    }
    let size = metadata.filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
    let read = Arc::new(AtomicU64::new(0));
    let source = recognise(Box::new(Counted { file, read: Arc::clone(&read) }), name)?;
    Ok((source, size.map(|size| (read, size))))
}

/// Finds out by the first octets what `reader` holds.
pub(super) fn recognise(reader: Reader, name: &str) -> Result<Source, InputError> {
    let (start, mut reader) = peek(reader, name)?;
    let compressed = match start {
        [0x1f, 0x8b, ..] => {
            reader = Box::new(flate2::read::MultiGzDecoder::new(reader));
            true
        }
        [0x28, 0xb5, 0x2f, 0xfd] => {
            let decoder = zstd::Decoder::new(reader)
                .map_err(|error| InputError::Environment(format!("{name}: zstd: {error}")))?;
            reader = Box::new(decoder);
            true
        }
        _ => false,
    };
    let (start, reader) = if compressed { peek(reader, name)? } else { (start, reader) };
    match start {
        [0xa1, 0xb2, 0xc3 | 0xcd, 0xd4 | 0x34]
        | [0xa1, 0xb2, 0x3c, 0x4d]
        | [0xd4 | 0x34, 0xc3 | 0xcd, 0xb2, 0xa1]
        | [0x4d, 0x3c, 0xb2, 0xa1]
        | [0x0a, 0x0d, 0x0d, 0x0a] => {
            Ok(Source::Capture(Box::new(Capture::from_reader(reader, name)?)))
        }
        // An empty file, which gave no octet to look at, is a file of no messages.
        [0, 5 | 9 | 10, ..] | [0, 0, 0, 0] => {
            Ok(Source::Stream(Box::new(Stream::new(reader, name))))
        }
        _ => Err(InputError::Usage(format!(
            "{name}: neither messages (IPFIX, NetFlow v9 or v5) nor a capture (pcap, pcapng)"
        ))),
    }
}

/// The first four octets (zeros where there are fewer), and a reader that still has them.
fn peek(mut reader: Reader, name: &str) -> Result<([u8; 4], Reader), InputError> {
    let mut start = [0; 4];
    let mut length = 0;
    while let Some(room) = start.get_mut(length..).filter(|room| !room.is_empty()) {
        match reader.read(room) {
            Ok(0) => break,
            Ok(octets) => length += octets,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(InputError::Environment(format!("{name}: cannot be read: {error}")));
            }
        }
    }
    let read = start.get(..length).unwrap_or(&[]).to_vec();
    Ok((start, Box::new(Cursor::new(read).chain(reader))))
}

/// Messages one behind the other.
pub(super) struct Stream {
    reader: Reader,
    name: String,
    framer: Framer,
    buffer: Box<[u8]>,
    ended: bool,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Stream {
    fn new(reader: Reader, name: &str) -> Self {
        let (framer, buffer) = (Framer::default(), vec![0; READ].into_boxed_slice());
        Self { reader, name: name.to_owned(), framer, buffer, ended: false }
    }

    pub(super) fn next(
        &mut self,
        counters: &mut InputCounters,
    ) -> Result<Option<Received<'_>>, InputError> {
        loop {
            let position = self.framer.position();
            match self.framer.next(self.ended) {
                Some(Piece::Message(length)) => {
                    let transport = Transport::file(length, position);
                    let octets = self.framer.take(length);
                    return Ok(Some(Received::Message { transport, octets }));
                }
                Some(Piece::Noise(skipped)) => {
                    self.framer.take(skipped);
                    counters.skipped_octets += skipped as u64;
                    let transport = Transport::file(skipped, position);
                    let anomaly = Anomaly { offset: 0, kind: Kind::Resynchronised { skipped } };
                    return Ok(Some(Received::Noise { transport, anomaly }));
                }
                None if self.ended => return Ok(None),
                None => self.read()?,
            }
        }
    }

    fn read(&mut self) -> Result<(), InputError> {
        match self.reader.read(&mut self.buffer) {
            Ok(0) => self.ended = true,
            Ok(length) => self.framer.push(self.buffer.get(..length).unwrap_or(&[])),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                let name = &self.name;
                return Err(InputError::Environment(format!("{name}: cannot be read: {error}")));
            }
        }
        Ok(())
    }
}
