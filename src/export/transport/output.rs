//! A file, or a file after the other: names, rotation, compression.
//!
//! A file that rotates is written under its name with `.current` behind it and gets its name when it is whole, so whoever
//! watches the directory sees whole files only. What a run that was cut short left as `.current` is cut after its last whole
//! unit and named at the next start ([`recovery`]). Compressed, each write is a zstd frame of its own: what is behind
//! the last whole frame can be cut off, and the rest reads.
//!
//! Invariant: whatever fails, a file ends with a whole unit (a message, a line, a frame), unless it is a pipe.

use super::super::destination::Files;
use super::TransportError;
use super::recovery::{self, Unit};
use crate::capture::Timestamp;
use jiff::Zoned;
use jiff::tz::TimeZone;
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is added to the name of a file that is not whole yet.
pub(super) const CURRENT: &str = ".current";

/// How hard zstd tries: its own default.
const LEVEL: i32 = 3;

#[derive(Debug)]
pub(in super::super) struct Output {
    names: Names,
    file: Option<Open>,
    size: Option<u64>,
    compressor: Option<Compressor>,
    /// What went wrong with files before this one, or was put right.
    problems: Vec<String>,
}

/// The file that is being written.
#[derive(Debug)]
struct Open {
    file: File,
    path: PathBuf,
    /// Where it goes when it is whole; the same where nothing rotates.
    named: PathBuf,
    written: u64,
}

struct Compressor(zstd::bulk::Compressor<'static>);

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compressor")
    }
}

impl Output {
    /// Creates the first file, or empties it where nothing rotates. Before that what an earlier run left is put right.
    pub(in super::super) fn create(files: &Files, unit: Unit) -> Result<Self, TransportError> {
        let failed = |source| TransportError::File { path: files.path.clone(), source };
        let names = Names::new(files);
        let compressor = if files.zstd {
            let mut compressor = zstd::bulk::Compressor::new(LEVEL).map_err(failed)?;
            compressor.include_checksum(true).map_err(failed)?;
            Some(Compressor(compressor))
        } else {
            None
        };
        let now = Zoned::now();
        let mut problems = Vec::new();
        if names.rotates {
            names.path(&now).map_err(failed)?;
            let unit = if files.zstd { Unit::Frame } else { unit };
            problems = recovery::recover(&names.pattern, unit);
        }
        let file = names.open(&now).map_err(failed)?;
        Ok(Self { names, file: Some(file), size: files.size, compressor, problems })
    }

    #[cfg(test)]
    pub(super) fn of(file: File, path: &Path) -> Self {
        let (path, named) = (path.to_owned(), path.to_owned());
        Self {
            names: Names::new(&Files::plain(&path)),
            file: Some(Open { file, path, named, written: 0 }),
            size: None,
            compressor: None,
            problems: Vec::new(),
        }
    }

    /// When it is time for another file; `None`: never.
    pub(super) fn schedule(&self) -> Option<Schedule> {
        let schedule = Schedule { rotate: self.names.rotate, size: self.size };
        self.names.rotates.then_some(schedule)
    }

    /// Octets in the file; `None`: there is no file.
    pub(super) fn written(&self) -> Option<u64> {
        self.file.as_ref().map(|open| open.written)
    }

    /// Writes whole units. How many octets of them are in the file, and what stopped it; [`Self::cut`] is to be told where
    /// the last whole unit ends.
    pub(in super::super) fn write(&mut self, octets: &[u8]) -> (usize, Option<io::Error>) {
        let Some(open) = &mut self.file else {
            return (0, Some(io::Error::other("there is no file to write to")));
        };
        if octets.is_empty() {
            return (0, None);
        }
        let Some(Compressor(compressor)) = &mut self.compressor else {
            let (done, error) = write(&mut open.file, octets);
            open.written += done as u64;
            return (done, error);
        };
        let frame = match compressor.compress(octets) {
            Ok(frame) => frame,
            Err(error) => return (0, Some(error)),
        };
        let (done, error) = write(&mut open.file, &frame);
        if error.is_none() {
            open.written += done as u64;
            return (octets.len(), None);
        }
        // A part of a frame is nothing.
        let _ = open.end_at(open.written);
        (0, error)
    }

    /// Takes back the last `octets`, of a unit that was written in part; whether that can be done.
    pub(in super::super) fn cut(&mut self, octets: usize) -> bool {
        let Some(open) = &mut self.file else { return true };
        open.written = open.written.saturating_sub(octets as u64);
        open.end_at(open.written).is_ok()
    }

    /// Begins the next file: what is written now is read without what was written before.
    pub(super) fn rotate(&mut self, now: Timestamp) {
        self.close();
        match self.names.open(&zoned(now)) {
            Ok(open) => self.file = Some(open),
            Err(error) => {
                let path = self.names.pattern.display();
                self.problems.push(format!("{path}: no next file: {error}; records are lost"));
            }
        }
    }

