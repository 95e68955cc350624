//! The report as SARIF 2.1.0, which code review tools and pipelines show.

use super::{Report, subject};
use crate::collect::Position;
use crate::validate::finding::{Finding, Severity};
use crate::validate::matching::{Check, Comparison};
use crate::validate::rules::RULES;
use serde_json::{Value, json};

const fn level(severity: Severity) -> &'static str {
    severity.word()
}

/// The report as a SARIF log.
#[must_use]
pub fn value(report: &Report) -> Value {
    let rules = RULES.iter().map(|rule| {
        json!({
            "id": rule.id,
            "name": rule.id,
            "shortDescription": { "text": rule.title },
            "fullDescription": { "text": format!("{}. Should be: {}. To a collector: {}.", rule.title, rule.wanted, rule.meaning) },
            "help": { "text": rule.source },
            "defaultConfiguration": { "level": level(rule.severity) },
        })
    });
    let checks = report.comparison.iter().flat_map(Comparison::checks);
    let results = report.findings.iter().map(|finding| result(report, finding));
    let results = results.chain(checks.filter_map(|check| compared(report, &check)));
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "sixtap validate",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.collect::<Vec<_>>(),
            } },
            "artifacts": [{ "location": { "uri": uri(&report.input) } }],
            "results": results.collect::<Vec<_>>(),
        }],
    })
}

fn result(report: &Report, finding: &Finding) -> Value {
    let rule = finding.rule;
    let index = RULES.iter().position(|known| known.id == rule.id);
    let about = subject(finding.subject);
    let who = report.session_name(finding.session);
    let saw = finding.examples.first().map_or("", |example| example.saw.as_str());
    let text = format!(
        "{}: {saw} ({who}{}{about}; {} times)",
        rule.title,
        if about.is_empty() { "" } else { ", " },
        finding.count
    );
    let locations = finding.examples.iter().map(|example| {
        let place = &example.place;
        let mut location = json!({ "artifactLocation": { "uri": uri(&report.input), "index": 0 } });
        // In a capture the octets stand somewhere in a packet: the text names the packet.
        if let Position::Octet(start) = place.position {
            let octet = start + u64::from(place.octet.unwrap_or(0));
            location["region"] = json!({ "byteOffset": octet, "byteLength": place.length });
        }
        json!({
            "physicalLocation": location,
            "message": { "text": format!("{} ({place})", example.saw) },
        })
    });
    json!({
        "ruleId": rule.id,
        "ruleIndex": index,
        "level": level(rule.severity),
        "message": { "text": text },
        "occurrenceCount": finding.count,
        "locations": locations.collect::<Vec<_>>(),
    })
}

/// What the comparison with the traffic found wrong; it is about the input as a whole.
fn compared(report: &Report, check: &Check) -> Option<Value> {
    let failure = check.failure.as_ref()?;
    Some(json!({
        "ruleId": check.id,
        "level": level(Severity::Error),
        "message": { "text": format!("not: {}: {failure}", check.name) },
        "locations": [{
            "physicalLocation": { "artifactLocation": { "uri": uri(&report.input), "index": 0 } },
        }],
    }))
}

/// A file name as a relative URI.
fn uri(name: &str) -> String {
    use std::fmt::Write as _;
    let mut uri = String::new();
    for octet in name.bytes() {
        if octet.is_ascii_alphanumeric() || b"/._-~:[]".contains(&octet) {
            uri.push(char::from(octet));
        } else {
            let _ = write!(uri, "%{octet:02X}");
        }
    }
    uri
}
