//! Anonymisation: no address is left as it was, prefixes are, nfanon maps the same, and it is declared.

use super::{installed, number, probe, show, sixtap, suite, sum};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::Command;

const KEY: &str = "abcdefghijklmnopqrstuvwxyz012345";
const ADDRESSES: [&str; 4] =
    ["sourceIPv6Address", "destinationIPv6Address", "sourceIPv4Address", "destinationIPv4Address"];

fn addresses(records: &[Value]) -> BTreeSet<IpAddr> {
    let texts = records.iter().flat_map(|record| ADDRESSES.map(|name| record[name].as_str()));
    texts.flatten().map(|text| text.parse().expect("an address")).collect()
}

fn key_file(folder: &Path) -> String {
    let path = folder.join("key");
    std::fs::write(&path, format!("{KEY}\n")).unwrap();
    path.display().to_string()
}

#[test]
fn no_address_is_left_in_any_format() {
    let folder = tempfile::tempdir().unwrap();
    let capture = suite(folder.path());
    let plain = probe(&capture, &["-T", "full", "--tunnel", "both", "-c", "json:-"]);
    let file = folder.path().join("out.ipfix");
    let url = format!("file:{}", file.display());
    let key = key_file(folder.path());
    let hidden =
        ["-T", "full", "--tunnel", "both", "--anonymise", "prefix", "--anonymise-key", &key];
    let run = probe(&capture, &[&hidden[..], &["-c", &url, "-c", "json:-"]].concat());
    assert_eq!(run.status, 0, "{}", run.error);
    run.balances();
    assert_eq!(plain.records.len(), run.records.len());
    assert_eq!(sum(&plain.records, "octetDeltaCount"), sum(&run.records, "octetDeltaCount"));
    let seen = addresses(&plain.records);
    assert_eq!(addresses(&run.records).len(), seen.len(), "the mapping is one to one");
    // Every address in the whole text, also in lists and of tunnels.
    let mut texts: Vec<String> = run.records.iter().map(Value::to_string).collect();
    texts.extend(show(&file).iter().map(Value::to_string));
    for text in texts {
        for word in text.split('"') {
            if let Ok(address) = word.parse::<IpAddr>() {
                assert!(!seen.contains(&address), "{address} in {text}");
            }
        }
    }
    // The same addresses with the same key, in IPFIX as in JSON.
    let again = probe(&capture, &[&hidden[..], &["-c", "json:-"]].concat());
    assert_eq!(addresses(&again.records), addresses(&run.records));
    let flows: Vec<Value> =
        show(&file).into_iter().filter(|r| r.get("packetDeltaCount").is_some()).collect();
    assert_eq!(addresses(&flows), addresses(&run.records));
}

