//! What the default template tells is the same whether packets go the short way or every packet has all its details read.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end so")]

use crate::meters::{Collected, Octets, grammar, secret};
use proptest::prelude::*;
use sixtap::capture::{BATCH, Frame};
use sixtap::meter::flow::{FinishedFlow, FlowMeter, Settings, feature};
use sixtap::meter::packet;

/// The flows as text, in order of key and time.
fn flows(frames: &[Octets], detail: bool) -> Vec<String> {
    let parse = packet::Options { detail, ..packet::Options::default() };
    let settings = Settings { capacity: 1 << 14, extras: 1 << 14, parse, ..Settings::default() };
    let mut meter = FlowMeter::new(settings, secret()).unwrap();
    let mut out = Collected::default();
    for batch in frames.chunks(BATCH) {
        let batch: Vec<Frame<'_>> = batch.iter().map(Octets::frame).collect();
        meter.frames(&batch, &mut out);
    }
    meter.finish(&mut out);
    let mut flows: Vec<String> = out
        .0
        .iter()
        .flat_map(|batch| batch.iter(0).map(|flow| text(&flow)).collect::<Vec<_>>())
        .collect();
    flows.sort();
    flows
}

/// What any template may tell of a flow.
fn text(flow: &FinishedFlow<'_>) -> String {
    let record = flow.record;
    let features =
        record.features & (feature::SPECIAL | feature::FLAGS_UNSEEN | feature::EXTRA_LOST);
    let mut text = format!(
        "{:?} {:?} {:?} {} {} {} {} {:#x} {:#x} {} {:#x} {:#x} {} {} {} {} {} {} {}",
        record.key,
        record.first,
        record.last,
        record.packets,
        record.octets,
        record.min_length,
        record.max_length,
        record.headers,
        features,
        record.label,
        record.tcp_flags,
        record.traffic_class,
        record.hop_limit,
        record.min_hop_limit,
        record.max_hop_limit,
        record.next_header,
        record.interface,
        record.end_reason,
        flow.chains.len(),
    );
    for chain in flow.chains {
        text += &format!(" {chain:?}");
    }
    let Some(extra) = flow.extra.filter(|_| features & feature::SPECIAL != 0) else { return text };
    if features & feature::SPI != 0 {
        text += &format!(" {:#x}", extra.spi);
    }
    if features & feature::SEGMENTS != 0 {
        text += &format!(" {:?}", extra.segments);
    }
    if features & feature::FRAGMENT != 0 {
        text += &format!(" {:?}", extra.fragments);
    }
    if features & feature::MPLS != 0 {
        text += &format!(" {:?} {}", extra.mpls, extra.mpls_depth);
    }
    text
}

#[test]
fn the_corpus_is_metered_alike() {
    let Some(captures) = crate::meters::corpus(&["ipv6", "mixed"]) else {
        println!("NOT RUN both ways over captures: ../shared/corpus is missing");
        return;
    };
    let mut short = 0;
    for path in &captures {
        let frames = crate::meters::frames(path);
        assert_eq!(flows(&frames, false), flows(&frames, true), "{}", path.display());
        short += frames.iter().filter(|frame| takes_the_short_way(frame)).count();
    }
    assert!(short > 1000, "only {short} packets with extension headers took the short way");
}

/// Whether the frame has extension headers and goes the short way nevertheless.
fn takes_the_short_way(octets: &Octets) -> bool {
    let mut packets = packet::Packets::default();
    packet::read(&octets.frame(), &packet::Options::default(), &mut packets);
    packets.facts().first().is_some_and(|facts| !facts.chain.is_none())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_grammar_makes_is_metered_alike(
        choices in proptest::collection::vec(any::<u8>(), 0..2000),
    ) {
        let frames = grammar::frames(&choices);
        prop_assert_eq!(flows(&frames, false), flows(&frames, true));
    }
}
