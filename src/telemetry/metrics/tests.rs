use super::super::{CollectorCounters, InterfaceSide, Ledger, Lost, ParseSide, WorkerReading};
use super::*;
use crate::telemetry::reading::Traffic;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

/// Every number of a struct another, whatever fields it has.
fn number<T: Serialize + DeserializeOwned + Default>(next: &mut u64) -> T {
    let mut value = serde_json::to_value(T::default()).unwrap();
    for field in value.as_object_mut().unwrap().values_mut() {
        if field.is_u64() {
            *next += 1;
            *field = (*next).into();
        }
    }
    serde_json::from_value(value).unwrap()
}

/// A reading in which every number is another.
pub(in super::super) fn numbered() -> Reading {
    let mut next = 1_000_000;
    let worker = WorkerReading {
        name: "eth1 queue 0".into(),
        interface: "eth1".into(),
        queue: "0".into(),
        mode: "copy".into(),
        capture: number(&mut next),
        parse: ParseSide {
            metered: 2_000_001,
            inner: 2_000_002,
            ignored: vec![("not_ip", 2_000_003), ("length", 2_000_004)],
            ignored_octets: 2_000_005,
        },
        flows: number(&mut next),
        traffic: Traffic {
            headers: vec![("hop_by_hop".into(), 3_000_001), ("esp".into(), 3_000_002)],
            ..number(&mut next)
        },
        capacity: 3_000_003,
        turns: 3_000_004,
        ..WorkerReading::default()
    };
    let counters = CollectorCounters {
        lost: Lost { encode: 4_000_001, queue: 4_000_002, send: 4_000_003 },
        records: 9_000_000,
        sent: 4_000_004,
        first_lost: 1_700_000_000_250_000_000,
        last_lost: 1_700_000_001_500_000_000,
        ..CollectorCounters::default()
    };
    let ledger = Ledger {
        capture: worker.capture,
        parse: worker.parse.clone(),
        flows: worker.flows,
        collectors: vec![("udp://[2001:db8::1]:4739".into(), counters)],
        interfaces: vec![InterfaceSide {
            name: "eth1".into(),
            driver: "igb".into(),
            mode: "copy",
            statistics: vec![("rx_no_buffer_count".into(), 4_000_005)],
            ..InterfaceSide::default()
        }],
    };
    Reading {
        time: 1_700_000_100_000_000_000,
        started: 1_700_000_000_000_000_000,
        workers: vec![worker],
        ledger,
        ..Reading::default()
    }
}

/// The numbers of a struct with their names.
fn numbers(value: &impl Serialize) -> Vec<(String, u64)> {
    let value = serde_json::to_value(value).unwrap();
    let fields = value.as_object().unwrap().iter();
    fields.filter_map(|(name, field)| Some((name.clone(), field.as_u64()?))).collect()
}

#[test]
fn every_line_of_the_ledger_is_a_metric() {
    let reading = numbered();
    let text = render(&reading, Format::Prometheus);
    let values: BTreeSet<&str> =
        text.lines().filter_map(|line| line.rsplit_once(' ')).map(|(_, value)| value).collect();
    let worker = &reading.workers[0];
    let mut all = numbers(&worker.capture);
    all.extend(numbers(&worker.flows));
    all.extend(numbers(&worker.parse));
    all.extend(numbers(&worker.traffic));
    all.extend(worker.parse.ignored.iter().map(|(name, count)| ((*name).to_owned(), *count)));
    all.extend(worker.traffic.headers.clone());
    all.push(("capacity".into(), worker.capacity));
    all.push(("turns".into(), worker.turns));
    // Known only when the probe is at rest: it takes a walk over the table.
    all.retain(|(name, _)| name != "resident_packets");
    assert!(all.len() > 40, "{all:?}");
    for (name, value) in all {
        assert!(values.contains(value.to_string().as_str()), "{name} is in no metric");
    }
}

#[test]
fn every_counter_of_a_collector_is_a_metric() {
    let mut reading = numbered();
    let mut next = 5_000_000;
    let mut fields = serde_json::to_value(CollectorCounters::default()).unwrap();
    for (name, field) in fields.as_object_mut().unwrap() {
        if field.is_u64() && !name.contains("_lost") && name != "group" {
            next += 1;
            *field = next.into();
        }
    }
    // The number of records is the largest, so that some are held.
    fields["records"] = 99_000_000.into();
    fields["lost"] =
        serde_json::json!({ "encode": 6_000_001, "queue": 6_000_002, "send": 6_000_003 });
    let counters: CollectorCounters = serde_json::from_value(fields).unwrap();
    reading.ledger.collectors[0].1 = counters;
    let text = render(&reading, Format::Prometheus);
    let mut all = numbers(&counters);
    all.extend(numbers(&counters.lost));
    all.push(("held".into(), counters.held()));
    assert!(all.len() > 12);
    for (name, value) in all.iter().filter(|(_, value)| *value > 0) {
        assert!(
            text.contains(&format!("\"}} {value}\n")) || text.contains(&format!("\"}} {value} ")),
            "{name} is in no metric"
        );
    }
    assert!(text.contains("first_loss_timestamp_seconds"));
}

