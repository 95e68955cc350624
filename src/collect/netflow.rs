//! NetFlow, where it differs from IPFIX: version 9 (RFC 3954) and version 5.

use super::event::Header;
use crate::ipfix::{
    Anomaly, FIRST_DATA_SET, FieldSpecifier, Kind, Set, SetHeader, Template, be16, be32,
};
use std::sync::{Arc, LazyLock};

/// NetFlow v9 (RFC 3954 section 5.1).
///
/// ```text
/// +-------------------------------+-------------------------------+
/// |          Version (9)          |        Count of records       |
/// +-------------------------------+-------------------------------+
/// |               System uptime in milliseconds                   |
/// +---------------------------------------------------------------+
/// |                         UNIX seconds                          |
/// +---------------------------------------------------------------+
/// |               Sequence number (of messages)                   |
/// +---------------------------------------------------------------+
/// |                          Source ID                            |
/// +---------------------------------------------------------------+
/// ```
pub(super) mod v9 {
    /// Octets of the header.
    pub(in super::super) const HEADER: usize = 20;
    /// Set ID of templates.
    pub(in super::super) const TEMPLATE_SET: u16 = 0;
    /// Set ID of options templates.
    pub(in super::super) const OPTIONS_SET: u16 = 1;
}

/// Reads a v9 header; `None` if it is cut.
pub(super) fn v9_header(octets: &[u8]) -> Option<Header> {
    Some(Header {
        stated: be16(octets, 2)?,
        uptime: Some(be32(octets, 4)?),
        export_time: be32(octets, 8)?,
        sequence: be32(octets, 12)?,
        domain: be32(octets, 16)?,
        export_nanos: 0,
    })
}

/// Reads the template records of a v9 set; `told` gets each with its offset in the message, or what is wrong.
pub(super) fn v9_templates(
    set: &Set<'_>,
    mut told: impl FnMut(Result<(usize, Template), Anomaly>),
) {
    let mut at = 0;
    while let Some(rest) = set.contents.get(at..).filter(|rest| rest.len() >= SetHeader::LENGTH) {
        if rest.iter().all(|&octet| octet == 0) {
            break;
        }
        let offset = set.contents_offset() + at;
        let (result, length) = if set.id == v9::OPTIONS_SET {
            v9_options_template(rest, offset)
        } else {
            v9_template(rest, offset)
        };
        told(result.map(|template| (offset, template)));
        match length {
            Some(length) => at += length,
            None => break,
        }
    }
}

/// A template and its length; without a length the rest of the set cannot be read.
type Read = (Result<Template, Anomaly>, Option<usize>);

/// Template ID, field count, then type and length of each field (RFC 3954 section 5.2).
fn v9_template(octets: &[u8], offset: usize) -> Read {
    let (id, count) = (be16(octets, 0).unwrap_or(0), be16(octets, 2).unwrap_or(0));
    let length = 4 + 4 * usize::from(count);
    let fields = octets.get(4..length).map(v9_fields);
    finish(id, 0, fields, offset, Kind::TemplateTruncated { id, fields: count }, length)
}

/// Template ID, length of the scope fields and of the option fields in octets, then the fields (RFC 3954 section 6.1).
fn v9_options_template(octets: &[u8], offset: usize) -> Read {
    let (Some(id), Some(scope), Some(option)) = (be16(octets, 0), be16(octets, 2), be16(octets, 4))
    else {
        let kind = Kind::TemplateTruncated { id: 0, fields: 0 };
        return (Err(Anomaly { offset, kind }), None);
    };
    let length = 6 + usize::from(scope) + usize::from(option);
    if scope % 4 != 0 || option % 4 != 0 {
        let kind = Kind::OptionsLength { id, scope, option };
        return (Err(Anomaly { offset, kind }), (length <= octets.len()).then_some(length));
    }
    let fields = octets.get(6..length).map(v9_fields);
    let count = (scope / 4).saturating_add(option / 4);
    finish(id, scope / 4, fields, offset, Kind::TemplateTruncated { id, fields: count }, length)
}

