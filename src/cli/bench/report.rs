//! The figures as text and as JSON.

use super::machine::Machine;
use super::measure::{ARENA, Figure, Pair};
use super::{HEADER_FLOWS, Measured, USUAL_FLOWS, Whole};
use crate::capture::BATCH;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// Link speeds, Gb/s.
const LINKS: [u64; 4] = [10, 25, 40, 100];
/// What a frame takes on the wire beside what a capture shows: check sequence, preamble, gap.
const OVERHEAD: f64 = 4.0 + 8.0 + 12.0;
/// Mean of 7:4:1 frames of 60–86, 590 and 1514 octets.
const IMIX: f64 = 366.0;
/// The shortest frame, without its check sequence.
const SHORTEST: f64 = 60.0;

/// Million packets a second that one CPU does.
fn rate(figure: Figure) -> f64 {
    1000.0 / figure.median
}

/// Packets a second of a full link.
fn packets(gigabits: u64, octets: f64) -> f64 {
    gigabits as f64 * 1e9 / 8.0 / (octets + OVERHEAD)
}

impl Whole {
    fn slower(&self) -> f64 {
        self.ipv6.median.max(self.ipv4.median)
    }

    fn octets_a_flow(&self) -> f64 {
        self.octets as f64 / self.flows as f64
    }
}

fn usual(measured: &Measured) -> Option<&Whole> {
    measured.whole.iter().find(|row| row.flows == USUAL_FLOWS)
}

/// What people read.
pub(super) fn text(machine: &Machine, measured: &Measured) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write_text(machine, measured, &mut out);
    out
}

fn write_text(machine: &Machine, measured: &Measured, out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "sixtap {} on {} ({} processors), Linux {}, load {}",
        env!("CARGO_PKG_VERSION"),
        machine.processor,
        machine.processors,
        machine.kernel,
        machine.load
    )?;
    writeln!(
        out,
        "Transparent huge pages: {}. CPU time of one thread, median of the rounds (quickest to slowest).",
        machine.huge_pages
    )?;
    writeln!(
        out,
        "Frames are made outside the clock, {ARENA} at a time, and lie in the second-level cache, as after a reader's copy;\n\
         batches of {BATCH}. Getting frames from a NIC is not in these figures."
    )?;
    writeln!(
        out,
        "\nWhole meter: parse, hash, look up, update; every flow as likely as any other"
    )?;
    writeln!(
        out,
        "{:>12}  {:>26} {:>6}  {:>26} {:>6}  {:>9} {:>6}",
        "flows", "IPv6, ns/packet", "Mpps", "IPv4, ns/packet", "Mpps", "MB", "huge"
    )?;
    for row in &measured.whole {
        writeln!(
            out,
            "{:>12}  {:>26} {:>6.1}  {:>26} {:>6.1}  {:>9.0} {:>5.0}%",
            grouped(row.flows),
            spread(row.ipv6),
            rate(row.ipv6),
            spread(row.ipv4),
            rate(row.ipv4),
            row.octets as f64 / 1e6,
            100.0 * row.huge as f64 / (row.octets as f64).max(1.0)
        )?;
    }
    let mut line = |name: &str, figure: Figure, unit: &str| {
        writeln!(out, "  {name:<52} {:>26} {unit}, {:.1} M/s", spread(figure), rate(figure))
    };
    line_group(&mut line, measured)?;
    writeln!(out)?;
    write_shares(measured, out)?;
    write_links(measured, out)?;
    for what in &measured.skipped {
        writeln!(out, "Not measured: {what}")?;
    }
    Ok(())
}

