//! Files that a run left when it was cut short: what is torn is cut off, the rest gets its name.
//!
//! Memory is bounded whatever the files hold.

use super::output::{CURRENT, name};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

/// What a file is a sequence of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Unit {
    /// IPFIX messages (RFC 5655).
    Message,
    /// Lines of text.
    Line,
    /// zstd frames.
    Frame,
}

/// Longest compressed frame: longer than what the largest buffer becomes.
const LONGEST_FRAME: usize = 4 << 20;

/// Puts right what is called as `pattern` says with `.current` behind it; a line on each.
pub(super) fn recover(pattern: &Path, unit: Unit) -> Vec<String> {
    let mut found = Vec::new();
    let mut directory = PathBuf::new();
    let components: Vec<Component<'_>> = pattern.components().collect();
    let Some((_, directories)) = components.split_last() else { return Vec::new() };
    let constant = directories
        .iter()
        .take_while(|component| !component.as_os_str().to_string_lossy().contains('%'))
        .count();
    directory.extend(directories.iter().take(constant));
    if directory.as_os_str().is_empty() {
        directory.push(".");
    }
    collect(&directory, directories.len() - constant, &mut found);
    let pattern = pattern.to_string_lossy();
    let mut told = Vec::new();
    for path in found {
        let text = path.to_string_lossy();
        let text = if pattern.starts_with("./") { &text } else { text.trim_start_matches("./") };
        let Some(named) = text.strip_suffix(CURRENT) else { continue };
        if jiff::fmt::strtime::parse(pattern.as_bytes(), named).is_err() {
            continue;
        }
        match put_right(&path, Path::new(named), unit) {
            Ok(Some(line)) => told.push(line),
            Ok(None) => {}
            Err(error) => told.push(format!("{}: stays as it is: {error}", path.display())),
        }
    }
    told
}

/// Files that end in `.current`, `depth` directories down.
fn collect(directory: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    // A directory that is not there has no files.
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 0 => collect(&path, depth - 1, found),
            Ok(kind) if kind.is_file() && path.to_string_lossy().ends_with(CURRENT) => {
                found.push(path);
            }
            _ => {}
        }
    }
}

fn put_right(path: &Path, named: &Path, unit: Unit) -> io::Result<Option<String>> {
    let mut file = File::options().read(true).write(true).open(path)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        // Another probe writes it.
        return Ok(None);
    }
    let length = file.metadata()?.len();
    let whole = match unit {
        Unit::Message => messages(&mut file, length)?,
        Unit::Line => lines(&mut file, length)?,
        Unit::Frame => frames(&mut file)?,
    };
    if whole < length {
        file.set_len(whole)?;
    }
    let path = path.display();
    let cut = length - whole;
    let torn =
        if cut > 0 { format!("{cut} octets of a torn end cut off, ") } else { String::new() };
    if whole == 0 {
        std::fs::remove_file(path.to_string())?;
        return Ok((length > 0)
            .then(|| format!("{path}: left by a run cut short; nothing whole in it, removed")));
    }
    let named = name(Path::new(&path.to_string()), named, whole)?;
    Ok(Some(format!("{path}: left by a run cut short; {torn}now {}", named.display())))
}

/// Where the last whole message ends.
fn messages(file: &mut File, length: u64) -> io::Result<u64> {
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut at = 0;
    loop {
        let mut header = [0; 4];
        match reader.read_exact(&mut header) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(at),
            other => other?,
        }
        let message = u64::from(u16::from_be_bytes([header[2], header[3]]));
        if header[..2] != [0, 10] || message < 16 || at + message > length {
            return Ok(at);
        }
        at += message;
        reader.seek_relative(message as i64 - 4)?;
    }
}

/// Where the last whole line ends.
fn lines(file: &mut File, length: u64) -> io::Result<u64> {
    let mut end = length;
    let mut octets = vec![0; 1 << 16];
    while end > 0 {
        let take = end.min(octets.len() as u64);
        file.seek(SeekFrom::Start(end - take))?;
        let part = &mut octets[..take as usize];
        file.read_exact(part)?;
        if let Some(place) = part.iter().rposition(|octet| *octet == b'\n') {
            return Ok(end - take + place as u64 + 1);
        }
        end -= take;
    }
    Ok(0)
}

