//! `--against`: what the records should have said. A capture of the traffic, the records of a probe that is trusted, or the
//! traffic of an interface while it is metered.

use super::{Reading, TICK, progress, show};
use crate::capture::packet_socket::{self, PacketSocket};
use crate::capture::{CaptureError, Poll, Source, pcap};
use crate::cli::Failure;
use crate::collect::Input;
use crate::validate::matching::{Gathering, Reality};
use crate::validate::reference::{Options, Reference};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Flows that the reference meter holds at most when it meters live.
const LIVE_FLOWS: usize = 4_000_000;
/// How long frames that are on their way are waited for once a live capture has been stopped.
const DRAIN: Duration = Duration::from_millis(100);

/// What is said to be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Against {
    /// A capture file of the traffic.
    Traffic(PathBuf),
    /// Export of a trusted probe: a file of messages, or `udp://` or `tcp://`.
    Records(String),
    /// An interface on which the traffic can be seen.
    Interface(String),
}

impl Against {
    /// What the user's word means. A file is looked at.
    pub(crate) fn recognise(word: &str) -> Self {
        if let Some(name) = word.strip_prefix("interface:") {
            return Self::Interface(name.to_owned());
        }
        let messages = || Input::open(word).is_ok_and(|input| !input.is_capture());
        if word.contains("://") || word != "-" && messages() {
            return Self::Records(word.to_owned());
        }
        Self::Traffic(PathBuf::from(word))
    }

    /// Whether it goes on while the export comes in.
    pub(crate) fn is_live(&self) -> bool {
        match self {
            Self::Interface(_) => true,
            Self::Records(word) => word.contains("://"),
            Self::Traffic(_) => false,
        }
    }
}

/// The truth, and what there is to say of how it was found.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    pub(crate) reality: Reality,
    pub(crate) remarks: Vec<String>,
}

/// A source of truth that is open.
pub(crate) enum Observer {
    Traffic(PathBuf),
    Records(Box<Input>),
    Interface(String, Box<PacketSocket>),
}

impl Observer {
    /// Opens it: from now on nothing of a live source is missed.
    pub(crate) fn open(against: &Against) -> Result<Self, Failure> {
        Ok(match against {
            Against::Traffic(path) => Self::Traffic(path.clone()),
            Against::Records(word) => Self::Records(Box::new(Input::open(word)?)),
            Against::Interface(name) => {
                let sockets = packet_socket::open(&packet_socket::Options::new(name.as_str()))?;
                let socket = sockets.into_iter().next();
                let socket =
                    socket.ok_or_else(|| Failure::environment(format!("{name}: no socket")))?;
                Self::Interface(name.clone(), Box::new(socket))
            }
        })
    }

    /// Observes to the end of a file, to `end`, or until `stop`.
    pub(crate) fn observe(
        self,
        reading: &Reading<'_>,
        end: Option<Instant>,
        stop: &AtomicBool,
    ) -> Result<Observed, Failure> {
        match self {
            Self::Traffic(path) => traffic(&path),
            Self::Records(mut input) => records(&mut input, reading, stop),
            Self::Interface(name, socket) => live(&name, *socket, end, stop),
        }
    }
}

/// A reference meter whose timeouts are as long as they go: a flow is all packets of its key, for the exporter may cut
/// it where it likes.
fn reference() -> Reference {
    let long = Duration::from_secs(1 << 31);
    let reassembly = Options::default().reassembly;
    Reference::new(Options {
        active: long,
        idle: long,
        tcp_end: long,
        reassembly,
        ..Options::default()
    })
}

/// Meters a capture file. A damaged one is metered as far as it goes, be it no packet at all; a remark says where it ends.
pub(crate) fn traffic(path: &Path) -> Result<Observed, Failure> {
    let mut source = pcap::open(path)?;
    let mut reference = reference();
    let bar = progress(false, source.progress().map(|(_, total)| total));
    let mut frames = 0u64;
    let mut shown = 0u64;
    let mut remarks = Vec::new();
    loop {
        let poll = source.poll(Duration::ZERO, &mut |batch| {
            for frame in batch {
                reference.observe(frame);
                frames += 1;
            }
        });
        let poll = match poll {
            Err(error @ CaptureError::Damaged { .. }) => {
                remarks.push(format!("{error}; {frames} packets before it were metered"));
                break;
            }
            poll => poll?,
        };
        if frames >> 14 != shown {
            shown = frames >> 14;
            show(&bar, source.progress(), &format!("{frames} packets of the traffic"));
        }
        if poll == Poll::End {
            break;
        }
    }
    bar.finish_and_clear();
    Ok(Observed { reality: Reality::of_traffic(reference.finish()), remarks })
}

/// Takes the records of a trusted probe.
fn records(
    input: &mut Input,
    reading: &Reading<'_>,
    stop: &AtomicBool,
) -> Result<Observed, Failure> {
    let mut gathering = Gathering::default();
    let own = Reading { limits: reading.limits, stop, reference: true, ..*reading };
    let report = own.read(input, Some(&mut gathering))?;
    let mut remarks: Vec<String> =
        report.remarks.iter().map(|remark| format!("reference: {remark}")).collect();
    if report.counts().errors.0 > 0 {
        remarks.push(format!(
            "the reference {} has errors of its own: sixtap validate {0} tells them",
            report.input
        ));
    }
    Ok(Observed { reality: Reality::of_records(gathering), remarks })
}

/// Meters what an interface carries, in both directions.
fn live(
    name: &str,
    mut socket: PacketSocket,
    end: Option<Instant>,
    stop: &AtomicBool,
) -> Result<Observed, Failure> {
    let mut reference = reference();
    let mut remarks = Vec::new();
    let begun = now();
    let mut full = false;
    let mut poll = |reference: &mut Reference, wait| {
        socket.poll(wait, &mut |batch| {
            for frame in batch {
                reference.observe(frame);
            }
        })
    };
    while !stop.load(Ordering::Relaxed) && end.is_none_or(|end| Instant::now() < end) && !full {
        poll(&mut reference, TICK)?;
        full = reference.flows() >= LIVE_FLOWS;
    }
    let ended = now();
    // What was taken before is still to be had.
    let last = Instant::now() + Duration::from_secs(1);
    while poll(&mut reference, DRAIN)? != Poll::Idle && Instant::now() < last {}
    let lost = socket.counters().kernel_dropped;
    if full {
        remarks.push(format!("{name}: {LIVE_FLOWS} flows were observed; what came later was not"));
    }
    if lost > 0 {
        remarks.push(format!("{name}: {lost} packets were not observed: the machine was too slow"));
    }
    let mut reality = Reality::of_traffic(reference.finish());
    reality.window = Some((begun, ended));
    Ok(Observed { reality, remarks })
}

/// Nanoseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_recognised() {
        assert_eq!(Against::recognise("interface:eth1"), Against::Interface("eth1".to_owned()));
        assert!(Against::recognise("interface:eth1").is_live());
        assert_eq!(
            Against::recognise("udp://[::]:4740"),
            Against::Records("udp://[::]:4740".to_owned())
        );
        assert_eq!(Against::recognise("-"), Against::Traffic(PathBuf::from("-")));
        assert_eq!(
            Against::recognise("/no/such/file"),
            Against::Traffic(PathBuf::from("/no/such/file"))
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        std::fs::write(&path, [0, 10, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]).unwrap();
        let word = path.to_str().unwrap();
        assert_eq!(Against::recognise(word), Against::Records(word.to_owned()));
        assert!(!Against::recognise(word).is_live());
    }
}
