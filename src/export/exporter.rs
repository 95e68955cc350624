//! The Exporting Process as a whole: all collectors, one preset.

use super::anonymise::{Anonymisation, Anonymiser};
use super::change::Past;
use super::destination::Destination;
use super::ending::{Bound, end};
use super::options::{InterfaceName, Keys, OptionsPlan, Statistics};
use super::outlet::Outlet;
use super::preset::{Preset, UserElement};
use super::record::Records;
use super::session::Intervals;
use super::transport::TransportError;
use crate::capture::Timestamp;
use crate::capture::sampling::Sampling;
use crate::meter::flow::FlowBatch;
use crate::telemetry::CollectorCounters;
use std::sync::Arc;
use std::time::Duration;

/// What the exporter is to do.
#[derive(Clone, Debug)]
pub struct ExportPlan {
    /// Where the records go.
    pub destinations: Vec<Destination>,
    /// What a record holds.
    pub preset: Preset,
    /// User-defined elements, in the order in which the meter delivers their values.
    pub user_elements: Vec<UserElement>,
    /// Enterprise number of sixtap's own elements.
    pub enterprise: u32,
    /// Observation Domain ID; not 0, which is for messages of no domain (RFC 7011 section 3.1).
    pub domain: u32,
    /// Flow Keys beyond the 5-tuple.
    pub keys: Keys,
    /// Active timeout, for `flowActiveTimeout`.
    pub active: Duration,
    /// Idle timeout, for `flowIdleTimeout`.
    pub idle: Duration,
    /// When things are said again.
    pub intervals: Intervals,
    /// Most octets of a message over UDP; `None`: what the path takes, 1,400 at most.
    pub message_limit: Option<usize>,
    /// Pause before the second attempt to connect; doubles up to a minute.
    pub reconnect: Duration,
    /// Rather wait for a slow collector over TCP than lose records: for runs over files.
    pub patient: bool,
    /// Interfaces captured.
    pub interfaces: Vec<InterfaceName>,
    /// `observationDomainName`.
    pub domain_name: Option<String>,
    /// How packets were sampled, to be declared.
    pub sampling: Option<Sampling>,
    /// Whether and how addresses are replaced.
    pub anonymisation: Option<Anonymisation>,
}

impl Default for ExportPlan {
    fn default() -> Self {
        Self {
            destinations: Vec::new(),
            preset: Preset::standard(),
            user_elements: Vec::new(),
            enterprise: ie_registry::SIXTAP_DEFAULT_PEN,
            domain: 1,
            keys: Keys::default(),
            active: Duration::from_secs(300),
            idle: Duration::from_secs(30),
            intervals: Intervals::default(),
            message_limit: None,
            reconnect: Duration::from_secs(1),
            patient: false,
            interfaces: Vec::new(),
            domain_name: None,
            sampling: None,
            anonymisation: None,
        }
    }
}

/// Makes records of flows and sends them to every collector.
#[derive(Debug)]
pub struct Exporter {
    pub(super) records: Records,
    anonymiser: Option<Anonymiser>,
    user_elements: usize,
    pub(super) outlets: Vec<(Destination, Outlet)>,
    /// Collectors that are in the configuration no more.
    pub(super) past: Vec<Past>,
    /// What went wrong at their end.
    pub(super) ended: Vec<String>,
    patient: bool,
    /// Flow records made, of which each collector gets its own.
    pub(super) made: u64,
}

/// How often messages that wait for their pace are looked at.
const PACE: Duration = Duration::from_millis(2);

impl ExportPlan {
    pub(super) fn options(&self) -> Arc<OptionsPlan> {
        Arc::new(OptionsPlan::new(self))
    }
}

impl Exporter {
    /// Opens every destination. A TCP collector need not be there yet.
    ///
    /// # Errors
    /// A name that does not resolve, a file that cannot be written, no socket.
    pub fn new(plan: &ExportPlan) -> Result<Self, TransportError> {
        let options = plan.options();
        let records =
            Records::new(&plan.preset, plan.enterprise, plan.active.as_secs(), plan.idle.as_secs());
        let mut outlets = Vec::new();
        let mut groups = 0;
        for destination in &plan.destinations {
            groups += u16::from(matches!(destination, Destination::Group(..)));
            let outlet = Outlet::open(destination, plan, &options, groups)?;
            outlets.push((destination.clone(), outlet));
        }
        Ok(Self {
            records,
            anonymiser: plan.anonymisation.as_ref().map(Anonymiser::new),
            user_elements: plan.user_elements.len(),
            patient: plan.patient,
            outlets,
            past: Vec::new(),
            ended: Vec::new(),
            made: 0,
        })
    }

