//! Streams that must come out clean: sixtap's own by every way and template, and those of exporters that tshark reads
//! without a complaint; and a reference that is live.

use super::{corpus, files, message, sixtap, text};
use sixtap::collect::{Input, Limits, Received, Transport};
use sixtap::craft::PcapWriter;
use sixtap::validate::finding::Limits as Kept;
use sixtap::validate::{Report, Severity, Validator};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

type Message = (Transport, Vec<u8>);

/// All messages of an input; of a socket, those that come until `ended` is set and nothing comes any more (of TCP: until the
/// peer has closed, or for two seconds).
fn messages(mut input: Input, ended: &AtomicBool) -> Vec<Message> {
    let mut messages = Vec::new();
    let patience = if input.name().starts_with("tcp") { 200 } else { 1 };
    let mut idle = 0;
    loop {
        let over = ended.load(Ordering::Acquire);
        match input.next(Duration::from_millis(10)).unwrap() {
            Some(Received::Message { transport, octets }) => {
                idle = 0;
                messages.push((transport, octets.to_vec()));
            }
            Some(Received::Idle) if over => {
                idle += 1;
                if idle >= patience {
                    return messages;
                }
            }
            Some(Received::End { .. }) if patience > 1 => return messages,
            None => return messages,
            Some(_) => {}
        }
    }
}

fn report(messages: &[Message]) -> Report {
    let mut validator = Validator::new(Limits::default(), Kept::default());
    for (transport, octets) in messages {
        validator.message(transport, octets);
    }
    validator.finish()
}

/// Findings of at least this severity, in words.
fn complaints(report: &Report, least: Severity) -> Vec<String> {
    let findings = report.findings.iter().filter(|finding| finding.rule.severity >= least);
    findings.map(|one| format!("{}: {}", one.rule.id, one.examples[0].saw)).collect()
}

/// Datagrams as a capture: each from the address with its number, to port 4739. `None`: one is too long for a frame.
fn capture<'a>(datagrams: impl Iterator<Item = (u16, &'a [u8])>) -> Option<Vec<u8>> {
    let mut writer = PcapWriter::new(Vec::new(), true).unwrap();
    for (number, (from, payload)) in datagrams.enumerate() {
        let mut source = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        source[14..].copy_from_slice(&from.to_be_bytes());
        let mut to = source;
        to[4] = 1;
        let builder = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]);
        let builder = builder.ipv6(source, to, 64).udp(40_000, 4739);
        let mut frame = Vec::new();
        builder.write(&mut frame, payload).ok()?;
        let time = 1_700_000_000_000_000_000 + 1_000_000 * number as u64;
        writer.frame(time, frame.len() as u32, &frame).unwrap();
    }
    Some(writer.finish().unwrap())
}

/// One run of the probe to a file, over UDP and over TCP at once: the messages by each way. `None`: no capture at all.
fn own_export(traffic: &Path, words: &[&str], file: &Path) -> Option<[Vec<Message>; 3]> {
    let _ = std::fs::remove_file(file);
    let listen = |name: &str| {
        let input = Input::open(name).unwrap();
        let address = input.local_address().unwrap();
        (input, address)
    };
    let (udp, udp_address) = listen("udp://[::1]:0");
    let (tcp, tcp_address) = listen("tcp://[::1]:0");
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let udp = scope.spawn(|| messages(udp, &ended));
        let tcp = scope.spawn(|| messages(tcp, &ended));
        let collectors = [
            format!("file:{}", text(file)),
            format!("udp://{udp_address}"),
            format!("tcp://{tcp_address}"),
        ];
        let mut all = vec!["probe", "-r", text(traffic)];
        all.extend(words);
        all.extend(collectors.iter().flat_map(|one| ["-c", one.as_str()]));
        let out = sixtap(&all);
        ended.store(true, Ordering::Release);
        let by_udp = udp.join().unwrap();
        let by_tcp = tcp.join().unwrap();
        if !file.exists() {
            let said = String::from_utf8_lossy(&out.stderr);
            assert!(said.contains("sixtap:"), "{}: {said}", traffic.display());
            return None;
        }
        let by_file = messages(Input::open(text(file)).unwrap(), &ended);
        Some([by_file, by_udp, by_tcp])
    })
}

