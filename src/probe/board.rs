//! Where the outside looks at a running probe: what workers and exporter published, and questions to the workers.

use super::exporting::ExportShared;
use super::look::Job;
use super::report;
use super::worker::Shared;
use crate::capture::Timestamp;
use crate::telemetry::live::{Found, Question};
use crate::telemetry::{Reading, Subject};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest time for a look through all flows. Whoever has not answered then is said to be missing.
const PATIENCE: Duration = Duration::from_secs(3);

/// A running probe, as the outside sees it.
pub(super) struct Board {
    pub(super) names: Vec<String>,
    pub(super) workers: Vec<Arc<Shared>>,
    pub(super) export: Arc<ExportShared>,
    pub(super) started: Timestamp,
    /// One look at a time: more would only take turns at the workers.
    pub(super) looking: Mutex<()>,
}

impl Subject for Board {
    fn reading(&self) -> Reading {
        report::reading(&self.names, &self.workers, &self.export, self.started)
    }

    fn flows(&self, question: &Question) -> Found {
        let _turn = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let question = Arc::new(question.clone());
        let (answer, answers) = channel();
        let mut asked = 0;
        for worker in self.workers.iter().filter(|worker| !worker.ended()) {
            worker.ask(Job { question: Arc::clone(&question), answer: answer.clone() });
            asked += 1;
        }
        drop(answer);
        let deadline = Instant::now() + PATIENCE;
        let mut parts = Vec::new();
        while parts.len() < asked {
            match answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(part) => parts.push(part),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        let missing = (asked - parts.len()) as u32;
        let found = Found::together(parts, &question);
        Found { missing: found.missing + missing, ..found }
    }
}
