//! Structured data (RFC 6313): lists within a field.
//!
//! ```text
//! basicList             semantic 1 | element id 2 | element length 2 | [enterprise 4] | values
//! subTemplateList       semantic 1 | template id 2 | records
//! subTemplateMultiList  semantic 1 | { template id 2 | length 2, these four octets included | records } *
//! ```
//!
//! A list is checked as deep as it can be without Templates; records of a list are read with [`super::Records`] once
//! the Template is at hand. Nothing here recurses: a list in a list is just a value again.

use super::octets::{Writer, be16};
use super::template::FieldSpecifier;
use super::value::ValueError;
use super::varlen;

/// How the items of a list relate (registry "IPFIX Structured Data Types Semantics").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListSemantic(pub u8);

impl ListSemantic {
    /// None of them applies.
    pub const NONE_OF: Self = Self(0);
    /// Exactly one applies.
    pub const EXACTLY_ONE_OF: Self = Self(1);
    /// One or more apply.
    pub const ONE_OR_MORE_OF: Self = Self(2);
    /// All apply.
    pub const ALL_OF: Self = Self(3);
    /// All apply, in this order.
    pub const ORDERED: Self = Self(4);
    /// Not said.
    pub const UNDEFINED: Self = Self(255);

    /// Name as registered; `None` if the number is not assigned.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::NONE_OF => "noneOf",
            Self::EXACTLY_ONE_OF => "exactlyOneOf",
            Self::ONE_OR_MORE_OF => "oneOrMoreOf",
            Self::ALL_OF => "allOf",
            Self::ORDERED => "ordered",
            Self::UNDEFINED => "undefined",
            _ => return None,
        })
    }
}

/// Values of one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BasicList<'a> {
    /// How the items relate.
    pub semantic: ListSemantic,
    /// The element and the length of each item.
    pub field: FieldSpecifier,
    /// The items' octets.
    pub contents: &'a [u8],
    /// Where the contents begin within the list.
    pub contents_offset: usize,
}

impl<'a> BasicList<'a> {
    /// Reads a whole list and checks that its items fill it.
    ///
    /// # Errors
    /// The header is cut, or the items do not fill the list exactly.
    pub fn decode(octets: &'a [u8]) -> Result<Self, ValueError> {
        let cut = ValueError::List { at: octets.len() };
        let (&semantic, rest) = octets.split_first().ok_or(cut)?;
        let (field, header) = FieldSpecifier::decode(rest).ok_or(cut)?;
        let contents = rest.get(header..).ok_or(cut)?;
        let contents_offset = 1 + header;
        let list = Self { semantic: ListSemantic(semantic), field, contents, contents_offset };
        if field.length == 0 && !contents.is_empty() {
            return Err(ValueError::List { at: contents_offset });
        }
        let mut items = list.items();
        let used: usize =
            items.by_ref().map(|(_, item)| item.len()).sum::<usize>() + items.prefixes;
        if used == contents.len() {
            Ok(list)
        } else {
            Err(ValueError::List { at: contents_offset + used })
        }
    }

    /// The items in order, each with its offset within the list.
    #[must_use]
    pub fn items(&self) -> Items<'a> {
        Items {
            field: self.field,
            octets: self.contents,
            offset: self.contents_offset,
            prefixes: 0,
        }
    }
}

/// Iterates over the items of a [`BasicList`].
#[derive(Clone, Debug)]
pub struct Items<'a> {
    field: FieldSpecifier,
    octets: &'a [u8],
    offset: usize,
    prefixes: usize,
}

impl<'a> Iterator for Items<'a> {
    type Item = (usize, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.octets.is_empty() || self.field.length == 0 {
            return None;
        }
        let (prefix, length) = if self.field.is_variable() {
            let length = varlen::decode(self.octets)?;
            (length.prefix, length.value)
        } else {
            (0, usize::from(self.field.length))
        };
        let item = self.octets.get(prefix..prefix + length)?;
        let offset = self.offset + prefix;
        self.octets = self.octets.get(prefix + length..).unwrap_or(&[]);
        self.offset += prefix + length;
        self.prefixes += prefix;
        Some((offset, item))
    }
}

