//! Datagrams in pieces (section 6 of the module above).
//!
//! In: the fragments of one datagram in order of arrival. Out: a verdict on each, and whether the datagram is complete.
//! The pieces are put together for real: one map entry an octet that was seen or claimed.

use super::facts::Facts;
use std::collections::BTreeMap;

/// How a fragment relates to those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Same offset, length and M as one before.
    pub duplicate: bool,
    /// Shares an octet with one before.
    pub overlap: bool,
    /// Offset below one before.
    pub out_of_order: bool,
    /// The destination port, if the fragment wrote over the ports.
    pub rewritten_port: Option<u16>,
    /// The datagram is complete with this fragment and was not before.
    pub completes: bool,
}

/// One datagram.
#[derive(Debug, Default)]
pub(super) struct Datagram {
    /// Offset, length and M of each fragment.
    arrived: Vec<(u16, u64, bool)>,
    /// Octets of the datagram that a fragment covers, with their value if it was captured.
    octets: BTreeMap<u64, Option<u8>>,
    /// Where the four port octets stand, and what the first fragment had there.
    ports: Option<(u64, [u8; 4])>,
    /// Octets of the whole datagram, once its end has been seen.
    end: Option<u64>,
    complete: bool,
}

impl Datagram {
    /// Whether all pieces were seen.
    pub(super) const fn is_complete(&self) -> bool {
        self.complete
    }

    /// Judges the next fragment and takes it in.
    pub(super) fn add(&mut self, facts: &Facts) -> Verdict {
        let Some(fragment) = &facts.fragment else { return Verdict::default() };
        let start = u64::from(fragment.offset) * 8;
        let range = start..start + facts.piece_length;
        let shown = |at: u64| facts.piece.get(usize::try_from(at.checked_sub(start)?).ok()?);
        let this = (fragment.offset, facts.piece_length, fragment.more);

        let mut verdict = Verdict::default();
        let rewritten = self.ports.and_then(|(place, old)| {
            let new: Vec<u8> =
                (0..4).map(|i| *shown(place + i).unwrap_or(&old[i as usize])).collect();
            (new != old).then(|| u16::from_be_bytes([new[2], new[3]]))
        });
        if self.arrived.contains(&this) && rewritten.is_none() {
            verdict.duplicate = true;
        } else if self.octets.range(range.clone()).next().is_some() {
            verdict.overlap = true;
            verdict.rewritten_port = rewritten;
        } else if self.arrived.iter().any(|(offset, ..)| *offset > fragment.offset) {
            verdict.out_of_order = true;
        }

        self.arrived.push(this);
        for at in range.clone() {
            self.octets.entry(at).or_insert_with(|| shown(at).copied());
        }
        if let (None, Some(place), 0) = (self.ports, facts.port_place, fragment.offset) {
            let port = |i| facts.piece.get(place + i).copied().unwrap_or(0);
            self.ports = Some((place as u64, [port(0), port(1), port(2), port(3)]));
        }
        if !fragment.more {
            self.end.get_or_insert(range.end);
        }
        let first_seen = self.arrived.iter().any(|(offset, ..)| *offset == 0);
        let whole = first_seen
            && self.end.is_some_and(|end| self.octets.range(..end).count() as u64 == end);
        verdict.completes = whole && !self.complete;
        self.complete |= whole;
        verdict
    }
}
