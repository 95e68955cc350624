//! The log: lines on standard error, and how much of it. The journal adds the times.

use super::Failure;
use std::sync::OnceLock;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// What may change the level while the process runs.
static LEVEL: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Starts the log, as `SIXTAP_LOG` says, or warnings and errors.
pub(super) fn start() {
    let filter = EnvFilter::try_from_env("SIXTAP_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .without_time()
        .with_target(false);
    tracing_subscriber::registry().with(filter).with(lines).init();
    // Set once: main calls this once.
    let _ = LEVEL.set(handle);
}

/// Takes another level, or a filter as `warn,sixtap::export=debug`.
pub(super) fn set(words: &str) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(words)
        .map_err(|error| Failure::usage(format!("--log {words}: {error}")))?;
    match LEVEL.get().map(|level| level.reload(filter)) {
        Some(Err(error)) => Err(Failure::environment(error)),
        Some(Ok(())) | None => Ok(()),
    }
}
