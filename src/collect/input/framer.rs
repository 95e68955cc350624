//! A stream of octets into messages.
//!
//! IPFIX messages say their length (RFC 7011 section 3.1; RFC 5655 for files). Where that does not lead to a message
//! whose Sets fill it exactly, the stream may be damaged: then the next place is looked for from which a whole message
//! reads, and the reader goes on there. NetFlow v9 and v5, which come one message a datagram, are found apart where
//! datagrams were written one behind the other.

use crate::ipfix::{FIRST_DATA_SET, MessageHeader, OPTIONS_TEMPLATE_SET, TEMPLATE_SET, be16};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// Longest message.
const LONGEST: usize = 65_535;
/// Octets of the headers of NetFlow v9 and v5, and of a v5 record.
const HEADER_9: usize = 20;
const HEADER_5: usize = 24;
const RECORD_5: usize = 48;

/// What stands next in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A message of this many octets.
    Message(usize),
    /// This many octets are no message.
    Noise(usize),
}

/// Octets of a stream that are not used up yet.
#[derive(Debug, Default)]
pub(super) struct Framer {
    octets: Vec<u8>,
    at: usize,
    /// Octets used up before `octets[0]`.
    base: u64,
    search: Search,
}

/// The search for whole messages in octets that do not read otherwise. Every place is examined once, when its message has
/// come to its end: hostile octets cost no more than their number. Places count from the beginning of the stream.
#[derive(Debug, Default)]
struct Search {
    /// All places before this one are known.
    seen: u64,
    /// Places whose message has not come to its end yet: that end, the place.
    waiting: BinaryHeap<Reverse<(u64, u64)>>,
    /// Places at which a whole message begins.
    found: BTreeSet<u64>,
}

impl Search {
    /// The first place at or behind `from` of `rest`, which begins at `position`, where a message begins whose Sets fill it.
    fn next(&mut self, rest: &[u8], position: u64, from: usize) -> Option<usize> {
        let first = position + from as u64;
        let version = MessageHeader::VERSION.to_be_bytes();
        let start = usize::try_from(self.seen.max(first) - position).unwrap_or(usize::MAX);
        let mut seen = rest.len().saturating_sub(3).max(start);
        for (at, _) in rest.windows(2).enumerate().skip(start).filter(|(_, pair)| *pair == version)
        {
            let candidate = rest.get(at..).unwrap_or(&[]);
            let Some(stated) = be16(candidate, 2) else { break };
            let place = position + at as u64;
            if usize::from(stated) > candidate.len() {
                self.waiting.push(Reverse((place + u64::from(stated), place)));
            } else if whole_message(candidate) {
                self.found.insert(place);
                seen = at + 1;
                break;
            }
        }
        self.seen = position + seen as u64;
        let end = position + rest.len() as u64;
        while let Some(&Reverse((last, place))) = self.waiting.peek()
            && last <= end
        {
            self.waiting.pop();
            let at = place.checked_sub(position).and_then(|at| usize::try_from(at).ok());
            if at.and_then(|at| rest.get(at..)).is_some_and(whole_message) {
                self.found.insert(place);
            }
        }
        self.found = self.found.split_off(&first);
        self.found.first().and_then(|place| usize::try_from(place - position).ok())
    }
}

impl Framer {
    /// Octets that are enough for a decision, whatever they are.
    pub(super) const ENOUGH: usize = 2 * LONGEST;

    pub(super) fn push(&mut self, octets: &[u8]) {
        if self.at > 0 {
            self.octets.drain(..self.at);
            self.base += self.at as u64;
            self.at = 0;
        }
        self.octets.extend_from_slice(octets);
    }

    /// Octets not used up.
    pub(super) fn rest(&self) -> &[u8] {
        self.octets.get(self.at..).unwrap_or(&[])
    }

    /// Octets used up since the stream began.
    pub(super) fn position(&self) -> u64 {
        self.base + self.at as u64
    }

    /// Uses up `length` octets and lends them.
    pub(super) fn take(&mut self, length: usize) -> &[u8] {
        let start = self.at;
        self.at = (start + length).min(self.octets.len());
        self.octets.get(start..self.at).unwrap_or(&[])
    }

    /// What comes next; `None` if that cannot be told without more octets. `ended`: there will be no more.
    pub(super) fn next(&mut self, ended: bool) -> Option<Piece> {
        let rest = self.rest();
        let more = !ended && rest.len() < Self::ENOUGH;
        match be16(rest, 0) {
            None if rest.is_empty() || more => None,
            Some(MessageHeader::VERSION) => self.ipfix(more),
            Some(9) => netflow9(rest, more),
            Some(5) => netflow5(rest, more),
            _ => self.noise(more),
        }
    }

    fn ipfix(&mut self, more: bool) -> Option<Piece> {
        let rest = self.rest();
        let length = rest.len();
        let stated = be16(rest, 2).map(usize::from);
        match stated {
            None if more => None,
            None => Some(Piece::Message(length)),
            Some(stated) if stated < MessageHeader::LENGTH => {
                if length < MessageHeader::LENGTH && more {
                    return None;
                }
                Some(Piece::Message(self.next_message(2).unwrap_or(length)))
            }
            Some(stated) if stated > length && more => None,
            Some(stated) => {
                let whole = stated.min(length);
                if whole_message(rest) {
                    return Some(Piece::Message(whole));
                }
                // Behind the stated length another message begins, or the stream ends: then the length is right.
                if stated <= length && (stated == length || be16(rest, stated) == Some(10)) {
                    return Some(Piece::Message(whole));
                }
                Some(Piece::Message(self.next_message(4).unwrap_or(whole)))
            }
        }
    }

