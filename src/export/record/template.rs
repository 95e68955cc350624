//! A Template (RFC 7011 section 3.4.1) together with the copies that make a record of it.

use super::image::{Image, Slot, constant, plain};
use super::kind::Kind;
use super::list::{self, List};
use super::{change, derived, fragments, group, headers, layer2, reverse, route, uptime};
use crate::export::preset::Field;
use crate::ipfix::{self, FieldSpecifier};
use crate::meter::flow::FinishedFlow;
use ie_registry::VARIABLE_LENGTH;

/// What fills a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An unsigned number of the image: zero octets in front if the field is longer; if it is shorter, the octets that
    /// fall away must be zero, or the largest value that fits is sent.
    Number(Slot),
    /// A bit field of the image: as a number, but of a shorter field the upper bits are left out (RFC 9565 section 3.2
    /// allows it for `tcpControlBits`).
    Bits(Slot),
    /// Octets of the image that are not a number: the field has exactly their length.
    Octets(Slot),
    /// A structured value (RFC 6313): variable length.
    List(List),
}

impl Source {
    /// The group of values the source belongs to.
    #[must_use]
    pub fn group(self) -> u16 {
        let at = match self {
            Self::Number(slot) | Self::Bits(slot) | Self::Octets(slot) => slot.at,
            Self::List(_) => return group::PLAIN,
        };
        let groups = [
            (plain::END, group::PLAIN),
            (derived::END, group::DERIVED),
            (headers::END, group::HEADERS),
            (fragments::END, group::FRAGMENTS),
            (layer2::END, group::LAYER2),
            (route::END, group::ROUTE),
            (change::END, group::CHANGE),
            (reverse::END, group::REVERSE),
            (constant::END, group::PLAIN),
            (uptime::END, group::UPTIME),
        ];
        groups.iter().find(|(end, _)| at < *end).map_or(group::USER, |(_, group)| *group)
    }
}

/// One step of making a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// These octets of the image.
    Copy { from: u16, length: u16 },
    /// The last `length` octets of the slot, all ones if the others are not zero.
    Reduce { slot: Slot, length: u16 },
    /// A structured value with its length in front.
    List(List),
}

/// A Template and how a record of it is made.
#[derive(Clone, Debug)]
pub struct Template {
    /// Template ID and fields.
    pub definition: ipfix::Template,
    /// Groups of values it needs in the image.
    pub(super) groups: u16,
    /// Kind of the flows it describes.
    pub kind: Kind,
    steps: Vec<Step>,
    /// Octets of the shortest record; of every record, if `fixed`.
    pub minimum_length: usize,
    /// Octets of the longest record.
    pub maximum_length: usize,
    /// Whether it describes the entries of a list, not flows.
    pub of_list: bool,
}

impl Template {
    /// Whether all records have one length.
    #[must_use]
    pub fn fixed(&self) -> bool {
        self.minimum_length == self.maximum_length
    }

    pub(super) fn of_list(id: u16, fields: Vec<FieldSpecifier>) -> Self {
        let definition = ipfix::Template::new(id, fields);
        let length = definition.min_len();
        Self {
            definition,
            groups: 0,
            kind: Kind::default(),
            steps: Vec::new(),
            minimum_length: length,
            maximum_length: length,
            of_list: true,
        }
    }

    /// For flows of exactly `kind`.
    pub(super) fn compile(id: u16, fields: &[Field], kind: Kind, enterprise: u32) -> Self {
        Self::of(id, fields.iter().filter(|field| field.condition.holds(kind)), kind, enterprise)
    }