#[test]
fn names_follow_the_rules() {
    let mut seen = BTreeSet::new();
    for Metric { name, kind, help, .. } in METRICS.iter().flat_map(|(_, group)| group.iter()) {
        assert!(seen.insert(*name), "{name} stands there twice");
        assert!(name.starts_with("sixtap_") || name.starts_with("process_"), "{name}");
        assert!(name.bytes().all(|octet| octet.is_ascii_lowercase() || octet == b'_'), "{name}");
        assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
        assert!(!name.contains("octets"), "{name}: Prometheus says bytes");
        assert!(help.ends_with('.') && !help.contains('|'), "{name}: {help}");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_document_is_what_the_code_says() {
    let path = root().join("docs/metrics.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let begin = "<!-- metrics: written by the test, from src/telemetry/metrics -->\n";
    let end = "<!-- end of metrics -->\n";
    let (before, rest) = text.split_once(begin).expect("the mark where the tables begin");
    let (written, after) = rest.split_once(end).expect("the mark where the tables end");
    if written != document() {
        if std::env::var_os("SIXTAP_WRITE_DOCS").is_some() {
            std::fs::write(&path, format!("{before}{begin}{}{end}{after}", document())).unwrap();
        } else {
            panic!("docs/metrics.md is not what the code says: run with SIXTAP_WRITE_DOCS=1");
        }
    }
}

/// Words of `text` that look like our metrics.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| word.starts_with("sixtap_") && word.len() > "sixtap_".len())
        .collect()
}

#[test]
fn dashboard_and_alerts_name_metrics_that_exist() {
    let text = render(&numbered(), Format::Prometheus);
    let known = metrics_in(&text);
    let dashboard = std::fs::read_to_string(root().join("scripts/grafana/sixtap.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert!(json["panels"].as_array().unwrap().len() > 8);
    let rules =
        std::fs::read_to_string(root().join("scripts/prometheus/sixtap.rules.yml")).unwrap();
    for (file, text) in [("dashboard", &dashboard), ("rules", &rules)] {
        let named = metrics_in(text);
        assert!(named.len() > 4, "{file}: {named:?}");
        for name in named {
            assert!(known.contains(name), "{file}: there is no metric {name}");
        }
    }
}

/// Runs a program with `input`; `None`, said aloud, if it is not installed.
fn run(test: &str, program: &str, arguments: &[&str], input: &str) -> Option<(bool, String)> {
    use std::io::Write;
    let child = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("not run: {test}: {program} is not installed");
        return None;
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Some((output.status.success(), text))
}

#[test]
fn promtool_finds_nothing_to_say() {
    let test = "promtool_finds_nothing_to_say";
    let text = render(&numbered(), Format::Prometheus);
    if let Some((good, said)) = run(test, "promtool", &["check", "metrics"], &text) {
        assert!(good && said.trim().is_empty(), "{said}");
    }
    let wrong = text.replace("# TYPE sixtap_flows gauge", "# TYPE sixtap_flows counter");
    if let Some((good, said)) = run(test, "promtool", &["check", "metrics"], &wrong) {
        assert!(!good && said.contains("sixtap_flows"), "promtool checks nothing: {said}");
    }
    for arguments in [
        ["check", "rules", "scripts/prometheus/sixtap.rules.yml"],
        ["test", "rules", "scripts/prometheus/sixtap.rules.test.yml"],
    ] {
        if let Some((good, said)) = run(test, "promtool", &arguments, "") {
            assert!(good, "{arguments:?}: {said}");
        }
    }
}

#[test]
fn openmetrics_is_read_by_its_reference_parser() {
    let test = "openmetrics_is_read_by_its_reference_parser";
    let program = "import sys\n\
        try:\n    from prometheus_client.openmetrics import parser\n\
        except ImportError:\n    sys.exit(77)\n\
        families = list(parser.text_string_to_metric_families(sys.stdin.read()))\n\
        print(len(families), sum(len(family.samples) for family in families))\n";
    let text = render(&numbered(), Format::OpenMetrics);
    let Some((good, said)) = run(test, "python3", &["-c", program], &text) else { return };
    if !good && said.trim().is_empty() {
        println!("not run: {test}: python3-prometheus-client is not installed");
        return;
    }
    let families = METRICS.iter().map(|(_, group)| group.len()).sum::<usize>();
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(good && said.trim() == format!("{families} {samples}"), "{said}");
}