#[test]
fn anonymisation_is_declared_for_every_address_of_every_template() {
    let folder = tempfile::tempdir().unwrap();
    let capture = suite(folder.path());
    for (how, technique, flags) in [("cut", 2, 3), ("prefix", 6, 1)] {
        let file = folder.path().join(format!("{how}.ipfix"));
        let url = format!("file:{}", file.display());
        let run = probe(&capture, &["--anonymise", how, "--tunnel", "both", "-c", &url]);
        assert_eq!(run.status, 0, "{}", run.error);
        let records = show(&file);
        let said: Vec<&Value> =
            records.iter().filter(|r| r.get("anonymizationTechnique").is_some()).collect();
        let mut elements: BTreeMap<u64, usize> = BTreeMap::new();
        for record in &said {
            assert_eq!(number(record, "anonymizationTechnique"), technique);
            assert_eq!(number(record, "anonymizationFlags"), flags);
            assert!(number(record, "templateId") >= 256);
            *elements.entry(number(record, "informationElementId")).or_default() += 1;
        }
        // Both addresses of both families; own elements of tunnels have their enterprise beside the id.
        for element in [8, 12, 27, 28] {
            assert!(elements.contains_key(&element), "{element}: {elements:?}");
        }
        assert!(said.iter().any(|r| r.get("privateEnterpriseNumber").is_some()), "{elements:?}");
        let output = sixtap(&["validate", &file.display().to_string()]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{text}");
    }
}

#[test]
fn cut_addresses_keep_their_prefix_only() {
    let folder = tempfile::tempdir().unwrap();
    let capture = suite(folder.path());
    let run = probe(&capture, &["--anonymise", "cut", "-c", "json:-"]);
    for address in addresses(&run.records) {
        match address {
            IpAddr::V6(address) => assert_eq!(u128::from(address) << 48, 0, "{address}"),
            IpAddr::V4(address) => assert_eq!(u32::from(address) << 24, 0, "{address}"),
        }
    }
    // The suite's sites have one network each: what a longer prefix keeps shows behind a /64.
    let plain = probe(&capture, &["-c", "json:-"]);
    let other = probe(&capture, &["--anonymise", "cut:120,16", "-c", "json:-"]);
    let cut = |address: &IpAddr| -> IpAddr {
        match *address {
            IpAddr::V6(a) => Ipv6Addr::from(u128::from(a) & u128::MAX << 8).into(),
            IpAddr::V4(a) => Ipv4Addr::from(u32::from(a) & u32::MAX << 16).into(),
        }
    };
    let expected: BTreeSet<IpAddr> = addresses(&plain.records).iter().map(cut).collect();
    assert_eq!(addresses(&other.records), expected);
    let kept = |address: &IpAddr| matches!(address, IpAddr::V6(a) if u128::from(*a) << 48 != 0);
    assert!(expected.iter().any(kept), "a /120 keeps more than a /48");
}

#[test]
fn words_that_cannot_be_meant_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let capture = suite(folder.path());
    let short = folder.path().join("short");
    std::fs::write(&short, "too short").unwrap();
    let key = key_file(folder.path());
    let short = short.display().to_string();
    for (words, said) in [
        (vec!["--anonymise", "hash"], "cut:48,24"),
        (vec!["--anonymise", "cut:129,24"], "cut:48,24"),
        (vec!["--anonymise", "prefix", "--anonymise-key", &short], "32 characters"),
        (vec!["--anonymise", "cut", "--anonymise-key", &key], "only --anonymise prefix"),
        (vec!["--anonymise-key", &key], "--anonymise"),
        (vec!["--sample", "0"], "random:N"),
    ] {
        let run = probe(&capture, &words);
        assert_eq!(run.status, 2, "{words:?}: {}", run.error);
        assert!(run.error.contains(said), "{words:?}: {}", run.error);
    }
}

/// nfanon is another implementation of Crypto-PAn: from the same key it makes the same addresses.
#[test]
fn nfanon_maps_ipv4_addresses_the_same() {
    for program in ["nfcapd", "nfanon", "nfpcapd"] {
        if !installed(program, "Crypto-PAn held against nfanon") {
            return;
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let capture = suite(folder.path());
    let key = key_file(folder.path());
    // nfpcapd looks into tunnels.
    let hidden = ["--tunnel", "both", "--anonymise", "prefix", "--anonymise-key", &key];
    let run = probe(&capture, &[&hidden[..], &["-c", "json:-"]].concat());
    let ours = addresses(&run.records);
    let flows = folder.path().join("flows");
    std::fs::create_dir(&flows).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let (capture, flows) = (capture.display().to_string(), flows.display().to_string());
    run("nfpcapd", &["-r", &capture, "-w", &flows]);
    run("nfanon", &["-q", "-K", KEY, "-r", &flows]);
    let text = run("nfdump", &["-q", "-N", "-6", "-o", "fmt:%pkt %sa %da", "-R", &flows]);
    // Lines of no packets tell of the tunnel of the flow above; nfanon leaves its ends as they were.
    let theirs: BTreeSet<IpAddr> = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.first().is_some_and(|packets| *packets != "0"))
        .flatten()
        .filter_map(|word| word.parse().ok())
        .collect();
    let v4 = |set: &BTreeSet<IpAddr>| -> BTreeSet<IpAddr> {
        set.iter().copied().filter(IpAddr::is_ipv4).collect()
    };
    assert!(!v4(&theirs).is_empty(), "{text}");
    let unknown: Vec<_> = v4(&theirs).difference(&v4(&ours)).copied().collect();
    assert!(unknown.is_empty(), "nfanon has addresses that sixtap has not: {unknown:?}");
}