fn line_group(
    line: &mut dyn FnMut(&str, Figure, &str) -> std::fmt::Result,
    measured: &Measured,
) -> std::fmt::Result {
    for (name, figure) in &measured.parse {
        line(&format!("parse only: {name}"), *figure, "ns/packet")?;
    }
    for (name, figure) in &measured.etherparse {
        line(&format!("the same by etherparse::LaxSlicedPacket: {name}"), *figure, "ns/packet")?;
    }
    for (name, figure) in &measured.hash {
        line(&format!("parse, key and hash: {name}"), *figure, "ns/packet")?;
    }
    for (name, figure) in &measured.headers {
        line(&format!("whole meter: {name}"), *figure, "ns/packet")?;
    }
    if let Some(figure) = measured.one_by_one {
        let name = format!("whole meter: {} flows, one frame at a time", grouped(USUAL_FLOWS));
        line(&name, figure, "ns/packet")?;
    }
    if let Some(Pair { first: random, second: colliding, .. }) = measured.flood {
        line("whole meter: 32,768 flows, random keys", random, "ns/packet")?;
        line("the same, keys that collide under another secret", colliding, "ns/packet")?;
    }
    if let Some(figure) = measured.churn {
        line("new flows: begun, ended, handed on", figure, "ns/flow")?;
    }
    if let Some((alone, sent)) = measured.encode {
        line("records: encoded", alone, "ns/record")?;
        line("records: encoded, in messages, sent over UDP", sent, "ns/record")?;
    }
    Ok(())
}

fn write_shares(measured: &Measured, out: &mut String) -> std::fmt::Result {
    writeln!(out, "Extension headers: {} flows, the longest chain: 1,000.", grouped(HEADER_FLOWS))?;
    if let Some((flows, share)) = measured.sweep {
        writeln!(
            out,
            "Expiry: {:.2} % of one CPU with {} idle flows.",
            share.median * 100.0,
            grouped(flows)
        )?;
    }
    if let Some(pair) = measured.flood {
        writeln!(
            out,
            "Chosen keys: random ones take {:.2} times the CPU of those that collide.",
            pair.ratio
        )?;
    }
    if let Some(pair) = measured.together {
        writeln!(
            out,
            "Two workers, {} flows each: {:.2} times the packets of one.",
            grouped(USUAL_FLOWS),
            pair.ratio
        )?;
    }
    if let Some(highest) = measured.highest {
        writeln!(
            out,
            "Highest rate of new flows, none lost, one worker and one exporter (wall clock): {:.2} M/s.",
            highest / 1e6
        )?;
    }
    Ok(())
}

