//! `sixtap probe`: from packets to flow records at collectors.
//!
//! The options stand in groups, one file each: [`input`], [`meter`], [`export`], [`operation`].

mod export;
mod input;
mod meter;
mod operation;
mod progress;

use super::{DONE, FINDINGS, Failure};
use crate::export::{ExportPlan, Keys};
use crate::meter::packet::user::Extractions;
use crate::probe::{self, Input, Plan, ProbeError, Progress};
use crate::telemetry::Ledger;
use operation::Stats;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Arguments of `sixtap probe`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("input").required(true).args(["interfaces", "read"]))]
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

pub(crate) fn run(args: ProbeArgs) -> Result<u8, Failure> {
    let inputs = input::open(&args.input)?;
    let plan = plan(&args, inputs)?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The second signal ends the process at once.
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .map_err(Failure::environment)?;
    }
    let mut bar = None;
    let mut look = |progress: &Progress| {
        if !args.operation.quiet && std::io::stderr().is_terminal() {
            progress::show(&mut bar, progress);
        }
    };
    let outcome = probe::run(plan, &stop, &mut look)?;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(end(&args, &outcome))
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
        if is_file && collector.lost.send > 0 && name != "json:-" {
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

/// What the user asked for, resolved once into numbers.
fn plan(args: &ProbeArgs, inputs: Vec<Input>) -> Result<Plan, Failure> {
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
    let patient = input.read.is_some();
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
        patient,
        interfaces: input::names(input),
        ..ExportPlan::default()
    };
    Ok(Plan {
        inputs,
        meter: settings,
        export,
        patient,
        count: input.count,
        duration: input.duration,
    })
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
