//! Another list of collectors, and other timeouts, while the exporter runs.
//!
//! In: a plan that differs from the running one in these. Out: the exporter goes on with every collector that is in both, in
//! the same session; one that is new gets the flows that end from now on; one that is gone gets what it is owed and stays in
//! the ledger. Opening is apart from taking over, so that a name that takes long to resolve holds up the supervisor and not
//! the records.

use super::destination::Destination;
use super::ending::{Bound, end};
use super::exporter::{ExportPlan, Exporter};
use super::options::Statistics;
use super::outlet::Outlet;
use super::transport::TransportError;
use crate::capture::Timestamp;
use crate::telemetry::CollectorCounters;

/// What a plan has that the running one has not, opened.
#[derive(Debug)]
pub struct Opening {
    plan: ExportPlan,
    fresh: Vec<(Destination, Outlet)>,
}

/// A collector that is in the configuration no more.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) destination: Destination,
    pub(super) counters: CollectorCounters,
    /// Flow records that the exporter had made when it went.
    pub(super) made: u64,
}

impl Opening {
    /// Opens the collectors of `plan` that are not among `running`.
    ///
    /// # Errors
    /// One cannot be opened: then nothing changes.
    pub fn new(plan: &ExportPlan, running: &[Destination]) -> Result<Self, TransportError> {
        let options = plan.options();
        let differs = |some: &[Destination], others: &[Destination]| {
            let group = |destination: &&Destination| matches!(destination, Destination::Group(..));
            some.iter().filter(group).any(|destination| !others.contains(destination))
        };
        if differs(&plan.destinations, running) || differs(running, &plan.destinations) {
            return Err(TransportError::Change("groups of collectors change at a start only"));
        }
        let fresh = plan.destinations.iter().filter(|destination| !running.contains(destination));
        let fresh = fresh
            .map(|destination| {
                Ok((destination.clone(), Outlet::open(destination, plan, &options, 0)?))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { plan: plan.clone(), fresh })
    }
}

impl Exporter {
    /// Goes on as `opening` has it.
    pub fn change(&mut self, opening: Opening, now: Timestamp, statistics: &Statistics) {
        let Opening { plan, fresh } = opening;
        self.records.set_timeouts(plan.active.as_secs(), plan.idle.as_secs());
        let (stay, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.outlets)
            .into_iter()
            .partition(|(destination, _)| plan.destinations.contains(destination));
        let (destinations, mut gone): (Vec<_>, Vec<_>) = gone.into_iter().unzip();
        let mut outlets: Vec<_> = gone.iter_mut().collect();
        end(&mut outlets, &self.records, Bound::SHORT, now, statistics);
        for (destination, mut outlet) in destinations.into_iter().zip(gone) {
            self.ended.extend(outlet.take_problems());
            if let Some(counters) = outlet.counters_mut() {
                self.past.push(Past { destination, counters: *counters, made: self.made });
            }
        }
        self.outlets = stay;
        for (destination, mut outlet) in fresh {
            let before = self.past.iter().position(|past| past.destination == destination);
            let before = before.map(|place| self.past.swap_remove(place));
            let counters = match before {
                Some(past) => past.counters(self.made),
                None => CollectorCounters { absent: self.made, ..CollectorCounters::default() },
            };
            if let Some(fresh) = outlet.counters_mut() {
                let sessions = counters.sessions + fresh.sessions;
                *fresh = CollectorCounters { sessions, ..counters };
            }
            self.outlets.push((destination, outlet));
        }
        self.outlets.sort_by_key(|(destination, _)| {
            plan.destinations.iter().position(|other| other == destination)
        });
    }
}

impl Past {
    /// The counters when the exporter has made `made` flow records.
    pub(super) const fn counters(&self, made: u64) -> CollectorCounters {
        CollectorCounters { absent: self.counters.absent + (made - self.made), ..self.counters }
    }
}
