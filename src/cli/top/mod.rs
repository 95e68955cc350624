//! `sixtap top`: the live flows, rates and losses of a probe, in a terminal.
//!
//! In: a probe that runs, through its control socket; or an interface, captured here by a packet socket, so that the
//! traffic keeps reaching the kernel. Out: a screen, drawn anew every second; or one look as text or JSON.
//!
//! The terminal is driven by crossterm alone: the screen is lines of text (`view`), which `--once` and the tests read as they
//! are, and only those lines are sent that have changed. A widget library would add what is not needed here.

mod screen;
mod terminal;
mod view;
mod words;

use super::{DONE, Failure};
use crate::capture::packet_socket;
use crate::export::ExportPlan;
use crate::meter::flow::Settings;
use crate::probe::{self, Input, Plan};
use crate::telemetry::live::{By, Filter, Found, MOST_ROWS, Question, Sort};
use crate::telemetry::{Client, LiveLedger, Status, Subject, control_path, control_paths};
use screen::{Reading, Screen, View};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Arguments of `sixtap top`.
#[derive(Debug, clap::Args)]
pub(crate) struct TopArgs {
    /// Interfaces of the probe to look at, as its control socket is called in /run/sixtap (default: the only one there).
    #[arg(value_name = "NAME", conflicts_with_all = ["control", "interfaces"])]
    name: Option<String>,

    /// Control socket of the probe to look at.
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,

    /// Capture here instead, by a packet socket; repeatable. The traffic keeps reaching the kernel.
    #[arg(short = 'i', long = "interface", value_name = "IF", conflicts_with = "control")]
    interfaces: Vec<String>,

    /// What is shown first: flow, source, destination, network, port, protocol, headers.
    #[arg(long, value_name = "WORD", default_value = "flow", value_parser = word::<By>)]
    by: By,

    /// What makes a row large: octets, packets, flows, rate.
    #[arg(long, value_name = "WORD", default_value = "octets", value_parser = word::<Sort>)]
    sort: Sort,

    /// Which flows, as: ip6 and (port 443 or icmp6) and not net 2001:db8::/32
    #[arg(long, value_name = "EXPRESSION", default_value = "", value_parser = word::<Filter>, hide_default_value = true)]
    filter: Filter,

    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    interval: f64,

    /// Two looks, printed as text, and an end.
    #[arg(long)]
    once: bool,

    /// One look as a JSON object, and an end.
    #[arg(long, conflicts_with = "once")]
    json: bool,

    /// The ledger, printed as text, and an end; with --json as JSON.
    #[arg(long, conflicts_with = "once")]
    ledger: bool,

    /// Rows of flows for --once and --json.
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=500))]
    count: u16,
}

fn word<T>(words: &str) -> Result<T, String>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    words.parse().map_err(|error: T::Err| error.to_string())
}

/// A probe: in this process, or behind a socket.
#[derive(Clone)]
enum Probe {
    Here(Arc<dyn Subject>),
    There(Client),
}

impl Probe {
    fn status(&self) -> Result<Status, Failure> {
        match self {
            Self::Here(subject) => Ok(Status::new(&subject.reading())),
            Self::There(client) => client.status().map_err(Failure::environment),
        }
    }

    fn flows(&self, question: &Question) -> Result<Found, Failure> {
        match self {
            Self::Here(subject) => Ok(subject.flows(question)),
            Self::There(client) => client.flows(question).map_err(Failure::environment),
        }
    }

    fn ledger(&self, json: bool) -> Result<String, Failure> {
        match self {
            Self::Here(subject) if json => {
                Ok(LiveLedger(&subject.reading().ledger).to_json().to_string())
            }
            Self::Here(subject) => Ok(LiveLedger(&subject.reading().ledger).to_string()),
            Self::There(client) => client.ledger(json).map_err(Failure::environment),
        }
    }

    /// Everything that a view needs. `question`: of the flows, if it shows any.
    fn look(&self, question: Option<&Question>, ledger: bool) -> Result<Reading, Failure> {
        let found = question.map(|question| self.flows(question)).transpose()?;
        let ledger = ledger.then(|| self.ledger(false)).transpose()?;
        Ok(Reading { status: self.status()?, found, ledger })
    }
}

/// Runs `sixtap top`.
pub(crate) fn run(args: &TopArgs) -> Result<u8, Failure> {
    if !(args.interval >= 0.1 && args.interval <= 3600.0) {
        return Err(Failure::usage("--interval: write seconds from 0.1 to 3600"));
    }
    let stop = Arc::new(AtomicBool::new(false));
    // SIGHUP ends the process as it ends every program whose terminal is gone: there is nothing to give back to it.
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(Failure::environment)?;
    }
    if args.interfaces.is_empty() {
        let path = socket(args)?;
        let place = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        return show(args, &Probe::There(Client::new(&path)), &place, &stop);
    }
    let (probe, capture) = capture(&args.interfaces, &stop)?;
    let shown = show(args, &probe, &args.interfaces.join("+"), &stop);
    stop.store(true, Ordering::Relaxed);
    match capture.join() {
        Ok(Ok(_)) | Err(_) => shown,
        Ok(Err(error)) => Err(error.into()),
    }
}

