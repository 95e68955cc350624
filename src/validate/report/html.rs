//! The report as one web page: no script, nothing fetched, prints as it stands.
//!
//! Must stay true: every text from the input goes through [`escaped`].

use super::terminal::side_by_side;
use super::{Report, grouped, plural, subject};
use crate::validate::coverage::{Compared, Coverage, Mark};
use crate::validate::finding::{Dump, Example, Finding, Severity};
use crate::validate::matching::{Comparison, ElementRow};
use crate::validate::rules::Rule;
use crate::validate::session::{Facts, TemplateFacts};
use crate::validate::view;
use std::fmt::{Arguments, Write as _};

/// Text with markup taken out of it.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

struct Page(String);

impl Page {
    /// Adds markup. Writing to a string cannot fail.
    fn put(&mut self, text: Arguments<'_>) {
        let _ = self.0.write_fmt(text);
        self.0.push('\n');
    }
}

macro_rules! put {
    ($page:expr, $($text:tt)*) => { $page.put(format_args!($($text)*)) };
}

/// The page.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut page = Page(String::with_capacity(64 * 1024));
    let input = escaped(&report.input);
    put!(page, "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">");
    put!(page, "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">");
    put!(
        page,
        "<title>{input}: sixtap validate</title><style>{}</style></head><body><main>",
        include_str!("style.css")
    );
    head(&mut page, report);
    if let Some(comparison) = &report.comparison {
        against(&mut page, comparison);
    }
    for one in &report.coverage {
        coverage(&mut page, one, report.coverage.len() > 1);
    }
    if let Some(other) = &report.other {
        compared(&mut page, report, other);
    }
    findings(&mut page, report);
    sessions(&mut page, report);
    put!(
        page,
        "<footer>sixtap validate {} · rules: docs/rules.md · form of the data: docs/validate.md</footer>",
        env!("CARGO_PKG_VERSION")
    );
    put!(page, "</main></body></html>");
    page.0
}

const fn severity_class(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "bad",
        Severity::Warning => "warn",
        Severity::Note => "note",
    }
}

const fn mark_class(mark: Mark) -> &'static str {
    match mark {
        Mark::Right | Mark::Exported => "good",
        Mark::Doubtful => "warn",
        Mark::Wrong => "bad",
        Mark::Absent => "off",
    }
}

const fn grade_class(grade: char) -> &'static str {
    match grade {
        'A' | 'B' => "good",
        'C' | 'D' => "warn",
        '-' => "off",
        _ => "bad",
    }
}

fn head(page: &mut Page, report: &Report) {
    let counts = report.counts();
    let (severity, verdict) = report.verdict();
    let class = severity.map_or("good", severity_class);
    put!(page, "<div class=\"head\"><div><h1>sixtap validate</h1>");
    put!(
        page,
        "<p class=\"verdict\">{} <span class=\"said pill {class}\" style=\"font-size:20px;padding:4px 16px\">{verdict}</span></p></div>",
        escaped(&file_name(&report.input))
    );
    put!(page, "<div class=\"grades\">");
    for coverage in &report.coverage {
        let (class, letter) =
            (grade_class(coverage.grade), if coverage.grade == '-' { '–' } else { coverage.grade });
        let said = match coverage.grade {
            '-' => "no template for IPv6".to_owned(),
            _ => format!("IPv6: {} % of what detection needs", coverage.score),
        };
        let who = if report.coverage.len() > 1 {
            format!("<b>{}</b> ", escaped(&coverage.exporter))
        } else {
            String::new()
        };
        put!(
            page,
            "<div class=\"grade\"><div class=\"letter {class}\">{letter}</div><small>{who}{said}</small></div>"
        );
    }
    put!(page, "</div></div><div class=\"tiles\">");
    let kinds = [
        ("bad", counts.errors, "error"),
        ("warn", counts.warnings, "warning"),
        ("note", counts.notes, "note"),
    ];
    for (class, (kinds, times), word) in kinds {
        let class = if kinds > 0 { class } else { "" };
        let times =
            if times > kinds { format!(", {} times", grouped(times)) } else { String::new() };
        let word = if kinds == 1 { word.to_owned() } else { format!("{word}s") };
        tile(page, class, &grouped(kinds), &format!("{word}{times}"));
    }
    tile(page, "", &grouped(report.total(|f| f.messages)), "messages");
    tile(page, "", &grouped(report.total(|f| f.flow_records)), "flow records");
    tile(page, "", &grouped(report.total(|f| f.ipv6_records)), "of them IPv6");
    tile(page, "", &grouped(report.sessions.len() as u64), "sessions");
    put!(page, "</div>");
    let left_out = report.left_out();
    if !left_out.is_empty() {
        put!(page, "<ul class=\"remark\">");
        for line in left_out {
            put!(page, "<li>{}</li>", escaped(&line));
        }
        put!(page, "</ul>");
    }
    put!(page, "<nav>");
    if report.comparison.is_some() {
        put!(page, "<a href=\"#traffic\">Against the traffic</a>");
    }
    put!(
        page,
        "<a href=\"#ipv6\">IPv6 coverage</a><a href=\"#findings\">Findings</a><a href=\"#sessions\">Sessions and templates</a></nav>"
    );
}

