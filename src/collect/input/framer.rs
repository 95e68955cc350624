//! A stream of octets into messages.
//!
//! IPFIX messages say their length (RFC 7011 section 3.1; RFC 5655 for files). Where that does not lead to a message
//! whose Sets fill it exactly, the stream may be damaged: then the next place is looked for from which a whole message
//! reads, and the reader goes on there. NetFlow v9 and v5, which come one message a datagram, are found apart where
//! datagrams were written one behind the other.

use crate::ipfix::{FIRST_DATA_SET, MessageHeader, OPTIONS_TEMPLATE_SET, TEMPLATE_SET, be16};

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
    pub(super) fn next(&self, ended: bool) -> Option<Piece> {
        let rest = self.rest();
        let more = !ended && rest.len() < Self::ENOUGH;
        match be16(rest, 0) {
            None if rest.is_empty() || more => None,
            Some(MessageHeader::VERSION) => ipfix(rest, more),
            Some(9) => netflow9(rest, more),
            Some(5) => netflow5(rest, more),
            _ => noise(rest, more),
        }
    }
}

fn ipfix(rest: &[u8], more: bool) -> Option<Piece> {
    let stated = be16(rest, 2).map(usize::from);
    match stated {
        None if more => None,
        None => Some(Piece::Message(rest.len())),
        Some(stated) if stated < MessageHeader::LENGTH => {
            if rest.len() < MessageHeader::LENGTH && more {
                return None;
            }
            Some(Piece::Message(next_message(rest, 2).unwrap_or(rest.len())))
        }
        Some(stated) if stated > rest.len() && more => None,
        Some(stated) => {
            let whole = stated.min(rest.len());
            if whole_message(rest) {
                return Some(Piece::Message(whole));
            }
            // Behind the stated length another message begins, or the stream ends: then the length is right.
            if stated <= rest.len() && (stated == rest.len() || be16(rest, stated) == Some(10)) {
                return Some(Piece::Message(whole));
            }
            Some(Piece::Message(next_message(rest, 4).unwrap_or(whole)))
        }
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

fn noise(rest: &[u8], more: bool) -> Option<Piece> {
    match next_message(rest, 1) {
        Some(length) => Some(Piece::Noise(length)),
        None if more => None,
        None => Some(Piece::Noise(rest.len())),
    }
}

/// Where, at or behind `from`, a message begins whose Sets fill it.
fn next_message(octets: &[u8], from: usize) -> Option<usize> {
    let version = MessageHeader::VERSION.to_be_bytes();
    let places = octets.windows(2).enumerate().skip(from);
    places
        .filter(|(_, pair)| *pair == version)
        .map(|(at, _)| at)
        .find(|&at| octets.get(at..).is_some_and(whole_message))
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
