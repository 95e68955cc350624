//! Rules about templates: how they are defined, refreshed and withdrawn, and what they hold.

use super::Check::{Record, Stream, Template};
use super::{Rule, TemplateFault};
use crate::collect::Version;
use crate::validate::finding::Severity::{Error, Note, Warning};
use crate::validate::view::{Slot, View, field_name};
use ie_registry::{REVERSE_PEN, Reversal, Status};

/// A8.
pub static ID_RESERVED: Rule = Rule {
    id: "TPL-ID-RESERVED",
    severity: Error,
    source: "RFC 7011 section 3.4.1",
    title: "a Template ID below 256",
    wanted: "256 to 65535: lower ids are Set IDs",
    meaning: "the template cannot be used",
    check: Stream,
};

/// A20, A21.
pub static MALFORMED: Rule = Rule {
    id: "TPL-MALFORMED",
    severity: Error,
    source: "RFC 7011 sections 3.2 and 3.4.1; RFC 5471 section 3.6.4",
    title: "a template that reaches beyond its Set, or describes nothing",
    wanted: "as many field specifiers as the field count says, 8 octets each where the enterprise bit is set",
    meaning: "no record of the template can be read",
    check: Stream,
};

/// A22.
pub static SCOPE_COUNT: Rule = Rule {
    id: "TPL-SCOPE-COUNT",
    severity: Error,
    source: "RFC 7011 section 3.4.2.2",
    title: "an options template with no scope, or more scope fields than fields",
    wanted: "1 to field count",
    meaning: "what the options apply to is not known",
    check: Stream,
};

/// A21.
pub static ENTERPRISE_ZERO: Rule = Rule {
    id: "TPL-ENTERPRISE-ZERO",
    severity: Error,
    source: "RFC 7011 section 3.2",
    title: "the enterprise bit with enterprise number 0",
    wanted: "no enterprise bit for IANA's elements",
    meaning: "the bit was set by accident: the next fields may be misread",
    check: Stream,
};

/// A10.
pub static CHANGED: Rule = Rule {
    id: "TPL-CHANGED",
    severity: Error,
    source: "RFC 7011 sections 8.1 and 8.4",
    title: "another template under an id in use",
    wanted: "a withdrawal first (TCP, SCTP, files), or a pause of three refresh intervals (UDP)",
    meaning: "records in flight are read with the wrong template",
    check: Stream,
};

/// A10, A26, C23.
pub static ALTERNATES: Rule = Rule {
    id: "TPL-ALTERNATES",
    severity: Error,
    source: "RFC 7011 sections 3.1 and 8",
    title: "two templates take turns under one id",
    wanted: "an id, or an Observation Domain, for each",
    meaning: "half of the records are read with the wrong template",
    check: Stream,
};

/// The same again.
pub static RESENT: Rule = Rule {
    id: "TPL-RESENT",
    severity: Note,
    source: "RFC 7011 section 8.1",
    title: "a template sent again over a reliable transport",
    wanted: "each template once a session",
    meaning: "harmless; collectors log it",
    check: Stream,
};

/// A11.
pub static LATE: Rule = Rule {
    id: "TPL-LATE",
    severity: Error,
    source: "RFC 7011 sections 8 and 8.2",
    title: "data before its template, from the start of the session",
    wanted: "the template first, in the same message or an earlier one",
    meaning: "the first records of every session are lost",
    check: Stream,
};

/// A11.
pub static MISSING: Rule = Rule {
    id: "TPL-MISSING",
    severity: Warning,
    source: "RFC 7011 section 8",
    title: "data that no template describes",
    wanted: "a template in the stream; a capture longer than one refresh interval has it",
    meaning: "the records cannot be read",
    check: Stream,
};

/// A15.
pub static OTHER_SESSION: Rule = Rule {
    id: "TPL-OTHER-SESSION",
    severity: Error,
    source: "RFC 7011 sections 8 and 8.4",
    title: "template and data come from different ports or domains",
    wanted: "both in one Transport Session and Observation Domain",
    meaning: "a collector that keeps the sessions apart, as it must, can read nothing",
    check: Stream,
};

/// A12.
pub static NOT_REFRESHED: Rule = Rule {
    id: "TPL-NOT-REFRESHED",
    severity: Error,
    source: "RFC 7011 section 8.4",
    title: "a template in use was not sent again for half an hour over UDP",
    wanted: "every template again at regular intervals, 600 s by default (RFC 6728)",
    meaning: "a collector that restarts, or forgets templates as it should, reads nothing more",
    check: Stream,
};

/// A13.
pub static WITHDRAWN_UDP: Rule = Rule {
    id: "TPL-WITHDRAWN-UDP",
    severity: Warning,
    source: "RFC 7011 section 8.4",
    title: "a template withdrawal over UDP",
    wanted: "none: templates expire",
    meaning: "collectors ignore it",
    check: Stream,
};

