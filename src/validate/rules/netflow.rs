//! Rules of NetFlow v9 (RFC 3954) and v5.

use super::Check::{Record, Stream, Template};
use super::{Rule, TemplateFault};
use crate::collect::Version;
use crate::validate::finding::Severity::{Error, Note, Warning};
use crate::validate::view::Slot;

/// A25.
pub static COUNT: Rule = Rule {
    id: "NF9-COUNT",
    severity: Error,
    source: "RFC 3954 section 5.1",
    title: "the header's count is not the number of records",
    wanted: "template, options template and data records together",
    meaning: "collectors that go by it stop early or reject the message",
    check: Stream,
};

/// v9 alignment.
pub static ALIGNMENT: Rule = Rule {
    id: "NF9-ALIGNMENT",
    severity: Warning,
    source: "RFC 3954 section 5.3",
    title: "a FlowSet whose length is not a multiple of 4",
    wanted: "padding to 4 octets, counted in the length",
    meaning: "some collectors look for the next FlowSet at the wrong place",
    check: Stream,
};

/// The counterpart of A9.
pub static SET_IPFIX: Rule = Rule {
    id: "NF9-SET-IPFIX",
    severity: Error,
    source: "RFC 3954 sections 5.2 and 6.1",
    title: "a Set ID of IPFIX in NetFlow v9, or one that is not assigned",
    wanted: "0 for templates, 1 for options templates, 256 and above for data",
    meaning: "templates are never learnt, so no record can be read",
    check: Stream,
};

/// A22.
pub static SCOPE_LENGTH: Rule = Rule {
    id: "NF9-SCOPE-LENGTH",
    severity: Error,
    source: "RFC 3954 section 6.1",
    title: "an options template whose lengths are not whole field specifiers",
    wanted: "lengths in octets, multiples of 4",
    meaning: "the options cannot be read",
    check: Stream,
};

/// v9 knows no variable length.
pub static VARIABLE_LENGTH: Rule = Rule {
    id: "NF9-VARIABLE-LENGTH",
    severity: Error,
    source: "RFC 3954 section 5.2",
    title: "a variable-length field in NetFlow v9",
    wanted: "a fixed length",
    meaning: "the template's records cannot be read by the standard",
    check: Template(|view| {
        if view.version != Version::Netflow9 {
            return Vec::new();
        }
        let variable =
            view.fields.iter().position(|field| field.length == ie_registry::VARIABLE_LENGTH);
        variable
            .map(|index| TemplateFault::field(view, index, "length 65535"))
            .into_iter()
            .collect()
    }),
};

/// A21.
pub static ELEMENT_HIGH: Rule = Rule {
    id: "NF9-ELEMENT-HIGH",
    severity: Warning,
    source: "RFC 3954 section 8; RFC 7011 section 3.2",
    title: "a field type above 32767",
    wanted: "registered field types; IPFIX for a maker's own",
    meaning: "no enterprise number says whose field it is",
    check: Template(|view| {
        if view.version != Version::Netflow9 {
            return Vec::new();
        }
        let high =
            view.fields.iter().enumerate().skip(view.scopes).find(|(_, field)| field.id > 32767);
        high.map(|(index, _)| TemplateFault::field(view, index, "above 32767"))
            .into_iter()
            .collect()
    }),
};

/// C1 in NetFlow v9, where it is the custom.
pub static ICMP_V6: Rule = Rule {
    id: "NF9-ICMP-V6",
    severity: Note,
    source: "RFC 3954 section 8; IANA element 139",
    title: "ICMPv6 type and code in field 32",
    wanted: "field 139, which collectors that follow IANA expect",
    meaning: "the custom in NetFlow v9; in IPFIX it would be wrong",
    check: Record {
        applies: |view| {
            view.version == Version::Netflow9
                && view.families.v6
                && view.has(Slot::IcmpV4)
                && !view.has(Slot::IcmpV6)
        },
        broken: |record| {
            let icmp = record.unsigned(Slot::Protocol) == Some(58);
            let carried = record.unsigned(Slot::IcmpV4).is_some_and(|value| value != 0);
            (icmp && carried).then(|| record.view.field(Slot::IcmpV4)).flatten()
        },
        saw: |record, index| record.show_field(index),
    },
};

/// v5.
pub static V5_COUNT: Rule = Rule {
    id: "NF5-COUNT",
    severity: Error,
    source: "NetFlow version 5 header format",
    title: "the header's count does not fit the datagram",
    wanted: "1 to 30 records of 48 octets behind a header of 24",
    meaning: "records are cut or read out of nothing",
    check: Stream,
};
