//! The whole probe on every capture of the corpus: it ends without a panic, its ledger balances, no record is lost, and
//! its packets and octets are those that another reader (pcap-parser) and another parser count: the
//! link layers walked here, IP by etherparse.

use etherparse::LaxIpSlice;
use pcap_parser::{Block, PcapBlockOwned, PcapError, create_reader};
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Captures of which pcap-parser reads more frames than sixtap: part of the path, how many, and why.
const DIFFERENCES: &[(&str, u64, &str)] = &[(
    "ipv6/tcpdump/tests_pim_header_asan-2.pcap",
    1,
    "a record holds more octets than its frame had, which is damage here; reading ends there",
)];

/// Frames in a capture, and those in which etherparse finds an IP header.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    frames: u64,
    packets: u64,
}

fn count(path: &Path) -> Count {
    let mut count = Count::default();
    let Ok(mut reader) = create_reader(1 << 20, File::open(path).expect("readable")) else {
        return count;
    };
    let mut link = Vec::new();
    loop {
        let incomplete = match reader.next() {
            Ok((used, block)) => {
                let frame = match &block {
                    PcapBlockOwned::LegacyHeader(header) => {
                        // The upper half may hold the length of the frame check sequence.
                        link = vec![header.network.0 & 0xffff];
                        None
                    }
                    PcapBlockOwned::Legacy(frame) => Some((link[0], frame.data)),
                    PcapBlockOwned::NG(Block::SectionHeader(_)) => {
                        link.clear();
                        None
                    }
                    PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                        link.push(interface.linktype.0);
                        None
                    }
                    PcapBlockOwned::NG(Block::EnhancedPacket(frame)) => link
                        .get(frame.if_id as usize)
                        .map(|link| (*link, &frame.data[..frame.caplen as usize])),
                    PcapBlockOwned::NG(Block::SimplePacket(frame)) => {
                        link.first().map(|link| (*link, frame.data))
                    }
                    PcapBlockOwned::NG(_) => None,
                };
                if let Some((link, data)) = frame {
                    count.frames += 1;
                    count.packets += u64::from(has_ip(link, data));
                }
                reader.consume(used);
                false
            }
            Err(PcapError::Incomplete(_)) => true,
            Err(_) => return count,
        };
        if incomplete && (reader.reader_exhausted() || reader.refill().is_err()) {
            return count;
        }
    }
}

/// Whether etherparse finds an IP header of the version that the link layer announces.
fn has_ip(link: i32, data: &[u8]) -> bool {
    let Some((announced, ip)) = network(link, data) else { return false };
    let version = ip.first().map(|octet| octet >> 4);
    let fits = match announced {
        ETHERTYPE_IPV4 => version == Some(4),
        ETHERTYPE_IPV6 => version == Some(6),
        _ => false,
    };
    fits && LaxIpSlice::from_slice(ip).is_ok()
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;

/// The EtherType in force behind all link layers, and the octets there.
fn network(link: i32, data: &[u8]) -> Option<(u16, &[u8])> {
    let by_nibble = |rest: &'_ [u8]| match rest.first()? >> 4 {
        4 => Some(ETHERTYPE_IPV4),
        6 => Some(ETHERTYPE_IPV6),
        _ => None,
    };
    let word =
        |rest: &[u8], at: usize| Some(u16::from_be_bytes([*rest.get(at)?, *rest.get(at + 1)?]));
    let (mut kind, mut rest) = match link {
        0 | 108 => {
            let family = data.get(..4)?;
            let family = u32::from_le_bytes([family[0], family[1], family[2], family[3]]);
            let kind = match family.min(family.swap_bytes()) {
                2 => ETHERTYPE_IPV4,
                10 | 24 | 28 | 30 => ETHERTYPE_IPV6,
                _ => return None,
            };
            return Some((kind, &data[4..]));
        }
        1 => (word(data, 12)?, data.get(14..)?),
        12 | 14 | 101 | 228 | 229 => return Some((by_nibble(data)?, data)),
        113 => (word(data, 14)?, data.get(16..)?),
        276 => (word(data, 0)?, data.get(20..)?),
        _ => return None,
    };
    loop {
        match kind {
            0x8100 | 0x88a8 | 0x9100 => (kind, rest) = (word(rest, 2)?, rest.get(4..)?),
            0x8847 | 0x8848 => {
                let bottom = rest.get(2)? & 1 == 1;
                rest = rest.get(4..)?;
                if bottom {
                    kind = by_nibble(rest)?;
                }
            }
            0x8864 => {
                kind = match word(rest, 6)? {
                    0x0021 => ETHERTYPE_IPV4,
                    0x0057 => ETHERTYPE_IPV6,
                    _ => return None,
                };
                return Some((kind, rest.get(8..)?));
            }
            _ => return Some((kind, rest)),
        }
    }
}

