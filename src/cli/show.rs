//! `sixtap show INPUT`: records of an export, one JSON object a line, or as a table.

use super::table::Table;
use super::{DONE, Failure};
use crate::collect::{
    Anomaly, Collector, Event, Input, InputError, Limits, Message, Position, Received, Record,
    Version, json,
};
use clap::Args;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, ErrorKind, Stdout, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Arguments of `sixtap show`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sixtap show flows.ipfix
  sixtap show export.pcap --table
  sixtap show udp://[::]:4739 --for 60 -w flows.ipfix
  tcpdump -w - udp port 4739 | sixtap show - | jq .flowLabelIPv6")]
pub(crate) struct ShowArgs {
    /// IPFIX file, capture of export (pcap, pcapng), udp://ADDRESS:PORT, tcp://ADDRESS:PORT, or - for standard input.
    input: String,
    /// Show flows as an aligned table.
    #[arg(long)]
    table: bool,
    /// Write IPFIX messages to this file (RFC 5655) instead of showing records.
    #[arg(short, long, value_name = "FILE", conflicts_with = "table")]
    write: Option<PathBuf>,
    /// Stop after this many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    duration: Option<Duration>,
    /// Stop after this many records.
    #[arg(short = 'n', long, value_name = "COUNT")]
    count: Option<u64>,
    /// Begin each object with "sixtap:message": where the record comes from.
    #[arg(long, conflicts_with_all = ["table", "write"])]
    origin: bool,
    /// Enterprise number of sixtap's own elements.
    #[arg(long, value_name = "NUMBER", default_value_t = ie_registry::SIXTAP_DEFAULT_PEN)]
    pen: u32,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "not a number of seconds".to_owned())
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Self {
        match error {
            InputError::Usage(text) => Self::usage(text),
            InputError::Environment(text) => Self::environment(text),
        }
    }
}

/// Longest wait for a socket before the time and signals are looked at.
const TICK: Duration = Duration::from_millis(200);

/// Runs `sixtap show`.
pub(crate) fn run(args: &ShowArgs) -> Result<u8, Failure> {
    let mut input = Input::open(&args.input)?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(Failure::environment)?;
    }
    if let Some(address) = input.local_address() {
        eprintln!("sixtap: listening at {address}");
    }
    let mut show = Show::new(args)?;
    let end = args.duration.map(|duration| Instant::now() + duration);
    let result = show.all(&mut input, &stop, end);
    let result = result.and_then(|()| show.finish());
    show.summary(&input);
    match result {
        Ok(()) => Ok(DONE),
        Err(Stopped::Failure(failure)) => Err(failure),
        // Whoever reads has enough.
        Err(Stopped::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(DONE),
        Err(Stopped::Output(error)) => {
            Err(Failure::environment(format!("output cannot be written: {error}")))
        }
    }
}

/// Why showing ended early.
enum Stopped {
    Failure(Failure),
    Output(std::io::Error),
}

impl From<std::io::Error> for Stopped {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<InputError> for Stopped {
    fn from(error: InputError) -> Self {
        Self::Failure(error.into())
    }
}

/// What the records become.
enum Shape {
    Json { origin: bool },
    Table(Box<Table>),
    File(BufWriter<File>),
}

struct Show {
    collector: Collector,
    shape: Shape,
    out: BufWriter<Stdout>,
    /// What one message becomes, before it is written.
    text: String,
    /// Records still wanted.
    left: u64,
    anomalies: BTreeMap<&'static str, (u64, String)>,
    not_written: u64,
    sessions: u32,
}

impl Show {
    fn new(args: &ShowArgs) -> Result<Self, Failure> {
        let shape = match &args.write {
            Some(path) => Shape::File(BufWriter::new(create(path)?)),
            None if args.table => Shape::Table(Box::default()),
            None => Shape::Json { origin: args.origin },
        };
        Ok(Self {
            collector: Collector::new(Limits::default(), args.pen),
            shape,
            out: BufWriter::with_capacity(64 * 1024, std::io::stdout()),
            text: String::new(),
            left: args.count.unwrap_or(u64::MAX),
            anomalies: BTreeMap::new(),
            not_written: 0,
            sessions: 0,
        })
    }

    fn all(
        &mut self,
        input: &mut Input,
        stop: &AtomicBool,
        end: Option<Instant>,
    ) -> Result<(), Stopped> {
        let mut wait = Duration::ZERO;
        while !stop.load(Ordering::Relaxed) && self.left > 0 {
            let now = Instant::now();
            if end.is_some_and(|end| now >= end) {
                break;
            }
            let received = match input.next(wait) {
                Ok(Some(received)) => received,
                Ok(None) => break,
                Err(error) => return Err(error.into()),
            };
            wait = Duration::ZERO;
            match received {
                Received::Message { transport, octets } => self.message(&transport, octets)?,
                Received::Noise { transport, anomaly } => {
                    note(&mut self.anomalies, &anomaly, transport.position);
                }
                Received::End { transport } => self.collector.end_of_session(&transport),
                Received::Idle => {
                    // What came is shown before more is waited for.
                    self.rows()?;
                    self.out.flush()?;
                    wait = end.map_or(TICK, |end| TICK.min(end.saturating_duration_since(now)));
                }
            }
        }
        Ok(())
    }

