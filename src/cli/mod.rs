//! The command line: words in, plan out, exit status back.
//!
//! One file a command. Exit status: 0 done, 1 findings or lost data where asked to fail on it, 2 usage or configuration,
//! 3 environment (permission, NIC, kernel). A closed pipe on standard output is a normal end.

mod bench;
mod craft;
mod doctor;
mod elements;
mod elements_file;
mod facts;
mod lab;
mod logging;
mod pages;
mod probe;
mod show;
mod table;
mod top;
mod validate;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use probe::configuration::{self, Refusal};
use std::ffi::OsString;
use std::process::ExitCode;

/// Done.
pub(crate) const DONE: u8 = 0;
/// Findings, or data lost where asked to fail on it.
pub(crate) const FINDINGS: u8 = 1;
/// Usage or configuration.
pub(crate) const USAGE: u8 = 2;
/// Environment: permission, NIC, kernel.
pub(crate) const ENVIRONMENT: u8 = 3;

/// A flow probe that gets IPv6 right, and the instrument that shows whether other exporters do.
#[derive(Debug, Parser)]
#[command(name = "sixtap", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Words {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Meter packets from an interface or a capture file and export the flows as IPFIX.
    Probe(Box<probe::ProbeArgs>),
    /// Show the records of an export: a file, a capture, a socket.
    Show(show::ShowArgs),
    /// List every element known and which template carries it.
    Elements(elements::ElementsArgs),
    /// Make traffic whose truth is known: labelled IPv6 cases, attacks, load.
    Craft(Box<craft::CraftArgs>),
    /// Measure the hot path on this machine, and what that means for a link.
    Bench(bench::BenchArgs),
    /// Show live flows, rates and losses of a running probe, or of an interface.
    Top(top::TopArgs),
    /// Tell what this machine and a NIC will give, and why.
    Doctor(doctor::DoctorArgs),
    /// Hold an export against the RFCs, and against the traffic that was metered.
    Validate(Box<validate::ValidateArgs>),
    /// Craft traffic, let an exporter meter it, listen, validate: one command.
    Lab(Box<lab::LabArgs>),
    /// Show the facts of each packet of a capture, one JSON object a line (for comparing parsers).
    #[command(hide = true)]
    Facts(facts::FactsArgs),
    /// Write man pages and shell completions (for packages).
    #[command(hide = true)]
    Pages(pages::PagesArgs),
}

/// One clear line for the user, and the exit status that goes with it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub(crate) status: u8,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn usage(message: impl ToString) -> Self {
        Self { status: USAGE, message: message.to_string() }
    }

    pub(crate) fn environment(message: impl ToString) -> Self {
        Self { status: ENVIRONMENT, message: message.to_string() }
    }
}

impl From<crate::capture::CaptureError> for Failure {
    fn from(error: crate::capture::CaptureError) -> Self {
        use crate::capture::CaptureError;
        let status = match error {
            CaptureError::Environment(_) => ENVIRONMENT,
            CaptureError::Usage(_) => USAGE,
            CaptureError::Damaged { .. } => FINDINGS,
        };
        Self { status, message: error.to_string() }
    }
}

/// Runs the command line of this process and returns its exit status.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let (words, matches) = match parse(&arguments) {
        Ok(parsed) => parsed,
        Err(Refusal::Words(error)) => {
            // Help and version are no errors; a closed pipe while printing them is none either.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { DONE });
        }
        Err(Refusal::File(failure)) => {
            eprintln!("sixtap: {failure}");
            return ExitCode::from(failure.status);
        }
    };
    logging::start();
    let outcome = match words.command {
        Command::Probe(args) => probe::run(*args, &arguments, &matches),
        Command::Show(args) => show::run(&args),
        Command::Elements(args) => elements::run(&args),
        Command::Craft(args) => craft::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Lab(args) => lab::run(&args),
        Command::Facts(args) => facts::run(&args),
        Command::Pages(args) => pages::run(&args, Words::command()),
    };
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            eprintln!("sixtap: {failure}");
            ExitCode::from(failure.status)
        }
    }
}

/// The words of the command line, and of the file that it names.
fn parse(arguments: &[OsString]) -> Result<(Words, ArgMatches), Refusal> {
    let matches = configuration::matches(&Words::command(), arguments)?;
    let words = Words::from_arg_matches(&matches)
        .map_err(|error| Refusal::Words(error.format(&mut Words::command())))?;
    Ok((words, matches))
}
