//! One destination, whatever it is: the exporter talks to all of them alike.

use super::destination::Destination;
use super::exporter::ExportPlan;
use super::group::Group;
use super::json::JsonLines;
#[cfg(feature = "kafka")]
use super::kafka::Kafka;
use super::netflow::Netflow9;
use super::options::{OptionsPlan, Statistics};
#[cfg(feature = "parquet")]
use super::parquet::Parquet;
use super::record::Records;
use super::session::Session;
use super::transport::{Connection, IpfixFile, Patience, Transport, TransportError, Udp};
use crate::capture::Timestamp;
use crate::meter::flow::FinishedFlow;
use crate::telemetry::CollectorCounters;
use std::sync::Arc;
use std::time::Duration;

/// Octets of a message that any transport of a group carries.
const GROUP_MESSAGE: usize = 1_400;

/// Where records go.
#[derive(Debug)]
pub(super) enum Outlet {
    /// A collector of IPFIX, or a file.
    Ipfix(Box<Session>),
    /// A collector of NetFlow v9.
    Netflow9(Box<Netflow9>),
    /// JSON lines.
    Json(Box<JsonLines>),
    /// Several collectors that share the records.
    Group(Box<Group>),
    /// A Kafka topic.
    #[cfg(feature = "kafka")]
    Kafka(Box<Kafka>),
    /// Parquet files.
    #[cfg(feature = "parquet")]
    Parquet(Box<Parquet>),
}

impl Outlet {
    /// Opens a destination. `group`: its number, if it is a group.
    pub(super) fn open(
        destination: &Destination,
        plan: &ExportPlan,
        options: &Arc<OptionsPlan>,
        group: u16,
    ) -> Result<Self, TransportError> {
        let session = |transport, most| {
            Session::new(transport, plan.domain, plan.intervals, Arc::clone(options), most)
        };
        Ok(match destination {
            Destination::Json(files) => {
                let files = files.as_ref();
                Self::Json(Box::new(JsonLines::open(files, plan)?))
            }
            Destination::Group(sharing, members) => {
                let mut sessions = Vec::new();
                for member in members {
                    let mut session = session(transport(member, plan)?, GROUP_MESSAGE);
                    session.counters.group = group;
                    sessions.push((member.clone(), session));
                }
                Self::Group(Box::new(Group::new(*sharing, sessions)))
            }
            Destination::Netflow9(network) => {
                let udp = Udp::open(network, plan.message_limit, plan.patient)?.without_numbers();
                let transport = Transport::Udp(Box::new(udp));
                Self::Netflow9(Box::new(Netflow9::new(transport, plan, Arc::clone(options))))
            }
            #[cfg(feature = "kafka")]
            Destination::Kafka(topic) => {
                Self::Kafka(Box::new(Kafka::open(topic, plan, Arc::clone(options))?))
            }
            #[cfg(not(feature = "kafka"))]
            Destination::Kafka(_) => return Err(TransportError::NotBuilt { scheme: "kafka" }),
            #[cfg(feature = "parquet")]
            Destination::Parquet(directory) => {
                Self::Parquet(Box::new(Parquet::open(directory, plan)?))
            }
            #[cfg(not(feature = "parquet"))]
            Destination::Parquet(_) => return Err(TransportError::NotBuilt { scheme: "parquet" }),
            alone => Self::Ipfix(Box::new(session(transport(alone, plan)?, usize::MAX))),
        })
    }

    /// Waits, at most `patience`, for a collector over a connection.
    pub(super) fn wait_connected(&mut self, records: &Records, now: Timestamp, patience: Duration) {
        match self {
            Self::Ipfix(session) => session.wait_connected(records, now, patience),
            Self::Group(group) => group.wait_connected(records, now, patience),
            _ => {}
        }
    }

    /// Takes a flow that `records` has prepared for template `index`.
    #[inline]
    pub(super) fn push(
        &mut self,
        records: &mut Records,
        index: usize,
        flow: &FinishedFlow<'_>,
        now: Timestamp,
    ) {
        match self {
            Self::Ipfix(session) => session.push(records, index, flow, now),
            Self::Netflow9(netflow) => netflow.push(flow, now),
            Self::Json(lines) => lines.push(records, index, flow, now),
            Self::Group(group) => group.push(records, index, flow, now),
            #[cfg(feature = "kafka")]
            Self::Kafka(kafka) => kafka.push(records, index, flow, now),
            #[cfg(feature = "parquet")]
            Self::Parquet(parquet) => parquet.push(records, index, flow, now),
        }
    }

    /// What time brings.
    pub(super) fn tick(&mut self, records: &Records, now: Timestamp, statistics: &Statistics) {
        match self {
            Self::Ipfix(session) => session.tick(records, now, statistics),
            Self::Netflow9(netflow) => netflow.tick(now),
            Self::Json(lines) => lines.tick(now),
            Self::Group(group) => group.tick(records, now, statistics),
            #[cfg(feature = "kafka")]
            Self::Kafka(kafka) => kafka.tick(now, statistics),
            #[cfg(feature = "parquet")]
            Self::Parquet(parquet) => parquet.tick(now),
        }
    }

