//! Datagrams that came in IP fragments, put together. Bounded in datagrams, fragments and octets.

use super::frame::{Fragment, Packet};
use std::collections::HashMap;
use std::net::IpAddr;

/// Datagrams in parts at a time.
const DATAGRAMS: usize = 64;
/// Fragments of one datagram.
const FRAGMENTS: usize = 128;
/// Octets of one datagram.
const OCTETS: usize = 65_535;

type Key = (IpAddr, IpAddr, u8, u32);

#[derive(Debug, Default)]
struct Parts {
    parts: Vec<(usize, Vec<u8>)>,
    total: Option<usize>,
    age: u64,
}

/// Fragments that wait for others.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    datagrams: HashMap<Key, Parts>,
    age: u64,
    /// Datagrams given up.
    pub(super) given_up: u64,
}

impl Fragments {
    /// Takes the payload of a fragment; gives the whole payload if it was the last that was missing.
    pub(super) fn add(&mut self, packet: &Packet<'_>, fragment: Fragment) -> Option<Vec<u8>> {
        let key =
            (packet.source, packet.destination, packet.protocol_key(), fragment.identification);
        self.age += 1;
        if !self.datagrams.contains_key(&key) && self.datagrams.len() >= DATAGRAMS {
            let oldest = self.datagrams.iter().min_by_key(|(_, parts)| parts.age);
            if let Some(oldest) = oldest.map(|(&key, _)| key) {
                self.datagrams.remove(&oldest);
                self.given_up += 1;
            }
        }
        let end = fragment.offset + packet.payload.len();
        let parts = self.datagrams.entry(key).or_default();
        parts.age = self.age;
        if packet.missing > 0 || end > OCTETS || parts.parts.len() >= FRAGMENTS {
            self.datagrams.remove(&key);
            self.given_up += 1;
            return None;
        }
        parts.parts.push((fragment.offset, packet.payload.to_vec()));
        if !fragment.more {
            parts.total = Some(end);
        }
        let whole = parts.whole()?;
        self.datagrams.remove(&key);
        Some(whole)
    }

    /// Datagrams that are still in parts.
    pub(super) fn waiting(&self) -> u64 {
        self.datagrams.len() as u64
    }
}

impl Parts {
    /// The datagram, if every octet of it is there. Where fragments overlap, the one that came first wins.
    fn whole(&self) -> Option<Vec<u8>> {
        let total = self.total?;
        let mut order: Vec<_> = self.parts.iter().collect();
        order.sort_by_key(|(offset, _)| *offset);
        let mut whole = Vec::with_capacity(total);
        for (offset, octets) in order {
            let skip = whole.len().checked_sub(*offset)?;
            whole.extend_from_slice(octets.get(skip..).unwrap_or(&[]));
        }
        (whole.len() == total).then_some(whole)
    }
}

impl Packet<'_> {
    /// IPv4 tells datagrams apart by protocol too, IPv6 does not (RFC 8200 section 4.5).
    fn protocol_key(&self) -> u8 {
        if self.source.is_ipv4() { self.protocol } else { 0 }
    }
}
