//! `sixtap validate EXPORT`: is stuff exported, and is it valid?

pub(super) mod against;

use super::{DONE, FINDINGS, Failure};
use crate::collect::{Input, Limits, Received};
use crate::validate::finding::Limits as Kept;
use crate::validate::matching::{self, Gathering};
use crate::validate::report::{Report, html, json, junit, sarif, terminal};
use crate::validate::{RULES, Validator, rules};
use against::{Against, Observed, Observer};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{ErrorKind, IsTerminal as _, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Arguments of `sixtap validate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 no error found, 1 errors found or no export message, 2 usage, 3 the input cannot be read.

Examples:
  sixtap validate export.pcap
  sixtap validate templates.pcap data.pcap
  sixtap validate flows.ipfix --html report.html
  sixtap validate udp://[::]:4739 --for 60s --json report.json
  sixtap validate export.pcap --against traffic.pcap
  sixtap validate export.pcap --against reference.ipfix
  sixtap validate udp://[::]:4739 --against interface:eth1 --for 10m
  sixtap validate old.pcap --compare new.pcap")]
pub(crate) struct ValidateArgs {
    /// IPFIX file, capture of export (pcap, pcapng), udp://ADDRESS:PORT, tcp://ADDRESS:PORT, or - for standard input.
    /// Several are read one behind the other: templates may be in one and data in the next.
    #[arg(value_name = "EXPORT", required_unless_present = "rules")]
    exports: Vec<String>,
    /// Hold the records against what is true: a capture of the traffic, records of a probe that is trusted (an IPFIX file,
    /// udp://ADDRESS:PORT, tcp://ADDRESS:PORT), or interface:NAME, whose traffic is metered here meanwhile.
    #[arg(long, value_name = "TRAFFIC.pcap|REFERENCE.ipfix|interface:NAME")]
    against: Option<String>,
    /// With interface:NAME: listen on for so long after the traffic has been observed, for the records still to come.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "65s", requires = "against")]
    linger: Duration,
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
    /// Octets taken of one message; sets that reach beyond are not read.
    #[arg(long, value_name = "OCTETS", default_value_t = Limits::default().octets, hide_short_help = true)]
    max_message: usize,
    /// Data records taken in one set.
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().records, hide_short_help = true)]
    max_records: usize,
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
/// Longest reading of what had come to a socket when the time is over.
const DRAIN: Duration = Duration::from_secs(1);
/// Silence of a socket that is taken for its end, in part.
const PAUSE: Duration = Duration::from_millis(10);

/// Runs `sixtap validate`.
///
/// # Errors
/// An input cannot be read or a report not be written.
pub(crate) fn run(args: &ValidateArgs) -> Result<u8, Failure> {
    if args.rules {
        return list(args.markdown);
    }
    let mut inputs =
        args.exports.iter().map(|name| Input::open(name)).collect::<Result<Vec<_>, _>>()?;
    if inputs.len() > 1 && inputs.iter().any(|input| input.local_address().is_some()) {
        return Err(Failure::usage("validate: an address to listen at must be the only EXPORT"));
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(Failure::environment)?;
    }
    let against = args.against.as_deref().map(Against::recognise);
    let observed = matches!(against, Some(Against::Interface(_)));
    let end = args.duration.map(|duration| Instant::now() + duration);
    let reading = Reading {
        limits: Limits {
            templates: args.max_templates,
            fields: args.max_fields,
            octets: args.max_message,
            records: args.max_records,
            values: args.max_values,
            sessions: args.max_sessions,
            ..Limits::default()
        },
        examples: args.reports.examples,
        end: end.map(|end| if observed { end + args.linger } else { end }),
        stop: &stop,
        reference: false,
    };
    let mut report = match &against {
        None => reading.read_all(&mut inputs, None)?,
        Some(against) => {
            let live = inputs.iter().all(|input| input.local_address().is_some());
            if against.is_live() && !live {
                return Err(Failure::usage(
                    "validate: a live --against needs a live export: udp://ADDRESS:PORT or tcp://ADDRESS:PORT",
                ));
            }
            read_against(&reading, &mut inputs, against, end)?
        }
    };
    if let Some(other) = &args.compare {
        report.other = Some(Box::new(reading.read(&mut Input::open(other)?, None)?));
    }
    conclude(&report, &args.reports)
}

/// Reads an export and holds it against what is true. `end`: when to stop observing live traffic.
fn read_against(
    reading: &Reading<'_>,
    inputs: &mut [Input],
    against: &Against,
    end: Option<Instant>,
) -> Result<Report, Failure> {
    let observer = Observer::open(against)?;
    let mut gathering = Gathering::default();
    if !against.is_live() {
        let mut report = reading.read_all(inputs, Some(&mut gathering))?;
        hold_against(&mut report, observer.observe(reading, None, reading.stop)?, gathering);
        return Ok(report);
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let observing = scope.spawn(|| observer.observe(reading, end, &done));
        let report = reading.read_all(inputs, Some(&mut gathering));
        done.store(true, Ordering::Relaxed);
        let observed = observing
            .join()
            .map_err(|_| Failure::environment("validate: the reference meter failed"))?;
        let mut report = report?;
        hold_against(&mut report, observed?, gathering);
        Ok(report)
    })
}

/// Compares what was gathered with what is true.
pub(super) fn hold_against(report: &mut Report, observed: Observed, gathering: Gathering) {
    report.remarks.extend(observed.remarks);
    let lost = report.total(|facts| facts.sequence.missing(facts.version));
    report.compare(matching::compare(gathering, observed.reality, lost));
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
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) limits: Limits,
    /// Examples kept of each finding.
    pub(super) examples: usize,
    /// When to stop.
    pub(super) end: Option<Instant>,
    /// Set when to stop.
    pub(super) stop: &'a AtomicBool,
    /// Whether the records are the reference's.
    pub(super) reference: bool,
}

impl Reading<'_> {
    /// Reads one input to its end, or as long as was asked for.
    pub(super) fn read(
        &self,
        input: &mut Input,
        gathering: Option<&mut Gathering>,
    ) -> Result<Report, Failure> {
        self.read_all(std::slice::from_mut(input), gathering)
    }

    /// Reads inputs one behind the other.
    fn read_all(
        &self,
        inputs: &mut [Input],
        mut gathering: Option<&mut Gathering>,
    ) -> Result<Report, Failure> {
        let kept = Kept { examples: self.examples.max(1), ..Kept::default() };
        let mut validator = Validator::new(self.limits, kept);
        for input in &mut *inputs {
            if let Some(address) = input.local_address() {
                let what = if self.reference { " for the reference" } else { "" };
                let scheme = input.name().split_once("://").map_or("", |(scheme, _)| scheme);
                eprintln!("sixtap: listening at {scheme}://{address}{what}");
            }
            self.take(input, &mut validator, gathering.as_deref_mut())?;
        }
        let mut report = validator.finish();
        let names: Vec<&str> = inputs.iter().map(Input::name).collect();
        report.input = names.join(", ");
        report.remarks = inputs.iter().flat_map(remarks).collect();
        Ok(report)
    }

    /// Gives an input's messages to the validator.
    fn take(
        &self,
        input: &mut Input,
        validator: &mut Validator,
        mut gathering: Option<&mut Gathering>,
    ) -> Result<(), Failure> {
        let (end, stop) = (self.end, self.stop);
        let total = input.progress().map(|(_, total)| total);
        let bar = progress(input.local_address().is_some(), total);
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
            if steps.is_multiple_of(1024) && !bar.is_hidden() {
                show(&bar, input.progress(), &format!("{steps} messages"));
            }
            let Some(received) = input.next(wait)? else { break };
            wait = match received {
                Received::Idle => {
                    end.map_or(TICK, |end| TICK.min(end.saturating_duration_since(Instant::now())))
                }
                received => {
                    give(&received, validator, gathering.as_deref_mut());
                    Duration::ZERO
                }
            };
        }
        // What had come to a socket by the end counts.
        let last = Instant::now() + DRAIN;
        let mut idle = 0;
        while input.local_address().is_some() && idle < 3 && Instant::now() < last {
            match input.next(PAUSE)? {
                None => break,
                Some(Received::Idle) => idle += 1,
                Some(received) => {
                    idle = 0;
                    give(&received, validator, gathering.as_deref_mut());
                }
            }
        }
        bar.finish_and_clear();
        Ok(())
    }
}

/// Gives what was received to the validator and, for a comparison, to `gathering`.
fn give(received: &Received<'_>, validator: &mut Validator, gathering: Option<&mut Gathering>) {
    match received {
        Received::Message { transport, octets } => match gathering {
            Some(gathering) => {
                validator.message_with(transport, octets, &mut |event| gathering.event(event));
            }
            None => validator.message(transport, octets),
        },
        Received::Noise { transport, anomaly } => validator.noise(transport, *anomaly),
        Received::End { transport } => validator.end_of_session(transport),
        Received::Idle => {}
    }
}

/// A bar on standard error that shows how far a long input is read, of how many octets; none where nobody looks.
fn progress(live: bool, total: Option<u64>) -> ProgressBar {
    if live || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{wide_bar} {percent:>3} %  {bytes} of {total_bytes}, {msg}, {eta} to go",
        ),
        None => (ProgressBar::new_spinner(), "{spinner} {elapsed} {msg}"),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// Moves the bar on.
fn show(bar: &ProgressBar, progress: Option<(u64, u64)>, message: &str) {
    bar.set_message(message.to_owned());
    match progress {
        Some((done, _)) => bar.set_position(done),
        None => bar.tick(),
    }
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
        remarks.push(format!("{}: no export message was found", input.name()));
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