/// Every template, by file, UDP, TCP and in a capture of the UDP, over the whole corpus: not one error, not one warning.
#[test]
fn our_own_stream_is_clean_by_every_way() {
    let Some(corpus) = corpus("our_own_stream_is_clean_by_every_way") else { return };
    let captures = [files(&corpus.join("ipv6")), files(&corpus.join("mixed"))].concat();
    assert!(captures.len() > 300, "only {} captures", captures.len());
    let folder = tempfile::tempdir().unwrap();
    let export = folder.path().join("own.ipfix");
    let templates: [&[&str]; 4] = [
        &["-T", "default"],
        &["-T", "full"],
        &["-T", "covert"],
        &["-T", "full", "--biflow", "--tunnel", "both"],
    ];
    let mut wrong = Vec::new();
    let (mut records, mut ways) = (0, 0);
    for (traffic, words) in captures.iter().flat_map(|one| templates.map(|words| (one, words))) {
        let counted = |report: &Report| report.total(|facts| facts.flow_records);
        // The kernel may drop datagrams of a busy machine: that is seen in their number, and tried again.
        let (by, reports) = (0..5)
            .map(|_| own_export(traffic, words, &export))
            .map_while(|by| by.map(|by| (by.each_ref().map(|one| report(one)), by)))
            .map(|(reports, by)| (by, reports))
            .find(|(_, [file, udp, _])| counted(file) == counted(udp))
            .map_or((None, Vec::new()), |(by, reports)| (Some(by), reports.into()));
        let Some([_, udp, _]) = by else {
            if export.exists() {
                wrong.push(format!("{} {words:?}: records are lost over UDP", traffic.display()));
            }
            continue;
        };
        records += counted(&reports[0]);
        assert_eq!(counted(&reports[0]), counted(&reports[2]), "{}: TCP", traffic.display());
        let framed = capture(udp.iter().map(|(_, octets)| (1, octets.as_slice()))).unwrap();
        let input = Input::from_reader(std::io::Cursor::new(framed), "capture").unwrap();
        let mut captured = messages(input, &AtomicBool::new(true));
        assert_eq!(captured.len(), udp.len(), "{}: capture", traffic.display());
        for ((transport, _), (original, _)) in captured.iter_mut().zip(&udp) {
            // The capture's clock is the test's; when the datagram came is known.
            transport.arrival = original.arrival;
        }
        let captured = report(&captured);
        for (way, report) in
            ["file", "udp", "tcp", "capture"].iter().zip(reports.iter().chain([&captured]))
        {
            ways += 1;
            for complaint in complaints(report, Severity::Warning) {
                wrong.push(format!("{} {words:?} {way}: {complaint}", traffic.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} findings\n{}", wrong.len(), wrong.join("\n"));
    assert!(ways > 1200 && records > 10_000, "{ways} streams, {records} records");
}

/// Errors that are none of tshark's, in streams of which it does not complain: it decodes, and does not judge what the
/// values mean. Each is right, and why.
const TRUE_ERRORS: &[(&str, &str, &str)] = &[
    (
        "telegraf/ipfix_example",
        "MSG-SET-EMPTY",
        "a Set has one or more records: RFC 7011 section 3.3",
    ),
    (
        "telegraf/netflow_v9_example",
        "TIME-AFTER-EXPORT",
        "flows end a day after unix_secs, the time of the header: RFC 3954 section 5.1; RFC 7011 section 3.1",
    ),
];

/// Exports of the corpus that tshark decodes without a complaint and in which the index knows no defect: each file alone,
/// and all of an exporter together, templates first.
fn candidates(corpus: &Path) -> BTreeMap<String, Vec<Message>> {
    let index = std::fs::read_to_string(corpus.join("INDEX.csv")).unwrap();
    let mut lines = index.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let head = lines.next().unwrap();
    let column = |name: &str| head.iter().position(|&one| one == name).unwrap();
    let (file, vendor, repository) = (column("file"), column("vendor"), column("origin_repo"));
    let mut all: BTreeMap<String, Vec<Message>> = BTreeMap::new();
    // Commas in quotes stand in no row without a defect's name behind them but in vendors' names: counted from the end.
    let mut rows: Vec<_> = lines
        .filter(|row| row[file].starts_with("exporters/") && row.last() == Some(&""))
        .map(|row| {
            let from_end = head.len() - vendor;
            (row[file].to_owned(), format!("{}/{}", row[repository], row[row.len() - from_end]))
        })
        .collect();
    // Templates first: they stand in files that say so.
    rows.sort_by_key(|(file, _)| {
        (!file.contains("tpl") && !file.contains("template"), file.clone())
    });
    for (file, exporter) in rows {
        let Ok(input) = Input::open(text(&corpus.join(&file))) else { continue };
        let messages = messages(input, &AtomicBool::new(true));
        all.entry(exporter).or_default().extend(messages.iter().cloned());
        all.insert(file, messages);
    }
    all.retain(|_, messages| !messages.is_empty());
    all
}

#[test]
fn good_exporters_raise_no_false_error() {
    let test = "good_exporters_raise_no_false_error";
    let Some(corpus) = corpus(test) else { return };
    if Command::new("tshark").arg("--version").output().is_err() {
        eprintln!("not run: {test}: tshark is not installed");
        return;
    }
    let mut candidates: Vec<_> = candidates(&corpus).into_iter().collect();
    candidates.retain(|(_, messages)| messages.iter().all(|(_, octets)| octets.len() < 60_000));
    let datagrams = candidates.iter().enumerate().flat_map(|(number, (_, messages))| {
        messages.iter().map(move |(_, octets)| (number as u16, octets.as_slice()))
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.pcap");
    std::fs::write(&path, capture(datagrams).unwrap()).unwrap();
    let out = Command::new("tshark")
        .args([
            "-n",
            "-r",
            text(&path),
            "-d",
            "udp.port==4739,cflow",
            "-T",
            "fields",
            "-E",
            "occurrence=a",
        ])
        .args([
            "-e",
            "ipv6.src",
            "-e",
            "cflow.version",
            "-e",
            "_ws.expert.severity",
            "-e",
            "_ws.malformed",
        ])
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    // Addresses of which tshark complains: a warning (0x600000) is one, as of data without a template.
    let mut doubted = BTreeSet::new();
    for line in String::from_utf8(out.stdout).unwrap().lines() {
        let mut columns = line.split('\t');
        let from: std::net::Ipv6Addr = columns.next().unwrap().parse().unwrap();
        let decoded = columns.next().is_some_and(|version| !version.is_empty());
        let severities = columns.next().unwrap_or_default().split(',');
        let worst = severities.filter_map(|one| one.parse::<u32>().ok()).max().unwrap_or(0);
        if !decoded || worst >= 0x60_0000 || columns.next().is_some_and(|one| !one.is_empty()) {
            doubted.insert(usize::from(from.segments()[7]));
        }
    }
    let (mut wrong, mut used, mut records) = (Vec::new(), BTreeSet::new(), 0);
    let mut good = 0;
    for (number, (name, messages)) in candidates.iter().enumerate() {
        if doubted.contains(&number) {
            continue;
        }
        good += 1;
        let report = report(messages);
        records += report.total(|facts| facts.flow_records);
        for finding in report.findings.iter().filter(|one| one.rule.severity == Severity::Error) {
            let known = TRUE_ERRORS
                .iter()
                .position(|(exporter, rule, _)| finding.rule.id == *rule && is_of(name, exporter));
            match known {
                Some(known) => {
                    used.insert(known);
                }
                None => {
                    wrong.push(format!("{name}: {} {}", finding.rule.id, finding.examples[0].saw));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} errors\n{}", wrong.len(), wrong.join("\n"));
    assert!(good > 60 && records > 300, "{good} streams without a complaint, {records} records");
    assert_eq!(used.len(), TRUE_ERRORS.len(), "an exception is not needed any more: {used:?}");
}

/// Whether a file of the corpus or an exporter of its index is of `exporter`, as `telegraf/ipfix_example`.
fn is_of(name: &str, exporter: &str) -> bool {
    let (folder, kind) = exporter.split_once('/').unwrap();
    name.contains(folder) && name.contains(kind)
}

/// `sixtap validate` at a socket, with a reference at another: the process, and both addresses.
fn live(scheme: &str, report: &Path) -> (Child, String, String) {
    let (listen, reference) = ("udp://[::1]:0", format!("{scheme}://[::1]:0"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_sixtap"))
        .args([
            "validate",
            listen,
            "--against",
            &reference,
            "--for",
            "120s",
            "--json",
            text(report),
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = || lines.next().unwrap().unwrap();
    // Which of the two is heard of first is open.
    let both: BTreeMap<bool, String> = [said(), said()]
        .iter()
        .map(|line| {
            let url =
                line.strip_prefix("sixtap: listening at ").unwrap_or_else(|| panic!("{line}"));
            let (url, what) = url.split_once(' ').unwrap_or((url, ""));
            (what.contains("reference"), url.to_owned())
        })
        .collect();
    // What is said later is not read: the pipe is kept open as long as the process.
    std::mem::forget(lines);
    (child, both[&false].clone(), both[&true].clone())
}

fn ended(mut child: Child, report: &Path) -> (Option<i32>, serde_json::Value) {
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let status = child.wait().unwrap();
    (status.code(), serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap())
}

/// The trusted probe and the one in question report to two ports meanwhile.
#[test]
fn a_live_reference_is_a_truth() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let traffic = at("traffic.pcap");
    let crafted = sixtap(&["craft", "-w", text(&traffic)]);
    assert!(crafted.status.success(), "{crafted:?}");
    for scheme in ["udp", "tcp"] {
        // The same probe on both sides: everything is found, nothing is wrong.
        let (child, tested, trusted) = live(scheme, &at("same.json"));
        let out =
            sixtap(&["probe", "-r", text(&traffic), "-c", &tested, "-T", "full", "-c", &trusted]);
        assert!(out.status.success(), "{out:?}");
        let (status, report) = ended(child, &at("same.json"));
        let comparison = &report["comparison"];
        assert_eq!(comparison["flowsFound"], comparison["flows"], "{scheme}: {comparison:#}");
        assert!(comparison["flows"].as_u64() > Some(60), "{scheme}: {comparison:#}");
        for row in comparison["elements"].as_array().unwrap() {
            assert_eq!(row["wrong"], 0, "{scheme}: {row:#}");
        }
        assert_eq!(status, Some(0), "{scheme}");

        // Another protocol than the reference has: told, and by the exit status.
        let (child, tested, trusted) = live(scheme, &at("other.json"));
        let send = |url: &str, octets: &[u8]| match url.split_once("://").unwrap() {
            ("tcp", address) => {
                use std::io::Write as _;
                std::net::TcpStream::connect(address).unwrap().write_all(octets).unwrap();
            }
            (_, address) => {
                let socket = UdpSocket::bind("[::1]:0").unwrap();
                socket.send_to(octets, address).unwrap();
            }
        };
        send(&tested, &message(6, 1));
        send(&trusted, &message(17, 1));
        let (status, report) = ended(child, &at("other.json"));
        let elements = report["comparison"]["elements"].as_array().unwrap();
        let protocol = elements.iter().find(|row| row["element"] == "protocolIdentifier").unwrap();
        assert_eq!((status, &protocol["wrong"]), (Some(1), &1.into()), "{scheme}: {report:#}");
    }
}
