//! The edges between modules, held.
//!
//! Reads every file under `src/`, finds each path that starts at `crate`, `super`, `self` or `ie_registry`, and fails
//! on an edge that the table below does not draw (DESIGN section 2). Also: where `unsafe` may stand, and how long a
//! file may be. Paths in comments, strings and test modules are no edges.

mod sources;

use sources::{Source, edges, read_tree};
use std::collections::BTreeSet;
use std::path::Path;

/// One node of the drawing: what it is for, and what it may use besides itself.
struct Node {
    name: &'static str,
    sentence: &'static str,
    may_use: &'static [&'static str],
}

/// The drawing. A node below another in its column uses what stands above it, never the other way round.
const NODES: &[Node] = &[
    Node {
        name: "config",
        sentence: "What the user asked for, resolved once into numbers.",
        may_use: &["ie_registry"],
    },
    Node {
        name: "telemetry",
        sentence: "Counts, proves that the counts add up, shows them.",
        may_use: &["config"],
    },
    Node {
        name: "ipfix",
        sentence: "The wire format and nothing else; knows no flow.",
        may_use: &["ie_registry"],
    },
    // The probe's column.
    Node {
        name: "capture",
        sentence: "Lends batches of frames and takes them back.",
        may_use: &["config", "telemetry"],
    },
    Node {
        name: "meter::packet",
        sentence: "Reads one frame into facts; no clock, no I/O, no configuration file.",
        may_use: &["capture"],
    },
    Node {
        name: "meter::flow",
        sentence: "Gathers facts into flows; time is an argument.",
        may_use: &["capture", "meter::packet"],
    },
    Node {
        name: "meter",
        sentence: "Holds the two halves together and adds nothing.",
        may_use: &["meter::packet", "meter::flow"],
    },
    Node {
        name: "export",
        sentence: "Flow to record to message to collector; takes time stamps from capture, never frames.",
        may_use: &["capture", "config", "ie_registry", "ipfix", "meter::flow", "telemetry"],
    },
    Node {
        name: "probe",
        sentence: "Threads: starts, pins, drains and stops everything above.",
        may_use: &[
            "capture",
            "config",
            "export",
            "ie_registry",
            "ipfix",
            "meter",
            "meter::flow",
            "meter::packet",
            "telemetry",
        ],
    },
    // The collector's column.
    Node {
        name: "collect",
        sentence: "Octets from anywhere to messages to records; reads capture files for their datagrams.",
        may_use: &["capture", "config", "ie_registry", "ipfix", "telemetry"],
    },
    Node {
        name: "validate::reference",
        sentence: "A second meter. Shares no parser with the first: neither meter nor export nor ipfix.",
        may_use: &["capture", "ie_registry"],
    },
    Node {
        name: "validate",
        sentence: "Holds a stream against the RFCs and against the reference.",
        may_use: &[
            "capture",
            "collect",
            "config",
            "ie_registry",
            "ipfix",
            "telemetry",
            "validate::reference",
        ],
    },
    // Beside both.
    Node {
        name: "craft",
        sentence: "Traffic whose truth is known; it must not ask the meter what the truth is.",
        may_use: &["capture", "ie_registry"],
    },
    Node {
        name: "cli",
        sentence: "Words in, plan out; the only place that sees everything.",
        may_use: &[
            "capture",
            "collect",
            "config",
            "craft",
            "export",
            "ie_registry",
            "ipfix",
            "meter",
            "meter::flow",
            "meter::packet",
            "probe",
            "telemetry",
            "validate",
            "validate::reference",
        ],
    },
    Node { name: "main", sentence: "Hands the process to the command line.", may_use: &["cli"] },
    Node { name: "lib", sentence: "The map: declares the modules, uses none.", may_use: &[] },
];

/// Where the keyword `unsafe` may stand, with the reason.
const UNSAFE: &[(&str, &str)] = &[
    ("src/capture/xdp", "rings and buffers shared with the kernel"),
    ("src/capture/packet_socket", "a ring shared with the kernel"),
    ("src/meter/flow/table", "prefetch and entries in huge pages"),
];

/// Longest file, in lines. Near 500 lines of code is what we aim at; this is where a file is no longer one thing.
const LONGEST: usize = 800;

fn node_of(path: &[String]) -> String {
    let joined = path.iter().take(2).cloned().collect::<Vec<_>>().join("::");
    if NODES.iter().any(|node| node.name == joined) {
        return joined;
    }
    match path.first() {
        Some(first) => first.clone(),
        None => "lib".to_owned(),
    }
}

/// Every edge in `sources` that the drawing lacks, one sentence each.
fn violations(sources: &[Source]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for source in sources {
        let from = node_of(&source.module);
        let Some(node) = NODES.iter().find(|node| node.name == from) else {
            found.insert(format!(
                "{}: module {from} is not in the drawing (NODES in tests/architecture.rs)",
                source.path.display()
            ));
            continue;
        };
        for edge in edges(source) {
            let to = node_of(&edge.target);
            if to != from && !node.may_use.contains(&to.as_str()) {
                found.insert(format!(
                    "{}:{}: {from} uses {} but no edge {from} -> {to} is drawn. {from}: {}",
                    source.path.display(),
                    edge.line,
                    edge.target.join("::"),
                    node.sentence
                ));
            }
        }
    }
    found
}

