//! What the status page and the metrics say of the packets is what the reference meter, which shares no parser, says too:
//! IP version, octets, every extension header, fragments; over the case suite and every capture of the corpus.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end so")]

use crate::meters::{Octets, corpus, frames};
use sixtap::meter::packet::{self, Options, Packets, Traffic};
use sixtap::validate::reference;
use std::process::Command;

fn by_meter(frames: &[Octets], detail: bool) -> Traffic {
    let options = Options { detail, ..Options::default() };
    let mut packets = Packets::default();
    for frame in frames {
        packets.clear();
        packet::read(&frame.frame(), &options, &mut packets);
    }
    packets.outcomes().traffic
}

fn by_reference(frames: &[Octets]) -> Traffic {
    let mut traffic = Traffic::default();
    for frame in frames {
        let Ok((_, facts)) = reference::of_frame(&frame.frame(), None) else { continue };
        let ipv6 = usize::from(facts.source.is_ipv6());
        traffic.ipv6 += ipv6 as u64;
        traffic.octets[ipv6] += facts.length;
        let bits = facts.chain.as_ref().map_or(0, |chain| chain.bits);
        traffic.extended += u64::from(bits != 0);
        for (bit, count) in traffic.headers.iter_mut().enumerate() {
            *count += u64::from(bits >> bit & 1);
        }
        traffic.cut += u64::from(ipv6 == 1 && !facts.complete);
        match &facts.fragment {
            Some(fragment) if ipv6 == 1 && fragment.atomic => traffic.atomic += 1,
            Some(fragment) if ipv6 == 1 || fragment.more || fragment.offset != 0 => {
                traffic.fragments[ipv6] += 1;
            }
            _ => {}
        }
    }
    traffic
}

#[test]
fn the_case_suite_is_counted_as_the_reference_counts_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("suite.pcap");
    let suite = Command::new(env!("CARGO_BIN_EXE_sixtap"))
        .args(["craft", "--only", "all", "-w", path.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(suite.status.success(), "{suite:?}");
    let frames = frames(&path);
    let traffic = by_meter(&frames, false);
    assert_eq!(traffic, by_reference(&frames));
    assert_eq!(traffic, by_meter(&frames, true), "by the short way and by the long one");
    assert!(traffic.extended > 100 && traffic.atomic > 0 && traffic.fragments[0] > 0);
    assert!(traffic.fragments[1] > 50, "{traffic:?}");
}

#[test]
fn the_corpus_is_counted_as_the_reference_counts_it() {
    let Some(captures) = corpus(&["ipv6", "mixed"]) else {
        println!(
            "not run: the_corpus_is_counted_as_the_reference_counts_it: ../shared/corpus is missing"
        );
        return;
    };
    let mut sum = 0;
    for path in &captures {
        let frames = frames(path);
        assert_eq!(by_meter(&frames, false), by_reference(&frames), "{}", path.display());
        sum += frames.len();
    }
    assert!(sum > 100_000, "{sum} frames");
}
