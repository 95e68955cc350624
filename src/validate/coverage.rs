//! Can a collector see IPv6 attacks with what this exporter sends? A table and a grade.
//!
//! Comes in: the templates of an exporter's sessions, the findings, and what the comparison with true flows says.
//! Goes out: for each element a detection needs, whether it is exported and right; for each attack, whether it can be
//! seen; and one letter.
//!
//! The attacks and what their signatures need are those of Hendriks et al., "Flow-Based Detection of IPv6-specific
//! Network Layer Attacks" (AIMS 2017), with scans and sweeps besides.

use super::finding::{Finding, Severity, Subject};
use super::session::Facts;
use super::view::{Slot, View};

/// Something a detection needs to know of a flow.
#[derive(Debug)]
pub struct Need {
    /// In words.
    pub name: &'static str,
    /// The elements that tell it: all of one of these.
    pub elements: &'static [&'static [Slot]],
    /// The elements as people name them.
    pub shown: &'static str,
    /// Rules that show it to be wrong, as beginnings of their ids.
    pub rules: &'static [&'static str],
    /// What it counts for in the grade.
    pub weight: u32,
}

/// What detections need, in the order of the table.
pub const NEEDS: &[Need] = &[
    Need {
        name: "Flow label",
        elements: &[&[Slot::FlowLabel]],
        shown: "flowLabelIPv6 (31)",
        rules: &["V6-LABEL"],
        weight: 3,
    },
    Need {
        name: "Traffic class",
        elements: &[&[Slot::Class]],
        shown: "ipClassOfService (5)",
        rules: &["V6-CLASS"],
        weight: 2,
    },
    Need {
        name: "Upper-layer protocol",
        elements: &[&[Slot::Protocol]],
        shown: "protocolIdentifier (4)",
        rules: &["V6-PROTOCOL", "V6-CHAIN", "V6-NO-PROTOCOL"],
        weight: 3,
    },
    Need {
        name: "ICMPv6 type and code",
        elements: &[&[Slot::IcmpV6], &[Slot::IcmpTypeV6, Slot::IcmpCodeV6]],
        shown: "icmpTypeCodeIPv6 (139)",
        rules: &["V6-ICMP"],
        weight: 3,
    },
    Need {
        name: "Extension headers",
        elements: &[&[Slot::HeadersFull], &[Slot::HeaderTypeCounts], &[Slot::ExtensionHeaders]],
        shown: "ipv6ExtensionHeadersFull (515)",
        rules: &["V6-EH515-AND", "V6-EH515-BITS", "V6-EH515-CONTRADICTS", "V6-EH64"],
        weight: 3,
    },
    Need {
        name: "Whether the chain is complete",
        elements: &[&[Slot::HeadersLimit]],
        shown: "ipv6ExtensionHeadersLimit (517)",
        rules: &[],
        weight: 1,
    },
    Need {
        name: "Fragment identification",
        elements: &[&[Slot::FragmentId]],
        shown: "fragmentIdentification (54)",
        rules: &["V6-FRAGMENT-ID"],
        weight: 2,
    },
    Need {
        name: "Fragment offset",
        elements: &[&[Slot::FragmentOffset]],
        shown: "fragmentOffset (88)",
        rules: &["V6-FRAGMENT-OFFSET", "V6-FRAGMENT-PORTS"],
        weight: 2,
    },
    Need {
        name: "Fragment flags",
        elements: &[&[Slot::FragmentFlags]],
        shown: "fragmentFlags (197)",
        rules: &["V6-FRAGMENT-DF"],
        weight: 1,
    },
    Need {
        name: "Hop limit",
        elements: &[&[Slot::MinimumTtl, Slot::MaximumTtl], &[Slot::Ttl]],
        shown: "minimumTTL (52), maximumTTL (53)",
        rules: &["V6-HOP"],
        weight: 1,
    },
    Need {
        name: "Ports",
        elements: &[&[Slot::SourcePort, Slot::DestinationPort]],
        shown: "sourceTransportPort (7), destinationTransportPort (11)",
        rules: &["V6-FRAGMENT-PORTS", "V6-PORTS", "ENC-ORDER-PORTS"],
        weight: 2,
    },
    Need {
        name: "TCP flags",
        elements: &[&[Slot::TcpFlags]],
        shown: "tcpControlBits (6)",
        rules: &["CNT-TCP-OFFSET", "CNT-TCP-FLAGS-NOT"],
        weight: 2,
    },
    Need {
        name: "Octets and packets",
        elements: &[&[Slot::OctetDelta, Slot::PacketDelta], &[Slot::OctetTotal, Slot::PacketTotal]],
        shown: "octetDeltaCount (1), packetDeltaCount (2)",
        rules: &[
            "CNT-TOO",
            "CNT-NEGATIVE",
            "CNT-CUMULATIVE",
            "CNT-LAYER",
            "CNT-ETHERNET",
            "CNT-ZERO",
            "ENC-ORDER-COUNTERS",
        ],
        weight: 3,
    },
    Need {
        name: "Start and end",
        elements: &[
            &[Slot::StartMillis, Slot::EndMillis],
            &[Slot::StartMicros, Slot::EndMicros],
            &[Slot::StartNanos, Slot::EndNanos],
            &[Slot::StartUptime, Slot::EndUptime],
            &[Slot::StartSeconds, Slot::EndSeconds],
            &[Slot::StartDelta, Slot::EndDelta],
        ],
        shown: "flowStartMilliseconds (152), flowEndMilliseconds (153)",
        rules: &[
            "TIME-END",
            "TIME-AFTER",
            "TIME-EPOCH",
            "TIME-UPTIME",
            "TIME-NTP",
            "TIME-DURATION",
        ],
        weight: 2,
    },
];