    /// Gives the file its name.
    pub(in super::super) fn close(&mut self) {
        let Some(open) = self.file.take() else { return };
        if open.path == open.named {
            self.file = Some(open);
            return;
        }
        if let Err(error) = name(&open.path, &open.named, open.written) {
            self.problems.push(format!("{}: keeps its name: {error}", open.path.display()));
        }
    }

    /// What went wrong, each told once.
    pub(in super::super) fn take_problem(&mut self) -> Option<String> {
        (!self.problems.is_empty()).then(|| self.problems.remove(0))
    }
}

impl Open {
    fn end_at(&mut self, octets: u64) -> io::Result<()> {
        self.file.set_len(octets)?;
        self.file.seek(SeekFrom::Start(octets)).map(|_| ())
    }
}

/// When it is time for another file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    rotate: Option<Duration>,
    size: Option<u64>,
}

impl Schedule {
    /// Which span of time `now` is in: when it began, in seconds since 1970.
    pub(super) fn slot(&self, now: Timestamp) -> i64 {
        self.rotate.map_or(0, |rotate| slot(rotate, &zoned(now)))
    }

    /// Whether a file of this span with `written` octets is over.
    pub(super) fn is_over(&self, slot: i64, written: u64, now: Timestamp) -> bool {
        self.slot(now) != slot || self.size.is_some_and(|size| written >= size)
    }
}

/// When the file of this time begins: seconds since 1970. Files begin at multiples of the rotation time of the local clock, as
/// nfcapd's do.
fn slot(rotate: Duration, time: &Zoned) -> i64 {
    let (seconds, offset) = (time.timestamp().as_second(), i64::from(time.offset().seconds()));
    let rotate = rotate.as_secs().max(1) as i64;
    (seconds + offset).div_euclid(rotate) * rotate - offset
}

/// How files are called.
#[derive(Debug)]
struct Names {
    /// The path; with rotation, with `%Y` and the like.
    pattern: PathBuf,
    rotates: bool,
    rotate: Option<Duration>,
}

impl Names {
    fn new(files: &Files) -> Self {
        let mut pattern = files.path.clone();
        if files.rotates() && !pattern.to_string_lossy().contains('%') {
            let stem = pattern.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let extension =
                pattern.extension().map(|extension| extension.to_string_lossy().into_owned());
            let extension = extension.map(|extension| format!(".{extension}")).unwrap_or_default();
            pattern.set_file_name(format!("{stem}-%Y%m%dT%H%M%S{extension}"));
        }
        if files.zstd && pattern.extension().is_none_or(|extension| extension != "zst") {
            pattern.as_mut_os_string().push(".zst");
        }
        Self { pattern, rotates: files.rotates(), rotate: files.rotate }
    }

    /// The name of the file of this time.
    fn path(&self, time: &Zoned) -> io::Result<PathBuf> {
        if !self.rotates {
            return Ok(self.pattern.clone());
        }
        let begin = match self.rotate {
            None => time.clone(),
            Some(rotate) => jiff::Timestamp::from_second(slot(rotate, time))
                .map_err(io::Error::other)?
                .to_zoned(time.time_zone().clone()),
        };
        let pattern = self.pattern.to_str().ok_or(ErrorKind::InvalidFilename)?;
        let path = jiff::fmt::strtime::format(pattern, &begin)
            .map_err(|error| io::Error::new(ErrorKind::InvalidInput, error.to_string()))?;
        Ok(PathBuf::from(path))
    }

    fn open(&self, time: &Zoned) -> io::Result<Open> {
        let named = self.path(time)?;
        if !self.rotates {
            let file = File::create(&named)?;
            return Ok(Open { file, path: named.clone(), named, written: 0 });
        }
        if let Some(directory) = named.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(directory)?;
        }
        let mut path = named.clone();
        path.as_mut_os_string().push(CURRENT);
        let file = File::options().write(true).create(true).truncate(false).open(&path)?;
        // Two writers of one file would tear each other's messages.
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            io::Error::other(format!("{} is written by another process", path.display()))
        })?;
        file.set_len(0)?;
        Ok(Open { file, path, named, written: 0 })
    }
}

