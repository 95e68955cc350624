//! Other programs, run to their end or while the laboratory is open. What they say goes to files of its folder.

use super::Failure;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a program that was asked to end is waited for.
const FAREWELL: Duration = Duration::from_secs(15);

/// A program while it runs; killed when it is dropped.
pub(super) struct Running {
    child: Child,
    program: String,
    log: PathBuf,
}

impl Running {
    /// Starts a program.
    pub(super) fn start(words: &[String], folder: &Path) -> Result<Self, Failure> {
        Self::start_in(words, folder, &[])
    }

    /// Starts a program with these variables in its environment.
    pub(super) fn start_in(
        words: &[String],
        folder: &Path,
        variables: &[(&str, &Path)],
    ) -> Result<Self, Failure> {
        let Some((program, rest)) = words.split_first() else {
            return Err(Failure::usage("lab: --command is empty"));
        };
        let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
        let log = folder.join(format!("{name}.log"));
        let said = File::options().create(true).append(true).open(&log).map_err(|error| {
            Failure::environment(format!("{}: cannot be written: {error}", log.display()))
        })?;
        let child = Command::new(program)
            .args(rest)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn();
        match child {
            Ok(child) => Ok(Self { child, program: name.into_owned(), log }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(Failure::environment(format!(
                    "lab: {program} is not installed: install its package or name another exporter"
                )))
            }
            Err(error) => {
                Err(Failure::environment(format!("lab: {program} cannot be started: {error}")))
            }
        }
    }

    /// Waits for its end, at most so long; what is remarkable of it, in words.
    pub(super) fn wait(&mut self, longest: Duration, stop: &AtomicBool) -> Option<String> {
        match self.status(longest, stop) {
            Some(status) if status.success() => None,
            Some(status) => Some(self.failed(status)),
            None => Some(format!("{} was stopped: it did not end by itself", self.program)),
        }
    }

    /// How it ended, if it has though it should not have.
    pub(super) fn ended_early(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(Some(status)) => Some(format!("too early: {}", self.failed(status))),
            _ => None,
        }
    }

    /// Asks it to end, so that it exports what it still holds, and waits; what is remarkable of it, in words.
    pub(super) fn end(&mut self) -> Option<String> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(id) = id {
            // If it has ended meanwhile, that is as good.
            let _ = kill_process(id, Signal::TERM);
        }
        let never = AtomicBool::new(false);
        match self.status(FAREWELL, &never) {
            Some(_) => None,
            None => Some(format!("{} did not end when asked to", self.program)),
        }
    }

    fn status(&mut self, longest: Duration, stop: &AtomicBool) -> Option<ExitStatus> {
        let end = Instant::now() + longest;
        while Instant::now() < end && !stop.load(Ordering::Relaxed) {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(20)),
                Ok(status) => return status,
                Err(_) => return None,
            }
        }
        None
    }

    /// How it failed, with the last line it said.
    fn failed(&self, status: ExitStatus) -> String {
        let said = std::fs::read(&self.log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
        format!("{} ended with {status}; it said: {}", self.program, last.trim())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // If it has ended, killing it fails, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end, which must be a good one.
pub(super) fn complete(words: &[String], folder: &Path) -> Result<(), Failure> {
    let mut running = Running::start(words, folder)?;
    match running.wait(Duration::from_secs(120), &AtomicBool::new(false)) {
        None => Ok(()),
        Some(remark) => Err(Failure::environment(format!("lab: {remark}"))),
    }
}
