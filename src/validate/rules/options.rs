//! Rules about options: sampling, statistics, element types, Flow Keys.

use super::Check::{Record, Session, Stream, Template};
use super::{Rule, SessionFault, TemplateFault, value};
use crate::collect::Version;
use crate::validate::finding::Severity::{Error, Note, Warning};
use crate::validate::finding::Subject;
use crate::validate::view::Slot;

/// D7.
pub static INTERVAL_WITHOUT_SPACE: Rule = Rule {
    id: "OPT-INTERVAL-WITHOUT-SPACE",
    severity: Error,
    source: "IANA elements 305 and 306; RFC 5477 section 8.2.2",
    title: "a sampling rate in samplingPacketInterval",
    wanted: "1 in N as samplingPacketInterval (305) = 1 and samplingPacketSpace (306) = N − 1",
    meaning: "305 is how many packets are taken in a row: the rate is read upside down",
    check: Record {
        applies: |view| view.has(Slot::PacketInterval) && !view.has(Slot::PacketSpace),
        broken: |record| {
            let interval = record.unsigned(Slot::PacketInterval)?;
            (interval > 1).then(|| record.view.field(Slot::PacketInterval)).flatten()
        },
        saw: |record, index| format!("{}, no samplingPacketSpace (306)", record.show_field(index)),
    },
};

/// Parameters of a selector.
pub static SAMPLING_INCOMPLETE: Rule = Rule {
    id: "OPT-SAMPLING-INCOMPLETE",
    severity: Warning,
    source: "RFC 5476 section 6.5.2; RFC 5477 section 8.2",
    title: "a sampling method without its parameters",
    wanted: "305 and 306 for systematic counting (1), 309 and 310 for n of N (3), 311 for uniform probability (4)",
    meaning: "volumes cannot be scaled back",
    check: Record {
        applies: |view| view.has(Slot::SelectorAlgorithm),
        broken: |record| {
            let needs: &[Slot] = match record.unsigned(Slot::SelectorAlgorithm)? {
                1 => &[Slot::PacketInterval, Slot::PacketSpace],
                3 => &[Slot::SamplingSize, Slot::SamplingPopulation],
                4 => &[Slot::SamplingProbability],
                _ => &[],
            };
            (!record.view.has_all(needs))
                .then(|| record.view.field(Slot::SelectorAlgorithm))
                .flatten()
        },
        saw: value,
    },
};

/// A selector nobody described.
pub static SELECTOR_UNKNOWN: Rule = Rule {
    id: "OPT-SELECTOR-UNKNOWN",
    severity: Warning,
    source: "RFC 5476 section 6.5",
    title: "flows refer to a selector that no options record describes",
    wanted: "an options record with that selectorId (302) and selectorAlgorithm (304)",
    meaning: "volumes cannot be scaled back",
    check: Session(|facts| {
        let unknown: Vec<u64> =
            facts.selectors_used.difference(&facts.selectors_declared).copied().collect();
        let (Some(example), false) = (&facts.selector_example, unknown.is_empty()) else {
            return Vec::new();
        };
        let mut example = example.clone();
        example.saw = format!("selectorId = {unknown:?}, no options record for it");
        vec![SessionFault { subject: Subject::Session, count: unknown.len() as u64, example }]
    }),
};

/// D35.
pub static APPLICATION_SCOPE: Rule = Rule {
    id: "OPT-APPLICATION-SCOPE",
    severity: Warning,
    source: "RFC 6759 section 5; RFC 7011 section 3.4.2.1",
    title: "application names without applicationId as scope",
    wanted: "applicationId (95) as scope of applicationName (96)",
    meaning: "names cannot be looked up",
    check: Template(|view| {
        let named =
            view.fields.iter().any(|field| field.enterprise == 0 && matches!(field.id, 94 | 96));
        let scoped = view
            .fields
            .iter()
            .take(view.scopes)
            .any(|field| field.id == 95 && field.enterprise == 0);
        if view.options && named && !scoped && view.version == Version::Ipfix {
            vec![TemplateFault::whole(
                "applicationName (96), applicationId (95) is not a scope field",
            )]
        } else {
            Vec::new()
        }
    }),
};

