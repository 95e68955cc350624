//! Which rule an anomaly of the decoder's breaks, and what of a template only its octets tell.

use crate::collect::{self, Kind, Version};
use crate::ipfix::{self, Template};
use crate::validate::finding::Subject;
use crate::validate::rules::{Rule, encoding, message, netflow, template};

/// The rule that an anomaly breaks, what it is about and how many octets show it. `None`: it is told otherwise, or is
/// no fault of the exporter's.
pub(super) fn rule_of(
    message: &collect::Message<'_>,
    kind: &Kind,
) -> Option<(&'static Rule, Subject, usize)> {
    let v9 = message.version == Version::Netflow9;
    let session = Subject::Session;
    let cut = message.transport.cut;
    Some(match *kind {
        Kind::HeaderTruncated { available } if !cut => (&message::LENGTH, session, available),
        Kind::Version { .. } => (&message::VERSION, session, 2),
        Kind::MessageLength { .. } if !cut => (&message::LENGTH, session, 2),
        Kind::Resynchronised { .. } => (&message::LENGTH, session, 0),
        Kind::TrailingOctets { length } if !cut => (&message::TRAILING, session, length),
        Kind::SetLength { id, stated, .. } if stated < 4 && !cut => {
            (&message::SET_SHORT, Subject::Set(id), 4)
        }
        Kind::SetLength { id, .. } if !cut => (&message::SET_OVERRUN, Subject::Set(id), 4),
        Kind::EmptySet { id } => (&message::SET_EMPTY, Subject::Set(id), 4),
        Kind::SetId { id } if v9 => (&netflow::SET_IPFIX, Subject::Set(id), 2),
        Kind::SetId { id } if id < 2 => (&message::SET_NETFLOW, Subject::Set(id), 2),
        Kind::SetId { id } => (&message::SET_RESERVED, Subject::Set(id), 2),
        Kind::TemplateTruncated { id, .. } if !cut => {
            (&template::MALFORMED, Subject::Template(id), 4)
        }
        Kind::TemplateEmpty { id } => (&template::MALFORMED, Subject::Template(id), 4),
        Kind::TemplateId { id } => (&template::ID_RESERVED, Subject::Template(id), 2),
        Kind::ScopeCount { id, .. } => (&template::SCOPE_COUNT, Subject::Template(id), 6),
        Kind::OptionsLength { id, .. } => (&netflow::SCOPE_LENGTH, Subject::Template(id), 6),
        Kind::Withdrawal { id, forbidden: true } => {
            (&template::WITHDRAWN_UDP, Subject::Template(id), 4)
        }
        Kind::Withdrawal { id, .. } => (&template::WITHDRAWN_UNKNOWN, Subject::Template(id), 4),
        Kind::VariableLength { id, .. } if !cut => {
            (&encoding::FIELD_OVERRUN, Subject::Template(id), 16)
        }
        Kind::Padding { id, length } if length < 4 || id >= 256 => {
            (&message::PADDING_NONZERO, Subject::Set(id), length)
        }
        Kind::Padding { id, length } => (&message::PADDING_LONG, Subject::Set(id), length),
        Kind::RecordCount { .. } if v9 => (&netflow::COUNT, session, 2),
        Kind::RecordCount { .. } => (&netflow::V5_COUNT, session, 2),
        _ => return None,
    })
}

/// Where the specifier of field `index` begins in the message, and its octets.
pub(super) fn specifier_at(
    template: &Template,
    offset: usize,
    index: usize,
    version: Version,
) -> (usize, usize) {
    let header = match (version, template.is_options()) {
        (_, false) => 4,
        (_, true) => 6,
    };
    let before: usize =
        template.fields().iter().take(index).map(ipfix::FieldSpecifier::encoded_len).sum();
    let length = template.fields().get(index).map_or(4, ipfix::FieldSpecifier::encoded_len);
    (offset + header + before, length)
}

/// Fields that were written with the enterprise bit and number 0: the decoder gives them as IANA's, so that only the
/// octets tell.
pub(super) fn enterprise_zeros(
    message: &collect::Message<'_>,
    template: &Template,
    offset: usize,
) -> Vec<usize> {
    if message.version != Version::Ipfix {
        return Vec::new();
    }
    let mut at = offset + if template.is_options() { 6 } else { 4 };
    let mut found = Vec::new();
    for (index, field) in template.fields().iter().enumerate() {
        let bit = message.octets.get(at).is_some_and(|&high| high & 0x80 != 0);
        if bit && field.enterprise == 0 {
            found.push(index);
        }
        at += if bit { 8 } else { 4 };
    }
    found
}
