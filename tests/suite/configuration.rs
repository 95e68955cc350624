//! The configuration file of `sixtap probe`, as a user meets it: by the command.
//!
//! `docs/configuration.md` holds the table of keys between two marks; `SIXTAP_WRITE_DOCS=1` writes it anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end so")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn sixtap(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sixtap")).args(arguments).output().expect("sixtap")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).expect("written");
        path
    }

    /// A configuration file and what `sixtap probe --config FILE` with `more` says.
    fn probe(&self, text: &str, more: &[&str]) -> Output {
        let path = self.write("probe.toml", text);
        let mut arguments = vec!["probe", "--config", path.to_str().unwrap()];
        arguments.extend(more);
        sixtap(&arguments)
    }
}

fn parsed(text: &str) -> toml::Table {
    text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn dumped(output: &Output) -> toml::Table {
    assert!(output.status.success(), "{}", err(output));
    parsed(&out(output))
}

/// Long options as the help shows them.
fn long_options() -> BTreeSet<String> {
    let help = out(&sixtap(&["probe", "--help"]));
    let words = help.lines().filter(|line| line.trim_start().starts_with('-'));
    let names = words.filter_map(|line| line.split("--").nth(1));
    names
        .map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '-').collect())
        .collect()
}

/// Keys that `--dump-config` shows, those without a value too, with their table.
fn dumped_keys(text: &str) -> BTreeMap<String, String> {
    let mut table = String::new();
    let mut keys = BTreeMap::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            table = name.trim_end_matches(']').to_owned();
        }
        let line = line.strip_prefix("# ").unwrap_or(line);
        let Some((key, _)) = line.split_once(" =") else { continue };
        if key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
            keys.insert(key.to_owned(), table.clone());
        }
    }
    keys
}

#[test]
fn every_long_option_has_its_key_in_a_table() {
    let keys = dumped_keys(&out(&sixtap(&["probe", "--dump-config"])));
    let mut options = long_options();
    assert!(options.len() > 25, "the help is not understood: {options:?}");
    for about_the_file in ["config", "check", "dump-config", "help"] {
        assert!(options.remove(about_the_file), "no --{about_the_file}");
    }
    let without: Vec<_> = options.iter().filter(|option| !keys.contains_key(*option)).collect();
    assert!(without.is_empty(), "no key for {without:?}");
    let homeless: Vec<_> = keys.iter().filter(|(_, table)| table.is_empty()).collect();
    assert!(homeless.is_empty(), "put these into a group with next_help_heading: {homeless:?}");
    assert_eq!(keys.get("filter").map(String::as_str), Some("input"));
}

#[test]
fn a_dump_is_read_back_as_it_was() {
    let scratch = Scratch::new();
    let first = sixtap(&[
        "probe",
        "-i",
        "eth1",
        "-i",
        "eth2",
        "--active",
        "60.5",
        "--biflow",
        "--packet-socket=2",
        "-c",
        "udp://[2001:db8::1]:4739",
        "-c",
        "json:a \"b\"",
        "--dump-config",
        "port",
        "53",
    ]);
    let table = dumped(&first);
    assert_eq!(table["input"]["interface"].as_array().map(Vec::len), Some(2));
    assert_eq!(table["input"]["filter"].as_str(), Some("port 53"));
    assert_eq!(table["meter"]["biflow"].as_bool(), Some(true));
    assert_eq!(table["meter"]["idle"].as_integer(), Some(30));
    let again = scratch.probe(&out(&first), &["--dump-config"]);
    assert_eq!(out(&again), out(&first), "{}", err(&again));
}

#[test]
fn the_command_line_wins() {
    let scratch = Scratch::new();
    let text = "[input]\ninterface = [\"eth1\"]\nsteal = true\nfilter = \"port 1\"\n[meter]\nactive = 60\nbiflow = true\n\
        [export]\ncollector = [\"json:a\", \"json:b\"]\n";
    let alone = dumped(&scratch.probe(text, &["--dump-config"]));
    assert_eq!(alone["meter"]["active"].as_integer(), Some(60));
    assert_eq!(alone["export"]["collector"].as_array().map(Vec::len), Some(2));
    let more = [
        "--dump-config",
        "--active",
        "70",
        "-c",
        "json:c",
        "--biflow=false",
        "-r",
        "x.pcap",
        "port",
        "2",
    ];
    let both = dumped(&scratch.probe(text, &more));
    assert_eq!(both["meter"]["active"].as_integer(), Some(70));
    assert_eq!(both["meter"]["biflow"].as_bool(), Some(false));
    assert_eq!(both["export"]["collector"].as_array().map(Vec::len), Some(1), "a list is replaced");
    assert_eq!(both["input"]["read"].as_str(), Some("x.pcap"));
    assert!(both["input"].get("interface").is_none(), "-r rules the file's interface out");
    assert_eq!(both["input"]["filter"].as_str(), Some("port 2"));
    // What rules out an option of the file goes before it, too.
    let socket = dumped(&scratch.probe(text, &["--dump-config", "--packet-socket"]));
    assert_eq!(socket["input"]["steal"].as_bool(), Some(false));
}