/// How an exporter does on one need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Exported, and the comparison with true flows found it right.
    Right,
    /// Exported; nothing speaks against it.
    Exported,
    /// Exported, wrong in few flows or doubtful.
    Doubtful,
    /// Exported but wrong.
    Wrong,
    /// In no template for IPv6.
    Absent,
}

impl Mark {
    /// The word in reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Exported => "exported",
            Self::Doubtful => "doubtful",
            Self::Wrong => "wrong",
            Self::Absent => "absent",
        }
    }

    /// Hundredths of the weight that it earns.
    const fn credit(self) -> u32 {
        match self {
            Self::Right | Self::Exported => 100,
            Self::Doubtful => 50,
            Self::Wrong | Self::Absent => 0,
        }
    }

    /// Whether a detection can rely on it.
    #[must_use]
    pub const fn usable(self) -> bool {
        !matches!(self, Self::Wrong | Self::Absent)
    }
}

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// What is needed.
    pub need: &'static Need,
    /// How the exporter does.
    pub mark: Mark,
    /// Templates for IPv6 flows that carry it.
    pub templates: Vec<u16>,
    /// IPv6 records that carry it.
    pub carried: u64,
    /// IPv6 records that a rule found wrong.
    pub wrong: u64,
    /// Ids of the rules.
    pub rules: Vec<&'static str>,
    /// What the comparison with true flows found.
    pub compared: Option<Compared>,
}

/// An attack and whether it can be seen.
#[derive(Clone, Debug)]
pub struct Attack {
    /// In words.
    pub name: &'static str,
    /// Names of the needs.
    pub needs: &'static [&'static str],
    /// Those of them that are absent or wrong.
    pub lacking: Vec<&'static str>,
}

const ATTACKS: &[(&str, &[&str])] = &[
    ("Covert channel in the flow label", &["Flow label", "Octets and packets"]),
    ("Covert channel in the traffic class", &["Traffic class", "Octets and packets"]),
    ("Flow label flood", &["Flow label", "Octets and packets", "Start and end"]),
    ("Fragment flood", &["Fragment identification", "Octets and packets", "Start and end"]),
    ("Hop-by-Hop options flood", &["Extension headers", "Octets and packets", "Start and end"]),
    ("Overlapping fragments", &["Fragment identification", "Fragment offset"]),
    ("Evasion by extension headers", &["Extension headers", "Upper-layer protocol", "Ports"]),
    ("Neighbour discovery abuse, ICMPv6 sweeps", &["Upper-layer protocol", "ICMPv6 type and code"]),
    ("TCP scans over IPv6", &["Upper-layer protocol", "Ports", "TCP flags"]),
];

/// The coverage of one exporter.
#[derive(Clone, Debug)]
pub struct Coverage {
    /// Who: the exporter's address, or the input.
    pub exporter: String,
    /// Its sessions' indexes.
    pub sessions: Vec<u32>,
    /// IPv6 flow records.
    pub records: u64,
    /// Templates with IPv6 addresses.
    pub templates: usize,
    /// The table.
    pub rows: Vec<Row>,
    /// The attacks.
    pub attacks: Vec<Attack>,
    /// Per cent of what is needed.
    pub score: u32,
    /// A to F; `-` if no IPv6 template was seen.
    pub grade: char,
}

fn letter(score: u32) -> char {
    match score {
        90.. => 'A',
        75.. => 'B',
        55.. => 'C',
        35.. => 'D',
        15.. => 'E',
        _ => 'F',
    }
}

/// IPv6 flows in which a need's elements are right and wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Flows in which they are right.
    pub right: u64,
    /// Those of them in which the value is not zero: only these show that the exporter fills it in.
    pub telling: u64,
    /// Flows in which they are wrong.
    pub wrong: u64,
}

