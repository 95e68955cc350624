//! `sixtap bench`: the hot path on this machine, with the figures needed to size it.
//!
//! Every figure but the search for the highest rate is CPU time of one thread, the median of several rounds; frames are
//! made outside the clock. What is not in it: getting frames from a NIC.

mod flood;
mod frames;
mod machine;
mod measure;
mod report;

use super::{DONE, Failure};
use crate::capture::BATCH;
use frames::Shape;
use machine::Machine;
use measure::{Bed, Churn, Effort, Figure, Pair};
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Arguments of `sixtap bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// A few seconds: at most one million flows, fewer rounds, no search for the highest rate.
    #[arg(long)]
    quick: bool,
}

/// Flows in the table, for each row of the table of flows.
const FLOWS: [u64; 4] = [1_000, 100_000, 1_000_000, 8_000_000];
/// What is thought of where one number has to stand for all.
const USUAL_FLOWS: u64 = 1_000_000;
/// Extension headers are measured with this many flows.
const HEADER_FLOWS: u64 = 100_000;

/// Everything that was measured.
#[derive(Debug, Default)]
struct Measured {
    parse: Vec<(&'static str, Figure)>,
    /// The same by `etherparse::LaxSlicedPacket`.
    etherparse: Vec<(&'static str, Figure)>,
    hash: Vec<(&'static str, Figure)>,
    /// Flows, IPv6, IPv4, octets of the tables, octets of them in huge pages.
    whole: Vec<Whole>,
    one_by_one: Option<Figure>,
    headers: Vec<(&'static str, Figure)>,
    churn: Option<Figure>,
    encode: Option<(Figure, Figure)>,
    flood: Option<Pair>,
    /// Flows, and the share of one CPU.
    sweep: Option<(u64, Figure)>,
    together: Option<Pair>,
    highest: Option<f64>,
    skipped: Vec<String>,
}

/// One row of the table of flows.
#[derive(Clone, Copy, Debug)]
struct Whole {
    flows: u64,
    ipv6: Figure,
    ipv4: Figure,
    /// Resident octets that the IPv6 table took, and how many of them lie in huge pages.
    octets: u64,
    huge: u64,
}

/// Runs `sixtap bench`.
pub(crate) fn run(args: &BenchArgs) -> Result<u8, Failure> {
    let machine = Machine::look();
    let measured = measure_all(args.quick, &machine)?;
    let text = if args.json {
        format!("{:#}\n", report::json(&machine, &measured))
    } else {
        report::text(&machine, &measured)
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::environment(format!("standard output: cannot be written: {error}")))
        }
        _ => Ok(DONE),
    }
}

fn say(what: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{what}");
    }
}

const HEADERS: [(&str, Shape); 4] = [
    ("IPv6, 1 extension header", Shape::Headers(1)),
    ("IPv6, 2 extension headers", Shape::Headers(2)),
    ("IPv6, 3 extension headers", Shape::Headers(3)),
    ("IPv6, 181 extension headers (1,500 octets)", Shape::Longest),
];

fn measure_all(quick: bool, machine: &Machine) -> Result<Measured, Failure> {
    let effort =
        if quick { Effort { rounds: 3, arenas: 32 } } else { Effort { rounds: 9, arenas: 96 } };
    let long = Effort { arenas: effort.arenas / 8, ..effort };
    let mut measured = Measured::default();
    say("parse");
    for (name, shape) in [("IPv6", Shape::Ipv6), ("IPv4", Shape::Ipv4)].into_iter().chain(HEADERS) {
        let effort = if shape == Shape::Longest { long } else { effort };
        measured.parse.push((name, measure::parse(effort, shape)));
    }
    for (name, shape) in [("IPv6", Shape::Ipv6), ("IPv4", Shape::Ipv4)] {
        measured.etherparse.push((name, measure::parse_etherparse(effort, shape)));
        measured.hash.push((name, measure::hash(effort, shape)?));
    }
    for flows in FLOWS {
        whole(&mut measured, effort, flows, quick, machine)?;
    }
    say("extension headers");
    for (name, shape) in HEADERS {
        let effort = if shape == Shape::Longest { long } else { effort };
        let flows = if shape == Shape::Longest { 1_000 } else { HEADER_FLOWS };
        measured.headers.push((name, Bed::new(shape, flows)?.whole(effort, BATCH)));
    }
    say("new flows");
    let mut churn = Churn::new(Shape::Ipv6)?;
    measured.churn = Some(churn.run(effort));
    let batches = churn.ended(256);
    drop(churn);
    measured.encode = Some(measure::encode(effort, &batches)?);
    say("chosen keys");
    measured.flood = Some(measure::flood(effort)?);
    if std::thread::available_parallelism().is_ok_and(|threads| threads.get() >= 2) {
        say("two workers");
        measured.together = Some(measure::together(effort, Shape::Ipv6, USUAL_FLOWS)?);
        if !quick {
            say("highest rate of new flows");
            measured.highest = Some(flood::search(Duration::from_secs(1))?);
        }
    } else {
        measured.skipped.push("two workers, highest rate: only one processor".to_owned());
    }
    say("");
    Ok(measured)
}

/// One row of the table of flows, and what hangs on it.
fn whole(
    measured: &mut Measured,
    effort: Effort,
    flows: u64,
    quick: bool,
    machine: &Machine,
) -> Result<(), Failure> {
    if quick && flows > USUAL_FLOWS {
        return Ok(());
    }
    // An entry, its share of the index, and as much again to spare.
    let needed = flows * 9 / 8 * 160 * 2;
    if machine.available_memory.is_some_and(|available| needed > available) {
        measured.skipped.push(format!("{flows} flows: needs {} MiB free", needed >> 20));
        return Ok(());
    }
    say(&format!("{flows} flows"));
    let before = machine::resident();
    let mut bed = Bed::new(Shape::Ipv6, flows)?;
    let after = machine::resident();
    let ipv6 = bed.whole(effort, BATCH);
    if flows == USUAL_FLOWS {
        measured.one_by_one = Some(bed.whole(effort, 1));
    }
    if measured.sweep.is_none_or(|(known, _)| known < flows) {
        measured.sweep =
            Some((flows, bed.sweep(Effort { rounds: effort.rounds.min(5), ..effort })));
    }
    drop(bed);
    let ipv4 = Bed::new(Shape::Ipv4, flows)?.whole(effort, BATCH);
    let grown = |one: Option<u64>, other: Option<u64>| {
        other.unwrap_or_default().saturating_sub(one.unwrap_or_default())
    };
    measured.whole.push(Whole {
        flows,
        ipv6,
        ipv4,
        octets: grown(before.map(|(all, _)| all), after.map(|(all, _)| all)),
        huge: grown(before.map(|(_, huge)| huge), after.map(|(_, huge)| huge)),
    });
    Ok(())
}