fn write_links(measured: &Measured, out: &mut String) -> std::fmt::Result {
    let Some(row) = usual(measured) else { return Ok(()) };
    writeln!(
        out,
        "\nCPUs for a full link at {:.1} ns/packet ({} flows, the slower of IPv6 and IPv4), metering alone",
        row.slower(),
        grouped(row.flows)
    )?;
    writeln!(out, "{:>10}  {:>24}  {:>24}", "", "IMIX (mean 366 octets)", "64 octets")?;
    for link in LINKS {
        write!(out, "{link:>5} Gb/s")?;
        for octets in [IMIX, SHORTEST] {
            let packets = packets(link, octets);
            write!(out, "  {:>9.2} Mpps {:>5.2} CPU", packets / 1e6, packets * row.slower() / 1e9)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn spread(figure: Figure) -> String {
    format!("{:.1} ({:.1} to {:.1})", figure.median, figure.least, figure.most)
}

/// With commas: 1,000,000.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn figure(figure: Figure) -> Value {
    let round = |value: f64| (value * 100.0).round() / 100.0;
    json!({
        "median": round(figure.median),
        "least": round(figure.least),
        "most": round(figure.most),
    })
}

fn named(figures: &[(&'static str, Figure)]) -> Value {
    let pairs = figures.iter().map(|(name, one)| ((*name).to_owned(), figure(*one)));
    Value::Object(pairs.collect::<Map<_, _>>())
}

/// What programs read. Figures are nanoseconds for one packet, flow or record.
pub(super) fn json(machine: &Machine, measured: &Measured) -> Value {
    let rows = measured.whole.iter().map(|row| {
        json!({
            "flows": row.flows,
            "ipv6": figure(row.ipv6),
            "ipv4": figure(row.ipv4),
            "tableOctets": row.octets,
            "octetsPerFlow": (row.octets_a_flow() * 10.0).round() / 10.0,
            "hugePageOctets": row.huge,
        })
    });
    let links = usual(measured).map(|row| {
        let one = |link: u64, octets: f64| {
            let packets = packets(link, octets);
            json!({"packetsPerSecond": packets.round(), "cpus": packets * row.slower() / 1e9})
        };
        LINKS.map(|link| {
            json!({
                "gigabitsPerSecond": link,
                "imix366": one(link, IMIX),
                "frames64": one(link, SHORTEST),
            })
        })
    });
    json!({
        "sixtap": env!("CARGO_PKG_VERSION"),
        "machine": {
            "processor": machine.processor,
            "processors": machine.processors,
            "kernel": machine.kernel,
            "transparentHugePages": machine.huge_pages,
            "load": machine.load,
        },
        "unit": "nanoseconds of CPU time for one packet, flow or record",
        "batch": BATCH,
        "framesInCache": ARENA,
        "parse": named(&measured.parse),
        "parseEtherparse": named(&measured.etherparse),
        "parseAndHash": named(&measured.hash),
        "meter": rows.collect::<Vec<_>>(),
        "meterHeaders": named(&measured.headers),
        "meterOneFrameAtATime": measured.one_by_one.map(figure),
        "meterRandomKeys": measured.flood.map(|pair| figure(pair.first)),
        "meterCollidingKeys": measured.flood.map(|pair| figure(pair.second)),
        "randomAgainstColliding": measured.flood.map(|pair| pair.ratio),
        "newFlow": measured.churn.map(figure),
        "encode": measured.encode.map(|(alone, _)| figure(alone)),
        "encodeAndSend": measured.encode.map(|(_, sent)| figure(sent)),
        "expiryShareOfCpu": measured.sweep.map(|(flows, share)| {
            json!({"flows": flows, "share": share.median})
        }),
        "twoWorkers": measured.together.map(|pair| {
            json!({"alone": figure(pair.first), "beside": figure(pair.second), "times": pair.ratio})
        }),
        "highestNewFlowsPerSecond": measured.highest,
        "links": links,
        "notMeasured": measured.skipped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(["0", "999", "1,000", "12,345,678"], [0, 999, 1000, 12_345_678].map(grouped));
    }

    #[test]
    fn a_full_link_has_the_packets_of_ethernet() {
        // 14.88 Mpps: the well-known figure of 10 Gb/s and 64 octets.
        assert_eq!((packets(10, SHORTEST) / 1e3).round(), 14_881.0);
    }

    #[test]
    fn text_and_json_of_what_was_measured() {
        let one = Figure { median: 20.0, least: 19.0, most: 21.0 };
        let row = Whole { flows: USUAL_FLOWS, ipv6: one, ipv4: one, octets: 152_000_000, huge: 0 };
        let measured = Measured {
            parse: vec![("IPv6", one)],
            whole: vec![row],
            together: Some(Pair { first: one, second: one, ratio: 1.96 }),
            ..Measured::default()
        };
        let machine = Machine::look();
        let text = text(&machine, &measured);
        assert!(text.contains("20.0 (19.0 to 21.0)"), "{text}");
        assert!(text.contains("1.96 times the packets of one"), "{text}");
        // 64.1 Mpps at 20 ns: 10 Gb/s of 64 octets need 0.30 CPUs.
        assert!(text.contains("14.88 Mpps  0.30 CPU"), "{text}");
        let json = json(&machine, &measured);
        assert_eq!(json["meter"][0]["octetsPerFlow"], 152.0);
        assert_eq!(json["links"][0]["gigabitsPerSecond"], 10);
    }
}