/// RFC 5610.
pub static TYPE_BIT: Rule = Rule {
    id: "OPT-TYPE-ENTERPRISE-BIT",
    severity: Error,
    source: "RFC 5610 section 3.9; IANA element 303",
    title: "an element type record with the enterprise bit in the id",
    wanted: "informationElementId (303) without the bit, the number in privateEnterpriseNumber (346)",
    meaning: "the type is filed under an element that does not exist",
    check: Record {
        applies: |view| view.has_all(&[Slot::InformationElement, Slot::EnterpriseNumber]),
        broken: |record| {
            let id = record.unsigned(Slot::InformationElement)?;
            (id & 0x8000 != 0).then(|| record.view.field(Slot::InformationElement)).flatten()
        },
        saw: value,
    },
};

/// RFC 5610.
pub static TYPE_IANA: Rule = Rule {
    id: "OPT-TYPE-OF-IANA",
    severity: Note,
    source: "RFC 5610 section 3.9",
    title: "a type record for one of IANA's elements",
    wanted: "type records for enterprise elements only",
    meaning: "collectors know IANA's elements, and may believe the record instead",
    check: Record {
        applies: |view| {
            view.has_all(&[Slot::InformationElement, Slot::EnterpriseNumber, Slot::ElementType])
        },
        broken: |record| {
            let pen = record.unsigned(Slot::EnterpriseNumber)?;
            (pen == 0).then(|| record.view.field(Slot::EnterpriseNumber)).flatten()
        },
        saw: |record, _| record.show(Slot::InformationElement),
    },
};

/// RFC 7011 section 4.4.
pub static FLOW_KEY_BITS: Rule = Rule {
    id: "OPT-FLOW-KEY-BITS",
    severity: Error,
    source: "RFC 7011 section 4.4; IANA element 173",
    title: "flowKeyIndicator names fields that the template does not have",
    wanted: "one bit for each field of the template, bit 0 for the first",
    meaning: "which fields make the flow is not known",
    check: Stream,
};

/// D30.
pub static STATISTICS_DECREASE: Rule = Rule {
    id: "OPT-STATISTICS-DECREASE",
    severity: Error,
    source: "RFC 7011 section 4; IANA elements 40 to 42, 163 to 168",
    title: "a total of the exporting process falls",
    wanted: "totals since the process began",
    meaning: "loss inside the exporter cannot be told",
    check: Stream,
};

/// D30.
pub static STATISTICS_WRONG: Rule = Rule {
    id: "OPT-STATISTICS-WRONG",
    severity: Warning,
    source: "RFC 7011 section 4.1; IANA elements 41 and 42",
    title: "the exporter counts fewer records or messages than came",
    wanted: "totals of what was sent before the message that carries them",
    meaning: "loss cannot be worked out from the statistics",
    check: Stream,
};

/// RFC 7011 section 4.
pub static STATISTICS_ABSENT: Rule = Rule {
    id: "OPT-STATISTICS-ABSENT",
    severity: Note,
    source: "RFC 7011 sections 4.1 to 4.3",
    title: "no statistics of the metering and exporting processes",
    wanted: "options records with 40 to 42, 164 and 165, 166 to 168",
    meaning: "packets and flows lost inside the exporter leave no trace",
    check: Session(|facts| {
        let long = facts.messages >= 1000 || facts.flow_records >= 10_000;
        if facts.version != Version::Ipfix || !long || facts.statistics_records > 0 {
            return Vec::new();
        }
        let saw =
            format!("none in {} messages with {} flow records", facts.messages, facts.flow_records);
        vec![SessionFault { subject: Subject::Session, count: 1, example: facts.example(saw) }]
    }),
};