/// Runs the probe over a capture; its exit status, its ledger, and what it said.
fn meter(path: &Path) -> (Option<i32>, Value, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sixtap"))
        .args(["probe", "--stats", "json", "-c", "file:/dev/null", "-r"])
        .arg(path)
        .output()
        .expect("sixtap runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let ledger = [&output.stdout, &output.stderr]
        .iter()
        .filter_map(|text| {
            let from = text.iter().position(|octet| *octet == b'{')?;
            // A line about damage may follow.
            serde_json::Deserializer::from_slice(&text[from..]).into_iter().next()?.ok()
        })
        .next()
        .unwrap_or(Value::Null);
    (output.status.code(), ledger, said)
}

fn captures(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the corpus is readable") {
        let path = entry.expect("the corpus is readable").path();
        if path.is_dir() {
            captures(&path, into);
        } else {
            into.push(path);
        }
    }
}

fn judge(path: &Path, name: &str) -> Vec<String> {
    let (status, ledger, said) = meter(path);
    let mut wrong = Vec::new();
    // 1: the file is damaged, and everything before the damage was metered.
    if !matches!(status, Some(0 | 1)) || (status == Some(1) && !said.contains("offset")) {
        wrong.push(format!("exit status {status:?}: {said}"));
    }
    if ledger["balances"] != Value::Bool(true) {
        wrong.push(format!("the ledger does not balance: {}", ledger["equations"]));
    }
    if ledger["lost"] != 0 {
        wrong.push(format!("lost: {}", ledger["lost"]));
    }
    let counted = count(path);
    let frames = ledger["capture"]["delivered"].as_u64().unwrap_or(u64::MAX);
    let packets = ledger["parse"]["metered"].as_u64().unwrap_or(u64::MAX);
    let excused = DIFFERENCES.iter().find(|(part, _, _)| name.contains(part));
    let unread = excused.map_or(0, |(_, frames, _)| *frames);
    if frames.saturating_add(unread) != counted.frames || packets != counted.packets {
        wrong.push(format!(
            "{frames} frames, {packets} packets metered; counted {} and {}",
            counted.frames, counted.packets
        ));
    }
    wrong.into_iter().map(|what| format!("{name}: {what}")).collect()
}

#[test]
fn every_capture_is_metered_and_the_ledger_balances() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    if !corpus.exists() {
        println!(
            "not run: the probe on real captures: the corpus is missing at {}",
            corpus.display()
        );
        return;
    }
    let mut paths = Vec::new();
    captures(&corpus.join("ipv6"), &mut paths);
    captures(&corpus.join("mixed"), &mut paths);
    paths.sort();
    assert!(paths.len() > 400, "the corpus holds only {} captures", paths.len());
    let wrong: Vec<String> = paths
        .iter()
        .flat_map(|path| {
            let name = path.strip_prefix(&corpus).unwrap_or(path).display().to_string();
            judge(path, &name)
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), paths.len(), wrong.join("\n"));
}
