//! `sixtap validate` as a user runs it: exit statuses, reports, the corpus, our own stream, a browser.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end so")]

mod streams;

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn sixtap(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sixtap")).args(words).env("NO_COLOR", "1").output().unwrap()
}

/// The corpus of captures, if it is there; says by name what is left out if not.
fn corpus(what: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    if path.join("INDEX.csv").is_file() {
        return Some(path);
    }
    eprintln!("{what}: not tested, the corpus is missing at ../shared/corpus");
    None
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// An IPFIX message: a template for IPv6 flows (addresses, protocol, counters, times) and a record of it.
fn message(protocol: u8, end_reason: u8) -> Vec<u8> {
    let fields: [(u16, u16); 10] = [
        (27, 16),
        (28, 16),
        (4, 1),
        (31, 4),
        (139, 2),
        (1, 8),
        (2, 8),
        (152, 8),
        (153, 8),
        (136, 1),
    ];
    let mut template = vec![1, 0, 0, fields.len() as u8];
    let mut record = Vec::new();
    for (id, length) in fields {
        template.extend([id.to_be_bytes(), length.to_be_bytes()].concat());
        let value: u128 = match id {
            27 => 0x2001_0db8 << 96 | 1,
            28 => 0x2001_0db8 << 96 | 2,
            4 => protocol.into(),
            1 => 1200,
            2 => 10,
            152 => 1_700_000_000_000,
            153 => 1_700_000_001_000,
            136 => end_reason.into(),
            _ => 0,
        };
        record.extend(&value.to_be_bytes()[16 - usize::from(length)..]);
    }
    let set = |id: u16, contents: &[u8]| {
        [&id.to_be_bytes()[..], &(contents.len() as u16 + 4).to_be_bytes(), contents].concat()
    };
    let body = [set(2, &template), set(256, &record)].concat();
    let mut message = vec![0, 10];
    message.extend((16 + body.len() as u16).to_be_bytes());
    message.extend(1_700_000_002u32.to_be_bytes());
    message.extend([0, 0, 0, 0, 0, 0, 0, 1]);
    message.extend(body);
    message
}

#[test]
fn exit_status_tells_errors_from_trouble() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, octets: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, octets).unwrap();
        path
    };
    let good = path("good.ipfix", &message(17, 1));
    let warned = path("warned.ipfix", &message(17, 9));
    let wrong = path("wrong.ipfix", &message(60, 1));
    let status = |words: &[&str]| sixtap(words).status.code();
    assert_eq!(status(&["validate", text(&good)]), Some(0));
    assert_eq!(status(&["validate", text(&warned)]), Some(0));
    assert_eq!(status(&["validate", text(&warned), "--fail-on", "warning"]), Some(1));
    assert_eq!(status(&["validate", text(&wrong)]), Some(1));
    assert_eq!(status(&["validate", text(&wrong), "--fail-on", "never"]), Some(0));
    assert_eq!(status(&["validate"]), Some(2));
    assert_eq!(status(&["validate", "udp://nowhere"]), Some(2));
    // That nothing is exported is no good sign.
    let empty = path("empty.ipfix", &[]);
    let junit = folder.path().join("empty.xml");
    let out = sixtap(&["validate", text(&empty), "--junit", text(&junit)]);
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stdout).contains("holds no export message"), "{out:?}");
    assert!(std::fs::read_to_string(&junit).unwrap().contains("<failure "));
    let missing = sixtap(&["validate", "/does/not/exist"]);
    assert!(matches!(missing.status.code(), Some(2 | 3)), "{missing:?}");
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/does/not/exist"));
}