fn v9_fields(octets: &[u8]) -> Vec<FieldSpecifier> {
    let pairs = octets.chunks_exact(4);
    pairs
        .map(|pair| FieldSpecifier::iana(be16(pair, 0).unwrap_or(0), be16(pair, 2).unwrap_or(0)))
        .collect()
}

fn finish(
    id: u16,
    scopes: u16,
    fields: Option<Vec<FieldSpecifier>>,
    offset: usize,
    cut: Kind,
    length: usize,
) -> Read {
    let anomaly = |kind| Err(Anomaly { offset, kind });
    let Some(fields) = fields else { return (anomaly(cut), None) };
    if id < FIRST_DATA_SET {
        return (anomaly(Kind::TemplateId { id }), Some(length));
    }
    let template = Template::options(id, scopes, fields);
    if template.min_len() == 0 {
        return (anomaly(Kind::TemplateEmpty { id }), Some(length));
    }
    (Ok(template), Some(length))
}

/// NetFlow v5: a header of 24 octets and records of 48, all alike.
pub(super) mod v5 {
    /// Octets of the header.
    pub(in super::super) const HEADER: usize = 24;
    /// Octets of a record.
    pub(in super::super) const RECORD: usize = 48;
    /// The id under which its records are told; no Template can have it.
    pub(in super::super) const TEMPLATE: u16 = 5;
}

/// Reads a v5 header; `None` if it is cut.
///
/// ```text
/// version 2 | count 2 | uptime 4 | seconds 4 | nanoseconds 4 | flow sequence 4 | engine type 1 | engine id 1 | sampling 2
/// ```
pub(super) fn v5_header(octets: &[u8]) -> Option<Header> {
    octets.get(..v5::HEADER)?;
    Some(Header {
        stated: be16(octets, 2)?,
        uptime: Some(be32(octets, 4)?),
        export_time: be32(octets, 8)?,
        export_nanos: be32(octets, 12)?,
        sequence: be32(octets, 16)?,
        domain: u32::from(be16(octets, 20)?),
    })
}

/// The fields of a v5 record as elements of IANA's with the same meaning.
pub(super) static V5: LazyLock<Arc<Template>> = LazyLock::new(|| {
    use ie_registry::ie;
    let fields = [
        (ie::SOURCE_IPV4_ADDRESS, 4),
        (ie::DESTINATION_IPV4_ADDRESS, 4),
        (ie::IP_NEXT_HOP_IPV4_ADDRESS, 4),
        (ie::INGRESS_INTERFACE, 2),
        (ie::EGRESS_INTERFACE, 2),
        (ie::PACKET_DELTA_COUNT, 4),
        (ie::OCTET_DELTA_COUNT, 4),
        (ie::FLOW_START_SYS_UP_TIME, 4),
        (ie::FLOW_END_SYS_UP_TIME, 4),
        (ie::SOURCE_TRANSPORT_PORT, 2),
        (ie::DESTINATION_TRANSPORT_PORT, 2),
        (ie::PADDING_OCTETS, 1),
        (ie::TCP_CONTROL_BITS, 1),
        (ie::PROTOCOL_IDENTIFIER, 1),
        (ie::IP_CLASS_OF_SERVICE, 1),
        (ie::BGP_SOURCE_AS_NUMBER, 2),
        (ie::BGP_DESTINATION_AS_NUMBER, 2),
        (ie::SOURCE_IPV4_PREFIX_LENGTH, 1),
        (ie::DESTINATION_IPV4_PREFIX_LENGTH, 1),
        (ie::PADDING_OCTETS, 2),
    ];
    let fields = fields.map(|(id, length)| FieldSpecifier::iana(id, length));
    Arc::new(Template::new(v5::TEMPLATE, fields))
});