/// Records of one Template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubTemplateList<'a> {
    /// How the records relate.
    pub semantic: ListSemantic,
    /// The Template, of the same session and domain as the message.
    pub template_id: u16,
    /// The records' octets.
    pub contents: &'a [u8],
}

impl<'a> SubTemplateList<'a> {
    /// Where the contents begin within the list.
    pub const CONTENTS_OFFSET: usize = 3;

    /// Reads the header of a list.
    ///
    /// # Errors
    /// The header is cut.
    pub fn decode(octets: &'a [u8]) -> Result<Self, ValueError> {
        let cut = ValueError::List { at: octets.len() };
        let semantic = ListSemantic(*octets.first().ok_or(cut)?);
        let template_id = be16(octets, 1).ok_or(cut)?;
        let contents = octets.get(Self::CONTENTS_OFFSET..).unwrap_or(&[]);
        Ok(Self { semantic, template_id, contents })
    }
}

/// Records of several Templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubTemplateMultiList<'a> {
    /// How the records relate.
    pub semantic: ListSemantic,
    entries: &'a [u8],
}

/// The records of one Template in a [`SubTemplateMultiList`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MultiListEntry<'a> {
    /// The Template.
    pub template_id: u16,
    /// The records' octets.
    pub contents: &'a [u8],
    /// Where the contents begin within the list.
    pub contents_offset: usize,
}

impl<'a> SubTemplateMultiList<'a> {
    const ENTRY_HEADER: usize = 4;

    /// Reads a whole list and checks that its entries fill it.
    ///
    /// # Errors
    /// A header is cut, or an entry's length does not fit.
    pub fn decode(octets: &'a [u8]) -> Result<Self, ValueError> {
        let (&semantic, entries) = octets.split_first().ok_or(ValueError::List { at: 0 })?;
        let list = Self { semantic: ListSemantic(semantic), entries };
        let used: usize =
            list.entries().map(|entry| Self::ENTRY_HEADER + entry.contents.len()).sum();
        if used == entries.len() { Ok(list) } else { Err(ValueError::List { at: 1 + used }) }
    }

    /// The entries in order.
    pub fn entries(&self) -> impl Iterator<Item = MultiListEntry<'a>> + use<'a> {
        let all = self.entries;
        let mut at = 0;
        std::iter::from_fn(move || {
            let template_id = be16(all, at)?;
            let length = usize::from(be16(all, at + 2)?);
            let contents = all.get(at + Self::ENTRY_HEADER..at + length)?;
            let contents_offset = 1 + at + Self::ENTRY_HEADER;
            at += length;
            Some(MultiListEntry { template_id, contents, contents_offset })
        })
    }
}

/// Lists on the way out. Each writes its own variable length in front.
impl Writer<'_> {
    /// A `basicList`; `items` writes the values (for a variable-length element each with its length).
    pub fn basic_list(
        &mut self,
        semantic: ListSemantic,
        field: FieldSpecifier,
        items: impl FnOnce(&mut Self),
    ) {
        self.variable_with(|out| {
            out.u8(semantic.0);
            field.encode(out);
            items(out);
        });
    }

    /// A `subTemplateList`; `records` writes the records.
    pub fn sub_template_list(
        &mut self,
        semantic: ListSemantic,
        template_id: u16,
        records: impl FnOnce(&mut Self),
    ) {
        self.variable_with(|out| {
            out.u8(semantic.0);
            out.u16(template_id);
            records(out);
        });
    }

    /// A `subTemplateMultiList`; `entries` writes the entries with [`Writer::multi_list_entry`].
    pub fn sub_template_multi_list(
        &mut self,
        semantic: ListSemantic,
        entries: impl FnOnce(&mut Self),
    ) {
        self.variable_with(|out| {
            out.u8(semantic.0);
            entries(out);
        });
    }

    /// One entry of a `subTemplateMultiList`.
    pub fn multi_list_entry(&mut self, template_id: u16, records: impl FnOnce(&mut Self)) {
        self.u16(template_id);
        self.length_with(SubTemplateMultiList::ENTRY_HEADER, records);
    }
}
