//! Crafted frames onto a veth pair: every one arrives, in order, octet for octet, at the pace asked for.
//!
//! Needs root; each test says so by name where it has none.

#![allow(unsafe_code, reason = "system calls of the other tests' sender")]

use crate::wire::{self, in_namespace};
use serde_json::Value;
use sixtap::capture::packet_socket::{self, Options, PacketSocket};
use sixtap::capture::{Poll, Source};
use sixtap::craft::{Plan, suite};
use std::process::Command;
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(200);

fn receiver() -> PacketSocket {
    packet_socket::open(&Options::new("rx")).expect("packet socket on veth").remove(0)
}

fn received(source: &mut PacketSocket) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while source
        .poll(TICK, &mut |batch| frames.extend(batch.iter().map(|frame| frame.data.to_vec())))
        .expect("poll")
        != Poll::Idle
    {}
    frames
}

fn craft(words: &[&str]) -> (String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sixtap"))
        .arg("craft")
        .args(words)
        .output()
        .expect("sixtap craft");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words:?}: {errors}");
    (String::from_utf8(output.stdout).expect("UTF-8"), errors)
}

#[test]
fn every_case_that_fits_arrives_as_it_was_made() {
    in_namespace("craft_send::every_case_that_fits_arrives_as_it_was_made", || {
        wire::pair(1500, 1);
        let mut source = receiver();
        let words = ["-i", "tx", "--rate", "5000", "--truth", "-", "--only", "all"];
        let (truth, errors) = craft(&words);
        let frames = received(&mut source);
        let cases = suite(&Plan::default(), |_, _| true);
        let (out, sent): (Vec<_>, Vec<_>) = cases.iter().partition(|case| {
            case.needs.file || case.needs.time || case.needs.mtu.is_some_and(|mtu| mtu > 1500)
        });
        assert!(!out.is_empty());
        for case in &out {
            assert!(errors.contains(&format!("{} is left out: ", case.name)), "{errors}");
        }
        let expected: Vec<_> = sent.iter().flat_map(|case| &case.frames).collect();
        assert_eq!(frames.len(), expected.len());
        for (frame, expected) in frames.iter().zip(expected) {
            assert_eq!(*frame, expected.octets);
        }
        let truth: Value = serde_json::from_str(&truth).expect("JSON");
        assert_eq!(truth["cases"].as_array().expect("cases").len(), sent.len());
        assert!(!truth.to_string().contains("flowStartMilliseconds"), "times of another pace");
    });
}

#[test]
fn large_packets_are_sent_where_they_fit() {
    in_namespace("craft_send::large_packets_are_sent_where_they_fit", || {
        // The largest veth takes.
        wire::pair(65_535, 1);
        let mut source = receiver();
        let words = ["-i", "tx", "--rate", "0", "--only", "fragments-4,jumbogram,offset-2048"];
        let (_, errors) = craft(&words);
        assert!(errors.contains("jumbogram is left out"), "{errors}");
        assert_eq!(received(&mut source).len(), 9);
    });
}

#[test]
fn a_case_keeps_its_own_times() {
    in_namespace("craft_send::a_case_keeps_its_own_times", || {
        wire::pair(1500, 1);
        let mut source = receiver();
        let began = Instant::now();
        let (truth, _) = craft(&["-i", "tx", "--truth", "-", "--only", "udp,idle-not-split"]);
        // 20 seconds of silence are part of the second case.
        let took = began.elapsed();
        assert!((20..24).contains(&took.as_secs()), "{took:?}");
        let mut times = Vec::new();
        while source
            .poll(TICK, &mut |batch| times.extend(batch.iter().map(|frame| frame.time.0)))
            .expect("poll")
            != Poll::Idle
        {}
        assert_eq!(times.len(), 8);
        let truth: Value = serde_json::from_str(&truth).expect("JSON");
        let start = truth["cases"][0]["first"].as_str().expect("time");
        assert!(!start.starts_with("2026-01-01T00:00:00"), "the truth has the times of the wire");
        let pause = times[6] - times[5];
        assert!(pause.abs_diff(20_001_000_000) < 50_000_000, "{pause}");
    });
}

#[test]
fn a_load_keeps_its_rate() {
    in_namespace("craft_send::a_load_keeps_its_rate", || {
        wire::pair(1500, 1);
        let mut source = receiver();
        let began = Instant::now();
        let words = "-i tx --profile imix --packets 5000 --flows 100 --rate 10000 --truth -";
        let (truth, _) = craft(&words.split(' ').collect::<Vec<_>>());
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(490), "{took:?}");
        let frames = received(&mut source);
        let truth: Value = serde_json::from_str(&truth).expect("JSON");
        let octets: u64 = frames.iter().map(|frame| frame.len() as u64).sum();
        assert_eq!(truth["totals"]["packets"].as_u64(), Some(frames.len() as u64));
        assert_eq!(truth["totals"]["layer2Octets"].as_u64(), Some(octets));
    });
}
