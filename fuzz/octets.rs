//! Frames of any octets, of every link type, through both meters.
//!
//! The input: what is asked for 1, then frames: link type 1 | length 2 | octets. Each is a millisecond after the one before.

#![no_main]

#[path = "../tests/suite/meters/mod.rs"]
mod meters;

use meters::{Asked, Octets, differences, fast, slow};
use sixtap::capture::{LinkType, Timestamp};

const LINKS: [LinkType; 7] = [
    LinkType::Ethernet,
    LinkType::LinuxSll,
    LinkType::LinuxSll2,
    LinkType::Null,
    LinkType::Loop,
    LinkType::Raw,
    LinkType::Other(147),
];

fn frames(mut input: &[u8]) -> Vec<Octets> {
    let mut frames = Vec::new();
    // One link type a capture.
    let link = LINKS[usize::from(input.first().copied().unwrap_or(0)) % LINKS.len()];
    while let [_, high, low, rest @ ..] = input {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (data, rest) = rest.split_at(length);
        let time = Timestamp(1_000_000 * frames.len() as u64);
        let (data, wire_length) = (data.to_vec(), length as u32);
        frames.push(Octets { data, wire_length, interface: 0, link, time });
        input = rest;
    }
    frames
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else { return };
    let asked = Asked::from_octet(*first);
    let frames = frames(rest);
    let found = differences(&fast(&frames, asked), &slow(&frames, asked));
    assert!(found.is_empty(), "{}", found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
});