/// Tells what the comparison found of a need, by its name.
pub type Asked<'a> = &'a dyn Fn(&str) -> Option<Compared>;

/// Works out the coverage of each exporter.
#[must_use]
pub fn coverage(sessions: &[Facts], findings: &[Finding], compared: Asked<'_>) -> Vec<Coverage> {
    let mut exporters: Vec<(String, Vec<usize>)> = Vec::new();
    for (index, facts) in sessions.iter().enumerate() {
        let name = facts
            .exporter
            .map_or_else(|| "the input".to_owned(), |address| address.ip().to_string());
        match exporters.iter_mut().find(|(known, _)| *known == name) {
            Some((_, list)) => list.push(index),
            None => exporters.push((name, vec![index])),
        }
    }
    let one = |(exporter, indexes): (String, Vec<usize>)| {
        let own: Vec<&Facts> = indexes.iter().filter_map(|&index| sessions.get(index)).collect();
        let indexes: Vec<u32> = indexes.into_iter().map(|index| index as u32).collect();
        let found: Vec<&Finding> =
            findings.iter().filter(|finding| indexes.contains(&finding.session)).collect();
        of_exporter(exporter, indexes, &own, &found, compared)
    };
    exporters.into_iter().map(one).collect()
}

fn of_exporter(
    exporter: String,
    sessions: Vec<u32>,
    facts: &[&Facts],
    findings: &[&Finding],
    compared: Asked<'_>,
) -> Coverage {
    let flows = |view: &View| view.is_flow() && view.families.v6;
    let templates: Vec<_> = facts
        .iter()
        .flat_map(|facts| facts.all_templates())
        .filter(|template| flows(&template.view))
        .collect();
    let records = templates.iter().map(|template| template.ipv6_records).sum();
    let rows: Vec<Row> = NEEDS
        .iter()
        .map(|need| {
            let carrying = templates
                .iter()
                .filter(|t| need.elements.iter().any(|slots| t.view.has_all(slots)));
            let mut ids: Vec<u16> =
                carrying.clone().map(|template| template.view.template).collect();
            ids.sort_unstable();
            ids.dedup();
            let carried = carrying.map(|template| template.ipv6_records).sum();
            let ipv6 = |subject: Subject| match subject {
                Subject::Template(id) => templates.iter().any(|t| t.view.template == id),
                _ => true,
            };
            let against: Vec<_> = findings
                .iter()
                .filter(|f| f.rule.severity > Severity::Note && ipv6(f.subject))
                .filter(|f| need.rules.iter().any(|start| f.rule.id.starts_with(start)))
                .collect();
            let wrong = against.iter().map(|finding| finding.count).sum();
            let mut rules: Vec<_> = against.iter().map(|finding| finding.rule.id).collect();
            rules.sort_unstable();
            rules.dedup();
            let whole = against
                .iter()
                .any(|f| f.subject == Subject::Session && f.rule.severity == Severity::Error);
            let compared = compared(need.name);
            let misplaced = against.iter().any(|f| !f.rule.id.ends_with("-ABSENT"));
            let mark = mark(&ids, carried, wrong, whole, misplaced, compared);
            Row { need, mark, templates: ids, carried, wrong, rules, compared }
        })
        .collect();
    let weight: u32 = NEEDS.iter().map(|need| need.weight).sum();
    let earned: u32 = rows.iter().map(|row| row.need.weight * row.mark.credit()).sum();
    let score = earned / weight;
    let attacks = ATTACKS.iter().map(|&(name, needs)| {
        let usable =
            |need: &&str| rows.iter().any(|row| row.need.name == *need && row.mark.usable());
        let lacking = needs.iter().copied().filter(|need| !usable(need)).collect();
        Attack { name, needs, lacking }
    });
    let attacks = attacks.collect();
    let grade = if templates.is_empty() { '-' } else { letter(score) };
    Coverage {
        exporter,
        sessions,
        records,
        templates: templates.len(),
        rows,
        attacks,
        score,
        grade,
    }
}

fn mark(
    ids: &[u16],
    carried: u64,
    wrong: u64,
    whole: bool,
    misplaced: bool,
    compared: Option<Compared>,
) -> Mark {
    if let Some(Compared { right, telling, wrong }) = compared
        && right + wrong > 0
    {
        return match wrong {
            0 => Mark::Right,
            wrong if wrong * 20 <= telling => Mark::Doubtful,
            _ => Mark::Wrong,
        };
    }
    if ids.is_empty() {
        // What stands in another element is wrong; what stands nowhere is absent.
        return if misplaced { Mark::Wrong } else { Mark::Absent };
    }
    if whole || wrong > 0 && wrong * 100 >= carried {
        return Mark::Wrong;
    }
    if misplaced { Mark::Doubtful } else { Mark::Exported }
}