    /// Waits, at most `patience`, for TCP collectors to answer; those that do not are tried again later. For runs over
    /// files, which are over before a connection would be there.
    pub fn wait_connected(&mut self, now: Timestamp, patience: Duration) {
        for (_, outlet) in &mut self.outlets {
            outlet.wait_connected(&self.records, now, patience);
        }
    }

    /// Makes a record of each flow for each collector.
    pub fn consume(&mut self, batch: &FlowBatch, now: Timestamp) {
        // Once a batch: who hides nothing pays for nothing.
        match self.anonymiser.take() {
            None => self.consume_batch(batch, now),
            Some(mut anonymiser) => {
                self.consume_batch(anonymiser.batch(batch), now);
                self.anonymiser = Some(anonymiser);
            }
        }
    }

    fn consume_batch(&mut self, batch: &FlowBatch, now: Timestamp) {
        for flow in batch.iter(self.user_elements) {
            let index = self.records.prepare(&flow);
            self.made += 1;
            for (_, outlet) in &mut self.outlets {
                outlet.push(&mut self.records, index, &flow, now);
            }
        }
    }

    /// What time brings: records that have waited long enough, Templates and options again, connections. To be called
    /// several times a second.
    pub fn tick(&mut self, now: Timestamp, statistics: &Statistics) {
        for (_, outlet) in &mut self.outlets {
            outlet.tick(&self.records, now, statistics);
        }
    }

    /// Sends what is left and the last statistics, and ends the sessions. Waits a few seconds for collectors that are slow; in
    /// a run over a file as long as any of them takes something.
    pub fn finish(&mut self, now: Timestamp, statistics: &Statistics) {
        let bound = if self.patient { Bound::WhileItMoves } else { Bound::USUAL };
        self.end(bound, now, statistics);
    }

    /// As [`Self::finish`], within `bound`. What a collector has not taken then is lost and counted.
    pub fn finish_within(&mut self, bound: Duration, now: Timestamp, statistics: &Statistics) {
        self.end(Bound::Within(bound), now, statistics);
    }

    fn end(&mut self, bound: Bound, now: Timestamp, statistics: &Statistics) {
        let before: Vec<u64> = self.counters().map(|(_, counters)| counters.lost.total()).collect();
        let mut outlets: Vec<_> = self.outlets.iter_mut().map(|(_, outlet)| outlet).collect();
        end(&mut outlets, &self.records, bound, now, statistics);
        let given_up =
            self.counters().zip(before).filter_map(|((destination, counters), before)| {
                let lost = counters.lost.total().saturating_sub(before);
                (lost > 0).then(|| {
                    format!("{}: {lost} records left at the end are lost", destination.name())
                })
            });
        let given_up: Vec<_> = given_up.collect();
        self.ended.extend(given_up);
    }

    /// The counters of each collector, in the order of the plan, those of a group one after the other; behind them those of
    /// collectors that are in it no more.
    pub fn counters(&self) -> impl Iterator<Item = (&Destination, CollectorCounters)> {
        let past = self.past.iter().map(|past| (&past.destination, past.counters(self.made)));
        let outlets =
            self.outlets.iter().flat_map(|(destination, outlet)| outlet.counters(destination));
        outlets.chain(past)
    }

    /// How long the owner may wait before the next [`Self::tick`]: less than `most` while messages wait for their pace.
    #[must_use]
    pub fn pause(&self, most: Duration) -> Duration {
        let waits = self.outlets.iter().any(|(_, outlet)| outlet.waits());
        if waits { most.min(PACE) } else { most }
    }

    /// Flow records made but not wholly as the preset says: the class template had to serve (too many kinds of flow), and
    /// values cut to the largest that the preset's reduced length holds.
    #[must_use]
    pub fn compromises(&self) -> (u64, u64) {
        (self.records.shared(), self.records.saturated())
    }

    /// What went wrong since the last call, a line each, for the log.
    pub fn take_problems(&mut self) -> Vec<String> {
        let problems = self.outlets.iter_mut().flat_map(|(_, outlet)| outlet.take_problems());
        self.ended.drain(..).chain(problems).collect()
    }
}