/// The last part of a path.
fn file_name(input: &str) -> String {
    if input.contains("://") {
        input.to_owned()
    } else {
        input.rsplit('/').next().unwrap_or(input).to_owned()
    }
}

fn tile(page: &mut Page, class: &str, number: &str, word: &str) {
    put!(page, "<div class=\"tile {class}\"><b>{number}</b><span>{word}</span></div>");
}

/// A bar of right, doubtful and wrong parts.
fn bar(right: u64, doubtful: u64, wrong: u64, all: u64) -> String {
    let share =
        |part: u64| part.saturating_mul(1000).checked_div(all.max(1)).unwrap_or(0).min(1000);
    let piece = |class: &str, part: u64| {
        let share = share(part).max(u64::from(part > 0) * 20);
        if part > 0 {
            format!("<i class=\"{class}\" style=\"width:{}.{}%\"></i>", share / 10, share % 10)
        } else {
            String::new()
        }
    };
    format!(
        "<div class=\"bar\">{}{}{}</div>",
        piece("g", right),
        piece("w", doubtful),
        piece("b", wrong)
    )
}

fn coverage(page: &mut Page, coverage: &Coverage, named: bool) {
    let who = if named { format!(": {}", escaped(&coverage.exporter)) } else { String::new() };
    put!(page, "<h2 id=\"ipv6\">What a collector can see of IPv6{who}</h2>");
    if coverage.grade == '-' {
        put!(page, "<p class=\"lead\">No template with IPv6 addresses was seen.</p>");
        return;
    }
    put!(
        page,
        "<p class=\"lead\">{} of {} attacks can be seen in {} of {}. Grade {}: {} % of what detection needs, by weight.</p>",
        coverage.attacks.iter().filter(|attack| attack.lacking.is_empty()).count(),
        coverage.attacks.len(),
        plural(coverage.records, "IPv6 flow record"),
        plural(coverage.templates as u64, "template"),
        coverage.grade,
        coverage.score
    );
    put!(page, "<div class=\"attacks\">");
    for attack in &coverage.attacks {
        let (class, text) = match attack.lacking.as_slice() {
            [] => ("seen", "can be seen".to_owned()),
            lacking => ("hidden", format!("hidden: lacks {}", lacking.join(", "))),
        };
        put!(
            page,
            "<div class=\"attack {class}\"><b>{}</b><small>{text}</small></div>",
            attack.name
        );
    }
    put!(page, "</div>");
    put!(
        page,
        "<div class=\"card\"><table><thead><tr><th>Needed</th><th>Element</th><th></th><th>Records that carry it</th><th>Rules broken</th></tr></thead><tbody>"
    );
    for row in &coverage.rows {
        let (class, word) = (mark_class(row.mark), row.mark.word());
        let carried = match row.compared {
            Some(Compared { right, wrong, .. }) if right + wrong > 0 => {
                let text =
                    format!("right in {}, wrong in {}", grouped(right), plural(wrong, "flow"));
                format!("{text}{}", bar(right, 0, wrong, right + wrong))
            }
            _ if row.mark == Mark::Absent => {
                "<span class=\"soft\">in no template</span>".to_owned()
            }
            _ => {
                let wrong = row.wrong.min(row.carried);
                let text = format!("{} of {}", grouped(row.carried), grouped(coverage.records));
                format!("{text}{}", bar(row.carried - wrong, 0, wrong, coverage.records))
            }
        };
        let rules: Vec<_> = row
            .rules
            .iter()
            .map(|id| format!("<a href=\"#{id}\" style=\"color:inherit\"><code>{id}</code></a>"))
            .collect();
        put!(
            page,
            "<tr><td>{}</td><td><small>{}</small></td><td><span class=\"pill {class}\">{word}</span></td><td>{carried}</td><td>{}</td></tr>",
            row.need.name,
            row.need.shown,
            rules.join("<br>")
        );
    }
    put!(page, "</tbody></table></div>");
}

