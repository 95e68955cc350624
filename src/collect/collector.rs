//! One message after the other into events.

use super::event::{
    Change, Event, Header, Message, MessageEnd, Protocol, Record, SetEnd, Transport, Version,
};
use super::names::{LearnFrom, Names};
use super::netflow::{self, v5, v9};
use super::session::{Domain, Limits, Sessions, Stored};
use crate::ipfix::{
    Anomaly, FIRST_DATA_SET, Kind, MessageHeader, OPTIONS_TEMPLATE_SET, Records, Set, SetHeader,
    Sets, TEMPLATE_SET, Template, TemplateRecord, TemplateSet, be16,
};
use ie_registry::ie;
use std::sync::Arc;

/// Collecting Process (RFC 5470 section 5.5): remembers Templates, tells what messages hold.
#[derive(Debug)]
pub struct Collector {
    sessions: Sessions,
    names: Names,
    limits: Limits,
    /// Counts messages: the age of what is remembered.
    now: u64,
}

/// What takes the events.
type Sink<'s> = &'s mut dyn FnMut(Event<'_>);

impl Collector {
    /// A collector that knows nothing yet. `own`: the enterprise number of sixtap's own elements
    /// ([`ie_registry::SIXTAP_DEFAULT_PEN`]).
    #[must_use]
    pub fn new(limits: Limits, own: u32) -> Self {
        let names = Names::new(own, limits.names);
        Self { sessions: Sessions::default(), names, limits, now: 0 }
    }

    /// The names by which elements are shown.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// A stream has ended or a peer has closed: its Templates are void.
    pub fn end_of_session(&mut self, transport: &Transport) {
        self.sessions.end(transport);
    }

    /// Reads one message and tells what it holds, in order of its octets.
    pub fn message(
        &mut self,
        transport: &Transport,
        octets: &[u8],
        sink: &mut dyn FnMut(Event<'_>),
    ) {
        self.now += 1;
        let (version, header, fault) = read_header(octets);
        let (session, domain, forgotten) =
            self.sessions.domain(transport, version, header.domain, &self.limits, self.now);
        let message = Message { transport, session, version, header, octets };
        sink(Event::Message(&message));
        let mut reading = Reading {
            message: &message,
            sessions: &mut self.sessions,
            names: &mut self.names,
            limits: &self.limits,
            now: self.now,
            domain,
            values: 0,
            end: MessageEnd { complete: true, ..MessageEnd::default() },
            sink,
        };
        if let Some((limit, value)) = forgotten {
            // Not a fault of the message: the older session or domain must define its Templates again.
            reading.tell(Anomaly { offset: 0, kind: Kind::Limit { limit, value } });
        }
        if let Some(fault) = fault {
            reading.fault(fault);
        }
        match version {
            Version::Ipfix => reading.ipfix(),
            Version::Netflow9 => reading.netflow9(),
            Version::Netflow5 => reading.netflow5(),
            Version::Unknown => {}
        }
        let (end, domain) = (reading.end, reading.domain);
        sink(Event::End { message: &message, end });
        self.sessions.give_back(transport, version, header.domain, domain, self.now);
    }
}

/// Version and header of a message, and what is wrong with them. A cut header is [`Version::Unknown`].
fn read_header(octets: &[u8]) -> (Version, Header, Option<Anomaly>) {
    let (version, header) = match be16(octets, 0) {
        Some(9) => (Version::Netflow9, netflow::v9_header(octets)),
        Some(5) => (Version::Netflow5, netflow::v5_header(octets)),
        _ => match MessageHeader::decode(octets) {
            Ok(header) => {
                let MessageHeader { length, export_time, sequence, domain } = header;
                let stated = length;
                let rest = Header::default();
                (Version::Ipfix, Some(Header { stated, export_time, sequence, domain, ..rest }))
            }
            Err(anomaly) => return (Version::Unknown, Header::default(), Some(anomaly)),
        },
    };
    match header {
        Some(header) => (version, header, None),
        None => {
            let kind = Kind::HeaderTruncated { available: octets.len() };
            (Version::Unknown, Header::default(), Some(Anomaly { offset: 0, kind }))
        }
    }
}

/// One message being read.
struct Reading<'m, 's> {
    message: &'m Message<'m>,
    sessions: &'s mut Sessions,
    names: &'s mut Names,
    limits: &'s Limits,
    now: u64,
    domain: Domain,
    values: usize,
    end: MessageEnd,
    sink: Sink<'s>,
}

impl<'m> Reading<'m, '_> {
    fn tell(&mut self, anomaly: Anomaly) {
        (self.sink)(Event::Anomaly { message: self.message, anomaly });
    }

    /// An anomaly that leaves octets unread.
    fn fault(&mut self, anomaly: Anomaly) {
        self.end.complete = false;
        self.tell(anomaly);
    }

    /// A limit ends the reading at `offset`.
    fn limit(&mut self, offset: usize, limit: &'static str, value: usize) {
        self.fault(Anomaly { offset, kind: Kind::Limit { limit, value } });
    }

    /// Whether a Set may be read: it ends within the octets that are taken of a message.
    fn takes(&mut self, set: &Set<'_>) -> bool {
        let most = self.limits.octets;
        let taken = set.contents_offset() + set.contents.len() <= most;
        if !taken {
            self.limit(set.offset, "octets in a message", most);
        }
        taken
    }

    fn ipfix(&mut self) {
        let octets = self.message.octets;
        let (stated, available) = (usize::from(self.message.header.stated), octets.len());
        if stated != available {
            let kind = Kind::MessageLength { stated, available };
            self.fault(Anomaly { offset: 2, kind });
        }
        // Octets beyond a stated length that can hold the header are no part of the message.
        let end = if stated >= MessageHeader::LENGTH { stated.min(available) } else { available };
        for set in Sets::new(octets.get(..end).unwrap_or(octets), MessageHeader::LENGTH) {
            match set {
                Err(anomaly) => self.fault(anomaly),
                Ok(set) if !self.takes(&set) => break,
                Ok(set) if set.contents.is_empty() => self.empty(&set),
                Ok(set) => match set.id {
                    TEMPLATE_SET | OPTIONS_TEMPLATE_SET => self.ipfix_templates(set),
                    FIRST_DATA_SET.. => self.data(&set),
                    id => self.unknown(&set, id),
                },
            }
        }
    }

    fn netflow9(&mut self) {
        for set in Sets::new(self.message.octets, v9::HEADER) {
            match set {
                Err(anomaly) => {
                    let rest = self.message.octets.get(anomaly.offset..).unwrap_or(&[]);
                    if rest.iter().any(|&octet| octet != 0) {
                        self.fault(anomaly);
                    } else {
                        // Zeros up to the end: some exporters send buffers of fixed size.
                        self.tell(anomaly);
                    }
                }
                Ok(set) if !self.takes(&set) => break,
                Ok(set) if set.contents.is_empty() => self.empty(&set),
                Ok(set) => match set.id {
                    v9::TEMPLATE_SET | v9::OPTIONS_SET => self.netflow9_templates(set),
                    FIRST_DATA_SET.. => self.data(&set),
                    id => self.unknown(&set, id),
                },
            }
        }
        let found = self.end.records + self.end.templates;
        self.compare_count(found as usize);
    }

    fn netflow5(&mut self) {
        let contents = self.message.octets.get(v5::HEADER..).unwrap_or(&[]);
        let stated = usize::from(self.message.header.stated);
        let length = (stated * v5::RECORD).min(contents.len());
        let set = Set {
            id: v5::TEMPLATE,
            offset: v5::HEADER - SetHeader::LENGTH,
            contents: contents.get(..length).unwrap_or(contents),
        };
        if self.takes(&set) {
            self.records(&set, &netflow::V5);
        }
        let found = contents.len() / v5::RECORD;
        if self.end.complete {
            self.compare_count(found);
        }
    }

    /// Compares NetFlow's count of records with what was found, if all of the message could be read.
    fn compare_count(&mut self, found: usize) {
        let stated = usize::from(self.message.header.stated);
        if self.end.complete && found != stated {
            let kind = Kind::RecordCount { stated, found };
            self.tell(Anomaly { offset: 2, kind });
        }
    }

    fn empty(&mut self, set: &Set<'m>) {
        self.tell(Anomaly { offset: set.offset, kind: Kind::EmptySet { id: set.id } });
        self.set_end(set, 0, None, &[]);
    }

    fn unknown(&mut self, set: &Set<'m>, id: u16) {
        self.fault(Anomaly { offset: set.offset, kind: Kind::SetId { id } });
        self.set_end(set, 0, None, set.contents);
    }

    fn set_end(
        &mut self,
        set: &Set<'m>,
        records: u32,
        template: Option<&Arc<Template>>,
        padding: &[u8],
    ) {
        let length = SetHeader::LENGTH + set.contents.len();
        let set = SetEnd { id: set.id, offset: set.offset, length, records, template, padding };
        (self.sink)(Event::Set { message: self.message, set });
    }

    fn ipfix_templates(&mut self, set: Set<'m>) {
        let before = self.end.templates;
        for record in TemplateSet::new(set) {
            match record {
                Err(anomaly) => self.fault(anomaly),
                Ok((offset, TemplateRecord::Definition(template))) => {
                    self.define(offset, template);
                }
                Ok((offset, TemplateRecord::Withdrawal { id })) => self.withdraw(offset, id),
            }
        }
        self.set_end(&set, self.end.templates - before, None, &[]);
    }

    fn netflow9_templates(&mut self, set: Set<'m>) {
        let before = self.end.templates;
        netflow::v9_templates(&set, |result| match result {
            Err(anomaly) => self.fault(anomaly),
            Ok((offset, template)) => self.define(offset, template),
        });
        self.set_end(&set, self.end.templates - before, None, &[]);
    }

    fn define(&mut self, offset: usize, template: Template) {
        self.end.templates += 1;
        let id = template.id();
        match self.sessions.store(&mut self.domain, template, self.limits, self.now) {
            Stored::Refused(limit, value) => self.limit(offset, limit, value),
            Stored::Kept { template, change, forgotten } => {
                let message = self.message;
                if forgotten {
                    // Not a fault of the message: the older Template must be sent again.
                    let (limit, value) = ("templates in a domain", self.limits.templates);
                    self.tell(Anomaly { offset, kind: Kind::Limit { limit, value } });
                }
                if change == Change::Changed && message.transport.protocol == Protocol::Tcp {
                    self.tell(Anomaly { offset, kind: Kind::TemplateRedefined { id } });
                }
                (self.sink)(Event::Template { message, offset, template: &template, change });
            }
        }
    }

    fn withdraw(&mut self, offset: usize, id: u16) {
        self.end.templates += 1;
        // Over UDP a withdrawal must be ignored (RFC 7011 section 8.4).
        let forbidden = self.message.transport.protocol == Protocol::Udp;
        let known = match id {
            _ if forbidden => false,
            TEMPLATE_SET => self.sessions.remove_all(&mut self.domain, false),
            OPTIONS_TEMPLATE_SET => self.sessions.remove_all(&mut self.domain, true),
            id => self.sessions.remove(&mut self.domain, id),
        };
        if forbidden || !known && id >= FIRST_DATA_SET {
            self.tell(Anomaly { offset, kind: Kind::Withdrawal { id, forbidden } });
        }
        (self.sink)(Event::Withdrawal { message: self.message, offset, id, known });
    }

    fn data(&mut self, set: &Set<'m>) {
        match self.domain.touch(set.id, self.now) {
            Some(template) => self.records(set, &template),
            None => {
                self.end.unreadable_sets += 1;
                let kind = Kind::NoTemplate { id: set.id, length: set.contents.len() };
                self.fault(Anomaly { offset: set.offset, kind });
                self.set_end(set, 0, None, &[]);
            }
        }
    }

    fn records(&mut self, set: &Set<'m>, template: &Arc<Template>) {
        let mut records = Records::new(template, set.contents, set.contents_offset());
        let mut count = 0;
        let types =
            template.position(0, ie::INFORMATION_ELEMENT_NAME).is_some() && template.is_options();
        for record in records.by_ref() {
            let octets = match record {
                Ok(octets) => octets,
                Err(anomaly) => {
                    self.fault(anomaly);
                    break;
                }
            };
            if count as usize >= self.limits.records {
                self.limit(octets.offset, "records in a set", self.limits.records);
                break;
            }
            self.values += template.fields().len();
            if self.values > self.limits.values {
                self.limit(octets.offset, "values in a message", self.limits.values);
                break;
            }
            count += 1;
            let (domain, names) = (&self.domain, &*self.names);
            let record = Record { message: self.message, template, octets, domain, names };
            (self.sink)(Event::Record(record));
            if types && let Some(learnt) = LearnFrom::record(&record) {
                self.names.learn(&learnt);
            }
        }
        self.end.records += count;
        let (offset, padding) = records.padding();
        if padding.iter().any(|&octet| octet != 0) {
            let kind = Kind::Padding { id: set.id, length: padding.len() };
            self.tell(Anomaly { offset, kind });
        }
        self.set_end(set, count, Some(template), padding);
    }
}
