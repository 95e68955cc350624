//! Frames that a grammar of IPv6 chains, fragments and tunnels makes of the input, through both meters.
//!
//! The first octet chooses what the meters are asked for, the rest are the choices of `tests/suite/meters/grammar.rs`.

#![no_main]

#[path = "../tests/suite/meters/mod.rs"]
mod meters;

use meters::{Asked, differences, fast, grammar, slow};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((first, choices)) = input.split_first() else { return };
    let asked = Asked::from_octet(*first);
    let frames = grammar::frames(choices);
    let found = differences(&fast(&frames, asked), &slow(&frames, asked));
    assert!(found.is_empty(), "{}", found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
});
