//! The report as JUnit XML, which pipelines show: a suite a session, a case a rule; and a suite for the comparison with the traffic.

use super::{Report, subject};
use crate::validate::finding::{Finding, Severity};
use crate::validate::matching::Check;
use crate::validate::rules::RULES;
use std::fmt::Write as _;

/// The report as an XML document. Errors are failures; warnings stand in the case's output.
#[must_use]
pub fn document(report: &Report) -> String {
    let failures = report.findings.iter().filter(|f| f.rule.severity == Severity::Error);
    let (mut cases, mut failed) = (0, 0);
    let mut suites = String::new();
    for (index, facts) in report.sessions.iter().enumerate() {
        let own: Vec<&Finding> =
            report.findings.iter().filter(|f| f.session as usize == index).collect();
        let broken = RULES.iter().filter(|rule| {
            rule.severity == Severity::Error && own.iter().any(|finding| finding.rule.id == rule.id)
        });
        let broken = broken.count();
        cases += RULES.len();
        failed += broken;
        let name = escaped(&facts.name());
        let _ = writeln!(
            suites,
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{broken}\" errors=\"0\">",
            RULES.len()
        );
        for rule in RULES {
            let found: Vec<&&Finding> =
                own.iter().filter(|finding| finding.rule.id == rule.id).collect();
            let (id, title) = (escaped(rule.id), escaped(rule.title));
            let _ = write!(suites, "    <testcase classname=\"{id}\" name=\"{title}\"");
            if found.is_empty() {
                suites.push_str("/>\n");
                continue;
            }
            suites.push_str(">\n");
            let text = told(&found);
            let _ = if rule.severity == Severity::Error {
                writeln!(
                    suites,
                    "      <failure message=\"{title}\" type=\"error\">{text}</failure>"
                )
            } else {
                writeln!(suites, "      <system-out>{}: {text}</system-out>", rule.severity)
            };
            suites.push_str("    </testcase>\n");
        }
        suites.push_str("  </testsuite>\n");
    }
    debug_assert_eq!(failures.count() == 0, failed == 0);
    if let Some(comparison) = &report.comparison {
        let checks = comparison.checks();
        cases += checks.len();
        failed += compared(&checks, &mut suites);
    }
    if report.is_empty() {
        (cases, failed) = (1, 1);
        suites.push_str(
            "  <testsuite name=\"input\" tests=\"1\" failures=\"1\" errors=\"0\">\n    <testcase classname=\"input\" name=\"export messages\">\n      <failure message=\"no export message was found\" type=\"error\"/>\n    </testcase>\n  </testsuite>\n",
        );
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"sixtap validate {}\" tests=\"{cases}\" failures=\"{failed}\" errors=\"0\">\n{suites}</testsuites>\n",
        escaped(&report.input)
    )
}

/// The suite of the comparison; returns its failures.
fn compared(checks: &[Check], suites: &mut String) -> usize {
    let failed = checks.iter().filter(|check| check.failure.is_some()).count();
    let tests = checks.len();
    let _ = writeln!(
        suites,
        "  <testsuite name=\"against the traffic\" tests=\"{tests}\" failures=\"{failed}\" errors=\"0\">"
    );
    for check in checks {
        let name = escaped(&check.name);
        let _ = write!(suites, "    <testcase classname=\"{}\" name=\"{name}\"", check.id);
        let _ = match &check.failure {
            None => writeln!(suites, "/>"),
            Some(failure) => writeln!(
                suites,
                ">\n      <failure message=\"not: {name}\" type=\"error\">{}</failure>\n    </testcase>",
                escaped(failure)
            ),
        };
    }
    suites.push_str("  </testsuite>\n");
    failed
}

fn told(findings: &[&&Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let _ = write!(text, "{} {} times", subject(finding.subject), finding.count);
        for example in &finding.examples {
            let _ = write!(text, "\n{} ({})", example.saw, example.place);
        }
        text.push('\n');
    }
    escaped(text.trim())
}

/// Text for XML: markup escaped, characters that XML has no place for replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(character),
            control if control < ' ' || matches!(control, '\u{fffe}' | '\u{ffff}') => {
                out.push('\u{fffd}');
            }
            other => out.push(other),
        }
    }
    out
}