fn tree() -> Vec<Source> {
    let sources = read_tree(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(sources.len() > 10, "found only {} source files", sources.len());
    sources
}

#[test]
fn every_edge_is_drawn() {
    let found = violations(&tree());
    assert!(found.is_empty(), "{}", found.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_drawing_has_no_cycle() {
    // Kahn's algorithm: take away nodes that use nothing that is left.
    let mut left: Vec<&Node> = NODES.iter().collect();
    loop {
        let names: Vec<&str> = left.iter().map(|node| node.name).collect();
        let before = left.len();
        left.retain(|node| node.may_use.iter().any(|used| names.contains(used)));
        if left.is_empty() {
            return;
        }
        assert!(left.len() < before, "cycle among {names:?}");
    }
}

#[test]
fn unsafe_stands_only_where_it_is_argued() {
    let mut found = Vec::new();
    for source in tree() {
        let path = source.path.to_string_lossy().replace('\\', "/");
        if UNSAFE.iter().any(|(place, _)| path.starts_with(place)) {
            continue;
        }
        found.extend(
            source
                .tokens()
                .into_iter()
                .filter(|token| token.text == "unsafe")
                .map(|token| format!("{path}:{}: `unsafe` outside {UNSAFE:?}", token.line)),
        );
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_file_is_too_long() {
    let found: Vec<String> = tree()
        .into_iter()
        .filter(|source| source.text.lines().count() > LONGEST)
        .map(|source| format!("{}: {} lines", source.path.display(), source.text.lines().count()))
        .collect();
    assert!(found.is_empty(), "over {LONGEST} lines:\n{}", found.join("\n"));
}

#[test]
fn the_validators_meter_shares_no_parser() {
    let node = NODES.iter().find(|node| node.name == "validate::reference").expect("drawn");
    for banned in ["meter", "meter::packet", "meter::flow", "export", "ipfix"] {
        assert!(!node.may_use.contains(&banned), "validate::reference may never use {banned}");
    }
}

// The test tested: made-up files with a bad edge in every form Rust can write it.

fn one(path: &str, text: &str) -> BTreeSet<String> {
    violations(&[Source::new(path, text)])
}

#[test]
fn a_bad_edge_is_found_however_it_is_written() {
    for text in [
        "use crate::meter::packet::Facts;",
        "use crate::{capture::Frame, meter::{packet::Facts}};",
        "pub use crate::export;",
        "fn f() -> crate::export::Exporter { loop {} }",
        "use super::super::meter::flow::Key;",
        "mod inner { use super::super::super::export::X; }",
        "macro_rules! m { () => { $crate::export::X } }",
        "use crate::\n    // a comment between\n    export::X;",
        "use crate :: r#export :: X;",
    ] {
        assert_eq!(one("src/validate/reference/meter.rs", text).len(), 1, "not found: {text}");
    }
    assert_eq!(one("src/ipfix/encode.rs", "use crate::meter::flow::FlowRecord;").len(), 1);
    assert_eq!(one("src/meter/packet/ipv6.rs", "use super::super::flow::Key;").len(), 1);
    assert_eq!(one("src/capture/pcap.rs", "use ie_registry::Element;").len(), 1);
    assert_eq!(one("src/main.rs", "fn main() { sixtap::probe::run(); }").len(), 1);
    assert_eq!(one("src/novel/mod.rs", "").len(), 1, "a module without a row");
}

#[test]
fn a_good_edge_is_left_alone() {
    for (path, text) in [
        ("src/validate/reference/meter.rs", "use crate::capture::{Frame, Timestamp};"),
        ("src/validate/reference/meter.rs", "use super::flow::Flow; use self::x::Y;"),
        ("src/validate/reference/meter.rs", "//! Unlike [`crate::meter::packet`].\nfn f() {}"),
        ("src/validate/reference/meter.rs", "/* crate::export /* nested */ crate::export */"),
        (
            "src/validate/reference/meter.rs",
            "const S: &str = \"crate::export \\\" crate::export\";",
        ),
        ("src/validate/reference/meter.rs", "const S: &str = r#\"use crate::export; \" \"#;"),
        ("src/validate/reference/meter.rs", "const C: char = '\"'; fn f<'a>(s: &'a str) {} // \""),
        (
            "src/validate/reference/meter.rs",
            "#[cfg(test)]\nmod tests { use crate::meter::packet; }",
        ),
        ("src/validate/reference/tests.rs", "use crate::meter::packet;"),
        ("src/meter/flow/expiry.rs", "use crate::meter::packet::Facts; use super::Key;"),
        ("src/main.rs", "fn main() { sixtap::cli::main() }"),
    ] {
        assert_eq!(one(path, text), BTreeSet::new(), "{text}");
    }
    // Code after a test module counts again.
    let text = "#[cfg(test)] mod tests { fn f() { { } } }\nuse crate::export::X;";
    assert_eq!(one("src/validate/reference/meter.rs", text).len(), 1);
}
