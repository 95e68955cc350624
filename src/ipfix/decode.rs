//! A message apart: Sets, Template Records, Data Records, fields. Iterators all, none allocates (but for Templates), and
//! each goes on after a fault where the framing allows it.

use super::template::{FieldSpecifier, Template, TemplateRecord};
use super::{Anomaly, Kind, Set, SetHeader, varlen};

/// The Sets of a message.
#[derive(Clone, Debug)]
pub struct Sets<'a> {
    message: &'a [u8],
    at: usize,
    cut: Option<Set<'a>>,
}

impl<'a> Sets<'a> {
    /// The Sets from octet `from` (behind the message header) to the end of `message`.
    #[must_use]
    pub const fn new(message: &'a [u8], from: usize) -> Self {
        Self { message, at: from, cut: None }
    }
}

impl<'a> Iterator for Sets<'a> {
    type Item = Result<Set<'a>, Anomaly>;

    /// A Set that says more octets than the message has is an anomaly, and then comes with what there is of it.
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(set) = self.cut.take() {
            return Some(Ok(set));
        }
        let offset = self.at;
        let rest = self.message.get(offset..).filter(|rest| !rest.is_empty())?;
        let Some(header) = SetHeader::decode(rest) else {
            self.at = self.message.len();
            let kind = Kind::TrailingOctets { length: rest.len() };
            return Some(Err(Anomaly { offset, kind }));
        };
        let stated = usize::from(header.length);
        let id = header.id;
        if let Some(contents) = rest.get(SetHeader::LENGTH..stated) {
            self.at += stated;
            return Some(Ok(Set { id, offset, contents }));
        }
        self.at = self.message.len();
        if stated >= SetHeader::LENGTH {
            let contents = rest.get(SetHeader::LENGTH..).unwrap_or(&[]);
            self.cut = Some(Set { id, offset, contents });
        }
        Some(Err(Anomaly { offset, kind: Kind::SetLength { id, stated, remaining: rest.len() } }))
    }
}

/// The Template Records of a Template Set or Options Template Set.
#[derive(Clone, Debug)]
pub struct TemplateSet<'a> {
    set: Set<'a>,
    at: usize,
    held: Option<Anomaly>,
}

impl<'a> TemplateSet<'a> {
    /// The records of `set`, whose id is 2 or 3.
    #[must_use]
    pub const fn new(set: Set<'a>) -> Self {
        Self { set, at: 0, held: None }
    }
}

impl Iterator for TemplateSet<'_> {
    /// A record with the offset at which it begins in the message.
    type Item = Result<(usize, TemplateRecord), Anomaly>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(anomaly) = self.held.take() {
            return Some(Err(anomaly));
        }
        let rest = self.set.contents.get(self.at..).filter(|rest| !rest.is_empty())?;
        let offset = self.set.contents_offset() + self.at;
        if rest.len() < 4 || rest.iter().all(|&octet| octet == 0) {
            self.at = self.set.contents.len();
            if rest.len() < 4 && rest.iter().all(|&octet| octet == 0) {
                return None;
            }
            let kind = Kind::Padding { id: self.set.id, length: rest.len() };
            return Some(Err(Anomaly { offset, kind }));
        }
        match TemplateRecord::decode(rest, offset, self.set.id) {
            Err(anomaly) => {
                self.at = self.set.contents.len();
                Some(Err(anomaly))
            }
            Ok(decoded) => {
                self.at += decoded.length;
                match (decoded.record, decoded.anomaly) {
                    (Some(record), anomaly) => {
                        self.held = anomaly;
                        Some(Ok((offset, record)))
                    }
                    (None, Some(anomaly)) => Some(Err(anomaly)),
                    (None, None) => None,
                }
            }
        }
    }
}

/// The octets of one Data Record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordOctets<'a> {
    /// Where the record begins in the message.
    pub offset: usize,
    /// Its octets.
    pub octets: &'a [u8],
}

/// The Data Records of a Data Set, or of a list.
#[derive(Clone, Debug)]
pub struct Records<'a, 't> {
    template: &'t Template,
    contents: &'a [u8],
    offset: usize,
    at: usize,
    padding: usize,
}

impl<'a, 't> Records<'a, 't> {
    /// Records of `template` in `contents`, which begin at `offset` of the message.
    #[must_use]
    pub const fn new(template: &'t Template, contents: &'a [u8], offset: usize) -> Self {
        Self { template, contents, offset, at: 0, padding: 0 }
    }

    /// Once the iterator has ended: the octets at the end that are no record, with their offset in the message.
    /// Empty after a fault.
    #[must_use]
    pub fn padding(&self) -> (usize, &'a [u8]) {
        let start = self.contents.len() - self.padding;
        (self.offset + start, self.contents.get(start..).unwrap_or(&[]))
    }
}

impl<'a> Iterator for Records<'a, '_> {
    type Item = Result<RecordOctets<'a>, Anomaly>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.contents.get(self.at..).filter(|rest| !rest.is_empty())?;
        let offset = self.offset + self.at;
        if self.template.min_len() == 0 || rest.len() < self.template.min_len() {
            self.at = self.contents.len();
            self.padding = rest.len();
            return None;
        }
        match self.template.record_len(rest) {
            Ok(length) => {
                self.at += length;
                Some(Ok(RecordOctets { offset, octets: rest.get(..length).unwrap_or(rest) }))
            }
            Err((field, stated, remaining)) => {
                self.at = self.contents.len();
                let id = self.template.id();
                let kind = Kind::VariableLength { id, field, stated, remaining };
                Some(Err(Anomaly { offset, kind }))
            }
        }
    }
}

/// One field of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its place in the Template, from 0.
    pub index: u16,
    /// Element and length in the Template.
    pub specifier: FieldSpecifier,
    /// The value's octets, without a variable length.
    pub octets: &'a [u8],
    /// Where the value begins in the message.
    pub offset: usize,
    /// Octets of a variable length in front of the value: 0, 1 or 3.
    pub prefix: u8,
}

/// The fields of one record.
#[derive(Clone, Debug)]
pub struct Fields<'a, 't> {
    specifiers: std::iter::Enumerate<std::slice::Iter<'t, FieldSpecifier>>,
    record: RecordOctets<'a>,
    at: usize,
}

impl<'a, 't> Fields<'a, 't> {
    /// The fields of `record`, which [`Records`] read with the same Template.
    #[inline]
    #[must_use]
    pub fn new(template: &'t Template, record: RecordOctets<'a>) -> Self {
        Self { specifiers: template.fields().iter().enumerate(), record, at: 0 }
    }
}

impl<'a> Iterator for Fields<'a, '_> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (index, &specifier) = self.specifiers.next()?;
        let (prefix, length) = if specifier.is_variable() {
            let length = varlen::decode(self.record.octets.get(self.at..)?)?;
            (length.prefix, length.value)
        } else {
            (0, usize::from(specifier.length))
        };
        let start = self.at + prefix;
        let octets = self.record.octets.get(start..start + length)?;
        self.at = start + length;
        let offset = self.record.offset + start;
        Some(Field { index: index as u16, specifier, octets, offset, prefix: prefix as u8 })
    }
}