fn against(page: &mut Page, comparison: &Comparison) {
    put!(
        page,
        "<h2 id=\"traffic\">Against the traffic</h2><p class=\"lead\">What the records say, and what the packets were.</p><div class=\"card\"><table><tbody>"
    );
    for (name, text) in comparison.lines() {
        put!(page, "<tr><td>{}</td><td>{}</td></tr>", escaped(&name), escaped(&text));
    }
    put!(page, "</tbody></table></div>");
    put!(
        page,
        "<div class=\"card\"><table><thead><tr><th>Element</th><th class=\"number\">Right</th><th class=\"number\">Wrong</th><th></th><th>How it is wrong</th></tr></thead><tbody>"
    );
    for row in &comparison.elements {
        element(page, row);
    }
    put!(page, "</tbody></table></div>");
}

fn element(page: &mut Page, row: &ElementRow) {
    let patterns: Vec<_> = row
        .patterns
        .iter()
        .map(|pattern| {
            let (text, example) = (escaped(&pattern.text), escaped(&pattern.example));
            format!("<b>{}</b> × {text}<br><small>{example}</small>", grouped(pattern.count))
        })
        .collect();
    let patterns = patterns.join("<br>");
    let bar = bar(row.right, 0, row.wrong, row.right + row.wrong);
    put!(
        page,
        "<tr><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td>{bar}</td><td>{patterns}</td></tr>",
        escaped(&row.name),
        grouped(row.right),
        grouped(row.wrong)
    );
}

fn compared(page: &mut Page, report: &Report, other: &Report) {
    put!(
        page,
        "<h2 id=\"compared\">Side by side</h2><p class=\"lead\">The same questions to two exports.</p><div class=\"card\"><table><thead><tr><th></th><th>{}</th><th>{}</th></tr></thead><tbody>",
        escaped(&file_name(&report.input)),
        escaped(&file_name(&other.input))
    );
    for (name, left, right) in side_by_side(report, other) {
        put!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(&name),
            worded(&left),
            worded(&right)
        );
    }
    put!(page, "</tbody></table></div>");
}

/// A word of [`Mark`] as a pill, anything else as it is.
fn worded(text: &str) -> String {
    let marks = [Mark::Right, Mark::Exported, Mark::Doubtful, Mark::Wrong, Mark::Absent];
    match marks.into_iter().find(|mark| mark.word() == text) {
        Some(mark) => format!("<span class=\"pill {}\">{text}</span>", mark_class(mark)),
        None => escaped(text),
    }
}

fn findings(page: &mut Page, report: &Report) {
    put!(page, "<h2 id=\"findings\">Findings</h2>");
    if report.findings.is_empty() {
        put!(page, "<p class=\"lead\">None: no rule is broken.</p>");
        return;
    }
    put!(page, "<p class=\"lead\">The worst first. Offending octets are marked.</p>");
    let mut rules: Vec<&'static Rule> =
        report.findings.iter().map(|finding| finding.rule).collect();
    rules.dedup_by_key(|rule| rule.id);
    for rule in rules {
        let found: Vec<_> =
            report.findings.iter().filter(|finding| finding.rule.id == rule.id).collect();
        let times: u64 = found.iter().map(|finding| finding.count).sum();
        let class = severity_class(rule.severity);
        let open = if rule.severity == Severity::Error { " open" } else { "" };
        put!(
            page,
            "<details class=\"finding\" id=\"{}\"{open}><summary><span class=\"pill {class}\">{}</span><span><b>{}</b><span class=\"id\">{}</span></span><span class=\"soft\">{} ×</span></summary><div class=\"body\">",
            rule.id,
            rule.severity,
            rule.title,
            rule.id,
            grouped(times)
        );
        put!(
            page,
            "<dl><dt>Should be</dt><dd>{}</dd><dt>Why it matters</dt><dd>{}</dd><dt>Source</dt><dd>{}</dd></dl>",
            rule.wanted,
            rule.meaning,
            rule.source
        );
        for finding in found.iter().take(20) {
            place(page, report, finding);
        }
        if found.len() > 20 {
            put!(page, "<p class=\"soft\">and in {} more places</p>", found.len() - 20);
        }
        put!(page, "</div></details>");
    }
}

fn place(page: &mut Page, report: &Report, finding: &Finding) {
    let about = subject(finding.subject);
    let about = if about.is_empty() { about } else { format!(", {about}") };
    put!(
        page,
        "<div class=\"place\"><h4>{}{about} <span class=\"soft\">{} ×</span></h4>",
        escaped(&report.session_name(finding.session)),
        grouped(finding.count)
    );
    for (index, example) in finding.examples.iter().enumerate() {
        put!(
            page,
            "<p>{} <small class=\"soft\">{}</small></p>",
            escaped(&example.saw),
            example.place
        );
        if index == 0 {
            dump(page, example);
        }
    }
    put!(page, "</div>");
}

