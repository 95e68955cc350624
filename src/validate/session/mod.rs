//! One session: an exporter's messages of one version in one Observation Domain, held against the rules.
//!
//! Comes in: the collector's events. Goes out: findings, and [`Facts`] for the report.
//!
//! Must stay true: what is remembered is bounded (templates by the collector's limits, the rest by constants here);
//! a record costs a few table look-ups for each rule that applies to its template, and no allocation unless a rule
//! is broken and an example still wanted.

mod facts;
mod octets;
mod values;

pub use facts::{Facts, TemplateFacts};

use super::finding::{Dump, Example, Findings, Place, Subject};
use super::memory::{FlowMemory, key_fields};
use super::rules::{Check, RULES, Rule, Tally, counters, message, netflow, template};
use super::sequence::{Content, Track};
use super::view::{self, Message, Record, Slot, Span, View};
use crate::collect::{
    self, Anomaly, Change, Kind, MessageEnd, Protocol as Transport, SetEnd, Version,
};
use crate::ipfix::{self, Template};
use octets::{enterprise_zeros, rule_of, specifier_at};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use values::{lists, note_pair, options_record};

/// Definitions of templates remembered beyond the ones in use.
const RETIRED: usize = 256;
/// Selectors, statistics series and unknown templates remembered.
const SERIES: usize = 1024;
/// 1 January 1990: an Export Time before it is an uptime, or nothing.
const OLDEST_EXPORT: u32 = 631_152_000;
/// Half an hour: longer than this a template in use must not go unsent over UDP.
const REFRESH_SECONDS: u32 = 1800;