/// Where the last whole frame ends.
fn frames(file: &mut File) -> io::Result<u64> {
    let (mut at, mut held, mut ended) = (0u64, Vec::new(), false);
    loop {
        match zstd::zstd_safe::find_frame_compressed_size(&held) {
            Ok(length) if length > 0 && zstd_reads(&held[..length]) => {
                at += length as u64;
                held.drain(..length);
            }
            Ok(_) => return Ok(at),
            Err(_) if ended || held.len() > LONGEST_FRAME => return Ok(at),
            Err(_) => ended = file.take(1 << 20).read_to_end(&mut held)? == 0,
        }
    }
}

/// Whether a frame holds what its checksum says.
fn zstd_reads(frame: &[u8]) -> bool {
    zstd::Decoder::new(frame)
        .and_then(|mut decoder| io::copy(&mut decoder, &mut io::sink()))
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: u16) -> Vec<u8> {
        let mut message = vec![0; usize::from(length)];
        message[1] = 10;
        message[2..4].copy_from_slice(&length.to_be_bytes());
        message
    }

    /// Writes `octets` as a file that was left, recovers, gives what it holds then and what was said.
    fn left(octets: &[u8], unit: Unit) -> (Option<Vec<u8>>, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("f.202611252350.x.current"), octets).unwrap();
        std::fs::write(path("other.current"), "not ours").unwrap();
        std::fs::create_dir(path("f.202611252355.x.current")).unwrap();
        let told = recover(&path("f.%Y%m%d%H%M.x"), unit);
        assert!(!path("f.202611252350.x.current").exists());
        assert_eq!(std::fs::read(path("other.current")).unwrap(), b"not ours");
        (std::fs::read(path("f.202611252350.x")).ok(), told)
    }

    #[test]
    fn a_torn_end_is_cut_off_wherever_it_is_torn() {
        let whole = [message(16), message(300), message(40)].concat();
        let ends = [0, 16, 316, 356];
        for length in 0..=whole.len() {
            let (kept, told) = left(&whole[..length], Unit::Message);
            let end = ends.into_iter().rev().find(|end| *end <= length).unwrap();
            match kept {
                None => assert_eq!(end, 0),
                Some(kept) => assert_eq!(kept, whole[..end], "{length}"),
            }
            assert_eq!(told.len(), usize::from(length > 0));
            let torn = told.first().is_some_and(|line| line.contains("torn end cut off"));
            assert_eq!(torn, end > 0 && end < length, "{told:?}");
        }
        // Zeros, as file systems leave them behind after a loss of power.
        let (kept, told) = left(&[&whole[..], &[0; 4096]].concat(), Unit::Message);
        assert_eq!(kept.unwrap(), whole);
        assert!(told[0].contains("4096 octets"), "{told:?}");
    }

    #[test]
    fn lines_and_frames_too() {
        assert_eq!(left(b"one\ntwo\nthr", Unit::Line).0.unwrap(), b"one\ntwo\n");
        assert_eq!(left(b"torn", Unit::Line).0, None);
        let one = zstd::encode_all(&[1; 100_000][..], 3).unwrap();
        let two = zstd::encode_all(&b"two"[..], 3).unwrap();
        let both = [&one[..], &two[..]].concat();
        assert_eq!(left(&both, Unit::Frame).0.unwrap(), both);
        for length in one.len()..both.len() {
            assert_eq!(left(&both[..length], Unit::Frame).0.unwrap(), one, "{length}");
        }
        let mut damaged = both.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert!(left(&damaged, Unit::Frame).0.unwrap().len() >= one.len());
    }

    #[test]
    fn directories_of_the_pattern_are_searched() {
        let directory = tempfile::tempdir().unwrap();
        let day = directory.path().join("2026/11/25");
        std::fs::create_dir_all(&day).unwrap();
        std::fs::write(day.join("2350.ipfix.current"), message(20)).unwrap();
        let told = recover(&directory.path().join("%Y/%m/%d/%H%M.ipfix"), Unit::Message);
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(std::fs::read(day.join("2350.ipfix")).unwrap().len(), 20);
    }
}
