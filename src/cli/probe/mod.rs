//! `sixtap probe`: from packets to flow records at collectors.
//!
//! The options stand in groups, one file each: [`input`], [`meter`], [`export`], [`operation`]. **To add an option**, add a field
//! to one of them: it is a key of the configuration file from then on ([`crate::config::file`]), in the man page and the
//! completions; then `SIXTAP_WRITE_DOCS=1 cargo test --test suite configuration` writes `docs/configuration.md` anew.

pub(super) mod configuration;
mod export;
mod input;
mod meter;
mod operation;
mod progress;
mod reload;

use super::{DONE, FINDINGS, Failure};
use crate::export::{Anonymisation, Destination, ExportPlan, Keys};
use crate::meter::flow::Settings;
use crate::meter::packet::user::Extractions;
use crate::probe::sandbox::{Files, Sandbox};
use crate::probe::{self, Input, Notifier, Plan, ProbeError, Progress, Service};
use crate::telemetry::{Ledger, LiveLedger};
use clap::ArgMatches;
use ie_registry::ie;
use operation::Stats;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Arguments of `sixtap probe`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sixtap probe -i eth1 -c udp://[2001:db8::1]:4739              a mirror port, to a collector
  sixtap probe -i eth1 -c udp://192.0.2.1 -c file:flows.ipfix   to two at once; the port is 4739
  sixtap probe -r traffic.pcap ip6 and not port 53              a capture, in part, as JSON lines
  tcpdump -i eth1 -w - | sixtap probe -r - -T full              what another program captures")]
#[command(group = clap::ArgGroup::new("input").required(true).multiple(true).args(["interfaces", "read", "dump_config"]))]
pub(crate) struct ProbeArgs {
    #[command(flatten)]
    input: input::InputArgs,
    #[command(flatten)]
    meter: meter::MeterArgs,
    #[command(flatten)]
    export: export::ExportArgs,
    #[command(flatten)]
    operation: operation::OperationArgs,
}

fn seconds(words: &str) -> Result<Duration, String> {
    let seconds: f64 = words.parse().map_err(|_| "write a number of seconds".to_owned())?;
    if seconds > 0.0 && seconds <= 1e9 {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("write a number of seconds above 0".to_owned())
    }
}

/// Runs `sixtap probe`. `words`: of the whole command line; `matches`: what they, and the file that they name, say.
pub(crate) fn run(
    mut args: ProbeArgs,
    words: &[OsString],
    matches: &ArgMatches,
) -> Result<u8, Failure> {
    if args.operation.dump_config {
        // A closed pipe is a normal end.
        let _ = std::io::stdout().write_all(configuration::dump(matches).as_bytes());
        return Ok(DONE);
    }
    if let Some(level) = &args.operation.log {
        super::logging::set(level)?;
    }
    if args.operation.check {
        check(&args)?;
        eprintln!("sixtap: the configuration is right");
        return Ok(DONE);
    }
    let signals = Signals::register(args.operation.config.is_some())?;
    let inputs = input::open(&args.input)?;
    let plan = plan(&args, inputs)?;
    let mut running = reload::Running::new(words, matches, plan.sandbox.as_ref());
    let mut service = Service::new(Notifier::from_environment());
    let mut bar = None;
    let mut look = |progress: &Progress| {
        if !args.operation.quiet && std::io::stderr().is_terminal() {
            progress::show(&mut bar, progress);
        }
        if signals.ledger.swap(false, Ordering::Relaxed) {
            let ledger = LiveLedger(&progress.ledger);
            match args.operation.stats {
                Stats::Json => eprintln!("{}", ledger.to_json()),
                Stats::Text | Stats::None => eprint!("{ledger}"),
            }
        }
        service.look(progress, signals.stop.load(Ordering::Relaxed), Instant::now());
        if signals.reload.swap(false, Ordering::Relaxed) {
            return service.reload(|| running.reload(&mut args));
        }
        None
    };
    let outcome = probe::run(plan, &signals.stop, &mut look)?;
    service.end();
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(end(&args, &outcome))
}

/// What signals ask for; looked at several times a second.
struct Signals {
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    ledger: Arc<AtomicBool>,
}

impl Signals {
    fn register(reloads: bool) -> Result<Self, Failure> {
        use signal_hook::{consts, flag};
        let new = || Arc::new(AtomicBool::new(false));
        let signals = Self { stop: new(), reload: new(), ledger: new() };
        for signal in [consts::SIGINT, consts::SIGTERM] {
            // The second signal ends the process at once.
            flag::register_conditional_shutdown(signal, 1, Arc::clone(&signals.stop))
                .and_then(|_| flag::register(signal, Arc::clone(&signals.stop)))
                .map_err(Failure::environment)?;
        }
        flag::register(consts::SIGUSR1, Arc::clone(&signals.ledger))
            .map_err(Failure::environment)?;
        // Without a file to read again, a terminal that hangs up ends the probe as it ends every program.
        if reloads {
            flag::register(consts::SIGHUP, Arc::clone(&signals.reload))
                .map_err(Failure::environment)?;
        }
        Ok(signals)
    }
}

/// What can be wrong with a configuration without a look at an interface or a collector.
fn check(args: &ProbeArgs) -> Result<(), Failure> {
    input::check(&args.input)?;
    resolve(args)?;
    Ok(())
}