    /// Nothing more comes: everything that is left is on its way. Waits for nothing.
    #[cfg_attr(
        not(feature = "kafka"),
        expect(unused_variables, reason = "only Kafka tells its statistics as it closes")
    )]
    pub(super) fn close(&mut self, records: &Records, now: Timestamp, statistics: &Statistics) {
        match self {
            Self::Ipfix(session) => session.close(records, now),
            Self::Netflow9(netflow) => netflow.close(now),
            Self::Json(_) => {}
            Self::Group(group) => group.close(records, now),
            #[cfg(feature = "kafka")]
            Self::Kafka(kafka) => kafka.close(now, statistics),
            #[cfg(feature = "parquet")]
            Self::Parquet(parquet) => parquet.close(now),
        }
    }

    /// Sends what waits, for `patience` at most; whether something still waits that may go.
    pub(super) fn drain(&mut self, records: &Records, now: Timestamp, patience: Duration) -> bool {
        match self {
            Self::Ipfix(session) => session.drain(records, now, patience),
            Self::Netflow9(netflow) => netflow.drain(now, patience),
            Self::Json(lines) => lines.drain(now, patience),
            Self::Group(group) => group.drain(records, now, patience),
            #[cfg(feature = "kafka")]
            Self::Kafka(kafka) => kafka.drain(now, patience),
            #[cfg(feature = "parquet")]
            Self::Parquet(parquet) => parquet.drain(now, patience),
        }
    }

    /// The end, after [`Self::close`] and [`Self::drain`]: the last statistics, for which it waits `patience` at most. What
    /// still waits is lost.
    pub(super) fn finish(&mut self, now: Timestamp, statistics: &Statistics, patience: Duration) {
        match self {
            Self::Ipfix(session) => session.finish(now, statistics, patience),
            Self::Netflow9(netflow) => netflow.finish(now, patience),
            Self::Json(lines) => lines.finish(now, patience),
            Self::Group(group) => group.finish(now, statistics, patience),
            #[cfg(feature = "kafka")]
            Self::Kafka(kafka) => kafka.finish(now),
            #[cfg(feature = "parquet")]
            Self::Parquet(parquet) => parquet.finish(now, patience),
        }
    }

    /// The counters of `destination`, or of each collector of the group that it is.
    pub(super) fn counters<'a>(
        &'a self,
        destination: &'a Destination,
    ) -> Vec<(&'a Destination, CollectorCounters)> {
        let counters = match self {
            Self::Ipfix(session) => session.counters,
            Self::Netflow9(netflow) => netflow.counters,
            Self::Json(lines) => lines.counters,
            Self::Group(group) => return group.counters().collect(),
            #[cfg(feature = "kafka")]
            Self::Kafka(kafka) => kafka.counters,
            #[cfg(feature = "parquet")]
            Self::Parquet(parquet) => parquet.counters,
        };
        vec![(destination, counters)]
    }

    /// The counters of one that is no group.
    pub(super) fn counters_mut(&mut self) -> Option<&mut CollectorCounters> {
        match self {
            Self::Ipfix(session) => Some(&mut session.counters),
            Self::Netflow9(netflow) => Some(&mut netflow.counters),
            Self::Json(lines) => Some(&mut lines.counters),
            Self::Group(_) => None,
            #[cfg(feature = "kafka")]
            Self::Kafka(kafka) => Some(&mut kafka.counters),
            #[cfg(feature = "parquet")]
            Self::Parquet(parquet) => Some(&mut parquet.counters),
        }
    }

    /// Flow records that are neither sent nor lost.
    pub(super) fn held(&self) -> u64 {
        match self {
            Self::Ipfix(session) => session.counters.held(),
            Self::Netflow9(netflow) => netflow.counters.held(),
            Self::Json(lines) => lines.counters.held(),
            Self::Group(group) => group.counters().map(|(_, counters)| counters.held()).sum(),
            #[cfg(feature = "kafka")]
            Self::Kafka(kafka) => kafka.counters.held(),
            #[cfg(feature = "parquet")]
            Self::Parquet(parquet) => parquet.counters.held(),
        }
    }

    /// Whether messages wait that could go before long.
    pub(super) fn waits(&self) -> bool {
        match self {
            Self::Ipfix(session) => session.waits(),
            Self::Netflow9(netflow) => netflow.waits(),
            Self::Group(group) => group.waits(),
            _ => false,
        }
    }

    /// What went wrong since the last call.
    pub(super) fn take_problems(&mut self) -> Vec<String> {
        let problem = match self {
            Self::Ipfix(session) => session.take_problem(),
            Self::Netflow9(netflow) => netflow.take_problem(),
            Self::Json(lines) => lines.take_problem(),
            Self::Group(group) => return group.take_problems(),
            #[cfg(feature = "kafka")]
            Self::Kafka(kafka) => kafka.take_problem(),
            #[cfg(feature = "parquet")]
            Self::Parquet(parquet) => parquet.take_problem(),
        };
        problem.into_iter().collect()
    }
}

/// Opens what carries IPFIX Messages.
fn transport(destination: &Destination, plan: &ExportPlan) -> Result<Transport, TransportError> {
    let patience = Patience { pause: plan.reconnect, patient: plan.patient };
    let connection = match destination {
        Destination::Udp(network) => {
            let udp = Udp::open(network, plan.message_limit, plan.patient)?;
            return Ok(Transport::Udp(Box::new(udp)));
        }
        Destination::File(files) => {
            return Ok(Transport::File(Box::new(IpfixFile::create(files, plan.patient)?)));
        }
        Destination::Tcp(network) => Connection::tcp(network, patience)?,
        Destination::Tls(network, files) => Connection::tls(network, files, patience)?,
        Destination::Sctp(network, lifetime) => Connection::sctp(network, *lifetime, patience)?,
        Destination::Unix(path) => Connection::unix(path, patience),
        Destination::Json(_)
        | Destination::Group(..)
        | Destination::Netflow9(_)
        | Destination::Kafka(_)
        | Destination::Parquet(_) => {
            let source = std::io::ErrorKind::InvalidInput.into();
            return Err(TransportError::File { path: destination.name().into(), source });
        }
    };
    Ok(Transport::Connection(Box::new(connection)))
}
