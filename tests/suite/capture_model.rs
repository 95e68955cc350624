//! The capture reader against another one (pcap-parser) on every capture of the corpus: time, lengths and octets of
//! each frame. Where they differ, the file is named below with the reason.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end so")]

use pcap_parser::{Block, PcapBlockOwned, PcapError, create_reader};
use sixtap::capture::{CaptureError, Poll, Source, pcap};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Files of which the two readers may give different frames: part of the path, and why.
const DIFFERENCES: &[(&str, &str)] = &[(
    "ipv6/tcpdump/tests_pim_header_asan-2.pcap",
    "made by a fuzzer: a record holds more octets than its frame had, which is damage here",
)];

#[derive(PartialEq, Eq)]
struct Seen {
    time: Option<u64>,
    wire_length: u32,
    data: Vec<u8>,
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}, {} of {} octets", self.time, self.data.len(), self.wire_length)
    }
}

fn ours(path: &Path) -> Result<(Vec<Seen>, Option<String>), CaptureError> {
    let mut source = pcap::open(path)?;
    let mut seen = Vec::new();
    loop {
        let poll = source.poll(Duration::ZERO, &mut |frames| {
            seen.extend(frames.iter().map(|frame| Seen {
                time: Some(frame.time.0),
                wire_length: frame.wire_length,
                data: frame.data.to_vec(),
            }));
        });
        match poll {
            Ok(Poll::End) => return Ok((seen, None)),
            Ok(_) => {}
            Err(error) => return Ok((seen, Some(error.to_string()))),
        }
    }
}

#[derive(Clone, Copy)]
struct Clock {
    units: u64,
    offset: i64,
}

impl Clock {
    fn time(self, high: u32, low: u32) -> Option<u64> {
        let units = u128::from(high) << 32 | u128::from(low);
        let nanoseconds = units * 1_000_000_000 / u128::from(self.units);
        let offset = i128::from(self.offset) * 1_000_000_000;
        u64::try_from(nanoseconds as i128 + offset).ok()
    }
}

fn theirs(path: &Path) -> Result<(Vec<Seen>, Option<String>), String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut reader = create_reader(4 << 20, file).map_err(|error| format!("{error:?}"))?;
    let (mut seen, mut clocks, mut snaplen) = (Vec::new(), Vec::new(), 0);
    let mut nanoseconds = false;
    loop {
        let used = match reader.next() {
            Ok((used, block)) => {
                match block {
                    PcapBlockOwned::LegacyHeader(header) => {
                        nanoseconds =
                            header.magic_number == 0xa1b2_3c4d || header.is_nanosecond_precision();
                    }
                    PcapBlockOwned::Legacy(frame) => seen.push(Seen {
                        time: Some(
                            u64::from(frame.ts_sec) * 1_000_000_000
                                + u64::from(frame.ts_usec) * if nanoseconds { 1 } else { 1000 },
                        ),
                        wire_length: frame.origlen,
                        data: frame.data[..frame.caplen as usize].to_vec(),
                    }),
                    PcapBlockOwned::NG(Block::SectionHeader(_)) => clocks.clear(),
                    PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                        snaplen = interface.snaplen;
                        let units = interface.ts_resolution().unwrap_or(1_000_000);
                        clocks.push(Clock { units, offset: interface.ts_offset() });
                    }
                    PcapBlockOwned::NG(Block::EnhancedPacket(frame)) => seen.push(Seen {
                        time: clocks[frame.if_id as usize].time(frame.ts_high, frame.ts_low),
                        wire_length: frame.origlen,
                        data: frame.data[..frame.caplen as usize].to_vec(),
                    }),
                    PcapBlockOwned::NG(Block::SimplePacket(frame)) => {
                        let limit = if snaplen == 0 { u32::MAX } else { snaplen };
                        let length = (frame.origlen.min(limit) as usize).min(frame.data.len());
                        let data = frame.data[..length].to_vec();
                        seen.push(Seen { time: None, wire_length: frame.origlen, data });
                    }
                    PcapBlockOwned::NG(_) => {}
                }
                used
            }
            Err(PcapError::Eof) => return Ok((seen, None)),
            Err(PcapError::Incomplete(_)) => {
                if reader.reader_exhausted() {
                    return Ok((seen, Some("cut".to_owned())));
                }
                reader.refill().map_err(|error| format!("{error:?}"))?;
                continue;
            }
            Err(error) => return Ok((seen, Some(format!("{error:?}")))),
        };
        reader.consume(used);
    }
}

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { files(&path, into) } else { into.push(path) }
    }
}

#[test]
fn every_capture_of_the_corpus_reads_the_same() {
    let corpus = Path::new("../shared/corpus");
    if !corpus.exists() {
        eprintln!("not run: the corpus is missing at {}", corpus.display());
        return;
    }
    let mut paths = Vec::new();
    files(corpus, &mut paths);
    let (mut compared, mut frames, mut wrong) = (0, 0, Vec::new());
    for path in &paths {
        let name = path.strip_prefix(corpus).unwrap().display().to_string();
        let (ours, theirs) = match (ours(path), theirs(path)) {
            (Ok(ours), Ok(theirs)) => (ours, theirs),
            (Err(_), Err(_)) => continue,
            (Ok(_), Err(error)) => {
                wrong.push(format!("{name}: only this reader knows it: {error}"));
                continue;
            }
            (Err(error), Ok(_)) => {
                wrong.push(format!("{name}: only pcap-parser knows it: {error}"));
                continue;
            }
        };
        compared += 1;
        frames += ours.0.len();
        if let Some(difference) = difference(&ours, &theirs) {
            wrong.push(format!("{name}: {difference}"));
        }
    }
    let unexpected: Vec<_> = wrong
        .iter()
        .filter(|line| !DIFFERENCES.iter().any(|(name, _)| line.starts_with(name)))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    for (name, reason) in DIFFERENCES {
        assert!(
            wrong.iter().any(|line| line.starts_with(name)),
            "{name} no longer differs ({reason})"
        );
    }
    eprintln!("{compared} captures, {frames} frames alike");
    assert!(compared > 400, "only {compared} captures were compared");
}

type Outcome = (Vec<Seen>, Option<String>);

fn difference(ours: &Outcome, theirs: &Outcome) -> Option<String> {
    for (index, (our, their)) in ours.0.iter().zip(&theirs.0).enumerate() {
        let same_time = their.time.is_none() || our.time == their.time;
        if !same_time || our.wire_length != their.wire_length || our.data != their.data {
            return Some(format!("frame {index}: {our:?} against {their:?}"));
        }
    }
    if ours.0.len() != theirs.0.len() || ours.1.is_some() != theirs.1.is_some() {
        return Some(format!(
            "{} frames then {:?} against {} then {:?}",
            ours.0.len(),
            ours.1,
            theirs.0.len(),
            theirs.1
        ));
    }
    None
}
