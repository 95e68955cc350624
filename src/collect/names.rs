//! By which names and types elements are shown: IANA's, sixtap's own, and those an exporter describes itself.

use super::event::{Record, Version};
use crate::ipfix::{FieldSpecifier, unsigned};
use ie_registry::{DataType, Element, ie};
use std::borrow::Cow;
use std::collections::HashMap;

/// An element that a type record described (RFC 5610 section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learnt {
    /// Its name.
    pub name: Box<str>,
    /// Its type.
    pub data_type: DataType,
}

/// Names and types of elements.
#[derive(Clone, Debug)]
pub struct Names {
    own: u32,
    learnt: HashMap<(u32, u16), Learnt>,
    limit: usize,
}

impl Names {
    /// Nothing learnt yet. `own`: the enterprise number of sixtap's own elements. `limit`: most names to learn.
    #[must_use]
    pub fn new(own: u32, limit: usize) -> Self {
        Self { own, learnt: HashMap::new(), limit }
    }

    /// The registered element.
    #[must_use]
    pub fn element(&self, field: &FieldSpecifier) -> Option<&'static Element> {
        field.element(self.own)
    }

    /// What was learnt of an element.
    #[must_use]
    pub fn learnt(&self, enterprise: u32, id: u16) -> Option<&Learnt> {
        self.learnt.get(&(enterprise, id))
    }

    /// The type by which a field is read; `None` if nothing is known of its element.
    #[must_use]
    pub fn data_type(&self, field: &FieldSpecifier) -> Option<DataType> {
        self.element(field)
            .map(|element| element.data_type)
            .or_else(|| self.learnt(field.enterprise, field.id).map(|learnt| learnt.data_type))
    }

    /// The name by which a field is shown (DESIGN section 6): IANA's name, `sixtap:` and ours, the enterprise number
    /// and a learnt name, or the enterprise number and the id.
    #[must_use]
    pub fn name(&self, field: &FieldSpecifier) -> Cow<'static, str> {
        let FieldSpecifier { enterprise, id, .. } = *field;
        if let Some(element) = self.element(field) {
            let own = enterprise != 0 && enterprise != ie_registry::REVERSE_PEN;
            return if own {
                format!("sixtap:{}", element.name).into()
            } else {
                element.name.into()
            };
        }
        match self.learnt(enterprise, id) {
            Some(learnt) if enterprise == self.own => format!("sixtap:{}", learnt.name).into(),
            Some(learnt) => format!("{enterprise}/{}", learnt.name).into(),
            None => format!("{enterprise}/{id}").into(),
        }
    }

    /// The name of the field at `index` of a record of `version`. Scope fields of NetFlow v9 have numbers of their own
    /// (RFC 3954 section 6.1).
    #[must_use]
    pub fn field_name(
        &self,
        version: Version,
        scope: bool,
        field: &FieldSpecifier,
    ) -> Cow<'static, str> {
        if version == Version::Netflow9 && scope {
            return match field.id {
                1 => "scopeSystem".into(),
                2 => "scopeInterface".into(),
                3 => "scopeLineCard".into(),
                4 => "scopeCache".into(),
                5 => "scopeTemplate".into(),
                id => format!("scope/{id}").into(),
            };
        }
        self.name(field)
    }

    /// Learns from `record` if it is a type record: scoped by element id and enterprise number, with a name.
    pub(super) fn learn(&mut self, record: &LearnFrom) {
        let key = (record.enterprise, record.id);
        if self.learnt.len() < self.limit || self.learnt.contains_key(&key) {
            let (name, data_type) = (record.name.clone(), record.data_type);
            self.learnt.insert(key, Learnt { name, data_type });
        }
    }
}

/// The content of a type record.
#[derive(Debug)]
pub(super) struct LearnFrom {
    enterprise: u32,
    id: u16,
    name: Box<str>,
    data_type: DataType,
}

impl LearnFrom {
    /// Longest name taken, octets.
    const NAME: usize = 128;

    /// What `record` describes, if it is a type record with a usable name.
    pub(super) fn record(record: &Record<'_>) -> Option<Self> {
        let number = |id| unsigned(record.field(0, id)?.octets);
        let id = u16::try_from(number(ie::INFORMATION_ELEMENT_ID)?).ok()? & 0x7fff;
        let enterprise = u32::try_from(number(ie::PRIVATE_ENTERPRISE_NUMBER)?).ok()?;
        let code = u8::try_from(number(ie::INFORMATION_ELEMENT_DATA_TYPE)?).ok()?;
        let data_type = DataType::from_code(code)?;
        let octets = record.field(0, ie::INFORMATION_ELEMENT_NAME)?.octets;
        let name = std::str::from_utf8(octets).ok()?.trim_end_matches('\0');
        let plain = name.chars().all(|c| c.is_ascii_graphic());
        let usable = plain && !name.is_empty() && name.len() <= Self::NAME && enterprise != 0;
        usable.then(|| Self { enterprise, id, name: name.into(), data_type })
    }
}
