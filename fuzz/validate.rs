//! Export of any octets through the whole of `sixtap validate`: sessions, rules, comparison and every form of report.

#![no_main]

mod exports;

use sixtap::collect::{Limits, Received};
use sixtap::validate::finding::Limits as Kept;
use sixtap::validate::matching::{self, Gathering, Reality};
use sixtap::validate::report::{html, json, junit, sarif, terminal};
use sixtap::validate::{RULES, Validator};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let mut validator = Validator::new(Limits::default(), Kept::default());
    let (mut tested, mut trusted) = (Gathering::default(), Gathering::default());
    exports::each(input, |received| match received {
        Received::Message { transport, octets } => {
            validator.message_with(&transport, octets, &mut |event| {
                tested.event(event);
                trusted.event(event);
            });
        }
        Received::Noise { transport, anomaly } => validator.noise(&transport, anomaly),
        Received::End { transport } => validator.end_of_session(&transport),
        Received::Idle => {}
    });
    let mut report = validator.finish();
    report.compare(matching::compare(tested, Reality::of_records(trusted), 0));
    let value = json::value(&report);
    let findings = value["findings"].as_array().map_or(0, Vec::len);
    assert_eq!(findings, report.findings.len());
    for finding in &report.findings {
        assert!(finding.count > 0 && RULES.iter().any(|rule| rule.id == finding.rule.id));
    }
    assert!(sarif::value(&report)["runs"].is_array());
    assert!(junit::document(&report).ends_with("</testsuites>\n"));
    assert!(html::page(&report).ends_with("</html>\n"));
    let look = terminal::Look { colour: true, width: 80, notes: true };
    assert!(terminal::write(&report, look, &mut Vec::new()).is_ok());
});