type RecordRule =
    (&'static Rule, fn(&Record<'_>) -> Option<usize>, fn(&Record<'_>, usize) -> String);
type TallyRule = (usize, fn(&Record<'_>, &mut Tally));

/// A template with the rules that apply to its records.
#[derive(Debug)]
struct Compiled {
    template: Arc<Template>,
    view: Arc<View>,
    records: Vec<RecordRule>,
    tallies: Vec<TallyRule>,
    key_fields: Vec<u16>,
    spans: Vec<Span>,
    fixed: bool,
    is_flow: bool,
    statistics: bool,
    count: u64,
    ipv6: u64,
}

impl Compiled {
    fn new(version: Version, template: &Arc<Template>) -> Self {
        let scopes = usize::from(template.scope_count());
        let fields = template.fields().to_vec();
        let view =
            Arc::new(View::new(version, template.id(), fields, scopes, template.is_options()));
        let mut records = Vec::new();
        let mut tallies = Vec::new();
        for (index, rule) in RULES.iter().enumerate() {
            match rule.check {
                Check::Record { applies, broken, saw } if applies(&view) => {
                    records.push((*rule, broken, saw));
                }
                Check::Tally { applies, observe, .. } if applies(&view) => {
                    tallies.push((index, observe));
                }
                _ => {}
            }
        }
        let mut at = 0;
        let span = |field: &ipfix::FieldSpecifier| {
            let span = Span { start: at, length: u32::from(field.length) };
            at += span.length;
            span
        };
        let spans = template.fields().iter().map(span).collect();
        let statistics = [
            Slot::ExportedOctets,
            Slot::ExportedMessages,
            Slot::ExportedRecords,
            Slot::IgnoredPackets,
        ];
        Self {
            template: Arc::clone(template),
            records,
            tallies,
            key_fields: key_fields(&view),
            spans,
            fixed: template.fixed_len().is_some(),
            is_flow: view.is_flow(),
            statistics: view.options && (view.has_any(&statistics) || view.has(Slot::NotSentFlows)),
            view,
            count: 0,
            ipv6: 0,
        }
    }
}

/// Data Sets that came before, or without, their template.
#[derive(Debug)]
struct Unknown {
    sets: u64,
    after_withdrawal: bool,
    example: Example,
}

/// One session under examination.
#[derive(Debug)]
pub struct Session {
    /// Its index in the report.
    pub index: u32,
    /// What it amounts to.
    pub facts: Facts,
    compiled: HashMap<u16, Compiled>,
    tallies: Vec<Tally>,
    memory: FlowMemory,
    grows: (u64, u64, Option<Example>),
    unknown: BTreeMap<u16, Unknown>,
    withdrawn: BTreeSet<u16>,
    previous_definitions: HashMap<u16, (u64, BTreeSet<u64>)>,
    statistics: HashMap<(u16, Slot, u64), (u64, u64)>,
    content: Content,
    set: u32,
    record: u32,
}

fn hash_fields(template: &Template) -> u64 {
    use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
    BuildHasherDefault::<DefaultHasher>::default()
        .hash_one((template.scope_count(), template.fields()))
}

/// The collector's message with what the session knows of it.
fn seen<'a>(message: &collect::Message<'a>, number: u64) -> Message<'a> {
    Message {
        version: message.version,
        transport: message.transport.protocol,
        octets: message.octets,
        position: message.transport.position,
        number,
        export_time: message.header.export_time,
        sequence: message.header.sequence,
        domain: message.header.domain,
        uptime: message.header.uptime,
        received: message.transport.arrival.and_then(|time| i64::try_from(time).ok()),
    }
}

impl Session {
    /// A session that begins with `message`.
    #[must_use]
    pub fn new(index: u32, message: &collect::Message<'_>) -> Self {
        let transport = message.transport;
        let nothing = Example {
            place: Place::default(),
            saw: String::new(),
            wanted: String::new(),
            dump: None,
        };
        let facts = Facts {
            transport_session: message.session,
            version: message.version,
            transport: transport.protocol,
            exporter: transport.exporter,
            collector: transport.collector,
            domain: message.header.domain,
            messages: 0,
            octets: 0,
            flow_records: 0,
            ipv6_records: 0,
            option_records: 0,
            statistics_records: 0,
            export_times: None,
            templates: BTreeMap::new(),
            retired: Vec::new(),
            system_init: None,
            selectors_declared: BTreeSet::new(),
            selectors_used: BTreeSet::new(),
            selector_example: None,
            sampling: false,
            unreadable_sets: 0,
            limited: BTreeMap::new(),
            cut: 0,
            sequence: Track::default(),
            last: nothing,
        };
        Self {
            index,
            facts,
            compiled: HashMap::new(),
            tallies: vec![Tally::default(); RULES.len()],
            memory: FlowMemory::default(),
            grows: (0, 0, None),
            unknown: BTreeMap::new(),
            withdrawn: BTreeSet::new(),
            previous_definitions: HashMap::new(),
            statistics: HashMap::new(),
            content: Content::default(),
            set: 0,
            record: 0,
        }
    }

    /// Evidence at `length` octets of `message` from `octet` on.
    fn example(
        &self,
        message: &collect::Message<'_>,
        octet: usize,
        length: usize,
        saw: String,
    ) -> Example {
        let place = Place {
            message: self.facts.messages,
            position: message.transport.position,
            set: (self.set > 0).then_some(self.set),
            record: None,
            octet: Some(octet as u32),
            length: length as u32,
        };
        let dump = Dump::around(message.octets, octet as u32, length as u32);
        Example { place, saw, wanted: String::new(), dump: Some(dump) }
    }

    /// A message begins.
    pub fn message(&mut self, message: &collect::Message<'_>, findings: &mut Findings) {
        self.facts.messages += 1;
        self.facts.octets += message.octets.len() as u64;
        self.content = Content { octets: message.octets.len() as u32, ..Content::default() };
        self.set = 0;
        self.record = 0;
        self.facts.last = self.example(message, 0, message.octets.len().min(16), String::new());
        if message.transport.cut {
            self.facts.cut += 1;
        }
        if message.version == Version::Unknown {
            return;
        }
        let mut note = |rule, octet, length, saw: String| {
            findings.note(rule, self.index, Subject::Session, || {
                self.example(message, octet, length, saw)
            });
        };
        if message.transport.fragmented {
            let saw = format!("{} octets of UDP payload in IP fragments", message.transport.length);
            note(&message::FRAGMENTED, 0, message.octets.len(), saw);
        }
        if message.transport.checksum == collect::Checksum::Zero {
            note(&message::CHECKSUM_ZERO, 0, 0, "UDP checksum 0".to_owned());
        }
        let (export, sequence) = (message.header.export_time, message.header.sequence);
        let time_at = if message.version == Version::Ipfix { 4 } else { 8 };
        let shown = view::show_time(i64::from(export) * 1_000_000_000);
        let arrival = message.transport.arrival.map(|time| time / 1_000_000_000);
        let swapped = export < 500_000_000 && (1_000_000_000..2_147_483_648).contains(&sequence);
        let far = arrival.is_some_and(|arrival| arrival.abs_diff(u64::from(export)) > 3600);
        if swapped {
            let saw = format!("Export Time {export}, sequence number {sequence}");
            note(&message::HEADER_SWAPPED, time_at, 4, saw);
        } else if export < OLDEST_EXPORT {
            note(
                &message::EXPORT_TIME,
                time_at,
                4,
                format!("{shown}, before flow export was invented"),
            );
        } else if let Some(arrival) = arrival.filter(|_| far) {
            let clock = view::show_time(arrival.cast_signed() * 1_000_000_000);
            note(&message::CLOCK_OFFSET, time_at, 4, format!("{shown}, arrived {clock}"));
        }
        if let Some((_, last)) = self.facts.export_times
            && export < last
            && !swapped
        {
            let saw = format!("{shown}, {} s before the message in front of it", last - export);
            note(&message::EXPORT_TIME_BACKWARDS, time_at, 4, saw);
        }
        let first = self.facts.export_times.map_or(export, |(first, _)| first);
        self.facts.export_times = Some((first, export));
    }

    /// A template was defined.
    pub fn template(
        &mut self,
        message: &collect::Message<'_>,
        offset: usize,
        template: &Arc<Template>,
        change: Change,
        findings: &mut Findings,
    ) {
        self.content.templates += 1;
        let id = template.id();
        let length = template.encoded_len().min(message.octets.len().saturating_sub(offset));
        let export = message.header.export_time;
        if change == Change::Repeated
            && let Some(facts) = self.facts.templates.get_mut(&id)
        {
            facts.sent += 1;
            facts.last_sent = export;
            if message.transport.protocol.is_reliable() {
                let saw = format!("template {id} again");
                let example = || self.example(message, offset, length, saw);
                findings.note(&template::RESENT, self.index, Subject::Template(id), example);
            }
            return;
        }
        self.defined_before(message, offset, template, findings);
        self.late(message, id, findings);
        self.withdrawn.remove(&id);
        let compiled = Compiled::new(message.version, template);
        let view = Arc::clone(&compiled.view);
        let place = self.example(message, offset, length, String::new());
        self.retire(id);
        for rule in RULES {
            let Check::Template(check) = rule.check else { continue };
            for fault in check(&view) {
                let (at, length) = match fault.field {
                    Some(index) => specifier_at(template, offset, index, message.version),
                    None => (offset, length),
                };
                let example =
                    || self.example(message, at, length, format!("template {id}: {}", fault.saw));
                findings.note(rule, self.index, Subject::Template(id), example);
            }
        }
        for index in enterprise_zeros(message, template, offset) {
            let (at, length) = specifier_at(template, offset, index, message.version);
            let example =
                || self.example(message, at, length, format!("template {id}, field {index}"));
            findings.note(&template::ENTERPRISE_ZERO, self.index, Subject::Template(id), example);
        }
        let facts = TemplateFacts {
            view,
            records: 0,
            ipv6_records: 0,
            sent: 1,
            last_sent: export,
            longest_unsent: 0,
            place: place.place,
            dump: place.dump.unwrap_or_default(),
        };
        self.facts.templates.insert(id, facts);
        self.compiled.insert(id, compiled);
    }

    /// Holds a definition against those of the same id before it.
    fn defined_before(
        &mut self,
        message: &collect::Message<'_>,
        offset: usize,
        template: &Template,
        findings: &mut Findings,
    ) {
        let id = template.id();
        let hash = hash_fields(template);
        let room = self.previous_definitions.len() < SERIES * 4;
        let Some(old) = self.facts.templates.get(&id) else {
            if room {
                self.previous_definitions.entry(id).or_default().1.insert(hash);
            }
            return;
        };
        let pause = message.header.export_time.saturating_sub(old.last_sent);
        let (changes, known) = self.previous_definitions.entry(id).or_default();
        let again = known.contains(&hash);
        if known.len() < 16 {
            known.insert(hash);
        }
        *changes += 1;
        let alternates = again && *changes >= 3;
        let reliable = message.transport.protocol.is_reliable();
        if !reliable && pause > REFRESH_SECONDS {
            return;
        }
        let rule = if alternates { &template::ALTERNATES } else { &template::CHANGED };
        let saw = format!(
            "template {id}: {} fields, before {}; {pause} s after it was last sent",
            template.fields().len(),
            old.view.fields.len()
        );
        let length = template.encoded_len();
        findings.note(rule, self.index, Subject::Template(id), || {
            self.example(message, offset, length, saw)
        });
    }

    /// The template of Data Sets that came before it.
    fn late(&mut self, message: &collect::Message<'_>, id: u16, findings: &mut Findings) {
        let Some(unknown) = self.unknown.remove(&id) else { return };
        // Only a session seen from its first message on proves the order wrong.
        let start = self.facts.sequence.first.unwrap_or(message.header.sequence);
        let from_start = start == 0 || message.transport.protocol == Transport::File && start <= 1;
        if from_start && !unknown.after_withdrawal {
            let mut example = unknown.example;
            example.saw = format!("{} Data Sets {id} before template {id}", unknown.sets);
            findings.note_many(
                &template::LATE,
                self.index,
                Subject::Template(id),
                unknown.sets,
                example,
            );
        }
    }

    fn retire(&mut self, id: u16) {
        self.settle(id);
        if let Some(old) = self.facts.templates.remove(&id)
            && self.facts.retired.len() < RETIRED
        {
            self.facts.retired.push(old);
        }
        self.compiled.remove(&id);
    }

    /// Carries the counts of a compiled template into the facts.
    fn settle(&mut self, id: u16) {
        if let (Some(compiled), Some(facts)) =
            (self.compiled.get(&id), self.facts.templates.get_mut(&id))
        {
            facts.records = compiled.count;
            facts.ipv6_records = compiled.ipv6;
        }
    }

    /// A template was withdrawn.
    pub fn withdrawal(&mut self, message: &collect::Message<'_>, id: u16, known: bool) {
        self.content.templates += 1;
        if !known || message.transport.protocol == Transport::Udp {
            return;
        }
        let all: Vec<u16> = match id {
            ipfix::TEMPLATE_SET | ipfix::OPTIONS_TEMPLATE_SET => {
                let options = id == ipfix::OPTIONS_TEMPLATE_SET;
                let same =
                    self.facts.templates.iter().filter(|(_, facts)| facts.view.options == options);
                same.map(|(&id, _)| id).collect()
            }
            id => vec![id],
        };
        for id in all {
            self.retire(id);
            if self.withdrawn.len() < SERIES {
                self.withdrawn.insert(id);
            }
        }
    }

    /// A Data Record.
    #[inline]
    pub fn record(&mut self, record: &collect::Record<'_>, findings: &mut Findings) {
        self.record += 1;
        let id = record.template.id();
        let compiled = match self.compiled.get_mut(&id) {
            Some(compiled) if Arc::ptr_eq(&compiled.template, record.template) => compiled,
            // Only NetFlow v5 has records without a definition.
            _ => {
                let compiled = Compiled::new(record.message.version, record.template);
                let facts = TemplateFacts {
                    view: Arc::clone(&compiled.view),
                    records: 0,
                    ipv6_records: 0,
                    sent: 0,
                    last_sent: record.message.header.export_time,
                    longest_unsent: 0,
                    place: Place::default(),
                    dump: Dump::default(),
                };
                self.facts.templates.insert(id, facts);
                self.compiled.entry(id).insert_entry(compiled).into_mut()
            }
        };
        if !compiled.fixed {
            compiled.spans.clear();
            for field in record.fields() {
                let start = (field.offset - record.octets.offset) as u32;
                compiled.spans.push(Span { start, length: field.octets.len() as u32 });
            }
        }
        let message = seen(record.message, self.facts.messages);
        let seen = Record {
            view: &compiled.view,
            message: &message,
            octets: record.octets.octets,
            start: record.octets.offset as u32,
            spans: &compiled.spans,
            set: self.set + 1,
            number: self.record,
            system_init: self.facts.system_init,
            times: (None, None),
        };
        let seen = if compiled.is_flow { seen.with_times() } else { seen };
        compiled.count += 1;
        if compiled.is_flow {
            self.content.flows += 1;
            self.facts.flow_records += 1;
            if seen.octets.iter().all(|&octet| octet == 0) {
                // A record of zeros is padding as long as a record.
                self.content.complete = false;
                findings.note(&message::PADDING_LONG, self.index, Subject::Template(id), || {
                    seen.example(
                        None,
                        format!("a record of {} zero octets", seen.octets.len()),
                        String::new(),
                    )
                });
                return;
            }
            let ipv6 = u64::from(seen.is_ipv6());
            compiled.ipv6 += ipv6;
            self.facts.ipv6_records += ipv6;
        } else if compiled.view.options {
            self.content.options += 1;
            self.facts.option_records += 1;
        } else {
            self.content.flows += 1;
        }
        for &(rule, broken, saw) in &compiled.records {
            if let Some(index) = broken(&seen) {
                findings.note(rule, self.index, Subject::Template(id), || {
                    seen.example(Some(index), saw(&seen, index), String::new())
                });
            }
        }
        for &(index, observe) in &compiled.tallies {
            if let Some(tally) = self.tallies.get_mut(index) {
                observe(&seen, tally);
            }
        }
        if !compiled.key_fields.is_empty()
            && let Some(pair) = self.memory.record(&seen, &compiled.key_fields)
        {
            let grows = &mut self.grows;
            note_pair(pair, &seen, self.index, grows, findings);
        }
        if !compiled.view.typed.lists.is_empty() {
            lists(record, &seen, self.index, findings);
        }
        if compiled.view.options || seen.view.has(Slot::SelectorId) {
            let statistics = compiled.statistics;
            let facts = &mut self.facts;
            options_record(&seen, facts, statistics, &mut self.statistics, self.index, findings);
        }
    }

    /// A Set has ended.
    pub fn set(
        &mut self,
        message: &collect::Message<'_>,
        set: &SetEnd<'_>,
        findings: &mut Findings,
    ) {
        self.set += 1;
        self.record = 0;
        self.content.sets += 1;
        if message.version == Version::Netflow9
            && !set.length.is_multiple_of(4)
            && !message.transport.cut
        {
            let saw = format!("FlowSet {} of {} octets", set.id, set.length);
            findings.note(&netflow::ALIGNMENT, self.index, Subject::Set(set.id), || {
                self.example(message, set.offset, 4, saw)
            });
        }
        if set.template.is_some()
            && let Some(facts) = self.facts.templates.get_mut(&set.id)
        {
            let unsent = message.header.export_time.saturating_sub(facts.last_sent);
            facts.longest_unsent = facts.longest_unsent.max(unsent);
        }
    }

    /// Something is wrong with a message.
    pub fn anomaly(
        &mut self,
        message: &collect::Message<'_>,
        anomaly: &Anomaly,
        findings: &mut Findings,
    ) {
        let Some((rule, subject, length)) = rule_of(message, &anomaly.kind) else {
            match anomaly.kind {
                Kind::NoTemplate { id, .. } => {
                    self.no_template(message, anomaly.offset, id, findings);
                }
                Kind::Limit { limit, value } => {
                    self.facts.limited.entry(limit).or_insert((value, 0)).1 += 1;
                }
                _ => {}
            }
            return;
        };
        let text = anomaly.to_string();
        let saw = text.split_once(": ").map_or(text.as_str(), |(_, saw)| saw).to_owned();
        findings
            .note(rule, self.index, subject, || self.example(message, anomaly.offset, length, saw));
    }

    fn no_template(
        &mut self,
        message: &collect::Message<'_>,
        offset: usize,
        id: u16,
        findings: &mut Findings,
    ) {
        self.facts.unreadable_sets += 1;
        let withdrawn = self.withdrawn.contains(&id);
        let saw = format!("Data Set {id}, no template {id}");
        let example = self.example(message, offset, 4, saw);
        if withdrawn {
            findings.note(
                &template::DATA_AFTER_WITHDRAWAL,
                self.index,
                Subject::Template(id),
                || example.clone(),
            );
        }
        if self.unknown.len() < SERIES || self.unknown.contains_key(&id) {
            let unknown = Unknown { sets: 0, after_withdrawal: withdrawn, example };
            self.unknown.entry(id).or_insert(unknown).sets += 1;
        }
    }

    /// A message has ended.
    pub fn end(
        &mut self,
        message: &collect::Message<'_>,
        end: MessageEnd,
        findings: &mut Findings,
    ) -> Content {
        if message.version == Version::Unknown {
            return self.content;
        }
        // A record of zeros has already made the content doubtful.
        let zeros = self.content.flows + self.content.options > 0 && end.records == 0;
        let padded = findings_padding(self.content, end);
        self.content.complete = end.complete && !message.transport.cut && !zeros && !padded;
        if end.records == 0 && end.templates == 0 && self.content.sets == 0 && end.complete {
            findings.note(&message::EMPTY, self.index, Subject::Session, || {
                self.example(
                    message,
                    0,
                    message.octets.len(),
                    "a header and nothing else".to_owned(),
                )
            });
        }
        let number_at = match message.version {
            Version::Ipfix => 8,
            Version::Netflow9 => 12,
            _ => 16,
        };
        let (content, sequence) = (self.content, message.header.sequence);
        let mut track = std::mem::take(&mut self.facts.sequence);
        track.message(sequence, content, |expected| {
            self.example(message, number_at, 4, format!("{sequence} where {expected} was due"))
        });
        self.facts.sequence = track;
        content
    }

    /// The session has ended.
    pub fn finish(&mut self, findings: &mut Findings) {
        let ids: Vec<u16> = self.compiled.keys().copied().collect();
        for id in ids {
            self.settle(id);
        }
        let index = self.index;
        for (rule, tally) in RULES.iter().zip(&self.tallies) {
            if let Check::Tally { judge, .. } = rule.check
                && let Some(saw) = judge(tally, &self.facts)
            {
                let mut example = tally.example.clone().unwrap_or_else(|| self.facts.example(""));
                example.saw = saw;
                findings.note(rule, index, Subject::Session, || example);
            }
        }
        for rule in RULES {
            let Check::Session(check) = rule.check else { continue };
            for fault in check(&self.facts) {
                findings.note_many(rule, index, fault.subject, fault.count, fault.example);
            }
        }
        for verdict in self.facts.sequence.verdict(self.facts.version) {
            findings.note_many(
                verdict.rule,
                index,
                Subject::Session,
                verdict.count,
                verdict.example,
            );
        }
        let (grew, shrank, example) = std::mem::take(&mut self.grows);
        if let Some(mut example) = example
            && grew >= 10
            && shrank == 0
        {
            example.saw =
                format!("{grew} later records with the same start all count more; {}", example.saw);
            findings.note_many(&counters::CUMULATIVE, index, Subject::Session, grew, example);
        }
        if self.facts.domain == 0
            && self.facts.flow_records > 0
            && self.facts.version == Version::Ipfix
        {
            let saw = format!("{} flow records", self.facts.flow_records);
            findings
                .note(&message::DOMAIN_ZERO, index, Subject::Session, || self.facts.example(saw));
        }
        for facts in self.facts.templates.values() {
            if self.facts.transport == Transport::Udp
                && facts.records > 0
                && facts.longest_unsent > REFRESH_SECONDS
            {
                let id = facts.view.template;
                let saw = format!(
                    "template {id}: data {} s after it was last sent",
                    facts.longest_unsent
                );
                findings.note(&template::NOT_REFRESHED, index, Subject::Template(id), || {
                    facts.example(&saw)
                });
            }
        }
    }

    /// Template ids of Data Sets that no template of this session describes, with their number and an example.
    pub fn missing_templates(&self) -> impl Iterator<Item = (u16, u64, &Example)> {
        self.unknown
            .iter()
            .filter(|(_, unknown)| !unknown.after_withdrawal)
            .map(|(&id, u)| (id, u.sets, &u.example))
    }
}

/// Whether zero records were taken out of the message.
fn findings_padding(content: Content, end: MessageEnd) -> bool {
    u64::from(end.records) != u64::from(content.flows) + u64::from(content.options)
}

/// Whether what was sent arrives, once and in order.
trait Reliable {
    fn is_reliable(&self) -> bool;
}

impl Reliable for Transport {
    fn is_reliable(&self) -> bool {
        *self != Self::Udp
    }
}
