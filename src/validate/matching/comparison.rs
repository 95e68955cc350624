//! The outcome of a comparison, and how it is told: as lines, as JSON, as checks that hold or do not.

use super::What;
use crate::validate::coverage::Compared;
use crate::validate::report::{grouped, plural};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How an element is wrong.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// The mistake's name.
    pub text: String,
    /// Flows that show it.
    pub count: u64,
    /// The first of them.
    pub example: String,
}

/// One element against the truth.
#[derive(Clone, Debug)]
pub struct ElementRow {
    /// The element's name.
    pub name: String,
    /// Which element.
    pub what: What,
    /// Templates that carry it.
    pub templates: Vec<u16>,
    /// Flows in which it is right, and of them IPv6.
    pub right: u64,
    /// IPv6 flows in which it is right.
    pub right_v6: u64,
    /// Those of them in which it is not zero.
    pub telling_v6: u64,
    /// Flows in which it is wrong.
    pub wrong: u64,
    /// IPv6 flows in which it is wrong.
    pub wrong_v6: u64,
    /// The mistakes, the most frequent first.
    pub patterns: Vec<Pattern>,
}

/// Flows of one kind that are missing, or were invented.
#[derive(Clone, Debug, Default)]
pub struct Kind {
    /// Flows.
    pub flows: u64,
    /// Their packets.
    pub packets: u64,
    /// Their octets.
    pub octets: u64,
    /// The first of them.
    pub example: String,
}

/// The outcome.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Frames of the traffic.
    pub frames: u64,
    /// Frames that are in no flow, by reason.
    pub unmetered: BTreeMap<String, u64>,
    /// True flows.
    pub flows: u64,
    /// True flows with a record.
    pub found: u64,
    /// Packets and octets of the true flows.
    pub truth: (u64, u64),
    /// Packets and octets of all records.
    pub said: (u64, u64),
    /// Flow records compared.
    pub records: u64,
    /// Records of biflows with both halves.
    pub biflows: u64,
    /// Records without addresses, or beyond the bound.
    pub left_out: u64,
    /// True flows in more than one record.
    pub split: u64,
    /// Records that stand for several true flows.
    pub merged: u64,
    /// Records of packets on their way out that other records tell of on their way in: not counted again.
    pub again: u64,
    /// The exporter's clock less the capture's, nanoseconds.
    pub clock: Option<i64>,
    /// One in how many packets was metered: as declared, as it seems.
    pub sampling: (Option<f64>, Option<f64>),
    /// Records missing by sequence number.
    pub lost: u64,
    /// True flows without a record, by kind of traffic.
    pub missing: BTreeMap<String, Kind>,
    /// Records without a true flow, by protocol.
    pub extra: BTreeMap<String, Kind>,
    /// Flows and records that reach over the edges of the time in which the traffic was observed.
    pub edge: u64,
    /// Element by element.
    pub elements: Vec<ElementRow>,
}

/// One thing that the comparison holds the records to.
#[derive(Clone, Debug)]
pub struct Check {
    /// What kind of thing, as programs name it.
    pub id: &'static str,
    /// What must hold.
    pub name: String,
    /// How it does not.
    pub failure: Option<String>,
}

impl Comparison {
    /// Whether packets were sampled, as far as can be told.
    #[must_use]
    pub fn sampled(&self) -> bool {
        self.sampling.0.is_some_and(|rate| rate > 1.0)
            || self.sampling.1.is_some_and(|rate| rate > 1.5)
    }

    /// Flows missing that lost messages and sampling do not account for.
    #[must_use]
    pub fn missing_flows(&self) -> u64 {
        let missing: u64 = self.missing.values().map(|kind| kind.flows).sum();
        if self.sampled() { 0 } else { missing.saturating_sub(self.lost) }
    }

