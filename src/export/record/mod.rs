//! Flow to record.
//!
//! In: finished flows and a [`Preset`]. Out: record octets, each belonging to a [`Template`] that is made when the first
//! flow of its kind comes. Invariants: ids go up from 256 and are never used twice; there are never more than
//! [`Records::TEMPLATES`] templates (beyond it, flows of a class share one that has every field of the class); a record
//! has exactly the length its Template says.

mod image;
mod kind;
mod list;
mod template;

pub use image::{Image, Slot, USER, USER_ELEMENTS};
pub(crate) use image::{
    change, constant, derived, fragments, headers, layer2, plain, reverse, route, uptime,
};
pub use kind::{Condition, Kind};
pub use list::List;
pub use template::{Source, Template};

use super::preset::{Field, Preset};
use crate::ipfix::FieldSpecifier;
use crate::meter::flow::FinishedFlow;
use ie_registry::ie;

/// Groups of values in the image; a Template names those it needs beside the plain ones.
pub mod group {
    /// Values every flow has; always written.
    pub const PLAIN: u16 = 0;
    /// Computed from the plain facts.
    pub const DERIVED: u16 = 1;
    /// Extension headers.
    pub const HEADERS: u16 = 1 << 1;
    /// Fragments.
    pub const FRAGMENTS: u16 = 1 << 2;
    /// Link layer, MPLS, IPsec.
    pub const LAYER2: u16 = 1 << 3;
    /// Segment Routing Header and tunnel.
    pub const ROUTE: u16 = 1 << 4;
    /// TCP options and values that change within a flow.
    pub const CHANGE: u16 = 1 << 5;
    /// The reverse direction.
    pub const REVERSE: u16 = 1 << 6;
    /// User-defined values.
    pub const USER: u16 = 1 << 7;
    /// Times since the exporter's start, for NetFlow v9.
    pub const UPTIME: u16 = 1 << 8;
    /// Those that come from the flow's [`crate::meter::flow::Extra`].
    pub const EXTRA: u16 = FRAGMENTS | LAYER2 | ROUTE | CHANGE | REVERSE;
}

/// Lowest Template ID (RFC 7011 section 3.4.1).
const FIRST_ID: u16 = 256;

/// Slots of the table from kind to template: a power of two, at least twice [`Records::TEMPLATES`].
const KIND_SLOTS: usize = 2048;

/// Makes records of flows.
#[derive(Debug)]
pub struct Records {
    fields: Vec<Field>,
    /// The condition bits the fields look at: others make no difference.
    relevant: u32,
    enterprise: u32,
    templates: Vec<Template>,
    /// Kind (all bits set: empty) and index of its template; open addressing.
    kinds: Vec<(u32, u16)>,
    image: Image,
    lists: list::Templates,
    shared: u64,
    saturated: u64,
}

impl Records {
    /// Most templates; kinds beyond it share one template a class.
    pub const TEMPLATES: usize = 512;

    const EMPTY: u32 = u32::MAX;

    /// For `preset`, own elements under `enterprise`. Timeouts in seconds, for `flowActiveTimeout` and
    /// `flowIdleTimeout`.
    #[must_use]
    pub fn new(preset: &Preset, enterprise: u32, active_timeout: u64, idle_timeout: u64) -> Self {
        let fields = preset.fields.clone();
        let relevant = fields.iter().fold(0, |bits, field| bits | field.condition.bits());
        let mut image = Image::default();
        image.set_constants(active_timeout, idle_timeout);
        let mut records = Self {
            fields,
            relevant,
            enterprise,
            templates: Vec::new(),
            kinds: vec![(Self::EMPTY, 0); KIND_SLOTS],
            image,
            lists: list::Templates::default(),
            shared: 0,
            saturated: 0,
        };
        records.add_list_templates();
        records
    }

    /// Other timeouts, in seconds.
    pub(super) fn set_timeouts(&mut self, active: u64, idle: u64) {
        self.image.set_constants(active, idle);
    }

    /// The templates so far, in order of id. New ones are only ever added at the end.
    #[must_use]
    pub fn templates(&self) -> &[Template] {
        &self.templates
    }

    /// Flows that had to use the shared template of their class because there were too many kinds.
    #[must_use]
    pub fn shared(&self) -> u64 {
        self.shared
    }