/// The control socket that is meant.
fn socket(args: &TopArgs) -> Result<PathBuf, Failure> {
    if let Some(path) = &args.control {
        return Ok(path.clone());
    }
    if let Some(name) = &args.name {
        return Ok(control_path(name));
    }
    let mut paths = control_paths();
    match paths.len() {
        1 => Ok(paths.remove(0)),
        0 => Err(Failure::environment(
            "no probe runs that has a control socket in /run/sixtap: start one, name another socket by --control PATH, or capture here by -i IF",
        )),
        _ => {
            let names = paths.iter().filter_map(|path| path.file_stem());
            let names: Vec<_> = names.map(|name| name.to_string_lossy()).collect();
            Err(Failure::usage(format!(
                "several probes run: write one of {} behind `sixtap top`",
                names.join(", ")
            )))
        }
    }
}

type Capture = JoinHandle<Result<probe::Outcome, probe::ProbeError>>;

/// A probe in this process, whose records go nowhere.
fn capture(interfaces: &[String], stop: &Arc<AtomicBool>) -> Result<(Probe, Capture), Failure> {
    let mut inputs = Vec::new();
    for interface in interfaces {
        for source in packet_socket::open(&packet_socket::Options::new(interface))? {
            inputs.push(Input { source: Box::new(source), name: interface.clone(), cpu: None });
        }
    }
    let (begun, subject) = mpsc::channel();
    let plan = Plan {
        inputs,
        meter: Settings { capacity: 1 << 18, extras: 1 << 16, ..Settings::default() },
        export: ExportPlan::default(),
        patient: false,
        count: None,
        duration: None,
        sandbox: None,
        drain: Duration::from_secs(1),
        listeners: Vec::new(),
        watcher: Some(begun),
    };
    let stop = Arc::clone(stop);
    let run = move || probe::run(plan, &stop, &mut |_| None);
    let capture = thread::Builder::new().name("probe".into()).spawn(run);
    let capture = capture.map_err(Failure::environment)?;
    match subject.recv() {
        Ok(subject) => Ok((Probe::Here(subject), capture)),
        Err(_) => match capture.join() {
            Ok(Err(error)) => Err(error.into()),
            _ => Err(Failure::environment("the capture did not begin")),
        },
    }
}

fn show(args: &TopArgs, probe: &Probe, place: &str, stop: &AtomicBool) -> Result<u8, Failure> {
    if args.ledger {
        return print(&format!("{}\n", probe.ledger(args.json)?.trim_end()));
    }
    let question = Question {
        by: args.by,
        sort: args.sort,
        count: usize::from(args.count).min(MOST_ROWS),
        filter: args.filter.clone(),
    };
    let interval = Duration::from_secs_f64(args.interval);
    if args.json {
        let status = serde_json::to_value(probe.status()?).unwrap_or_default();
        let flows = serde_json::to_value(probe.flows(&question)?).unwrap_or_default();
        return print(&format!("{}\n", serde_json::json!({ "status": status, "flows": flows })));
    }
    let view = View::ALL.into_iter().find(|view| view.by() == Some(args.by)).unwrap_or_default();
    let mut screen =
        Screen { view, sort: args.sort, filter: args.filter.clone(), ..Screen::default() };
    if args.once {
        for look in 0..2 {
            if look > 0 {
                thread::sleep(interval);
            }
            screen.look(Ok(probe.look(Some(&question), false)?));
        }
        // Two lines a flow at the most, the head, the heading and what stands below.
        let lines = 2 * question.count + 20;
        let columns = terminal::columns().unwrap_or(100).max(60);
        let mut drawn = view::draw(&screen, place, columns, lines);
        // The last line explains keys.
        drawn.pop();
        let text: Vec<String> =
            drawn.iter().map(|line| line.text().trim_end().to_owned()).collect();
        return print(&format!("{}\n", text.join("\n").trim_end()));
    }
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Failure::usage("this is no terminal: use --once, --json or --ledger"));
    }
    // One look first: a probe that is not there is told by one line, not by a screen.
    let first = probe.look(screen.question(1).as_ref(), false)?;
    screen.look(Ok(first));
    terminal::run(screen, probe, place, interval, stop).map_err(Failure::environment)?;
    Ok(DONE)
}

fn print(text: &str) -> Result<u8, Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::environment(format!("standard output: {error}")))
        }
        _ => Ok(DONE),
    }
}