    /// Whether anything is wrong that must not be.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.missing_flows() > 0
            || !self.extra.is_empty()
            || self.elements.iter().any(|row| row.wrong > 0)
    }

    /// What must hold, and where it does not, how: for reports that are read by programs. [`Self::failed`] if any does not.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        let told = |kinds: &BTreeMap<String, Kind>| {
            let of = |(name, kind): (&String, &Kind)| {
                format!("{} {name}, such as {}", kind.flows, kind.example)
            };
            kinds.iter().map(of).collect::<Vec<_>>().join("; ")
        };
        let missing = (self.missing_flows() > 0).then(|| told(&self.missing));
        let extra = (!self.extra.is_empty()).then(|| told(&self.extra));
        let mut checks = vec![
            Check {
                id: "AGAINST-MISSING",
                name: "every flow has its records".into(),
                failure: missing,
            },
            Check { id: "AGAINST-EXTRA", name: "every record has its flow".into(), failure: extra },
        ];
        checks.extend(self.elements.iter().map(|row| {
            let pattern = |pattern: &Pattern| {
                format!("{} times: {}; {}", pattern.count, pattern.text, pattern.example)
            };
            let patterns: Vec<_> = row.patterns.iter().map(pattern).collect();
            let wrong = format!("wrong in {} flows: {}", row.wrong, patterns.join("; "));
            let failure = (row.wrong > 0).then_some(wrong);
            Check { id: "AGAINST-ELEMENT", name: format!("{} is right", row.name), failure }
        }));
        checks
    }

    /// IPv6 flows in which the elements of a need of the coverage table are right and wrong.
    #[must_use]
    pub fn of_need(&self, need: &str) -> Option<Compared> {
        let elements: &[What] = match need {
            "Flow label" => &[What::FlowLabel],
            "Traffic class" => &[What::Class],
            "Upper-layer protocol" => &[What::Protocol],
            "ICMPv6 type and code" => &[What::IcmpV6, What::IcmpTypeV6],
            "Extension headers" => &[What::HeadersFull],
            "Whether the chain is complete" => &[What::HeadersLimit],
            "Fragment identification" => &[What::FragmentId],
            "Fragment offset" => &[What::FragmentOffset],
            "Fragment flags" => &[What::FragmentFlags],
            "Hop limit" => &[What::MinimumTtl, What::MaximumTtl, What::Ttl],
            "Ports" => &[What::SourcePort, What::DestinationPort],
            "TCP flags" => &[What::TcpFlags],
            "Octets and packets" => {
                &[What::Octets, What::Packets, What::OctetTotal, What::PacketTotal]
            }
            "Start and end" => &[What::Start, What::End],
            _ => &[],
        };
        let rows: Vec<_> =
            self.elements.iter().filter(|row| elements.contains(&row.what)).collect();
        // The element that is wrong most often decides.
        let worst = rows.iter().max_by_key(|row| row.wrong_v6)?;
        Some(Compared { right: worst.right_v6, telling: worst.telling_v6, wrong: worst.wrong_v6 })
    }

    /// The summary: names and texts.
    #[must_use]
    pub fn lines(&self) -> Vec<(String, String)> {
        let mut lines = Vec::new();
        let mut line = |name: &str, text: String| lines.push((name.to_owned(), text));
        line(
            "flows",
            format!(
                "{} of {} true flows have a record; {} compared",
                grouped(self.found),
                grouped(self.flows),
                plural(self.records, "record")
            ),
        );
        let share = |said: u64, truth: u64| {
            let off = i128::from(said) - i128::from(truth);
            let sign = if off > 0 { "+" } else { "" };
            if off == 0 { "all accounted for".to_owned() } else { format!("{sign}{off}") }
        };
        line(
            "packets",
            format!(
                "{} of {} ({})",
                grouped(self.said.0),
                grouped(self.truth.0),
                share(self.said.0, self.truth.0)
            ),
        );
        line(
            "octets",
            format!(
                "{} of {} ({})",
                grouped(self.said.1),
                grouped(self.truth.1),
                share(self.said.1, self.truth.1)
            ),
        );
        if self.split + self.merged + self.biflows > 0 {
            line(
                "cut",
                format!(
                    "{} in several records, {} of several flows, {}",
                    plural(self.split, "flow"),
                    plural(self.merged, "record"),
                    plural(self.biflows, "biflow")
                ),
            );
        }
        if let Some(clock) = self.clock {
            line("clock", format!("{:+.3} s against the capture's (median)", clock as f64 / 1e9));
        }
        let rate = |rate: f64| format!("1 in {rate:.1}");
        match (self.sampling.0.filter(|rate| *rate > 1.0), self.sampling.1) {
            (Some(declared), seen) => line(
                "sampled",
                format!(
                    "{} declared{}",
                    rate(declared),
                    seen.map_or_else(String::new, |seen| format!(", {} seen", rate(seen)))
                ),
            ),
            (None, Some(seen)) => line("sampled", format!("{} seen, none declared", rate(seen))),
            (None, None) => {}
        }
        if self.lost > 0 {
            line("lost", format!("{} missing by sequence number", plural(self.lost, "record")));
        }
        for (name, kind) in &self.missing {
            line(
                "missing",
                format!(
                    "{name}: {}, {}, {}; {}",
                    plural(kind.flows, "flow"),
                    plural(kind.packets, "packet"),
                    plural(kind.octets, "octet"),
                    kind.example
                ),
            );
        }
        for (name, kind) in &self.extra {
            line(
                "extra",
                format!("{name}: {} of no packets; {}", plural(kind.flows, "flow"), kind.example),
            );
        }
        if self.again > 0 {
            line(
                "again",
                format!(
                    "{} of packets on their way out, told of on their way in",
                    plural(self.again, "record")
                ),
            );
        }
        if self.edge > 0 {
            line(
                "edge",
                format!("{} over the edge of the time observed", plural(self.edge, "flow")),
            );
        }
        if self.left_out > 0 {
            line("left out", plural(self.left_out, "record"));
        }
        lines
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let kinds = |kinds: &BTreeMap<String, Kind>| -> Value {
            let one = |(name, kind): (&String, &Kind)| {
                let Kind { flows, packets, octets, example } = kind;
                (
                    name.clone(),
                    json!({ "flows": flows, "packets": packets, "octets": octets, "example": example }),
                )
            };
            Value::Object(kinds.iter().map(one).collect())
        };
        let elements = self.elements.iter().map(|row| {
            let patterns = row.patterns.iter().map(|pattern| {
                json!({ "mistake": pattern.text, "flows": pattern.count, "example": pattern.example })
            });
            json!({
                "element": row.name,
                "templates": row.templates,
                "right": row.right,
                "wrong": row.wrong,
                "ipv6": { "right": row.right_v6, "wrong": row.wrong_v6 },
                "mistakes": patterns.collect::<Vec<_>>(),
            })
        });
        json!({
            "frames": self.frames,
            "framesInNoFlow": self.unmetered,
            "flows": self.flows,
            "flowsFound": self.found,
            "packets": { "true": self.truth.0, "exported": self.said.0 },
            "octets": { "true": self.truth.1, "exported": self.said.1 },
            "records": self.records,
            "recordsLeftOut": self.left_out,
            "biflows": self.biflows,
            "flowsInSeveralRecords": self.split,
            "recordsOfSeveralFlows": self.merged,
            "clockOffsetNanoseconds": self.clock,
            "samplingDeclared": self.sampling.0,
            "samplingSeen": self.sampling.1,
            "recordsLostBySequenceNumber": self.lost,
            "recordsOfTheWayOut": self.again,
            "flowsOverTheEdge": self.edge,
            "missing": kinds(&self.missing),
            "extra": kinds(&self.extra),
            "elements": elements.collect::<Vec<_>>(),
        })
    }
}

impl Kind {
    pub(super) fn count(&mut self, packets: u64, octets: u64, example: impl FnOnce() -> String) {
        if self.flows == 0 {
            self.example = example();
        }
        self.flows += 1;
        self.packets = self.packets.saturating_add(packets);
        self.octets = self.octets.saturating_add(octets);
    }
}
