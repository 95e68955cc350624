//! `sixtap validate EXPORT`: is stuff exported, and is it valid?

use super::{DONE, FINDINGS, Failure};
use crate::capture::{CaptureError, Poll, Source as _, pcap};
use crate::collect::{Input, Limits, Received};
use crate::validate::finding::Limits as Kept;
use crate::validate::matching::{self, Gathering};
use crate::validate::reference::{Metered, Options, Reference};
use crate::validate::report::{Report, html, json, junit, sarif, terminal};
use crate::validate::{RULES, Validator, rules};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{ErrorKind, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Arguments of `sixtap validate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 no error found, 1 errors found, 2 usage, 3 the input cannot be read.

Examples:
  sixtap validate export.pcap
  sixtap validate flows.ipfix --html report.html
  sixtap validate udp://[::]:4739 --for 60s --json report.json
  sixtap validate export.pcap --against traffic.pcap
  sixtap validate old.pcap --compare new.pcap")]
pub(crate) struct ValidateArgs {
    /// IPFIX file, capture of export (pcap, pcapng), udp://ADDRESS:PORT, tcp://ADDRESS:PORT, or - for standard input.
    #[arg(value_name = "EXPORT", required_unless_present = "rules")]
    export: Option<String>,
    /// Hold the records against this capture of the traffic that was metered.
    #[arg(long, value_name = "TRAFFIC.pcap")]
    against: Option<PathBuf>,
    /// Show another export beside this one.
    #[arg(long, value_name = "OTHER")]
    compare: Option<String>,
    /// Stop after this time: 60, 60s, 5m, 1h.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// List the rules.
    #[arg(long)]
    rules: bool,
    /// List the rules as the page docs/rules.md.
    #[arg(long, requires = "rules")]
    markdown: bool,
    #[command(flatten)]
    reports: ReportArgs,
    /// Templates remembered of one Observation Domain.
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().templates, hide_short_help = true)]
    max_templates: usize,
    /// Fields taken in one template.
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().fields, hide_short_help = true)]
    max_fields: usize,
    /// Values taken in one message.
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().values, hide_short_help = true)]
    max_values: usize,
    /// Transport Sessions remembered.
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().sessions, hide_short_help = true)]
    max_sessions: usize,
}

/// What becomes of a report.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Write the report as a web page.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the report as JSON (- for standard output, in place of the text).
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report as SARIF 2.1.0.
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,
    /// Write the report as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Show notes too.
    #[arg(long)]
    notes: bool,
    /// What makes the exit status 1.
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = FailOn::Error)]
    fail_on: FailOn,
    /// Examples kept of each finding.
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    pub(super) examples: usize,
    /// Colours.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Colour::Auto)]
    color: Colour,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    Error,
    Warning,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Colour {
    Auto,
    Always,
    Never,
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, factor) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) if text.ends_with('m') => (number, 60.0),
        Some(number) if text.ends_with('h') => (number, 3600.0),
        Some(number) => (number, 1.0),
        None => (text, 1.0),
    };
    let number: f64 = number.parse().map_err(|_| "write a time like 60s, 5m or 1h".to_owned())?;
    Duration::try_from_secs_f64(number * factor)
        .map_err(|_| "write a time like 60s, 5m or 1h".to_owned())
}

/// Longest wait for a socket before the time and signals are looked at.
const TICK: Duration = Duration::from_millis(200);

/// Runs `sixtap validate`.
///
/// # Errors
/// An input cannot be read or a report not be written.
pub(crate) fn run(args: &ValidateArgs) -> Result<u8, Failure> {
    if args.rules {
        return list(args.markdown);
    }
    let Some(export) = &args.export else { return Ok(DONE) };
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(Failure::environment)?;
    }
    let reading = Reading {
        limits: Limits {
            templates: args.max_templates,
            fields: args.max_fields,
            values: args.max_values,
            sessions: args.max_sessions,
            ..Limits::default()
        },
        examples: args.reports.examples,
        end: args.duration.map(|duration| Instant::now() + duration),
        stop: &stop,
    };
    let mut gathering = args.against.as_ref().map(|_| Gathering::default());
    let mut report = reading.read(&mut Input::open(export)?, gathering.as_mut())?;
    if let (Some(path), Some(gathering)) = (&args.against, gathering) {
        hold_against(&mut report, path, gathering)?;
    }
    if let Some(other) = &args.compare {
        report.other = Some(Box::new(reading.read(&mut Input::open(other)?, None)?));
    }
    conclude(&report, &args.reports)
}

/// Compares what was gathered with the traffic in a capture.
pub(super) fn hold_against(
    report: &mut Report,
    path: &Path,
    gathering: Gathering,
) -> Result<(), Failure> {
    let (metered, damage) = meter(path)?;
    report.remarks.extend(damage);
    let lost = report.total(|facts| facts.sequence.missing(facts.version));
    report.compare(matching::compare(gathering, &metered, lost));
    Ok(())
}

/// Writes the reports that are asked for and gives the exit status.
pub(super) fn conclude(report: &Report, args: &ReportArgs) -> Result<u8, Failure> {
    write(report, args)?;
    let failed = match args.fail_on {
        FailOn::Error => report.failed(),
        FailOn::Warning => report.failed() || report.counts().warnings.0 > 0,
        FailOn::Never => false,
    };
    Ok(if failed { FINDINGS } else { DONE })
}

fn list(markdown: bool) -> Result<u8, Failure> {
    let text = if markdown {
        rules::markdown()
    } else {
        let line =
            |rule: &&rules::Rule| format!("{:<28} {:<8} {}\n", rule.id, rule.severity, rule.title);
        RULES.iter().map(line).collect()
    };
    print(&text)
}

/// Writes to standard output; that nobody reads on is no failure.
fn print(text: &str) -> Result<u8, Failure> {
    let written = std::io::stdout().lock().write_all(text.as_bytes());
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::environment(format!("output cannot be written: {error}")))
        }
        _ => Ok(DONE),
    }
}

/// How an input is read.
pub(super) struct Reading<'a> {
    pub(super) limits: Limits,
    /// Examples kept of each finding.
    pub(super) examples: usize,
    /// When to stop.
    pub(super) end: Option<Instant>,
    /// Set when to stop.
    pub(super) stop: &'a AtomicBool,
}

impl Reading<'_> {
    /// Reads one input to its end, or as long as was asked for.
    pub(super) fn read(
        &self,
        input: &mut Input,
        mut gathering: Option<&mut Gathering>,
    ) -> Result<Report, Failure> {
        if let Some(address) = input.local_address() {
            eprintln!("sixtap: listening at {address}");
        }
        let kept = Kept { examples: self.examples.max(1), ..Kept::default() };
        let mut validator = Validator::new(self.limits, kept);
        let (end, stop) = (self.end, self.stop);
        let bar = progress(input.local_address().is_some());
        let mut wait = Duration::ZERO;
        let mut steps = 0u64;
        while !stop.load(Ordering::Relaxed) {
            // A look at the clock costs more than a message.
            if (steps.is_multiple_of(256) || !wait.is_zero())
                && end.is_some_and(|end| Instant::now() >= end)
            {
                break;
            }
            steps += 1;
            if steps.is_multiple_of(1024) {
                bar.set_message(format!("{steps} messages"));
                bar.tick();
            }
            wait = match input.next(wait)? {
                None => break,
                Some(Received::Message { transport, octets }) => {
                    match gathering.as_deref_mut() {
                        Some(gathering) => {
                            validator.message_with(&transport, octets, &mut |event| {
                                gathering.event(event);
                            });
                        }
                        None => validator.message(&transport, octets),
                    }
                    Duration::ZERO
                }
                Some(Received::Noise { transport, anomaly }) => {
                    validator.noise(&transport, anomaly);
                    Duration::ZERO
                }
                Some(Received::End { transport }) => {
                    validator.end_of_session(&transport);
                    Duration::ZERO
                }
                Some(Received::Idle) => {
                    end.map_or(TICK, |end| TICK.min(end.saturating_duration_since(Instant::now())))
                }
            };
        }
        bar.finish_and_clear();
        let mut report = validator.finish();
        input.name().clone_into(&mut report.input);
        report.remarks = remarks(input);
        Ok(report)
    }
}

/// Meters the traffic with the reference meter. Timeouts are as long as they go: a flow is all packets of its key, for
/// the exporter may cut it where it likes.
///
/// A damaged capture is metered as far as it goes, be it no packet at all; the second value says where it ends.
fn meter(path: &Path) -> Result<(Metered, Option<String>), Failure> {
    let mut source = pcap::open(path)?;
    let long = Duration::from_secs(1 << 31);
    let reassembly = Options::default().reassembly;
    let options =
        Options { active: long, idle: long, tcp_end: long, reassembly, ..Options::default() };
    let mut reference = Reference::new(options);
    let bar = progress(false);
    let mut frames = 0u64;
    let mut damage = None;
    loop {
        let poll = source.poll(Duration::ZERO, &mut |batch| {
            for frame in batch {
                reference.observe(frame);
                frames += 1;
            }
        });
        let poll = match poll {
            Err(error @ CaptureError::Damaged { .. }) => {
                damage = Some(format!("{error}; {frames} packets before it were metered"));
                break;
            }
            poll => poll?,
        };
        if frames.is_multiple_of(1 << 14) {
            bar.set_message(format!("{frames} packets of the traffic"));
            bar.tick();
        }
        if poll == Poll::End {
            break;
        }
    }
    bar.finish_and_clear();
    Ok((reference.finish(), damage))
}

/// A line on standard error that shows work being done; none where nobody looks.
fn progress(live: bool) -> ProgressBar {
    if live || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar
}

/// What the reader passed over, in words.
fn remarks(input: &Input) -> Vec<String> {
    let counters = input.counters();
    let parts = [
        (counters.other_packets, "packets of the capture carry no export message"),
        (counters.skipped_octets, "octets of streams are no message"),
        (counters.incomplete_datagrams, "datagrams in IP fragments never became whole"),
        (counters.missing_octets, "octets are missing from TCP streams"),
        (counters.refused_connections, "connections were refused"),
        (counters.damaged, "captures are damaged or cut short"),
    ];
    let mut remarks: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, text)| format!("{count} {text}"))
        .collect();
    if counters.messages == 0 {
        remarks.push("no export message was found in the input".to_owned());
    }
    remarks
}

fn write(report: &Report, args: &ReportArgs) -> Result<(), Failure> {
    let mut text = true;
    let mut put = |path: &Option<PathBuf>, content: &dyn Fn() -> String| -> Result<(), Failure> {
        let Some(path) = path else { return Ok(()) };
        if path.as_os_str() == "-" {
            text = false;
            return print(&content()).map(|_| ());
        }
        std::fs::write(path, content()).map_err(|error| {
            Failure::environment(format!("{}: cannot be written: {error}", path.display()))
        })
    };
    let pretty =
        |value: serde_json::Value| serde_json::to_string_pretty(&value).unwrap_or_default() + "\n";
    put(&args.json, &|| pretty(json::value(report)))?;
    put(&args.sarif, &|| pretty(sarif::value(report)))?;
    put(&args.junit, &|| junit::document(report))?;
    put(&args.html, &|| html::page(report))?;
    if !text {
        return Ok(());
    }
    let look = look(args);
    let mut page = Vec::new();
    terminal::write(report, look, &mut page).map_err(Failure::environment)?;
    print(&String::from_utf8_lossy(&page)).map(|_| ())
}

fn look(args: &ReportArgs) -> terminal::Look {
    let tty = std::io::stdout().is_terminal();
    let asked_not_to = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colour = match args.color {
        Colour::Auto => tty && !asked_not_to,
        Colour::Always => true,
        Colour::Never => false,
    };
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let width = columns.or_else(terminal_width).unwrap_or(100).clamp(60, 160);
    terminal::Look { colour, width, notes: args.notes }
}

fn terminal_width() -> Option<usize> {
    let table = comfy_table::Table::new();
    table.width().map(usize::from).filter(|&width| width > 0)
}
