//! Templates (RFC 7011 section 3.4): which fields a record has, in which order and length.

use super::octets::{Writer, be16, be32};
use super::varlen;
use super::{Anomaly, FIRST_DATA_SET, Kind, OPTIONS_TEMPLATE_SET, TEMPLATE_SET};
use ie_registry::{Element, VARIABLE_LENGTH};

/// Bit of the element id on the wire that says an enterprise number follows.
const ENTERPRISE_BIT: u16 = 0x8000;

/// One field of a Template (RFC 7011 section 3.2).
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-----------------------------+-------------------------------+
/// |E|  Information Element ident. |         Field Length          |
/// +-+-----------------------------+-------------------------------+
/// |                Enterprise Number (only if E is 1)             |
/// +---------------------------------------------------------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FieldSpecifier {
    /// Element id without the enterprise bit. NetFlow v9 has no such bit: all 16 bits are the id.
    pub id: u16,
    /// Private Enterprise Number; 0 for IANA's elements.
    pub enterprise: u32,
    /// Octets of the value; 65535 for variable length.
    pub length: u16,
}

impl FieldSpecifier {
    /// An element of IANA's with a length of its own.
    #[must_use]
    pub const fn iana(id: u16, length: u16) -> Self {
        Self { id, enterprise: 0, length }
    }

    /// A registered element with its default length.
    #[must_use]
    pub const fn of(element: &Element) -> Self {
        Self { id: element.id, enterprise: element.enterprise, length: element.default_length }
    }

    /// The same element with another length.
    #[must_use]
    pub const fn with_length(self, length: u16) -> Self {
        Self { length, ..self }
    }

    /// Whether each value says how long it is.
    #[inline]
    #[must_use]
    pub const fn is_variable(&self) -> bool {
        self.length == VARIABLE_LENGTH
    }

    /// Fewest octets of a value, its length octet included.
    #[inline]
    #[must_use]
    pub const fn min_len(&self) -> usize {
        if self.is_variable() { 1 } else { self.length as usize }
    }

    /// Octets of the specifier in a Template.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        if self.enterprise == 0 { 4 } else { 8 }
    }

    /// The registered element, when sixtap's own elements use enterprise number `own`.
    #[must_use]
    pub fn element(&self, own: u32) -> Option<&'static Element> {
        ie_registry::lookup(self.enterprise, self.id, own)
    }

    /// Reads a specifier at the beginning of `octets`, and how many octets it has; `None` if it is cut.
    #[must_use]
    pub fn decode(octets: &[u8]) -> Option<(Self, usize)> {
        let (id, length) = (be16(octets, 0)?, be16(octets, 2)?);
        if id & ENTERPRISE_BIT == 0 {
            return Some((Self { id, enterprise: 0, length }, 4));
        }
        Some((Self { id: id & !ENTERPRISE_BIT, enterprise: be32(octets, 4)?, length }, 8))
    }

    /// Writes the specifier.
    pub fn encode(&self, out: &mut Writer<'_>) {
        if self.enterprise == 0 {
            out.u16(self.id);
            out.u16(self.length);
        } else {
            out.u16(self.id | ENTERPRISE_BIT);
            out.u16(self.length);
            out.u32(self.enterprise);
        }
    }
}

/// A Template, or an Options Template: then the first [`Template::scope_count`] fields are its scope.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Template {
    id: u16,
    scope_count: u16,
    variable: bool,
    repeats: bool,
    min_len: usize,
    fields: Box<[FieldSpecifier]>,
}

impl Template {
    /// A Template. For one that is to be sent, `id` is 256 or more and there is at least one field.
    #[must_use]
    pub fn new(id: u16, fields: impl Into<Box<[FieldSpecifier]>>) -> Self {
        Self::options(id, 0, fields)
    }

    /// An Options Template whose first `scope_count` fields (at least 1, for one that is to be sent) are its scope.
    #[must_use]
    pub fn options(id: u16, scope_count: u16, fields: impl Into<Box<[FieldSpecifier]>>) -> Self {
        let fields = fields.into();
        let variable = fields.iter().any(FieldSpecifier::is_variable);
        let min_len = fields.iter().map(FieldSpecifier::min_len).sum();
        let mut elements: Vec<_> =
            fields.iter().map(|field| (field.enterprise, field.id)).collect();
        elements.sort_unstable();
        let repeats = elements.windows(2).any(|pair| pair[0] == pair[1]);
        Self { id, scope_count, variable, repeats, min_len, fields }
    }

    /// Template ID.
    #[inline]
    #[must_use]
    pub const fn id(&self) -> u16 {
        self.id
    }

    /// How many fields are scope; 0 for a Template that is no Options Template.
    #[inline]
    #[must_use]
    pub const fn scope_count(&self) -> u16 {
        self.scope_count
    }

    /// Whether it is an Options Template.
    #[inline]
    #[must_use]
    pub const fn is_options(&self) -> bool {
        self.scope_count != 0
    }

    /// The fields in order, scope first.
    #[inline]
    #[must_use]
    pub fn fields(&self) -> &[FieldSpecifier] {
        &self.fields
    }

    /// Fewest octets of a record.
    #[inline]
    #[must_use]
    pub const fn min_len(&self) -> usize {
        self.min_len
    }

    /// Octets of every record; `None` if a field has variable length.
    #[inline]
    #[must_use]
    pub const fn fixed_len(&self) -> Option<usize> {
        if self.variable { None } else { Some(self.min_len) }
    }

    /// Whether an element stands in it more than once.
    #[inline]
    #[must_use]
    pub const fn has_repeats(&self) -> bool {
        self.repeats
    }