/// A14.
pub static WITHDRAWN_UNKNOWN: Rule = Rule {
    id: "TPL-WITHDRAWN-UNKNOWN",
    severity: Warning,
    source: "RFC 7011 section 8.1",
    title: "withdrawal of a template that is not there",
    wanted: "withdrawal of a template sent before, once",
    meaning: "exporter and collector disagree about the templates in use",
    check: Stream,
};

/// A14.
pub static DATA_AFTER_WITHDRAWAL: Rule = Rule {
    id: "TPL-DATA-AFTER-WITHDRAWAL",
    severity: Error,
    source: "RFC 7011 sections 8.1 and 8.2",
    title: "data of a withdrawn template",
    wanted: "withdrawal only after the last record",
    meaning: "the records cannot be read",
    check: Stream,
};

fn faults(view: &View, wrong: impl Fn(usize) -> Option<String>) -> Vec<TemplateFault> {
    let skipped = if view.version == Version::Netflow9 { view.scopes } else { 0 };
    (skipped..view.fields.len())
        .filter_map(|index| Some(TemplateFault::field(view, index, &wrong(index)?)))
        .collect()
}

/// A27.
pub static UNASSIGNED: Rule = Rule {
    id: "TPL-UNASSIGNED",
    severity: Warning,
    source: "IANA registry of Information Elements; RFC 7011 section 3.2",
    title: "an element number that IANA has not assigned",
    wanted: "a registered element, or one under the maker's enterprise number",
    meaning: "the value means nothing to anybody else, and something else once the number is assigned",
    check: Template(|view| {
        if view.version != Version::Ipfix {
            return Vec::new();
        }
        faults(view, |index| {
            let field = view.fields.get(index)?;
            let known = field.enterprise != 0
                || ie_registry::iana(field.id).is_some()
                || netflow_only(field.id);
            (!known).then(|| format!("no such element, {} octets", field.length))
        })
    }),
};

/// Ids that IANA keeps for what NetFlow v9 did with them.
fn netflow_only(id: u16) -> bool {
    matches!(id, 65..=69 | 97 | 105..=127) && ie_registry::iana(id).is_none()
}

/// A27.
pub static NETFLOW_ONLY: Rule = Rule {
    id: "TPL-NETFLOW-ONLY",
    severity: Warning,
    source: "IANA registry of Information Elements",
    title: "an element number kept for NetFlow v9 in IPFIX",
    wanted: "the registered element of that meaning",
    meaning: "each maker means something else by it",
    check: Template(|view| {
        if view.version != Version::Ipfix {
            return Vec::new();
        }
        faults(view, |index| {
            let field = view.fields.get(index)?;
            (field.enterprise == 0 && netflow_only(field.id))
                .then(|| "kept for NetFlow v9".to_owned())
        })
    }),
};

/// A29.
pub static DEPRECATED: Rule = Rule {
    id: "TPL-DEPRECATED",
    severity: Note,
    source: "IANA registry of Information Elements",
    title: "a deprecated element",
    wanted: "its successor, where there is one",
    meaning: "its meaning was found ambiguous; collectors will stop reading it",
    check: Template(|view| {
        if view.version != Version::Ipfix {
            return Vec::new();
        }
        faults(view, |index| {
            let element = view.fields.get(index)?.element(ie_registry::SIXTAP_DEFAULT_PEN)?;
            (element.status == Status::Deprecated && element.enterprise == 0)
                .then(|| "deprecated".to_owned())
        })
    }),
};

/// Legal, but seldom meant.
pub static ELEMENT_TWICE: Rule = Rule {
    id: "TPL-ELEMENT-TWICE",
    severity: Note,
    source: "RFC 7011 section 8",
    title: "an element twice in a template",
    wanted: "once, unless the order says what each of them is about",
    meaning: "most collectors keep the first or the last",
    check: Template(|view| {
        if view.options {
            return Vec::new();
        }
        faults(view, |index| {
            let field = view.fields.get(index)?;
            let before = view
                .fields
                .iter()
                .take(index)
                .any(|f| (f.enterprise, f.id) == (field.enterprise, field.id));
            // Padding, MPLS labels and lists are repeated by design.
            let meant =
                field.enterprise == 0 && matches!(field.id, 210 | 70..=79 | 291..=293 | 515..=519);
            (before && !meant).then(|| "again".to_owned())
        })
    }),
};

/// C21.
pub static MIXED_FAMILIES: Rule = Rule {
    id: "TPL-MIXED-FAMILIES",
    severity: Warning,
    source: "IANA elements 8, 12, 27 and 28; RFC 7012 section 5",
    title: "IPv4 and IPv6 addresses of a flow in one template",
    wanted: "a template for each family",
    meaning: "half of the addresses are zeros that look like addresses",
    check: Template(|view| {
        let both = view.is_flow()
            && view.has_all(&[
                Slot::SourceV4,
                Slot::SourceV6,
                Slot::DestinationV4,
                Slot::DestinationV6,
            ])
            && !view.has(Slot::NatEvent);
        if both {
            vec![TemplateFault::slot(view, Slot::SourceV6, "beside sourceIPv4Address (8)")]
        } else {
            Vec::new()
        }
    }),
};