    fn noise(&mut self, more: bool) -> Option<Piece> {
        match self.next_message(1) {
            Some(length) => Some(Piece::Noise(length)),
            None if more => None,
            None => Some(Piece::Noise(self.rest().len())),
        }
    }

    /// Where in the rest, at or behind `from`, a message begins whose Sets fill it.
    fn next_message(&mut self, from: usize) -> Option<usize> {
        let position = self.position();
        let rest = self.octets.get(self.at..).unwrap_or(&[]);
        self.search.next(rest, position, from)
    }
}

/// Sets follow until one has an id that is none: there the next message's version stands.
fn netflow9(rest: &[u8], more: bool) -> Option<Piece> {
    let mut at = HEADER_9;
    loop {
        match (be16(rest, at), be16(rest, at + 2)) {
            (Some(5 | 9 | 10), _) => return Some(Piece::Message(at)),
            (Some(_), Some(length)) if length >= 4 => at += usize::from(length),
            _ if more => return None,
            _ => return Some(Piece::Message(rest.len())),
        }
    }
}

fn netflow5(rest: &[u8], more: bool) -> Option<Piece> {
    let count = be16(rest, 2).map(usize::from);
    match count {
        None if more => None,
        None => Some(Piece::Message(rest.len())),
        Some(count) => {
            let length = HEADER_5 + RECORD_5 * count;
            if length > rest.len() && more && length <= LONGEST {
                return None;
            }
            Some(Piece::Message(length.min(rest.len())))
        }
    }
}

/// Whether a message stands at the beginning of `octets` whose Sets have known ids and fill it exactly.
pub(super) fn whole_message(octets: &[u8]) -> bool {
    let Some(message) = be16(octets, 2).and_then(|length| octets.get(..usize::from(length))) else {
        return false;
    };
    if be16(message, 0) != Some(MessageHeader::VERSION) || message.len() < MessageHeader::LENGTH {
        return false;
    }
    let mut at = MessageHeader::LENGTH;
    while at < message.len() {
        let (Some(id), Some(length)) = (be16(message, at), be16(message, at + 2)) else {
            return false;
        };
        if !matches!(id, TEMPLATE_SET | OPTIONS_TEMPLATE_SET | FIRST_DATA_SET..) || length < 4 {
            return false;
        }
        at += usize::from(length);
    }
    at == message.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Octets of a stream in pieces: whole messages, headers of messages that are not, others.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let set = (4u8..40).prop_map(|length| {
            let mut set = vec![1, 0, 0, length];
            set.resize(usize::from(length), 0);
            set
        });
        let message = prop::collection::vec(set, 0..4).prop_map(|sets| {
            let sets = sets.concat();
            let mut message = vec![0, 10, 0, (16 + sets.len()) as u8];
            message.resize(16, 0);
            [message, sets].concat()
        });
        prop_oneof![
            message,
            any::<u8>().prop_map(|length| vec![0, 10, 0, length]),
            prop::collection::vec(prop_oneof![Just(0), Just(10), any::<u8>()], 0..30),
        ]
    }

    proptest! {
        /// However octets come and are used up, the search finds what a look at every place finds.
        #[test]
        fn the_search_overlooks_nothing(
            pieces in prop::collection::vec(piece(), 1..20),
            steps in prop::collection::vec((1usize..60, 0usize..3, 0usize..80), 1..80),
        ) {
            let octets = pieces.concat();
            let mut search = Search::default();
            let (mut position, mut end, mut first) = (0, 0, 0);
            for (come, from, used) in steps {
                end = (end + come).min(octets.len());
                let rest = &octets[position..end];
                first = first.max(position + from);
                let from = first - position;
                let places = from..rest.len().max(from);
                let expected = places.clone().find(|&at| whole_message(&rest[at..]));
                prop_assert_eq!(search.next(rest, position as u64, from), expected);
                // Not beyond what was found: the framer goes on there.
                position = (position + used).min(expected.map_or(end, |at| position + at)).max(first.min(end));
            }
        }
    }

    /// Messages whose lengths lead nowhere, each behind the other: a search from each to the end would take minutes.
    #[test]
    fn hostile_octets_cost_no_more_than_their_number() {
        let mut octets = vec![0, 10, 0, 17];
        octets.resize(17, 1);
        octets.extend([0, 9]);
        octets.resize(37, 1);
        let octets = octets.repeat(1 << 17);
        let mut framer = Framer::default();
        let begun = std::time::Instant::now();
        let mut messages = 0;
        for part in octets.chunks(1400) {
            framer.push(part);
            while let Some(Piece::Message(length) | Piece::Noise(length)) = framer.next(false) {
                framer.take(length);
                messages += 1;
            }
        }
        assert!(messages > 1 << 17, "{messages} pieces");
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    }
}