fn dump(page: &mut Page, example: &Example) {
    let Some(dump) =
        example.dump.as_ref().filter(|dump| dump.marked > 0 && !dump.octets.is_empty())
    else {
        return;
    };
    put!(page, "<pre class=\"dump\">{}</pre>", dump_text(dump));
}

/// Sixteen octets a line, as numbers and as characters, the offending ones marked in both.
fn dump_text(dump: &Dump) -> String {
    let marked = dump.mark as usize..(dump.mark + dump.marked) as usize;
    let mut text = String::new();
    for (number, line) in dump.octets.chunks(16).enumerate() {
        let start = number * 16;
        let _ = write!(text, "<u>{:04x}</u>  ", dump.start as usize + start);
        let mut characters = String::new();
        for (index, octet) in line.iter().enumerate() {
            let shown = if octet.is_ascii_graphic() {
                escaped(&char::from(*octet).to_string())
            } else {
                "·".to_owned()
            };
            let gap = if index == 8 { " " } else { "" };
            if marked.contains(&(start + index)) {
                let _ = write!(text, "{gap}<mark>{octet:02x}</mark> ");
                let _ = write!(characters, "<mark>{shown}</mark>");
            } else {
                let _ = write!(text, "{gap}{octet:02x} ");
                characters.push_str(&shown);
            }
        }
        let blank = (16 - line.len()) * 3 + usize::from(line.len() <= 8);
        let _ = writeln!(text, "{:blank$} <u>{characters}</u>", "");
    }
    text
}

fn sessions(page: &mut Page, report: &Report) {
    put!(
        page,
        "<h2 id=\"sessions\">Sessions and templates</h2><p class=\"lead\">Who sent what.</p>"
    );
    for facts in report.sessions.iter().take(100) {
        session(page, facts);
    }
    if report.sessions.len() > 100 {
        put!(page, "<p class=\"soft\">and {} more sessions</p>", report.sessions.len() - 100);
    }
}

fn session(page: &mut Page, facts: &Facts) {
    let time = |seconds: u32| view::show_time(i64::from(seconds) * 1_000_000_000);
    let period = facts
        .export_times
        .map_or_else(String::new, |(first, last)| format!(", {} to {}", time(first), time(last)));
    put!(
        page,
        "<div class=\"card\"><div class=\"body\"><h3>{}</h3><span class=\"soft\">{}, {}, {}, {} missing by sequence number{period}</span></div>",
        escaped(&facts.name()),
        plural(facts.messages, "message"),
        plural(facts.flow_records, "flow record"),
        plural(facts.option_records, "options record"),
        grouped(facts.sequence.missing(facts.version))
    );
    for template in facts.all_templates().take(200) {
        template_of(page, template);
    }
    put!(page, "</div>");
}

fn template_of(page: &mut Page, facts: &TemplateFacts) {
    let view = &facts.view;
    let kind = if view.options { "Options Template" } else { "Template" };
    put!(
        page,
        "<details class=\"more\"><summary>{kind} {}: {}, {}</summary><table><thead><tr><th>Field</th><th>Element</th><th class=\"number\">Octets</th></tr></thead><tbody>",
        view.template,
        plural(view.fields.len() as u64, "field"),
        plural(facts.records, "record")
    );
    for (index, field) in view.fields.iter().enumerate().take(200) {
        let scope =
            if index < view.scopes { " <span class=\"pill note\">scope</span>" } else { "" };
        let length =
            if field.is_variable() { "variable".to_owned() } else { field.length.to_string() };
        put!(
            page,
            "<tr><td>{}</td><td>{}{scope}</td><td class=\"number\">{length}</td></tr>",
            index + 1,
            escaped(&view::field_label(field))
        );
    }
    put!(page, "</tbody></table></details>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::builder::{Stream, flow, v6, with};

    #[test]
    fn the_page_stands_alone_and_lets_no_markup_in() {
        let mut report =
            flow(&with(v6(), &[(82, 8)]), &[(82, 0x3c73_6372_6970_743e), (136, 9)]).report();
        report.input = "<b>.pcap".to_owned();
        let page = page(&report);
        assert!(page.contains("&lt;b&gt;.pcap") && !page.contains("<b>.pcap"));
        assert!(page.contains("TIME-REASON-RANGE") && page.contains("<mark>09</mark>"));
        for outside in ["http://", "https://", "<script", "src=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside} in the page");
        }
    }

    #[test]
    fn an_empty_report_has_a_page() {
        assert!(page(&Stream::new().report()).contains("no rule is broken"));
    }
}