/// D19.
pub static NOT_REVERSIBLE: Rule = Rule {
    id: "TPL-NOT-REVERSIBLE",
    severity: Error,
    source: "RFC 5103 section 6.1",
    title: "the reverse of an element that has none",
    wanted: "identifiers and process statistics without enterprise number 29305",
    meaning: "the value has no meaning",
    check: Template(|view| {
        faults(view, |index| {
            let field = view.fields.get(index)?;
            let element = ie_registry::reverse(field.id)?;
            let wrong = field.enterprise == REVERSE_PEN && element.reversal == Reversal::No;
            wrong.then(|| "not reversible".to_owned())
        })
    }),
};

/// Which elements tell the forward direction of a Biflow.
const DIRECTIONS: [Slot; 12] = [
    Slot::SourceV4,
    Slot::SourceV6,
    Slot::DestinationV4,
    Slot::DestinationV6,
    Slot::SourcePort,
    Slot::DestinationPort,
    Slot::SourceMac,
    Slot::DestinationMac,
    Slot::IngressInterface,
    Slot::EgressInterface,
    Slot::SourcePrefixAddressV6,
    Slot::FlowId,
];

fn first_reverse(view: &View) -> Option<usize> {
    view.fields.iter().position(|field| field.enterprise == REVERSE_PEN)
}

/// D19. Data Records only: a template of list elements (RFC 6313) has the direction of the record around it.
pub static REVERSE_WITHOUT_KEY: Rule = Rule {
    id: "TPL-REVERSE-WITHOUT-KEY",
    severity: Error,
    source: "RFC 5103 section 4",
    title: "reverse elements without a direction",
    wanted: "a source and destination element pair: addresses, ports or interfaces",
    meaning: "which way is forward is not known",
    check: Record {
        applies: |view| first_reverse(view).is_some() && !view.has_any(&DIRECTIONS),
        broken: |record| first_reverse(record.view),
        saw: |record, index| {
            let name = record.view.fields.get(index).map(field_name).unwrap_or_default();
            format!("{name}, no source and destination")
        },
    },
};

/// A fixed length of nothing.
pub static LENGTH_ZERO: Rule = Rule {
    id: "TPL-LENGTH-ZERO",
    severity: Warning,
    source: "RFC 7011 section 3.2",
    title: "a field of length 0",
    wanted: "a field with a value, or none",
    meaning: "the field carries nothing; some collectors reject the template",
    check: Template(|view| {
        faults(view, |index| {
            let field = view.fields.get(index)?;
            (field.length == 0).then(|| "0 octets".to_owned())
        })
    }),
};

/// Counters without a time.
pub static NO_TIME: Rule = Rule {
    id: "TPL-NO-TIME",
    severity: Warning,
    source: "RFC 7012 section 5; IANA elements 150 to 157",
    title: "flow counters without start and end",
    wanted: "flowStartMilliseconds (152) and flowEndMilliseconds (153)",
    meaning: "rates, durations and the order of events are not known",
    check: Template(|view| {
        let counted = view.has_any(&[
            Slot::OctetDelta,
            Slot::PacketDelta,
            Slot::OctetTotal,
            Slot::PacketTotal,
        ]);
        let addressed = view.families.v4 || view.families.v6;
        let timed = [
            Slot::StartSeconds,
            Slot::StartMillis,
            Slot::StartMicros,
            Slot::StartNanos,
            Slot::StartDelta,
            Slot::StartUptime,
            Slot::EndSeconds,
            Slot::EndMillis,
            Slot::EndMicros,
            Slot::EndNanos,
            Slot::EndDelta,
            Slot::EndUptime,
        ];
        let observed = view
            .fields
            .iter()
            .any(|f| f.enterprise == 0 && matches!(f.id, 258 | 322..=325 | 359 | 360));
        if view.options || !counted || !addressed || view.has_any(&timed) || observed {
            return Vec::new();
        }
        vec![TemplateFault::whole("counters and addresses, no time")]
    }),
};

/// D25.
pub static POST_MAC: Rule = Rule {
    id: "TPL-POST-MAC",
    severity: Warning,
    source: "IANA elements 57 and 80",
    title: "postDestinationMacAddress in place of destinationMacAddress",
    wanted: "destinationMacAddress (80) for the address in the frame as it came",
    meaning: "57 is the address after forwarding: the two frames are mixed up",
    check: Template(|view| {
        let mixed = view.version == Version::Ipfix
            && view.has_all(&[Slot::SourceMac, Slot::PostDestinationMac])
            && !view.has(Slot::DestinationMac)
            && !view.fields.iter().any(|field| field.enterprise == 0 && field.id == 81);
        if mixed {
            vec![TemplateFault::slot(
                view,
                Slot::PostDestinationMac,
                "with sourceMacAddress (56), without 80 and 81",
            )]
        } else {
            Vec::new()
        }
    }),
};