    /// Values that did not fit the reduced length the preset asks for, and were sent as the largest that does.
    #[must_use]
    pub fn saturated(&self) -> u64 {
        self.saturated
    }

    /// Templates for the entries of lists come first: a record refers to them by id.
    fn add_list_templates(&mut self) {
        let has = |list| self.fields.iter().any(|field| field.source == Source::List(list));
        let (types, lengths) = (has(List::TypeCounts), has(List::ChainLengths));
        if types {
            self.lists.type_count = self.next_id();
            let fields = vec![
                FieldSpecifier::iana(ie::IPV6_EXTENSION_HEADER_TYPE, 1),
                FieldSpecifier::iana(ie::IPV6_EXTENSION_HEADER_COUNT, 1),
            ];
            self.templates.push(Template::of_list(self.lists.type_count, fields));
        }
        if lengths {
            self.lists.chain_length = self.next_id();
            let fields = vec![
                FieldSpecifier::iana(ie::IPV6_EXTENSION_HEADERS_FULL, 2),
                FieldSpecifier::iana(ie::IPV6_EXTENSION_HEADERS_CHAIN_LENGTH, 4),
            ];
            self.templates.push(Template::of_list(self.lists.chain_length, fields));
        }
    }

    /// What `sysUpTime` counts from from now on, milliseconds since 1970 (NetFlow v9).
    pub(super) fn set_boot(&mut self, milliseconds: u64) {
        self.image.boot = milliseconds;
    }

    fn next_id(&self) -> u16 {
        FIRST_ID + self.templates.len() as u16
    }

    /// The template for `flow`, and the flow's values made ready for [`Records::encode`].
    #[inline]
    pub fn prepare(&mut self, flow: &FinishedFlow<'_>) -> usize {
        let kind = Kind::of(flow);
        let index = self.template_of(Kind(kind.0 & self.relevant));
        if let Some(template) = self.templates.get(index) {
            self.image.fill(flow, kind, template.groups);
        }
        index
    }

    /// Writes the record of the flow last given to [`Records::prepare`], which named template `index`, to the front of
    /// `out`. `None` if it has no room.
    #[inline]
    pub fn encode(
        &mut self,
        index: usize,
        flow: &FinishedFlow<'_>,
        out: &mut [u8],
    ) -> Option<usize> {
        let template = self.templates.get(index)?;
        template.encode(&self.image, flow, self.lists, out, &mut self.saturated)
    }

    #[inline]
    fn template_of(&mut self, kind: Kind) -> usize {
        let mut slot = Self::slot(kind);
        loop {
            match self.kinds[slot] {
                (known, index) if known == kind.0 => return usize::from(index),
                (Self::EMPTY, _) => return self.add(kind, slot),
                _ => slot = (slot + 1) % KIND_SLOTS,
            }
        }
    }

    #[inline]
    const fn slot(kind: Kind) -> usize {
        (kind.0.wrapping_mul(0x9e37_79b1) >> 16) as usize % KIND_SLOTS
    }

    #[cold]
    fn add(&mut self, kind: Kind, slot: usize) -> usize {
        /// Room kept for the shared templates, one a class.
        const CLASSES: usize = 64;
        if self.templates.len() < Self::TEMPLATES - CLASSES {
            let template = Template::compile(self.next_id(), &self.fields, kind, self.enterprise);
            return self.insert(slot, kind, template);
        }
        self.shared += 1;
        let class = Kind(kind.0 & Kind::CLASS | SHARED);
        let mut slot = Self::slot(class);
        loop {
            match self.kinds[slot] {
                (known, index) if known == class.0 => return usize::from(index),
                (Self::EMPTY, _) => break,
                _ => slot = (slot + 1) % KIND_SLOTS,
            }
        }
        let template = Template::compile_all(self.next_id(), &self.fields, kind, self.enterprise);
        self.insert(slot, class, template)
    }

    fn insert(&mut self, slot: usize, kind: Kind, template: Template) -> usize {
        let index = self.templates.len();
        self.kinds[slot] = (kind.0, index as u16);
        self.templates.push(template);
        index
    }
}

/// Marks the kinds of shared templates in the table of kinds; no condition uses it.
const SHARED: u32 = 1 << 31;
