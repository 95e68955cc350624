//! How the process behaves: the options.

use super::super::Failure;
use super::input::InputArgs;
use super::seconds;
use crate::telemetry::http::Listener;
use crate::telemetry::{control_path, listen, listen_unix};
use std::path::PathBuf;
use std::time::Duration;

/// How the process behaves.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Operation")]
pub(super) struct OperationArgs {
    /// Configuration file (TOML); the command line wins. A flag that is true there is switched off with --FLAG=false.
    #[arg(long, value_name = "FILE.toml")]
    pub(super) config: Option<PathBuf>,

    /// Check the configuration, and the files that it names, and end.
    #[arg(long)]
    pub(super) check: bool,

    /// Print the whole configuration as a file, defaults too, and end.
    #[arg(long)]
    pub(super) dump_config: bool,

    /// What is logged: error, warn, info, debug, trace, or a filter as warn,sixtap::export=debug (default: SIXTAP_LOG, or warn).
    #[arg(long, value_name = "LEVEL")]
    pub(super) log: Option<String>,

    /// Seconds within which to send what is left when told to end; what is left then is lost, and counted.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(super) drain: Duration,

    /// Keep capabilities, file access and system calls as they are, where the sandbox is in the way.
    #[arg(long)]
    pub(super) no_sandbox: bool,

    /// The ledger at exit, on standard error.
    #[arg(long, value_enum, default_value_t)]
    pub(super) stats: Stats,

    /// Exit with status 1 if any frame or record was lost.
    #[arg(long)]
    pub(super) fail_on_loss: bool,

    /// No progress bar.
    #[arg(short, long)]
    pub(super) quiet: bool,

    /// Status page, metrics and health by HTTP: a port on this machine alone, or an address and a port; repeatable.
    #[arg(long, value_name = "[ADDR:]PORT")]
    pub(super) http: Vec<String>,

    /// UNIX socket for `sixtap top` and scripts (default, with -i: /run/sixtap/IF.sock where that can be made).
    #[arg(long, value_name = "PATH")]
    pub(super) control: Option<PathBuf>,

    /// No control socket.
    #[arg(long, conflicts_with = "control")]
    pub(super) no_control: bool,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub(super) enum Stats {
    #[default]
    Text,
    Json,
    None,
}

/// Where others may look at the run. What was asked for must be had; the default control socket need not.
pub(super) fn listeners(args: &OperationArgs, input: &InputArgs) -> Result<Vec<Listener>, Failure> {
    let mut listeners = Vec::new();
    for words in &args.http {
        listeners.extend(listen(words).map_err(Failure::environment)?);
    }
    if let Some(path) = control(args, input) {
        match listen_unix(&path) {
            Ok(listener) => listeners.push(listener),
            Err(problem) if args.control.is_some() => return Err(Failure::environment(problem)),
            Err(problem) => tracing::info!("{problem}"),
        }
    }
    Ok(listeners)
}

/// Where the control socket is to be.
pub(super) fn control(args: &OperationArgs, input: &InputArgs) -> Option<PathBuf> {
    let usual = || control_path(&input.interfaces.join("+"));
    let wanted = !args.no_control && !input.interfaces.is_empty();
    args.control.clone().or_else(|| wanted.then(usual))
}
