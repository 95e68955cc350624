//! Records into messages.
//!
//! [`MessageBuilder`] owns the octets of one message and is used again for the next: no allocation after `new`.
//! Sets are opened and closed as records come; an empty Set is never written, and no record is ever half written.

use super::octets::Writer;
use super::template::Template;
use super::{MessageHeader, OPTIONS_TEMPLATE_SET, SetHeader, TEMPLATE_SET};

/// Why a record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The message is full: finish it, begin the next, and give the record again.
    #[error("the message is full")]
    Full,
    /// The record does not fit into an empty message either.
    #[error("the record does not fit into a message")]
    TooLong,
}

/// One message in the making.
///
/// ```
/// use sixtap::ipfix::{FieldSpecifier, MessageBuilder, Template};
///
/// let template = Template::new(256, [FieldSpecifier::iana(31, 4), FieldSpecifier::iana(2, 8)]);
/// let mut message = MessageBuilder::new(1420);
/// message.begin(7, 0);
/// message.template(&template)?;
/// message.record(256, |out| {
///     out.u32(0x12345);
///     out.u64(1);
/// })?;
/// assert_eq!(message.records(), 1);
/// assert_eq!(message.finish(1_700_000_000).len(), 16 + 4 + 12 + 4 + 12);
/// # Ok::<(), sixtap::ipfix::Refused>(())
/// ```
#[derive(Debug)]
pub struct MessageBuilder {
    octets: Box<[u8]>,
    at: usize,
    open: Option<OpenSet>,
    header: MessageHeader,
    records: u32,
}

#[derive(Clone, Copy, Debug)]
struct OpenSet {
    id: u16,
    start: usize,
}

impl MessageBuilder {
    /// Messages of at most `limit` octets; at least 512 and at most 65,535 (RFC 7011 sections 3.1 and 10.3.3).
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let octets = vec![0; limit.clamp(512, 65_535)].into_boxed_slice();
        let header = MessageHeader::default();
        Self { octets, at: MessageHeader::LENGTH, open: None, header, records: 0 }
    }

    /// Begins a message of Observation Domain `domain`. `sequence`: Data Records sent before it in the stream and
    /// domain, modulo 2³². What was not finished is dropped.
    pub fn begin(&mut self, domain: u32, sequence: u32) {
        self.header = MessageHeader { domain, sequence, ..MessageHeader::default() };
        self.at = MessageHeader::LENGTH;
        self.open = None;
        self.records = 0;
    }

    /// Most octets of a message.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.octets.len()
    }

    /// Octets so far, the message header included.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.at
    }

    /// Whether no record was taken yet.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.at == MessageHeader::LENGTH
    }

    /// Data Records so far (options records included, Templates not): what the next message's sequence number grows by.
    #[inline]
    #[must_use]
    pub fn records(&self) -> u32 {
        self.records
    }

    /// Takes a Template or Options Template.
    ///
    /// # Errors
    /// It does not fit.
    pub fn template(&mut self, template: &Template) -> Result<(), Refused> {
        self.write(template.set_id(), |out| template.encode(out))
    }

    /// Takes a withdrawal of Template `id` (RFC 7011 section 8.1); not to be sent over UDP. `options`: it is an Options
    /// Template. Its own Set ID as `id` withdraws all.
    ///
    /// # Errors
    /// It does not fit.
    pub fn withdraw(&mut self, id: u16, options: bool) -> Result<(), Refused> {
        self.write(if options { OPTIONS_TEMPLATE_SET } else { TEMPLATE_SET }, |out| {
            out.u16(id);
            out.u16(0);
        })
    }

    /// Takes a record of Template `template_id`, whose values `write` writes. It may be called again with the same
    /// record after [`Refused::Full`]; what it wrote then is gone.
    ///
    /// # Errors
    /// The record does not fit.
    #[inline]
    pub fn record(
        &mut self,
        template_id: u16,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> Result<(), Refused> {
        let before = self.at;
        self.write(template_id, write)?;
        self.records = self.records.wrapping_add(u32::from(self.at != before));
        Ok(())
    }

    /// Takes a record of exactly `length` octets (not 0), to be filled in by the caller; all must be written, they hold
    /// leftovers of earlier messages.
    ///
    /// # Errors
    /// The record does not fit.
    #[inline]
    pub fn reserve(&mut self, template_id: u16, length: usize) -> Result<&mut [u8], Refused> {
        debug_assert!(length > 0, "a record has octets");
        let start = self.start_of_record(template_id);
        if start + length > self.octets.len() {
            return Err(self.refusal());
        }
        self.open_set(template_id);
        self.at = start + length;
        self.records = self.records.wrapping_add(1);
        Ok(&mut self.octets[start..start + length])
    }

    /// Completes the message: lengths and the time at which it leaves, in seconds since 1970.
    pub fn finish(&mut self, export_time: u32) -> &[u8] {
        self.close_set();
        self.header.length = self.at as u16;
        self.header.export_time = export_time;
        self.octets[..MessageHeader::LENGTH].copy_from_slice(&self.header.encode());
        &self.octets[..self.at]
    }

    /// Where a record for Set `id` begins: behind what there is, or behind the header of a new Set.
    #[inline]
    fn start_of_record(&self, id: u16) -> usize {
        match self.open {
            Some(open) if open.id == id => self.at,
            _ => self.at + SetHeader::LENGTH,
        }
    }

    #[inline]
    fn write(&mut self, id: u16, write: impl FnOnce(&mut Writer<'_>)) -> Result<(), Refused> {
        let start = self.start_of_record(id);
        let Some(room) = self.octets.get_mut(start..) else { return Err(self.refusal()) };
        let mut out = Writer::new(room);
        write(&mut out);
        let (length, overflowed) = (out.len(), out.overflowed());
        if overflowed {
            return Err(self.refusal());
        }
        if length > 0 {
            self.open_set(id);
            self.at = start + length;
        }
        Ok(())
    }

    fn refusal(&self) -> Refused {
        if self.is_empty() { Refused::TooLong } else { Refused::Full }
    }

    #[inline]
    fn open_set(&mut self, id: u16) {
        if self.open.is_none_or(|open| open.id != id) {
            self.close_set();
            self.open = Some(OpenSet { id, start: self.at });
            self.at += SetHeader::LENGTH;
        }
    }

    fn close_set(&mut self) {
        if let Some(OpenSet { id, start }) = self.open.take() {
            let header = SetHeader { id, length: (self.at - start) as u16 };
            self.octets[start..start + SetHeader::LENGTH].copy_from_slice(&header.encode());
        }
    }
}