    /// For all flows of the class of `kind`: every field but the lists, and what stands for several chains.
    pub(super) fn compile_all(id: u16, fields: &[Field], kind: Kind, enterprise: u32) -> Self {
        const CHAINS: u32 = Kind::ONE_CHAIN | Kind::SEVERAL_CHAINS;
        let class = |bits| bits & Kind::CLASS;
        let fits = |field: &Field| {
            let condition = field.condition;
            class(kind.0) & class(condition.all) == class(condition.all)
                && kind.0 & class(condition.none) == 0
                && condition.all & CHAINS == 0
                && !matches!(field.source, Source::List(_))
        };
        let last = |index: usize, field: &Field| {
            !fields[index + 1..].iter().any(|later| {
                fits(later) && (later.enterprise, later.id) == (field.enterprise, field.id)
            })
        };
        let chosen =
            fields.iter().enumerate().filter(|(index, field)| fits(field) && last(*index, field));
        Self::of(id, chosen.map(|(_, field)| field), kind, enterprise)
    }

    fn of<'a>(
        id: u16,
        fields: impl Iterator<Item = &'a Field>,
        kind: Kind,
        enterprise: u32,
    ) -> Self {
        let mut template = Self {
            definition: ipfix::Template::new(id, []),
            groups: 0,
            kind,
            steps: Vec::new(),
            minimum_length: 0,
            maximum_length: 0,
            of_list: false,
        };
        let mut specifiers = Vec::new();
        for field in fields {
            let enterprise = match field.enterprise {
                ie_registry::SIXTAP_DEFAULT_PEN => enterprise,
                other => other,
            };
            specifiers.push(FieldSpecifier { id: field.id, enterprise, length: field.length });
            template.groups |= field.source.group();
            template.step(field);
        }
        template.definition = ipfix::Template::new(id, specifiers);
        template
    }

    fn step(&mut self, field: &Field) {
        let length = field.length;
        if length != VARIABLE_LENGTH {
            self.minimum_length += usize::from(length);
            self.maximum_length += usize::from(length);
        }
        match field.source {
            Source::Octets(slot) => self.copy(slot.at, slot.length),
            Source::Number(slot) | Source::Bits(slot) if slot.length <= length => {
                self.copy(plain::ZERO.at, length - slot.length);
                self.copy(slot.at, slot.length);
            }
            Source::Number(slot) => self.steps.push(Step::Reduce { slot, length }),
            Source::Bits(slot) => self.copy(slot.at + slot.length - length, length),
            Source::List(list) => {
                self.minimum_length += 1 + list::HEADER;
                self.maximum_length += 1 + list.maximum_length();
                self.steps.push(Step::List(list));
            }
        }
    }

    /// Adds a copy, or makes the last one longer where both stand in a row.
    fn copy(&mut self, from: u16, length: u16) {
        match self.steps.last_mut() {
            _ if length == 0 => {}
            Some(Step::Copy { from: first, length: before }) if *first + *before == from => {
                *before += length;
            }
            _ => self.steps.push(Step::Copy { from, length }),
        }
    }

    #[inline]
    pub(super) fn encode(
        &self,
        image: &Image,
        flow: &FinishedFlow<'_>,
        lists: list::Templates,
        out: &mut [u8],
        saturated: &mut u64,
    ) -> Option<usize> {
        let mut rest: &mut [u8] = out;
        let room = rest.len();
        for step in &self.steps {
            match *step {
                Step::Copy { from, length } => {
                    let (field, behind) = rest.split_at_mut_checked(usize::from(length))?;
                    field.copy_from_slice(image.octets(from, length));
                    rest = behind;
                }
                Step::Reduce { slot, length } => {
                    let (field, behind) = rest.split_at_mut_checked(usize::from(length))?;
                    let dropped = slot.length - length;
                    if image.octets(slot.at, dropped).iter().all(|octet| *octet == 0) {
                        field.copy_from_slice(image.octets(slot.at + dropped, length));
                    } else {
                        field.fill(0xff);
                        *saturated += 1;
                    }
                    rest = behind;
                }
                Step::List(list) => {
                    let length = list.encode(flow, lists, rest)?;
                    rest = &mut rest[length..];
                }
            }
        }
        Some(room - rest.len())
    }
}