/// Prints the ledger and says how it went.
fn end(args: &ProbeArgs, outcome: &probe::Outcome) -> u8 {
    let ledger: &Ledger = &outcome.ledger;
    match args.operation.stats {
        Stats::Text => eprint!("{ledger}"),
        Stats::Json => eprintln!("{}", ledger.to_json()),
        Stats::None => {}
    }
    let mut status = DONE;
    for (name, collector) in &ledger.collectors {
        let is_file = name.starts_with("file:") || name.starts_with("json:");
        if is_file && collector.lost.send > 0 && !(name == "json:-" && reader_has_left()) {
            eprintln!("sixtap: {name}: {} records could not be written", collector.lost.send);
            status = status.max(super::ENVIRONMENT);
        }
    }
    for error in &outcome.errors {
        eprintln!("sixtap: {error}");
        status = status.max(Failure::from_probe(error).status);
    }
    if status == DONE && args.operation.fail_on_loss && ledger.lost() > 0 {
        eprintln!("sixtap: {} frames or records lost; the ledger says where", ledger.lost());
        status = FINDINGS;
    }
    status
}

/// Whether standard output is a pipe that nobody reads any more, as with `| head`: no failure of anybody's.
fn reader_has_left() -> bool {
    let out = std::io::stdout();
    let mut asked = [PollFd::new(&out, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut asked, Some(&now)).is_ok() && asked[0].revents().contains(PollFlags::ERR)
}

/// What the user asked for, resolved once. Opens what the run needs; [`resolve`] only reads.
fn plan(args: &ProbeArgs, inputs: Vec<Input>) -> Result<Plan, Failure> {
    let ProbeArgs { input, operation, .. } = args;
    let (meter, export) = resolve(args)?;
    Ok(Plan {
        inputs,
        meter,
        patient: export.patient,
        export,
        count: input.count,
        duration: input.duration,
        sandbox: (!operation.no_sandbox).then(|| sandbox(args)),
        drain: operation.drain,
        listeners: operation::listeners(operation, input)?,
        watcher: None,
    })
}

/// The numbers: also for a check, and for a configuration read again while the probe runs. Nothing is opened here.
fn resolve(args: &ProbeArgs) -> Result<(Settings, ExportPlan), Failure> {
    let ProbeArgs { input, meter, export, .. } = args;
    let (user_elements, extractions) = match &export.elements {
        Some(path) => super::elements_file::read(path)?,
        None => (Vec::new(), Vec::new()),
    };
    let (mut preset, detail) = export::preset(&export.template, export.enterprise, &user_elements)?;
    preset = preset.with_user_elements(&user_elements);
    let detail = detail || meter.biflow || meter.chain_key || !extractions.is_empty();
    if meter.biflow {
        preset = preset.with_reverse();
    }
    let label_key = export.template == "covert";
    let settings = meter::settings(meter, detail, label_key, Extractions::new(&extractions));
    let anonymisation = export::anonymisation(export, &user_elements)?;
    if matches!(anonymisation, Some(Anonymisation::PrefixPreserving { .. })) {
        // It would say of the address made up what was true of the one seen.
        preset.fields.retain(|field| (field.enterprise, field.id) != (0, ie::IS_MULTICAST));
    }
    let export = ExportPlan {
        destinations: export.collectors.clone(),
        preset,
        user_elements,
        enterprise: export.enterprise,
        domain: export.domain,
        keys: Keys { label_and_class: label_key, chain: meter.chain_key },
        active: meter.active,
        idle: meter.idle,
        message_limit: export.message_size.map(usize::from),
        patient: input.read.is_some(),
        interfaces: input::names(input),
        domain_name: export.domain_name.clone(),
        sampling: input.sample,
        anonymisation,
        ..ExportPlan::default()
    };
    Ok((settings, export))
}

fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// What the run may open once it has begun.
fn sandbox(args: &ProbeArgs) -> Sandbox {
    let ProbeArgs { input, export, operation, .. } = args;
    let template = Path::new(&export.template);
    let files = [
        operation.config.as_deref(),
        export.elements.as_deref(),
        export.anonymise_key.as_deref(),
        Some(template),
    ];
    let certificates = export.collectors.iter().flat_map(Destination::reads);
    // Their folders: who writes a file anew puts another in its place.
    let read = files.into_iter().flatten().chain(certificates).filter(|path| path.exists());
    let read = read.map(folder).collect();
    let mut write: Vec<_> = export.collectors.iter().flat_map(Destination::writes).collect();
    // Sockets that others look at the run by.
    write.push(std::env::var_os("RUNTIME_DIRECTORY").unwrap_or("/run/sixtap".into()).into());
    write.extend(operation::control(operation, input).as_deref().map(folder));
    // The tests' way to find a system call that the list lacks.
    let strict = std::env::var_os("SIXTAP_SANDBOX_STRICT").is_some();
    Sandbox { files: Files { read, write }, strict }
}

impl Failure {
    fn from_probe(error: &ProbeError) -> Self {
        use crate::capture::CaptureError;
        match error {
            ProbeError::Capture { error: CaptureError::Damaged { .. }, .. } => {
                Self { status: FINDINGS, message: error.to_string() }
            }
            ProbeError::Capture { error: CaptureError::Usage(_), .. } | ProbeError::Meter(_) => {
                Self::usage(error)
            }
            _ => Self::environment(error),
        }
    }
}

impl From<ProbeError> for Failure {
    fn from(error: ProbeError) -> Self {
        Self::from_probe(&error)
    }
}
