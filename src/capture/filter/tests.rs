use super::*;
use crate::capture::{Poll, Timestamp, pcap};
use std::io::Cursor;
use std::time::Duration;

fn frame(data: &[u8], wire_length: u32, link: LinkType) -> Frame<'_> {
    Frame { data, wire_length, interface: 0, link, time: Timestamp(0) }
}

/// Ethernet, IPv6, UDP to port 53.
fn udp6() -> Vec<u8> {
    let mut octets = vec![2; 12];
    octets.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 17, 64]);
    octets.extend([0x20; 32]);
    octets.extend([0x30, 0x39, 0, 53, 0, 8, 0, 0]);
    octets
}

#[test]
fn expressions_select() {
    let octets = udp6();
    let whole = frame(&octets, octets.len() as u32, LinkType::Ethernet);
    for (expression, expected) in [
        ("", true),
        ("ip6", true),
        ("ip", false),
        ("udp port 53", true),
        ("udp src port 53", false),
        ("ip6 net 2020::/16 and not tcp", true),
        ("ether[0] & 1 = 1", false),
        ("ip6[6] * 2 / 2 - 1 = 16", true),
        ("ip6[6] << 1 | 1 = 35", true),
        ("vlan", false),
    ] {
        let filter = Filter::compile(expression, LinkType::Ethernet, 0).unwrap();
        assert_eq!(filter.matches(&whole), expected, "{expression}");
    }
    let raw = frame(&octets[14..], 48, LinkType::Raw);
    assert!(Filter::compile("ip6 and udp", LinkType::Raw, 0).unwrap().matches(&raw));
}

#[test]
fn length_is_that_of_the_wire() {
    let octets = udp6();
    let filter = Filter::compile("greater 1000", LinkType::Ethernet, 0).unwrap();
    assert!(filter.matches(&frame(&octets, 1514, LinkType::Ethernet)));
    assert!(!filter.matches(&frame(&octets, 62, LinkType::Ethernet)));
}

#[test]
fn a_wrong_expression_is_told_with_libpcaps_words() {
    for expression in ["prot 80", "host", "ip6 net ::/200", "\0"] {
        match Filter::compile(expression, LinkType::Ethernet, 0) {
            Err(CaptureError::Usage(message)) => {
                assert!(message.starts_with("filter \""), "{message}");
            }
            other => panic!("{expression}: {other:?}"),
        }
    }
}

#[test]
fn filtered_frames_are_counted() {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65535, 1] {
        file.extend(word.to_le_bytes());
    }
    let octets = udp6();
    for number in 0..1000_u32 {
        for word in [number, 0, octets.len() as u32, octets.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        let mut octets = octets.clone();
        // Destination port 53 for one in ten.
        octets[57] = if number % 10 == 0 { 53 } else { 54 };
        file.extend(octets);
    }
    let source = pcap::from_reader(Cursor::new(file), "test").unwrap();
    let link = source.link_type().unwrap();
    let mut source = Filtered::new(source, "port 53", link).unwrap();
    let mut seen = 0;
    while source.poll(Duration::from_secs(1), &mut |frames| seen += frames.len()).unwrap()
        != Poll::End
    {}
    let counters = source.counters();
    assert_eq!((seen, counters.delivered, counters.filtered), (100, 100, 900));
}

/// The machine here and libpcap's agree on real frames.
#[test]
fn agrees_with_libpcap_on_the_corpus() {
    let corpus = std::path::Path::new("../shared/corpus/ipv6");
    if !corpus.exists() {
        eprintln!("not run: the corpus is missing at {}", corpus.display());
        return;
    }
    let expressions = [
        "ip6",
        "tcp",
        "udp port 53 or icmp6",
        "ip6 protochain 6",
        "ip6 protochain 17",
        "vlan and ip6",
        "greater 200",
        "tcp[tcpflags] & tcp-syn != 0",
        "ip6 multicast",
        "net 2001:db8::/32",
        "mpls",
        "ip[0] & 0xf != 5",
        "pppoes and ip6",
    ];
    let handle = ::pcap::Capture::dead(::pcap::Linktype::ETHERNET).unwrap();
    let both: Vec<_> = expressions
        .iter()
        .map(|text| {
            let ours = Filter::compile(text, LinkType::Ethernet, 0).unwrap();
            (text, ours, handle.compile(text, true).unwrap())
        })
        .collect();
    let mut compared = 0_u64;
    let mut files = Vec::new();
    collect(corpus, &mut files);
    for path in files {
        let Ok(mut source) = pcap::open(&path) else { continue };
        let mut taken = 0;
        while let Ok(Poll::Frames(_)) = source.poll(Duration::ZERO, &mut |frames| {
            for frame in frames.iter().filter(|frame| frame.link == LinkType::Ethernet) {
                let uncut = Frame { wire_length: frame.data.len() as u32, ..*frame };
                for (text, ours, theirs) in &both {
                    assert_eq!(ours.matches(&uncut), theirs.filter(frame.data), "{text} {path:?}");
                    compared += 1;
                }
            }
            taken += frames.len();
        }) {
            if taken > 2000 {
                break;
            }
        }
    }
    assert!(compared > 10_000, "{compared}");
}

fn collect(folder: &std::path::Path, into: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() { collect(&path, into) } else { into.push(path) }
    }
}