#[test]
fn reports_are_well_formed_and_agree() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("e.ipfix"), message(60, 9)).unwrap();
    let out = sixtap(&[
        "validate",
        text(&at("e.ipfix")),
        "--json",
        text(&at("r.json")),
        "--sarif",
        text(&at("r.sarif")),
        "--junit",
        text(&at("r.xml")),
        "--html",
        text(&at("r.html")),
    ]);
    let shown = String::from_utf8_lossy(&out.stdout);
    let read = |name: &str| std::fs::read_to_string(at(name)).unwrap();
    let json: Value = serde_json::from_str(&read("r.json")).unwrap();
    let sarif: Value = serde_json::from_str(&read("r.sarif")).unwrap();
    assert_eq!(json["schema"], "sixtap-validate/1");
    assert_eq!(sarif["version"], "2.1.0");
    let rules: Vec<&str> = json["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["rule"].as_str().unwrap())
        .collect();
    assert!(rules.contains(&"V6-PROTOCOL-IS-EXTENSION") && rules.contains(&"TIME-REASON-RANGE"));
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), rules.len());
    for (result, rule) in results.iter().zip(&rules) {
        assert_eq!(result["ruleId"], *rule);
        let index = result["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(sarif["runs"][0]["tool"]["driver"]["rules"][index]["id"], *rule);
    }
    let (page, junit) = (read("r.html"), read("r.xml"));
    for rule in rules {
        let note = json["findings"]
            .as_array()
            .unwrap()
            .iter()
            .any(|f| f["rule"] == rule && f["severity"] == "note");
        assert!(page.contains(rule) && junit.contains(rule), "{rule}");
        assert!(note || shown.contains(rule), "{rule} is not shown:\n{shown}");
    }
    assert_eq!(
        junit.matches("<failure ").count() as u64,
        json["summary"]["errors"].as_u64().unwrap()
    );
    assert_eq!(
        junit.matches("<testcase ").count(),
        junit.matches("</testcase>").count() + junit.matches("\"/>\n").count()
    );
}

/// A page that a browser cannot show is no report.
#[test]
fn a_browser_shows_the_page() {
    let browser = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
        Command::new(name).arg("--version").output().is_ok_and(|out| out.status.success())
    });
    let Some(browser) = browser else {
        eprintln!("a_browser_shows_the_page: not tested, there is no chromium on this machine");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("e.ipfix"), message(60, 9)).unwrap();
    sixtap(&["validate", text(&at("e.ipfix")), "--html", text(&at("r.html"))]);
    let out = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1200,1600",
        ])
        .arg(format!("--user-data-dir={}", text(&at("profile"))))
        .arg(format!("--screenshot={}", text(&at("r.png"))))
        .arg(format!("file://{}", text(&at("r.html"))))
        .output()
        .unwrap();
    let picture = std::fs::read(at("r.png")).unwrap_or_default();
    // A blank page of this size compresses to a few kilobytes.
    assert!(
        picture.starts_with(b"\x89PNG") && picture.len() > 30_000,
        "{} octets: {out:?}",
        picture.len()
    );
}

