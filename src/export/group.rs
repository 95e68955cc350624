//! Collectors that share the records: the first that is there takes all, or each takes the flows that hash to it.
//!
//! A collector is missed when it has been away for a moment; then what it holds goes to another. When it is back it gets
//! new records again. While all are away each keeps its own, bounded. Invariant: each record is with one of them, or
//! counted as lost by one of them.

use super::destination::{Destination, Sharing};
use super::options::Statistics;
use super::record::Records;
use super::session::Session;
use crate::capture::Timestamp;
use crate::meter::flow::{FinishedFlow, Key};
use crate::telemetry::CollectorCounters;
use siphasher::sip::SipHasher13;
use std::hash::{Hash, Hasher};
use std::time::Duration;

/// A collector that is away for less is not missed: connections take their time.
const GRACE: u64 = 1_000_000_000;

#[derive(Debug)]
struct Member {
    destination: Destination,
    session: Session,
    /// Tells members apart in the hash; the same in every probe and at every start.
    seed: u64,
    away_since: Option<Timestamp>,
    missed: bool,
}

#[derive(Debug)]
pub(super) struct Group {
    sharing: Sharing,
    members: Vec<Member>,
}

impl Group {
    pub(super) fn new(sharing: Sharing, sessions: Vec<(Destination, Session)>) -> Self {
        let members = sessions.into_iter().map(|(destination, session)| {
            let mut hasher = SipHasher13::new();
            destination.name().hash(&mut hasher);
            let seed = hasher.finish();
            Member { destination, session, seed, away_since: None, missed: false }
        });
        Self { sharing, members: members.collect() }
    }

    /// Takes a flow that `records` has prepared for template `index`.
    pub(super) fn push(
        &mut self,
        records: &mut Records,
        index: usize,
        flow: &FinishedFlow<'_>,
        now: Timestamp,
    ) {
        let place = self.place(&flow.record.key);
        if let Some(member) = self.members.get_mut(place) {
            member.session.push(records, index, flow, now);
        }
    }

    /// Whose the flow is. Both directions of a conversation go to one collector, and the flows of a collector that is missed are
    /// spread over the others while theirs stay (rendezvous hashing).
    fn place(&self, key: &Key) -> usize {
        let there = self.members.iter().enumerate().filter(|(_, member)| !member.missed);
        match self.sharing {
            Sharing::Failover => there.map(|(place, _)| place).next().unwrap_or(0),
            Sharing::Balance => {
                let conversation = conversation(key);
                let weight = |member: &Member| mix(conversation ^ member.seed);
                let all = self.members.iter().enumerate();
                let heaviest = there.max_by_key(|(_, member)| weight(member));
                let heaviest = heaviest.or_else(|| all.max_by_key(|(_, member)| weight(member)));
                heaviest.map_or(0, |(place, _)| place)
            }
        }
    }

    /// What time brings, for each; then who is missed, and what becomes of what they hold.
    pub(super) fn tick(&mut self, records: &Records, now: Timestamp, statistics: &Statistics) {
        for member in &mut self.members {
            member.session.tick(records, now, statistics);
            let there = member.session.is_there();
            member.session.hold(!there);
            if there {
                (member.away_since, member.missed) = (None, false);
            } else {
                let since = *member.away_since.get_or_insert(now);
                member.missed = now.since(since) >= GRACE;
            }
        }
        self.rescue(records, now);
    }

    /// Gives what those hold that are missed to one that is there.
    fn rescue(&mut self, records: &Records, now: Timestamp) {
        let Some(taker) = self.members.iter().position(|member| member.session.is_there()) else {
            return;
        };
        let mut messages = Vec::new();
        for member in self.members.iter_mut().filter(|member| member.missed) {
            messages.extend(member.session.give_up(records, now));
        }
        if let Some(member) = self.members.get_mut(taker).filter(|_| !messages.is_empty()) {
            member.session.take_over(messages, records, now);
        }
    }

    pub(super) fn wait_connected(&mut self, records: &Records, now: Timestamp, patience: Duration) {
        for member in &mut self.members {
            member.session.wait_connected(records, now, patience);
            let there = member.session.is_there();
            (member.away_since, member.missed) = ((!there).then_some(now), !there);
        }
    }

    /// Nothing more comes: those that are missed give what they hold, and everything goes to the transports.
    pub(super) fn close(&mut self, records: &Records, now: Timestamp) {
        for member in &mut self.members {
            member.missed = !member.session.is_there();
        }
        self.rescue(records, now);
        for member in &mut self.members {
            member.session.close(records, now);
        }
    }

    /// Sends what waits, for `patience` at most with each; whether something still waits that may go.
    pub(super) fn drain(&mut self, records: &Records, now: Timestamp, patience: Duration) -> bool {
        let waiting = self.members.iter_mut().map(|one| one.session.drain(records, now, patience));
        waiting.fold(false, |some, waits| some | waits)
    }

    /// The end of each.
    pub(super) fn finish(&mut self, now: Timestamp, statistics: &Statistics, patience: Duration) {
        for member in &mut self.members {
            member.session.finish(now, statistics, patience);
        }
    }

    pub(super) fn counters(&self) -> impl Iterator<Item = (&Destination, CollectorCounters)> {
        self.members.iter().map(|member| (&member.destination, member.session.counters))
    }

    pub(super) fn waits(&self) -> bool {
        self.members.iter().any(|member| member.session.waits())
    }

    pub(super) fn take_problems(&mut self) -> Vec<String> {
        self.members.iter_mut().filter_map(|member| member.session.take_problem()).collect()
    }
}

/// A number for both directions of a conversation, the same in every probe.
fn conversation(key: &Key) -> u64 {
    let has_ports = matches!(key.protocol(), 6 | 17 | 33 | 132 | 136);
    let ports = if has_ports { (key.source_port(), key.destination_port()) } else { (0, 0) };
    let ends = [(key.source_octets(), ports.0), (key.destination_octets(), ports.1)];
    let mut hasher = SipHasher13::new();
    (ends[0].min(ends[1]), ends[0].max(ends[1]), key.protocol()).hash(&mut hasher);
    hasher.finish()
}

/// The last step of MurmurHash3: every bit of the result depends on every bit of `x`.
const fn mix(mut x: u64) -> u64 {
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ x >> 33
}
