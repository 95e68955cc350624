//! What is remembered of flows to see whether their records fit together.
//!
//! Comes in: flow records. Goes out: pairs of records of one flow that contradict each other.
//!
//! Must stay true: a fixed number of flows is remembered, the newest in each place of a table; a flow forgotten is a
//! pair not seen, never a false one (the whole 64-bit hash of the key is compared).

use super::view::{Record, Slot, View};
use ie_registry::{DataType, Semantics};

const PLACES: usize = 1 << 14;

/// What is remembered of a flow besides its tag. Written for every record, read only where the tag is that of the new one:
/// the tags stay in the cache, the entries need not.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    key: u64,
    whole: u64,
    start: i64,
    end: i64,
    octets: u64,
    packets: u64,
}

/// What two records of one flow show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair {
    /// They are equal to the last octet.
    Duplicate,
    /// They overlap in time.
    Overlap,
    /// They start together and the later counts more.
    Grows,
    /// They start together and the later counts less.
    Shrinks,
    /// The later's total is lower.
    TotalFalls,
}

/// The flows remembered.
#[derive(Debug, Default)]
pub struct FlowMemory {
    tags: Vec<u32>,
    places: Vec<Entry>,
}

/// Indexes of the fields that tell flows apart; empty if records of this template cannot be told apart.
#[must_use]
pub fn key_fields(view: &View) -> Vec<u16> {
    let told_apart = view.is_flow()
        && (view.has_all(&[Slot::SourceV6, Slot::DestinationV6])
            || view.has_all(&[Slot::SourceV4, Slot::DestinationV4]))
        && view.has_all(&[Slot::SourcePort, Slot::DestinationPort, Slot::Protocol])
        && !view.has_any(&[Slot::NatEvent, Slot::FirewallEvent]);
    if !told_apart {
        return Vec::new();
    }
    let key = |field: &super::view::Field| match super::view::element(field) {
        // A maker's own elements may be keys too.
        None => true,
        Some(element) => {
            let counted = matches!(
                element.semantics,
                Semantics::DeltaCounter
                    | Semantics::TotalCounter
                    | Semantics::Quantity
                    | Semantics::Flags
            );
            let time = matches!(
                element.data_type,
                DataType::DateTimeSeconds
                    | DataType::DateTimeMilliseconds
                    | DataType::DateTimeMicroseconds
                    | DataType::DateTimeNanoseconds
            );
            let described = matches!(
                element.id,
                6 | 21 | 22 | 25 | 26 | 31 | 36 | 37 | 52 | 53 | 54 | 88 | 136 | 148 | 158..=162 | 184..=187 | 190..=192 | 197 | 224
            );
            !(counted || time || described && element.enterprise == 0)
        }
    };
    view.fields
        .iter()
        .enumerate()
        .filter(|(_, field)| key(field))
        .map(|(index, _)| index as u16)
        .collect()
}

/// A quick hash of octets: enough to tell flows apart, not made to stand attack (a collision hides a pair).
fn mix(mut hash: u64, octets: &[u8]) -> u64 {
    const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
    let (chunks, rest) = octets.as_chunks::<8>();
    for chunk in chunks {
        hash = (hash ^ u64::from_le_bytes(*chunk)).wrapping_mul(PRIME).rotate_left(29);
    }
    let tail = rest.iter().fold(rest.len() as u64, |value, &octet| value << 8 | u64::from(octet));
    (hash ^ tail).wrapping_mul(PRIME).rotate_left(31)
}

impl FlowMemory {
    /// Remembers the record and compares it with the last of its flow.
    pub fn record(&mut self, record: &Record<'_>, key_fields: &[u16]) -> Option<Pair> {
        let (start, end) = (record.flow_start()?, record.flow_end()?);
        let mut key = u64::from(record.view.template) + 1;
        for &index in key_fields {
            key = mix(key, record.field(usize::from(index)));
        }
        let new = Entry {
            key,
            whole: mix(1, record.octets),
            start,
            end,
            octets: record.octet_count()?,
            packets: record.packet_count()?,
        };
        if self.places.is_empty() {
            self.tags = vec![0; PLACES];
            self.places = vec![Entry::default(); PLACES];
        }
        let at = (key >> 40) as usize % PLACES;
        let place = self.places.get_mut(at)?;
        let tag = self.tags.get_mut(at)?;
        if std::mem::replace(tag, key as u32) != key as u32 {
            *place = new;
            return None;
        }
        let old = std::mem::replace(place, new);
        if old.key != key {
            return None;
        }
        let totals = !record.view.has(Slot::OctetDelta) && record.view.has(Slot::OctetTotal);
        if old.whole == new.whole {
            return Some(Pair::Duplicate);
        }
        if totals {
            return (new.octets < old.octets && new.end >= old.end).then_some(Pair::TotalFalls);
        }
        if new.start == old.start && new.end > old.end {
            let grows = new.octets >= old.octets && new.packets >= old.packets;
            return Some(if grows { Pair::Grows } else { Pair::Shrinks });
        }
        let overlap = new.start.max(old.start).saturating_add(1_000_000_000) < new.end.min(old.end);
        (overlap && new.start != old.start).then_some(Pair::Overlap)
    }
}