#[test]
fn every_vendor_export_is_read_to_its_end() {
    let Some(corpus) = corpus("every_vendor_export_is_read_to_its_end") else { return };
    // What the index hints at, and the rules that must find it.
    let hints: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("ICMPv6-in-IE32", &["V6-ICMP-IN-IE32"][..]),
        ("ICMPv6-type-in-IE11(dstport)", &["V6-ICMP-IN-PORT"]),
        ("IE61-not-0/1", &["CNT-DIRECTION"]),
        ("msglen>data", &["MSG-LENGTH"]),
        ("record-overrun", &["ENC-VARIABLE-LENGTH"]),
        ("reserved-set-id-4", &["MSG-SET-RESERVED"]),
        ("template-truncated", &["TPL-MALFORMED"]),
        ("opt-template-truncated", &["TPL-MALFORMED"]),
        ("trailing<4", &["MSG-TRAILING"]),
        ("v9-flowset-not-4-aligned", &["NF9-ALIGNMENT"]),
        ("zero-length-template", &["TPL-MALFORMED"]),
        ("zero-packet-record", &["CNT-ZERO"]),
    ]);
    let index = std::fs::read_to_string(corpus.join("INDEX.csv")).unwrap();
    let rows: BTreeMap<&str, &str> =
        index.lines().filter_map(|line| line.split_once(',')).collect();
    let mut wrong = Vec::new();
    let all = files(&corpus.join("exporters"));
    assert!(all.len() > 100, "only {} vendor exports", all.len());
    for path in all {
        let out = sixtap(&["validate", text(&path), "--json", "-"]);
        let Ok(report) = serde_json::from_slice::<Value>(&out.stdout) else {
            wrong.push(format!("{}: {}", path.display(), String::from_utf8_lossy(&out.stderr)));
            continue;
        };
        let found = report["findings"].to_string();
        let name = path.strip_prefix(&corpus).unwrap().to_str().unwrap();
        let row = rows.get(name).copied().unwrap_or_default();
        for hint in row.rsplit(',').next().unwrap_or_default().split_whitespace() {
            let kind = hint.rsplit_once('=').map_or(hint, |(kind, _)| kind);
            for rule in hints.get(kind).copied().unwrap_or_default() {
                if !found.contains(&format!("\"{rule}\"")) {
                    wrong.push(format!("{name}: {kind}, but not {rule}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// sixtap's own stream has no error and no warning, and says what the reference meter says, for every capture.
#[test]
fn our_own_stream_is_clean_and_true() {
    let Some(corpus) = corpus("our_own_stream_is_clean_and_true") else { return };
    let folder = tempfile::tempdir().unwrap();
    let export = folder.path().join("own.ipfix");
    let collector = format!("file:{}", text(&export));
    let mut wrong = Vec::new();
    let captures = [files(&corpus.join("ipv6")), files(&corpus.join("mixed"))].concat();
    assert!(captures.len() > 300, "only {} captures", captures.len());
    for (number, capture) in captures.iter().enumerate() {
        // Every capture with the default template, every eighth with the others.
        let templates: &[&str] =
            if number % 8 == 0 { &["default", "full", "covert"] } else { &["default"] };
        for template in templates {
            let _ = std::fs::remove_file(&export);
            let probe =
                sixtap(&["probe", "-r", text(capture), "--template", template, "-c", &collector]);
            if !export.exists() {
                let said = String::from_utf8_lossy(&probe.stderr).into_owned();
                // A file that is no capture at all is refused with its name.
                assert!(said.contains("sixtap:"), "{}: {said}", capture.display());
                continue;
            }
            let out =
                sixtap(&["validate", text(&export), "--against", text(capture), "--json", "-"]);
            let Ok(report) = serde_json::from_slice::<Value>(&out.stdout) else {
                wrong.push(format!(
                    "{}: {}",
                    capture.display(),
                    String::from_utf8_lossy(&out.stderr)
                ));
                continue;
            };
            for finding in report["findings"].as_array().unwrap() {
                if finding["severity"] != "note" {
                    let saw = &finding["examples"][0]["saw"];
                    wrong.push(format!(
                        "{} ({template}): {} {saw}",
                        capture.display(),
                        finding["rule"]
                    ));
                }
            }
            for element in report["comparison"]["elements"].as_array().unwrap() {
                if element["wrong"] != 0 {
                    wrong.push(format!("{} ({template}): {element}", capture.display()));
                }
            }
            for kind in ["missing", "extra"] {
                let flows = report["comparison"][kind].as_object().unwrap();
                if !flows.is_empty() {
                    wrong.push(format!("{} ({template}): {kind} {flows:?}", capture.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} findings\n{}", wrong.len(), wrong.join("\n"));
}

/// Templates in one file, data in another; records of a trusted probe as the truth.
#[test]
fn several_files_are_one_stream_and_records_are_a_truth() {
    let folder = tempfile::tempdir().unwrap();
    let whole = message(17, 1);
    // The message's two Sets, each in a message of its own.
    let at = 16 + usize::from(u16::from_be_bytes([whole[18], whole[19]]));
    let part = |range: &[u8], sequence: u8| {
        let mut octets = whole[..16].to_vec();
        octets[2..4].copy_from_slice(&(16 + range.len() as u16).to_be_bytes());
        octets[11] = sequence;
        octets.extend(range);
        octets
    };
    let path = |name: &str, octets: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, octets).unwrap();
        path
    };
    let templates = path("templates.ipfix", &part(&whole[16..at], 0));
    let data = path("data.ipfix", &part(&whole[at..], 0));
    let report = |words: &[&str]| -> Value {
        let out = sixtap(&[&["validate"], words, &["--json", "-"]].concat());
        serde_json::from_slice(&out.stdout).unwrap_or_else(|error| panic!("{error}: {out:?}"))
    };
    assert_eq!(report(&[text(&data)])["summary"]["unreadableDataSets"], 1);
    let both = report(&[text(&templates), text(&data)]);
    assert_eq!(both["summary"]["unreadableDataSets"], 0);
    assert_eq!(both["summary"]["flowRecords"], 1);

    let reference = path("reference.ipfix", &whole);
    let same = report(&[text(&templates), text(&data), "--against", text(&reference)]);
    assert_eq!((&same["comparison"]["flowsFound"], &same["failed"]), (&1.into(), &false.into()));
    let wrong = path("wrong.ipfix", &message(60, 1));
    let other = report(&[text(&wrong), "--against", text(&reference)]);
    let elements = other["comparison"]["elements"].as_array().unwrap();
    let protocol = elements.iter().find(|row| row["element"] == "protocolIdentifier").unwrap();
    assert_eq!(protocol["wrong"], 1, "{protocol}");
    // Programs that read reports are told of it, too.
    let told = |input: &Path| {
        let (xml, sarif) = (folder.path().join("r.xml"), folder.path().join("r.sarif"));
        let forms = ["--junit", text(&xml), "--sarif", text(&sarif)];
        let words = ["validate", text(input), "--against", text(&reference)];
        sixtap(&[&words[..], &forms].concat());
        let read = |path| std::fs::read_to_string(path).unwrap();
        let sarif: Value = serde_json::from_str(&read(sarif)).unwrap();
        let results = sarif["runs"][0]["results"].as_array().unwrap().clone();
        let of_traffic = results.iter().filter(|result| {
            result["ruleId"].as_str().is_some_and(|rule| rule.starts_with("AGAINST-"))
        });
        (read(xml), of_traffic.count())
    };
    let (xml, results) = told(&reference);
    let suite = &xml[xml.find("against the traffic").expect("a suite")..];
    assert!(!suite.contains("<failure ") && results == 0, "{xml}");
    let (xml, results) = told(&wrong);
    let suite = &xml[xml.find("against the traffic").expect("a suite")..];
    assert!(suite.contains("message=\"not: protocolIdentifier is right\""), "{xml}");
    assert_eq!(suite.matches("<failure ").count(), results, "{xml}");
    let sum = format!("failures=\"{}\"", xml.matches("<failure ").count());
    assert!(xml.lines().nth(1).is_some_and(|top| top.contains(&sum)), "{xml}");
    // What is live on one side only is refused, by its name.
    let refused = sixtap(&["validate", text(&data), "--against", "interface:lo"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--against"));
}

/// Twice the messages may take twice the time, not four times.
#[test]
fn time_grows_linearly_with_the_input() {
    let folder = tempfile::tempdir().unwrap();
    let stream = |name: &str, messages: u32| {
        let path = folder.path().join(name);
        let mut octets = Vec::new();
        for number in 0..messages {
            let mut one = message(17, 1);
            one[8..12].copy_from_slice(&number.to_be_bytes());
            // Another flow each: the last octets of the source address.
            let record = one.len() - 70;
            one[record..record + 4].copy_from_slice(&number.to_be_bytes());
            octets.extend(one);
        }
        std::fs::write(&path, octets).unwrap();
        path
    };
    let took = |path: &Path| {
        let run = || {
            let begun = std::time::Instant::now();
            let out = sixtap(&["validate", text(path), "--json", "-"]);
            assert!(out.status.code().is_some_and(|code| code < 2), "{out:?}");
            begun.elapsed()
        };
        (0..3).map(|_| run()).min().unwrap()
    };
    let few = took(&stream("few.ipfix", 5_000));
    let many = took(&stream("many.ipfix", 40_000));
    // Eight times the input; the square would be 64.
    assert!(many < few * 32, "{few:?} for 5000 messages, {many:?} for 40000");
}