/// Gives a file that is whole its name, or a name beside it where that is taken; an empty one is removed. The name it got.
pub(super) fn name(path: &Path, named: &Path, written: u64) -> io::Result<PathBuf> {
    if written == 0 {
        return std::fs::remove_file(path).map(|()| named.to_owned());
    }
    for number in 0..10_000 {
        let candidate = beside(named, number);
        // A hard link fails where the name is taken; a rename would overwrite.
        match std::fs::hard_link(path, &candidate) {
            Ok(()) => return std::fs::remove_file(path).map(|()| candidate),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            // A file system without links: look first.
            Err(_) if !candidate.exists() => {
                return std::fs::rename(path, &candidate).map(|()| candidate);
            }
            Err(_) => {}
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// `a.ipfix`, `a.1.ipfix`, `a.2.ipfix`; `a.ipfix.zst`, `a.1.ipfix.zst`.
fn beside(named: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return named.to_owned();
    }
    let name = named.file_name().unwrap_or_default().to_string_lossy();
    let plain = name.strip_suffix(".zst").unwrap_or(&name);
    let place = plain.rfind('.').filter(|place| *place > 0).unwrap_or(plain.len());
    let (stem, extension) = name.split_at(place);
    named.with_file_name(format!("{stem}.{number}{extension}"))
}

fn zoned(now: Timestamp) -> Zoned {
    let time = jiff::Timestamp::from_nanosecond(i128::from(now.0)).unwrap_or_default();
    time.to_zoned(TimeZone::system())
}

/// Writes all it can; how many octets, and what stopped it.
pub(in super::super) fn write(out: &mut dyn Write, octets: &[u8]) -> (usize, Option<io::Error>) {
    let mut done = 0;
    while let Some(rest) = octets.get(done..).filter(|rest| !rest.is_empty()) {
        match out.write(rest) {
            Ok(0) => return (done, Some(ErrorKind::WriteZero.into())),
            Ok(written) => done += written,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (done, Some(error)),
        }
    }
    (done, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000_000_000;

    fn files(directory: &Path, name: &str) -> Files {
        Files {
            path: directory.join(name),
            rotate: Some(Duration::from_secs(300)),
            ..Files::default()
        }
    }

    fn listed(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_after_the_other_by_time_and_size() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files { size: Some(100), ..files(directory.path(), "f.%s.ipfix") };
        let mut output = Output::create(&files, Unit::Message).unwrap();
        let schedule = output.schedule().unwrap();
        let over = |output: &Output, begun: Timestamp, now: Timestamp| {
            schedule.is_over(schedule.slot(begun), output.written().unwrap(), now)
        };
        // From the file of now into the past: any other slot is another file.
        let first = Timestamp::new(1_700_000_100, 0);
        assert!(over(&output, Timestamp::new(1_800_000_000, 0), first));
        output.rotate(first);
        assert_eq!(
            listed(directory.path()),
            ["f.1700000100.ipfix.current"],
            "an empty one is removed"
        );
        assert!(!over(&output, first, Timestamp(first.0 + 4 * MINUTE)));
        assert_eq!(output.write(&[1; 50]).0, 50);
        assert!(!over(&output, first, Timestamp(first.0 + 4 * MINUTE)));
        assert_eq!(output.write(&[2; 50]).0, 50);
        // Full: the next file is of the same five minutes, and takes nothing from the first.
        let later = Timestamp(first.0 + 4 * MINUTE);
        assert!(over(&output, first, later));
        output.rotate(later);
        assert_eq!(output.write(&[3; 10]).0, 10);
        let later = Timestamp(first.0 + 5 * MINUTE);
        assert!(over(&output, first, later));
        output.rotate(later);
        let names = ["f.1700000100.1.ipfix", "f.1700000100.ipfix", "f.1700000400.ipfix.current"];
        assert_eq!(listed(directory.path()), names);
        assert_eq!(std::fs::read(directory.path().join(names[0])).unwrap(), [3; 10]);
        output.write(&[4; 1]);
        output.close();
        assert_eq!(listed(directory.path())[2], "f.1700000400.ipfix");
    }

    #[test]
    fn a_name_without_a_time_gets_one_and_directories_are_made() {
        let directory = tempfile::tempdir().unwrap();
        let names = Names::new(&files(directory.path(), "flows.ipfix"));
        assert_eq!(names.pattern, directory.path().join("flows-%Y%m%dT%H%M%S.ipfix"));
        let zstd = Files { zstd: true, ..files(directory.path(), "%Y/flows.%H%M") };
        let mut output = Output::create(&zstd, Unit::Message).unwrap();
        output.write(b"x");
        output.close();
        let year = listed(directory.path());
        assert_eq!(year.len(), 1);
        let name = &listed(&directory.path().join(&year[0]))[0];
        assert!(name.starts_with("flows.") && name.ends_with(".zst"), "{name}");
        assert_eq!(beside(Path::new("a/b.ipfix.zst"), 2), Path::new("a/b.2.ipfix.zst"));
        assert_eq!(beside(Path::new("a/b"), 1), Path::new("a/b.1"));
    }

    #[test]
    fn two_writers_of_one_file_are_one_too_many() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files {
            rotate: Some(Duration::from_secs(86_400 * 365)),
            ..files(directory.path(), "f.%Y")
        };
        let _first = Output::create(&files, Unit::Line).unwrap();
        let error = Output::create(&files, Unit::Line).unwrap_err().to_string();
        assert!(error.contains("written by another process"), "{error}");
    }

    #[test]
    fn a_name_that_is_no_time_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let error = Output::create(&files(directory.path(), "f.%!"), Unit::Line).unwrap_err();
        assert!(error.to_string().contains("f.%!"), "{error}");
    }

    #[test]
    fn compressed_frames_are_whole() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut output = Output::of(full, Path::new("full"));
        output.compressor = Some(Compressor(zstd::bulk::Compressor::new(LEVEL).unwrap()));
        let (done, error) = output.write(&[7; 1000]);
        assert_eq!(done, 0);
        assert!(error.unwrap().to_string().contains("No space left"));
    }
}
