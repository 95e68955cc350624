//! The report as JSON. The form is described in `docs/validate.md` and numbered: [`SCHEMA`].

use super::{Report, terminal::side_by_side};
use crate::validate::coverage::Coverage;
use crate::validate::finding::{Example, Finding, Subject};
use crate::validate::session::{Facts, TemplateFacts};
use crate::validate::view;
use serde_json::{Value, json};

/// Name and number of the form. Fields may be added under the same number, never changed or removed.
pub const SCHEMA: &str = "sixtap-validate/1";

/// The report as a JSON value.
#[must_use]
pub fn value(report: &Report) -> Value {
    let counts = report.counts();
    let limits = report.limits_reached().into_iter();
    let limits = limits
        .map(|(limit, (value, times))| json!({ "limit": limit, "value": value, "times": times }));
    let mut value = json!({
        "schema": SCHEMA,
        "version": env!("CARGO_PKG_VERSION"),
        "input": report.input,
        "failed": report.failed(),
        "summary": {
            "errors": counts.errors.0,
            "warnings": counts.warnings.0,
            "notes": counts.notes.0,
            "occurrences": { "errors": counts.errors.1, "warnings": counts.warnings.1, "notes": counts.notes.1 },
            "sessions": report.sessions.len(),
            "messages": report.total(|f| f.messages),
            "octets": report.total(|f| f.octets),
            "flowRecords": report.total(|f| f.flow_records),
            "ipv6FlowRecords": report.total(|f| f.ipv6_records),
            "optionRecords": report.total(|f| f.option_records),
            "unreadableDataSets": report.total(|f| f.unreadable_sets),
            "occurrencesNotKept": report.overflow,
            "messagesPassedOver": report.passed_over,
            "limitsReached": limits.collect::<Vec<_>>(),
        },
        "remarks": report.remarks,
        "sessions": report.sessions.iter().map(session).collect::<Vec<_>>(),
        "coverage": report.coverage.iter().map(coverage).collect::<Vec<_>>(),
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "comparison": report.comparison.as_ref().map(crate::validate::matching::Comparison::json),
    });
    if let (Some(other), Some(object)) = (&report.other, value.as_object_mut()) {
        let rows = side_by_side(report, other);
        let rows: Vec<_> =
            rows.into_iter().map(|(name, left, right)| json!([name, left, right])).collect();
        object.insert(
            "sideBySide".to_owned(),
            json!({ "inputs": [report.input, other.input], "rows": rows }),
        );
    }
    value
}

fn session(facts: &Facts) -> Value {
    let time = |seconds: u32| view::show_time(i64::from(seconds) * 1_000_000_000);
    json!({
        "name": facts.name(),
        "version": view::version_name(facts.version),
        "transport": view::transport_name(facts.transport),
        "exporter": facts.exporter.map(|address| address.to_string()),
        "collector": facts.collector.map(|address| address.to_string()),
        "observationDomainId": facts.domain,
        "messages": facts.messages,
        "octets": facts.octets,
        "flowRecords": facts.flow_records,
        "ipv6FlowRecords": facts.ipv6_records,
        "optionRecords": facts.option_records,
        "missingBySequenceNumber": facts.sequence.missing(facts.version),
        "exportTime": facts.export_times.map(|(first, last)| json!([time(first), time(last)])),
        "templates": facts.all_templates().map(template).collect::<Vec<_>>(),
    })
}

fn template(facts: &TemplateFacts) -> Value {
    let view = &facts.view;
    let field = |(index, field): (usize, &view::Field)| {
        json!({
            "element": view::field_name(field),
            "id": field.id,
            "enterprise": field.enterprise,
            "length": if field.is_variable() { Value::from("variable") } else { Value::from(field.length) },
            "scope": index < view.scopes,
        })
    };
    json!({
        "id": view.template,
        "options": view.options,
        "records": facts.records,
        "ipv6Records": facts.ipv6_records,
        "sent": facts.sent,
        "fields": view.fields.iter().enumerate().map(field).collect::<Vec<_>>(),
    })
}

fn coverage(coverage: &Coverage) -> Value {
    let rows = coverage.rows.iter().map(|row| {
        json!({
            "need": row.need.name,
            "elements": row.need.shown,
            "mark": row.mark.word(),
            "templates": row.templates,
            "records": row.carried,
            "wrongRecords": row.wrong,
            "rules": row.rules,
            "comparedFlows": row.compared.map(|c| json!({ "right": c.right, "rightAndNotZero": c.telling, "wrong": c.wrong })),
        })
    });
    let attacks = coverage.attacks.iter().map(|attack| {
        json!({ "attack": attack.name, "visible": attack.lacking.is_empty(), "needs": attack.needs, "lacks": attack.lacking })
    });
    json!({
        "exporter": coverage.exporter,
        "sessions": coverage.sessions,
        "grade": coverage.grade.to_string(),
        "score": coverage.score,
        "ipv6Records": coverage.records,
        "ipv6Templates": coverage.templates,
        "needs": rows.collect::<Vec<_>>(),
        "attacks": attacks.collect::<Vec<_>>(),
    })
}

fn finding(finding: &Finding) -> Value {
    let rule = finding.rule;
    let subject = match finding.subject {
        Subject::Session => json!({}),
        Subject::Template(id) => json!({ "template": id }),
        Subject::Set(id) => json!({ "set": id }),
        Subject::Element(template, enterprise, id) => {
            json!({ "template": template, "enterprise": enterprise, "element": id })
        }
    };
    json!({
        "rule": rule.id,
        "severity": rule.severity.word(),
        "title": rule.title,
        "source": rule.source,
        "wanted": rule.wanted,
        "meaning": rule.meaning,
        "session": finding.session,
        "subject": subject,
        "count": finding.count,
        "examples": finding.examples.iter().map(example).collect::<Vec<_>>(),
    })
}

fn example(example: &Example) -> Value {
    let place = &example.place;
    let octets = example.dump.as_ref().map(|dump| {
        let hexadecimal: String = dump.octets.iter().map(|octet| format!("{octet:02x}")).collect();
        json!({ "start": dump.start, "hexadecimal": hexadecimal, "mark": dump.mark, "marked": dump.marked })
    });
    json!({
        "message": place.message,
        "position": place.position.number(),
        "positionUnit": place.position.unit(),
        "set": place.set,
        "record": place.record,
        "octet": place.octet,
        "length": place.length,
        "saw": example.saw,
        "octets": octets,
    })
}