#[test]
fn what_is_wrong_is_said_with_its_line_and_what_was_meant() {
    let scratch = Scratch::new();
    for (text, line, words) in [
        ("[meter]\nactiv = 60\n", 2, "did you mean \"meter.active\"?"),
        ("[meter]\nactive = 60\n\n[exprot]\n", 4, "did you mean \"export\"?"),
        ("[export]\nactive = 60\n", 2, "did you mean \"meter.active\"?"),
        ("interface = \"eth1\"\n", 1, "did you mean \"input.interface\"?"),
        ("[input]\nqqqq = 1\n", 2, "--dump-config shows them all"),
        ("[meter]\nconfig = \"x\"\n", 2, "there is no key \"meter.config\""),
        ("[meter]\nactive = = 60\n", 2, ""),
        ("[meter]\nactive = 60\nactive = 61\n", 3, "duplicate key"),
        ("[meter]\nactive = \"soon\"\n", 2, "write a number of seconds"),
        ("[meter]\n\nidle = -1\n", 3, "above 0"),
        ("[meter]\nbiflow = \"yes\"\n", 2, "meter.biflow takes true or false"),
        ("[meter]\nactive = [1, 2]\n", 2, "meter.active takes a number"),
        ("[meter]\nactive = true\n", 2, "meter.active takes a number"),
        ("[meter]\nactive = { a = 1 }\n", 2, "meter.active takes a number"),
        ("[export]\ncollector = [\"json:-\", 2020-01-01]\n", 2, "export.collector takes a list"),
        ("[export]\ncollector = [\"xyz://a\"]\n", 2, "xyz"),
        ("[meter]\ntunnel = \"middle\"\n", 2, "possible values: outer"),
        ("[meter]\nflows = 0\n", 2, "0 is not in"),
    ] {
        let output = scratch.probe(text, &["-r", "x.pcap"]);
        let said = err(&output);
        assert_eq!(output.status.code(), Some(2), "{text}{said}");
        assert!(
            said.contains(&format!("probe.toml:{line}: ")) && said.contains(words),
            "{text}{said}"
        );
        assert_eq!(said.lines().count(), 1, "one line: {said}");
    }
    let missing = sixtap(&["probe", "--config", "/nowhere/x.toml", "--check"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(err(&missing).contains("/nowhere/x.toml: No such file"), "{}", err(&missing));
}

#[test]
fn a_check_reads_what_the_configuration_names_and_opens_nothing() {
    let scratch = Scratch::new();
    let right = "[input]\ninterface = [\"no-such-interface\"]\n[export]\ncollector = [\"tcp://[2001:db8::1]\"]\n";
    let output = scratch.probe(right, &["--check"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(err(&output).contains("the configuration is right"));
    for (wrong, words) in [
        ("[export]\ntemplate = \"no-such.toml\"\n", "no-such.toml"),
        ("[export]\ntemplate = \"deflaut\"\n", "no such preset"),
        ("[export]\nelements = \"no-such.toml\"\n", "no-such.toml"),
        ("[input]\ncpus = \"1-\"\n", "write as 0,2-3"),
        #[cfg(feature = "filter")]
        ("[input]\nfilter = \"prot 80\"\n", "prot"),
    ] {
        let output = scratch.probe(wrong, &["-i", "x", "--check"]);
        assert_eq!(output.status.code(), Some(2), "{wrong}{}", err(&output));
        assert!(err(&output).contains(words), "{wrong}{}", err(&output));
    }
    assert_eq!(sixtap(&["probe", "--check"]).status.code(), Some(2), "no input at all");
}

#[test]
fn a_run_by_file_alone_is_the_run_by_options() {
    let scratch = Scratch::new();
    let path = |name: &str| scratch.0.path().join(name).to_str().unwrap().to_owned();
    let made = sixtap(&["craft", "-w", &path("cases.pcap")]);
    assert!(made.status.success(), "{}", err(&made));
    let text = format!(
        "[input]\nread = {:?}\nfilter = \"ip6\"\n[meter]\nchain-key = true\n[export]\ncollector = [\"json:{}\"]\n\
         [operation]\nstats = \"json\"\nquiet = true\n",
        path("cases.pcap"),
        path("by-file.jsonl")
    );
    let by_file = scratch.probe(&text, &[]);
    let collector = format!("json:{}", path("by-option.jsonl"));
    let by_option = sixtap(&[
        "probe",
        "-r",
        &path("cases.pcap"),
        "--chain-key",
        "-c",
        &collector,
        "--stats",
        "json",
        "-q",
        "ip6",
    ]);
    assert!(by_file.status.success() && by_option.status.success(), "{}", err(&by_file));
    let records = fs::read_to_string(path("by-file.jsonl")).unwrap();
    assert!(records.lines().count() > 50);
    assert_eq!(records, fs::read_to_string(path("by-option.jsonl")).unwrap());
}

#[test]
fn the_page_lists_every_key() {
    const BEGIN: &str =
        "<!-- keys: written by SIXTAP_WRITE_DOCS=1 cargo test --test suite configuration -->\n";
    const END: &str = "<!-- end of keys -->\n";
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let text = fs::read_to_string(&page).expect("docs/configuration.md");
    let (head, rest) = text.split_once(BEGIN).expect("the first mark");
    let (table, tail) = rest.split_once(END).expect("the second mark");
    let fresh = out(&sixtap(&["pages", "--keys"]));
    assert!(fresh.lines().count() > 30, "{fresh}");
    if std::env::var_os("SIXTAP_WRITE_DOCS").is_some() {
        fs::write(&page, format!("{head}{BEGIN}{fresh}{END}{tail}")).expect("written");
    } else {
        assert_eq!(
            table, fresh,
            "write it anew: SIXTAP_WRITE_DOCS=1 cargo test --test suite configuration"
        );
    }
}
