//! The Exporting Process as a whole: all collectors, one preset.

use super::destination::Destination;
use super::json::JsonLines;
use super::options::{Keys, OptionsPlan, Statistics};
use super::preset::{Preset, UserElement};
use super::record::Records;
use super::session::{Intervals, Session};
use super::transport::{Connection, IpfixFile, Patience, Transport, TransportError, Udp};
use crate::capture::Timestamp;
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
    /// Interface numbers and names.
    pub interfaces: Vec<(u32, String)>,
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
        }
    }
}

/// Makes records of flows and sends them to every collector.
#[derive(Debug)]
pub struct Exporter {
    records: Records,
    user_elements: usize,
    outlets: Vec<(Destination, Outlet)>,
}

/// One collector.
#[derive(Debug)]
enum Outlet {
    Ipfix(Box<Session>),
    Json(Box<JsonLines>),
}

impl Exporter {
    /// Opens every destination. A TCP collector need not be there yet.
    ///
    /// # Errors
    /// A name that does not resolve, a file that cannot be written, no socket.
    pub fn new(plan: &ExportPlan) -> Result<Self, TransportError> {
        let options = Arc::new(OptionsPlan::new(
            &plan.preset,
            plan.enterprise,
            plan.domain,
            plan.keys,
            &plan.user_elements,
            plan.interfaces.clone(),
        ));
        let records =
            Records::new(&plan.preset, plan.enterprise, plan.active.as_secs(), plan.idle.as_secs());
        let mut outlets = Vec::new();
        for destination in &plan.destinations {
            let outlet = match open(destination, plan)? {
                Opened::Json(lines) => Outlet::Json(Box::new(lines)),
                Opened::Ipfix(transport) => {
                    let options = Arc::clone(&options);
                    let session = Session::new(transport, plan.domain, plan.intervals, options);
                    Outlet::Ipfix(Box::new(session))
                }
            };
            outlets.push((destination.clone(), outlet));
        }
        Ok(Self { records, user_elements: plan.user_elements.len(), outlets })
    }

    /// Waits, at most `patience`, for TCP collectors to answer; those that do not are tried again later. For runs over
    /// files, which are over before a connection would be there.
    pub fn wait_connected(&mut self, now: Timestamp, patience: Duration) {
        for (_, outlet) in &mut self.outlets {
            if let Outlet::Ipfix(session) = outlet {
                session.wait_connected(&self.records, now, patience);
            }
        }
    }

    /// Makes a record of each flow for each collector.
    pub fn consume(&mut self, batch: &FlowBatch, now: Timestamp) {
        for flow in batch.iter(self.user_elements) {
            let index = self.records.prepare(&flow);
            for (_, outlet) in &mut self.outlets {
                match outlet {
                    Outlet::Ipfix(session) => session.push(&mut self.records, index, &flow, now),
                    Outlet::Json(lines) => lines.push(&mut self.records, index, &flow, now),
                }
            }
        }
    }

    /// What time brings: records that have waited long enough, Templates and options again, connections. To be called
    /// several times a second.
    pub fn tick(&mut self, now: Timestamp, statistics: &Statistics) {
        for (_, outlet) in &mut self.outlets {
            match outlet {
                Outlet::Ipfix(session) => session.tick(&self.records, now, statistics),
                Outlet::Json(lines) => lines.flush(now),
            }
        }
    }

    /// Sends what is left and the last statistics, and ends the sessions. Waits a few seconds for a slow TCP collector.
    pub fn finish(&mut self, now: Timestamp, statistics: &Statistics) {
        for (_, outlet) in &mut self.outlets {
            match outlet {
                Outlet::Ipfix(session) => session.finish(&self.records, now, statistics),
                Outlet::Json(lines) => lines.flush(now),
            }
        }
    }

    /// The counters of each collector, in the order of the plan.
    pub fn counters(&self) -> impl Iterator<Item = (&Destination, CollectorCounters)> {
        self.outlets.iter().map(|(destination, outlet)| match outlet {
            Outlet::Ipfix(session) => (destination, session.counters),
            Outlet::Json(lines) => (destination, lines.counters),
        })
    }

    /// Flow records made but not wholly as the preset says: the class template had to serve (too many kinds of flow), and
    /// values cut to the largest that the preset's reduced length holds.
    #[must_use]
    pub fn compromises(&self) -> (u64, u64) {
        (self.records.shared(), self.records.saturated())
    }

    /// What went wrong since the last call, a line each, for the log.
    pub fn take_problems(&mut self) -> Vec<String> {
        let problems = self.outlets.iter_mut().filter_map(|(_, outlet)| match outlet {
            Outlet::Ipfix(session) => session.take_problem(),
            Outlet::Json(lines) => lines.take_problem(),
        });
        problems.collect()
    }
}

enum Opened {
    Ipfix(Transport),
    Json(JsonLines),
}

fn open(destination: &Destination, plan: &ExportPlan) -> Result<Opened, TransportError> {
    let patience = Patience { pause: plan.reconnect, patient: plan.patient };
    let connection = match destination {
        Destination::Udp(network) => {
            return Ok(Opened::Ipfix(Transport::Udp(Udp::open(network, plan.message_limit)?)));
        }
        Destination::File(files) => {
            return Ok(Opened::Ipfix(Transport::File(IpfixFile::create(&files.path)?)));
        }
        Destination::Json(files) => {
            let path = files.as_ref().map(|files| &files.path);
            let lines = JsonLines::open(path, plan.enterprise, &plan.user_elements)?;
            return Ok(Opened::Json(lines));
        }
        Destination::Tcp(network) => Connection::tcp(network, patience)?,
        Destination::Tls(network, files) => Connection::tls(network, files, patience)?,
        Destination::Sctp(network, lifetime) => Connection::sctp(network, *lifetime, patience)?,
        Destination::Unix(path) => Connection::unix(path, patience),
        Destination::Group(..) => unreachable!("not parsed"),
    };
    Ok(Opened::Ipfix(Transport::Connection(Box::new(connection))))
}