    fn message(
        &mut self,
        transport: &crate::collect::Transport,
        octets: &[u8],
    ) -> Result<(), Stopped> {
        let Self { collector, shape, text, left, anomalies, not_written, sessions, .. } = self;
        let mut whole = false;
        collector.message(transport, octets, &mut |event| match event {
            Event::Message(message) => {
                *sessions = (*sessions).max(message.session + 1);
                whole = message.version == Version::Ipfix
                    && usize::from(message.header.stated) == octets.len();
            }
            Event::Record(record) if *left > 0 => {
                *left -= 1;
                match shape {
                    Shape::Json { origin } => line(&record, *origin, text),
                    Shape::Table(table) => table.record(&record),
                    Shape::File(_) => {}
                }
            }
            Event::Anomaly { anomaly, .. } => note(anomalies, &anomaly, transport.position),
            _ => {}
        });
        if let Shape::File(file) = shape {
            if whole {
                file.write_all(octets)?;
            } else {
                *not_written += 1;
            }
        }
        self.rows()?;
        Ok(())
    }

    /// Writes what is ready.
    fn rows(&mut self) -> Result<(), Stopped> {
        if let Shape::Table(table) = &mut self.shape {
            table.rows(false, &mut self.text);
        }
        self.out.write_all(self.text.as_bytes())?;
        self.text.clear();
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Stopped> {
        match &mut self.shape {
            Shape::Table(table) => table.rows(true, &mut self.text),
            Shape::File(file) => file.flush()?,
            Shape::Json { .. } => {}
        }
        self.rows()?;
        self.out.flush()?;
        Ok(())
    }

    /// Says on standard error what the records do not show.
    fn summary(&self, input: &Input) {
        for (kind, (count, first)) in &self.anomalies {
            let times = if *count == 1 { String::new() } else { format!(" ({count} times)") };
            eprintln!("sixtap: {kind}{times}: {first}");
        }
        let counters = input.counters();
        let losses = [
            (counters.damaged, "capture ends inside a packet or is damaged"),
            (counters.incomplete_datagrams, "datagrams never became whole of their IP fragments"),
            (counters.missing_octets, "octets are missing from TCP streams"),
            (counters.refused_connections, "TCP connections were refused or given up"),
            (self.not_written, "messages were not written: not IPFIX, or not whole"),
        ];
        for (count, what) in losses.iter().filter(|(count, _)| *count > 0) {
            eprintln!("sixtap: {count} {what}");
        }
        if let Shape::Table(table) = &self.shape
            && table.others > 0
        {
            eprintln!("sixtap: {} records are no flows and not in the table", table.others);
        }
        if matches!(self.shape, Shape::File(_)) && self.sessions > 1 {
            eprintln!(
                "sixtap: the file holds messages of {} exporters; Templates of one may hide another's",
                self.sessions
            );
        }
        if counters.messages == 0 && counters.packets > 0 {
            eprintln!(
                "sixtap: none of the {} packets of {} carries an export message",
                counters.packets,
                input.name()
            );
        }
    }
}

fn create(path: &Path) -> Result<File, Failure> {
    File::create(path).map_err(|error| {
        Failure::environment(format!("{}: cannot be written: {error}", path.display()))
    })
}

fn note(
    anomalies: &mut BTreeMap<&'static str, (u64, String)>,
    anomaly: &Anomaly,
    position: Position,
) {
    let entry = anomalies
        .entry(anomaly.kind.name())
        .or_insert_with(|| (0, format!("{position}, {anomaly}")));
    entry.0 += 1;
}

fn line(record: &Record<'_>, origin: bool, text: &mut String) {
    let start = text.len();
    json::record_to_json(record, text);
    if origin {
        let message = describe(record);
        let comma = if text.get(start..) == Some("{}") { "" } else { "," };
        text.insert_str(start + 1, &format!("\"sixtap:message\":{message}{comma}"));
    }
    text.push('\n');
}

/// Where a record comes from, as a JSON object.
fn describe(record: &Record<'_>) -> String {
    let Message { transport, session, version, header, .. } = record.message;
    let mut text = String::from("{");
    if let Some(exporter) = transport.exporter {
        let _ = write!(text, "\"exporter\":\"{exporter}\",");
    }
    let _ = write!(
        text,
        "\"session\":{session},\"version\":{},\"domain\":{},\"sequence\":{},\"position\":{},\
         \"offset\":{},\"template\":{},\"options\":{}}}",
        version.number(),
        header.domain,
        header.sequence,
        transport.position.number(),
        record.octets.offset,
        record.template.id(),
        record.template.is_options(),
    );
    text
}
