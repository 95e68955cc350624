//! What single records say of the session: lists and their templates, options, pairs of records of one flow.

use super::{Facts, SERIES};
use crate::collect;
use crate::ipfix;
use crate::validate::finding::{Example, Findings, Subject};
use crate::validate::memory::Pair;
use crate::validate::rules::{counters, encoding, options};
use crate::validate::view::{Record, Slot};
use ie_registry::DataType;
use std::collections::HashMap;

pub(super) fn note_pair(
    pair: Pair,
    record: &Record<'_>,
    session: u32,
    grows: &mut (u64, u64, Option<Example>),
    findings: &mut Findings,
) {
    let show = |slot| record.show(slot);
    let saw = || {
        let octets =
            if record.view.has(Slot::OctetDelta) { Slot::OctetDelta } else { Slot::OctetTotal };
        let addresses = if record.view.families.v6 {
            [show(Slot::SourceV6), show(Slot::DestinationV6)]
        } else {
            [show(Slot::SourceV4), show(Slot::DestinationV4)]
        };
        format!("{}, {}, {}", addresses[0], addresses[1], show(octets))
    };
    let rule = match pair {
        Pair::Grows => {
            grows.0 += 1;
            grows.2.get_or_insert_with(|| {
                record.example(record.view.field(Slot::OctetDelta), saw(), String::new())
            });
            return;
        }
        Pair::Shrinks => {
            grows.1 += 1;
            return;
        }
        Pair::Duplicate => &counters::DUPLICATE,
        Pair::Overlap => &counters::OVERLAP,
        Pair::TotalFalls => &counters::TOTAL_AS_DELTA,
    };
    let subject = Subject::Template(record.view.template);
    findings.note(rule, session, subject, || record.example(None, saw(), String::new()));
}

/// Lists in a record: are their templates known?
pub(super) fn lists(
    record: &collect::Record<'_>,
    seen: &Record<'_>,
    session: u32,
    findings: &mut Findings,
) {
    for &(index, kind) in &seen.view.typed.lists {
        let octets = seen.field(usize::from(index));
        let unknown = match kind {
            DataType::SubTemplateList => {
                let id = ipfix::SubTemplateList::decode(octets).map(|list| list.template_id).ok();
                id.filter(|&id| record.template_of(id).is_none())
            }
            DataType::SubTemplateMultiList => {
                ipfix::SubTemplateMultiList::decode(octets).ok().and_then(|list| {
                    list.entries()
                        .map(|entry| entry.template_id)
                        .find(|&id| record.template_of(id).is_none())
                })
            }
            _ => None,
        };
        if let Some(id) = unknown {
            findings.note(
                &encoding::LIST_TEMPLATE,
                session,
                Subject::Template(seen.view.template),
                || {
                    let saw =
                        format!("{} refers to template {id}", seen.view.label(usize::from(index)));
                    seen.example(Some(usize::from(index)), saw, String::new())
                },
            );
        }
    }
}

/// What options records say of the exporter, held against the session.
pub(super) fn options_record(
    record: &Record<'_>,
    facts: &mut Facts,
    statistics: bool,
    series: &mut HashMap<(u16, Slot, u64), (u64, u64)>,
    session: u32,
    findings: &mut Findings,
) {
    if let Some(selector) = record.unsigned(Slot::SelectorId) {
        let known = if record.view.options {
            &mut facts.selectors_declared
        } else {
            &mut facts.selectors_used
        };
        if known.len() < SERIES {
            known.insert(selector);
        }
        if !record.view.options {
            let index = record.view.field(Slot::SelectorId);
            facts
                .selector_example
                .get_or_insert_with(|| record.example(index, String::new(), String::new()));
            return;
        }
    }
    let sampling = [
        Slot::SamplingInterval,
        Slot::SamplerRandom,
        Slot::PacketInterval,
        Slot::SamplingSize,
        Slot::SelectorAlgorithm,
    ];
    facts.sampling |= record.view.has_any(&sampling);
    if let Some(init) = record.unsigned(Slot::SystemInit) {
        facts.system_init = Some(init);
    }
    flow_keys(record, facts, session, findings);
    if !statistics {
        return;
    }
    facts.statistics_records += 1;
    let scope = record.view.fields.len().min(record.view.scopes);
    let scope = (0..scope).fold(0u64, |hash, index| {
        record
            .field(index)
            .iter()
            .fold(hash, |hash, &octet| hash.wrapping_mul(31).wrapping_add(u64::from(octet)))
    });
    let slots = [
        Slot::ExportedOctets,
        Slot::ExportedMessages,
        Slot::ExportedRecords,
        Slot::IgnoredPackets,
        Slot::NotSentFlows,
    ];
    for slot in slots {
        let Some(value) = record.unsigned(slot) else { continue };
        let own = match slot {
            Slot::ExportedMessages => facts.messages,
            Slot::ExportedRecords => facts.flow_records,
            _ => 0,
        };
        let key = (record.view.template, slot, scope);
        if series.len() >= SERIES && !series.contains_key(&key) {
            continue;
        }
        let first = *series.entry(key).or_insert((value, own));
        let subject = Subject::Template(record.view.template);
        let index = record.view.field(slot);
        if value < first.0 {
            findings.note(&options::STATISTICS_DECREASE, session, subject, || {
                record.example(
                    index,
                    format!("{} after {}", record.show(slot), first.0),
                    String::new(),
                )
            });
            series.insert(key, (value, own));
        } else if own > 0 {
            // One message more or less: the total may leave out the one that carries it.
            let (told, came) = (value - first.0, own - first.1);
            let tolerance = if slot == Slot::ExportedMessages { 2 } else { 200 };
            if told + tolerance < came {
                findings.note(&options::STATISTICS_WRONG, session, subject, || {
                    let saw = format!(
                        "{}: {told} more since the first, while {came} came",
                        record.show(slot)
                    );
                    record.example(index, saw, String::new())
                });
            }
        }
    }
}

pub(super) fn flow_keys(record: &Record<'_>, facts: &Facts, session: u32, findings: &mut Findings) {
    let (Some(id), Some(bits)) =
        (record.unsigned(Slot::TemplateId), record.unsigned(Slot::FlowKeyIndicator))
    else {
        return;
    };
    let Some(template) = u16::try_from(id).ok().and_then(|id| facts.templates.get(&id)) else {
        return;
    };
    let fields = template.view.fields.len();
    if fields < 64 && bits >> fields != 0 {
        findings.note(
            &options::FLOW_KEY_BITS,
            session,
            Subject::Template(record.view.template),
            || {
                let saw =
                    format!("flowKeyIndicator = {bits:#x} for template {id} of {fields} fields");
                record.example(record.view.field(Slot::FlowKeyIndicator), saw, String::new())
            },
        );
    }
}
