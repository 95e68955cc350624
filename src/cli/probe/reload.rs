//! A configuration read again while the probe runs: what can change is changed, what cannot is said.
//!
//! The words of the command line and the file are read as at the start; nothing is taken over if anything is wrong. Then
//! each key is compared with what the probe runs with.

use super::super::{Failure, Words, logging};
use super::ProbeArgs;
use super::configuration::{self, Refusal};
use crate::config::file;
use crate::probe::Change;
use crate::probe::sandbox::Sandbox;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use std::ffi::OsString;
use std::path::{Path, PathBuf, absolute};

/// Keys whose change needs no new start. Everything else is opened, sized or announced at the start: interfaces and rings,
/// the flow table, what a record holds and the Templates that say so.
pub(super) const CAN_CHANGE: &[&str] = &[
    "meter.active",
    "meter.idle",
    "export.collector",
    "operation.log",
    "operation.stats",
    "operation.fail-on-loss",
];

/// What the probe runs with, and where it comes from.
pub(super) struct Running {
    words: Vec<OsString>,
    matches: ArgMatches,
    /// Where the sandbox lets files be made; `None` without one.
    write: Option<Vec<PathBuf>>,
}

impl Running {
    pub(super) fn new(words: &[OsString], matches: &ArgMatches, sandbox: Option<&Sandbox>) -> Self {
        let write = sandbox.map(|sandbox| sandbox.files.write.clone());
        Self { words: words.to_vec(), matches: matches.clone(), write }
    }

    /// Reads the configuration again; takes over into `args` what can change, and gives what the threads must be told.
    pub(super) fn reload(&mut self, args: &mut ProbeArgs) -> Option<Change> {
        match self.read(args) {
            Ok(change) => change,
            Err(failure) => {
                tracing::error!("the configuration stays as it is: {failure}");
                None
            }
        }
    }

    fn read(&mut self, args: &mut ProbeArgs) -> Result<Option<Change>, Failure> {
        if args.operation.config.is_none() {
            return Err(Failure::usage("there is no --config to read again"));
        }
        let command = Words::command();
        let matches = configuration::matches(&command, &self.words).map_err(refused)?;
        let (Some(new), Some(old)) =
            (matches.subcommand_matches("probe"), self.matches.subcommand_matches("probe"))
        else {
            return Ok(None);
        };
        let fresh = ProbeArgs::from_arg_matches(new).map_err(Failure::usage)?;
        super::check(&fresh)?;
        self.within(&fresh)?;
        let changed = file::changed(&configuration::probe(), old, new);
        let (can, cannot): (Vec<_>, Vec<_>) =
            changed.into_iter().partition(|key| CAN_CHANGE.contains(&key.as_str()));
        for key in &cannot {
            tracing::warn!(
                "{key} cannot change while the probe runs: it stays as it was; start the probe again"
            );
        }
        if can.is_empty() {
            tracing::warn!("configuration read again: nothing changes");
            return Ok(None);
        }
        if let Some(level) = &fresh.operation.log {
            logging::set(level)?;
        }
        let moved = |key: &str| can.iter().any(|changed| changed == key);
        let mut change = Change::default();
        if moved("meter.active") || moved("meter.idle") {
            change.timeouts = Some((fresh.meter.active, fresh.meter.idle));
        }
        if moved("export.collector") {
            change.destinations = Some(fresh.export.collectors.clone());
        }
        tracing::warn!("configuration read again: {} changed", can.join(", "));
        let ProbeArgs { meter, export, operation, .. } = fresh;
        args.export.collectors = export.collectors;
        (args.meter.active, args.meter.idle) = (meter.active, meter.idle);
        args.operation = operation;
        // Keys that cannot change are compared with the new file next time, so that they are said once.
        self.matches = matches;
        Ok(Some(change))
    }

    /// New outputs must be where the sandbox lets files be made.
    fn within(&self, fresh: &ProbeArgs) -> Result<(), Failure> {
        let Some(open) = &self.write else { return Ok(()) };
        // What was made since then is within what was open.
        let whole = |folder: &Path| absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let open: Vec<_> = open.iter().map(|folder| whole(folder)).collect();
        let within = |folder: &Path| open.iter().any(|open| whole(folder).starts_with(open));
        let wanted = super::sandbox(fresh).files.write;
        match wanted.iter().find(|folder| !within(folder)) {
            Some(folder) => Err(Failure::usage(format!(
                "export.collector: the sandbox was closed without {}: start the probe again",
                folder.display()
            ))),
            None => Ok(()),
        }
    }
}

fn refused(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::File(failure) => failure,
        Refusal::Words(error) => Failure::usage(configuration::one_line(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_change_is_a_key() {
        let command = configuration::probe();
        let keys: Vec<_> = file::keys(&command).map(|key| key.path()).collect();
        for key in CAN_CHANGE {
            assert!(keys.iter().any(|known| known == key), "{key}");
        }
    }
}