    /// The place of the first field with this element.
    #[must_use]
    pub fn position(&self, enterprise: u32, id: u16) -> Option<usize> {
        self.fields.iter().position(|field| field.id == id && field.enterprise == enterprise)
    }

    /// ID of the Set that its definition stands in.
    #[must_use]
    pub const fn set_id(&self) -> u16 {
        if self.is_options() { OPTIONS_TEMPLATE_SET } else { TEMPLATE_SET }
    }

    /// Octets of the Template Record.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let header = if self.is_options() { 6 } else { 4 };
        header + self.fields.iter().map(FieldSpecifier::encoded_len).sum::<usize>()
    }

    /// Writes the Template Record (RFC 7011 sections 3.4.1 and 3.4.2.2).
    ///
    /// ```text
    /// +-------------------------------+-------------------------------+
    /// |          Template ID          |          Field Count          |
    /// +-------------------------------+-------------------------------+
    /// | Scope Field Count (options)   | field specifiers ...
    /// +-------------------------------+
    /// ```
    pub fn encode(&self, out: &mut Writer<'_>) {
        out.u16(self.id);
        out.u16(u16::try_from(self.fields.len()).unwrap_or(u16::MAX));
        if self.is_options() {
            out.u16(self.scope_count);
        }
        self.fields.iter().for_each(|field| field.encode(out));
    }

    /// Octets of the record at the beginning of `octets`. Every variable-length field is followed.
    ///
    /// # Errors
    /// The number of the field that does not fit, its stated length and what is left for it.
    pub(super) fn record_len(&self, octets: &[u8]) -> Result<usize, (u16, usize, usize)> {
        if let Some(length) = self.fixed_len() {
            let fits = length <= octets.len();
            return if fits { Ok(length) } else { Err((0, length, octets.len())) };
        }
        let mut at = 0usize;
        for (number, field) in (0u16..).zip(&self.fields) {
            let rest = octets.get(at..).unwrap_or(&[]);
            let (prefix, value) = if field.is_variable() {
                let length = varlen::decode(rest).ok_or((number, 1, rest.len()))?;
                (length.prefix, length.value)
            } else {
                (0, usize::from(field.length))
            };
            if prefix + value > rest.len() {
                return Err((number, value, rest.len() - prefix.min(rest.len())));
            }
            at += prefix + value;
        }
        Ok(at)
    }
}

/// What a Template Record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateRecord {
    /// A Template or Options Template.
    Definition(Template),
    /// The Template is no longer used (RFC 7011 section 8.1). IDs 2 and 3 mean all Templates and all Options Templates.
    Withdrawal {
        /// Template ID.
        id: u16,
    },
}

/// One Template Record read from a Set.
pub(super) struct Decoded {
    pub(super) record: Option<TemplateRecord>,
    pub(super) anomaly: Option<Anomaly>,
    pub(super) length: usize,
}

impl TemplateRecord {
    /// Reads the record at the beginning of `octets`, which stand at `offset` of the message and belong to a Set of
    /// kind `set_id`. `None`: the record is cut, and the rest of the Set with it.
    pub(super) fn decode(octets: &[u8], offset: usize, set_id: u16) -> Result<Decoded, Anomaly> {
        let kind = |kind| Anomaly { offset, kind };
        let (Some(id), Some(count)) = (be16(octets, 0), be16(octets, 2)) else {
            return Err(kind(Kind::TemplateTruncated { id: 0, fields: 0 }));
        };
        if count == 0 {
            return Ok(Self::withdrawal(id, set_id, offset));
        }
        let options = set_id == OPTIONS_TEMPLATE_SET;
        let truncated = kind(Kind::TemplateTruncated { id, fields: count });
        let scopes = if options { be16(octets, 4).ok_or(truncated)? } else { 0 };
        let mut at = if options { 6 } else { 4 };
        // Four octets a field at least: a count beyond that cannot be met, and is not allocated for.
        if usize::from(count) * 4 > octets.len().saturating_sub(at) {
            return Err(truncated);
        }
        let mut fields = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let rest = octets.get(at..).unwrap_or(&[]);
            let (field, length) = FieldSpecifier::decode(rest).ok_or(truncated)?;
            fields.push(field);
            at += length;
        }
        let mut anomaly = None;
        if options && (scopes == 0 || scopes > count) {
            anomaly = Some(kind(Kind::ScopeCount { id, scopes, fields: count }));
        }
        // A wrong scope count leaves the fields readable: what is scope is then the nearest that can be meant.
        let scopes = if options { scopes.clamp(1, count) } else { 0 };
        let template = Template::options(id, scopes, fields);
        if id < FIRST_DATA_SET {
            let anomaly = Some(kind(Kind::TemplateId { id }));
            return Ok(Decoded { record: None, anomaly, length: at });
        }
        if template.min_len() == 0 {
            let anomaly = Some(kind(Kind::TemplateEmpty { id }));
            return Ok(Decoded { record: None, anomaly, length: at });
        }
        Ok(Decoded { record: Some(Self::Definition(template)), anomaly, length: at })
    }

    fn withdrawal(id: u16, set_id: u16, offset: usize) -> Decoded {
        // All Templates are withdrawn by their own Set ID only (RFC 7011 section 8.1).
        let valid = id >= FIRST_DATA_SET || id == set_id;
        let anomaly = (!valid).then_some(Anomaly { offset, kind: Kind::TemplateId { id } });
        let record = valid.then_some(Self::Withdrawal { id });
        Decoded { record, anomaly, length: 4 }
    }
}
