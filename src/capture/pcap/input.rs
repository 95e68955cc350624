//! Where the octets come from: a file, a pipe, standard input, with gzip or zstd around them or not.
//!
//! In: a path. Out: a [`Buffer`] over the decompressed octets. Invariant: a pipe is waited for no longer than the
//! caller's timeout, through a decompressor too.

use super::super::CaptureError;
use super::buffer::{Buffer, Shared};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Octets read of a compressed file at a time.
const COMPRESSED_READ: usize = 128 * 1024;

/// Octets enough to tell the formats apart.
const MAGIC: usize = 8;

/// The file as it is stored: counts what is read, and does not wait longer than asked.
struct Stored {
    file: File,
    waits: bool,
    shared: Arc<Shared>,
}

impl Read for Stored {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.waits {
            self.wait()?;
        }
        let octets = self.file.read(room)?;
        self.shared.read.fetch_add(octets as u64, Ordering::Relaxed);
        Ok(octets)
    }
}

impl Stored {
    fn wait(&self) -> io::Result<()> {
        let wait = self.shared.wait.load(Ordering::Relaxed);
        let limit = (0..=i64::from(u32::MAX))
            .contains(&wait)
            .then(|| Timespec { tv_sec: wait / 1000, tv_nsec: wait % 1000 * 1_000_000 });
        let mut waited = [PollFd::new(&self.file, PollFlags::IN)];
        if poll(&mut waited, limit.as_ref())? == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(())
    }
}

pub(super) fn file(path: &Path) -> Result<Buffer, CaptureError> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            CaptureError::Environment(format!("{name}: may not be read by this user"))
        }
        _ => CaptureError::Usage(format!("{name}: cannot be opened: {error}")),
    })?;
    stored(file, &name)
}

pub(super) fn standard_input() -> Result<Buffer, CaptureError> {
    let owned = io::stdin().as_fd().try_clone_to_owned().map_err(|error| {
        CaptureError::Environment(format!("standard input cannot be read: {error}"))
    })?;
    stored(File::from(owned), "standard input")
}

fn stored(file: File, name: &str) -> Result<Buffer, CaptureError> {
    let kind = file
        .metadata()
        .map_err(|error| CaptureError::Environment(format!("{name}: cannot be read: {error}")))?;
    if kind.is_dir() {
        return Err(CaptureError::Usage(format!("{name}: a directory, not a capture file")));
    }
    let size = kind.is_file().then_some(kind.len());
    let shared = Shared::new(size);
    let stored = Stored { file, waits: !kind.is_file(), shared: Arc::clone(&shared) };
    decompressed(Box::new(stored), shared, name)
}

pub(super) fn reader(input: Box<dyn Read + Send>, name: &str) -> Result<Buffer, CaptureError> {
    decompressed(input, Shared::new(None), name)
}

/// Looks at the magic, and puts the decompressor around the input that it asks for.
fn decompressed(
    mut input: Box<dyn Read + Send>,
    shared: Arc<Shared>,
    name: &str,
) -> Result<Buffer, CaptureError> {
    let mut magic = Vec::with_capacity(MAGIC);
    let unreadable = |error| CaptureError::Environment(format!("{name}: cannot be read: {error}"));
    while magic.len() < MAGIC {
        let mut room = [0; MAGIC];
        match input.read(&mut room[magic.len()..]) {
            Ok(0) => break,
            Ok(octets) => magic.extend_from_slice(&room[magic.len()..][..octets]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    let compression = Compression::recognise(&magic);
    let whole = Cursor::new(magic).chain(input);
    let input: Box<dyn Read + Send> = match compression {
        Compression::None => Box::new(whole),
        Compression::Gzip => {
            let stored = BufReader::with_capacity(COMPRESSED_READ, whole);
            Box::new(flate2::bufread::MultiGzDecoder::new(stored))
        }
        Compression::Zstd => {
            let stored = BufReader::with_capacity(COMPRESSED_READ, whole);
            Box::new(zstd::stream::read::Decoder::with_buffer(stored).map_err(unreadable)?)
        }
    };
    Ok(Buffer::new(input, shared))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878; a file may begin with a skippable frame.
    Zstd,
}

impl Compression {
    fn recognise(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// What a file that is not a capture begins like, for the message.
pub(super) fn looks_like(start: &[u8]) -> String {
    let text = match start {
        [] => "an empty file",
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            "a file compressed twice; decompress it once"
        }
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "an xz file; decompress it first",
        [b'B', b'Z', b'h', ..] => "a bzip2 file; decompress it first",
        [0x04, 0x22, 0x4d, 0x18, ..] => "an lz4 file; decompress it first",
        [b'P', b'K', 3, 4, ..] => "a zip archive; unpack it first",
        [b's', b'n', b'o', b'o', b'p', 0, ..] => "a snoop capture; convert it with editcap -F pcap",
        [b'G', b'M', b'B', b'U', ..] | [b'R', b'T', b'S', b'S', ..] => {
            "a Network Monitor capture; convert it with editcap -F pcap"
        }
        [0xac | 0xab, 0x01, 0x00, 0x1c, ..] | [0x1c, 0x00, 0x01, 0xac | 0xab, ..] => {
            "an Ixia lcap capture; convert it with editcap -F pcap"
        }
        [0x00, 0x0a, ..] => "IPFIX messages (sixtap show reads them)",
        [0x00, 0x09 | 0x05, 0x00, ..] => "NetFlow datagrams (sixtap show reads them)",
        [0x0c, 0xa5, ..] | [0xa5, 0x0c, ..] => "an nfdump file",
        [0x7f, b'E', b'L', b'F', ..] => "a program",
        [b'{' | b'[', ..] => "JSON",
        _ => "",
    };
    if !text.is_empty() {
        return text.to_owned();
    }
    let shown = start.get(..start.len().min(MAGIC)).unwrap_or(start);
    if shown.iter().all(|octet| octet.is_ascii_graphic() || octet.is_ascii_whitespace()) {
        return "text".to_owned();
    }
    let octets: Vec<String> = shown.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("a file that begins with {}", octets.join(" "))
}
