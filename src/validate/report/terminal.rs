//! The report for a terminal: summary first, then coverage, then findings with their octets.

use super::{Report, grouped, plural, subject};
use crate::validate::coverage::{Compared, Coverage, Mark};
use crate::validate::finding::{Dump, Example, Finding, Severity};
use crate::validate::matching::Comparison;
use anstyle::{AnsiColor, Style};
use std::io::{self, Write};

/// How to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// With colours.
    pub colour: bool,
    /// Columns of the terminal.
    pub width: usize,
    /// Notes too.
    pub notes: bool,
}

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const GREEN: Style = AnsiColor::Green.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default();

struct Page<'a> {
    out: &'a mut dyn Write,
    look: Look,
}

/// Writes the report.
///
/// # Errors
/// What the writer says.
pub fn write(report: &Report, look: Look, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page { out, look };
    page.summary(report)?;
    for coverage in &report.coverage {
        page.coverage(coverage, report.coverage.len() > 1)?;
    }
    if let Some(comparison) = &report.comparison {
        page.comparison(comparison)?;
    }
    page.findings(report)?;
    if let Some(other) = &report.other {
        page.other(report, other)?;
    }
    Ok(())
}

const fn style(severity: Severity) -> (Style, &'static str) {
    match severity {
        Severity::Error => (RED, "✗"),
        Severity::Warning => (YELLOW, "!"),
        Severity::Note => (CYAN, "·"),
    }
}

const fn mark_style(mark: Mark) -> (Style, &'static str) {
    match mark {
        Mark::Right => (GREEN, "✓ right"),
        Mark::Exported => (GREEN, "✓ exported"),
        Mark::Doubtful => (YELLOW, "! doubtful"),
        Mark::Wrong => (RED, "✗ wrong"),
        Mark::Absent => (RED, "– absent"),
    }
}

impl Page<'_> {
    fn paint(&self, style: Style, text: &str) -> String {
        if self.look.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    fn heading(&mut self, text: &str) -> io::Result<()> {
        let text = self.paint(BOLD, text);
        writeln!(self.out, "\n{text}")
    }

    /// Words filled to the width, behind `indent` columns and a label of eight.
    fn filled(&mut self, indent: usize, label: &str, text: &str) -> io::Result<()> {
        let room = self.look.width.saturating_sub(indent + 8).max(20);
        let mut lines = vec![String::new()];
        for word in text.split_whitespace() {
            let Some(last) = lines.last_mut() else { break };
            if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > room {
                lines.push(word.to_owned());
            } else {
                if !last.is_empty() {
                    last.push(' ');
                }
                last.push_str(word);
            }
        }
        let label = self.paint(DIM, &format!("{label:<8}"));
        for (index, line) in lines.iter().enumerate() {
            let label = if index == 0 { label.as_str() } else { "        " };
            writeln!(self.out, "{:indent$}{label}{line}", "")?;
        }
        Ok(())
    }

    fn summary(&mut self, report: &Report) -> io::Result<()> {
        let title = self.paint(BOLD, &report.input);
        let (severity, words) = report.verdict();
        let verdict = self.paint(severity.map_or(GREEN, |severity| style(severity).0), words);
        writeln!(self.out, "{title} {verdict}")?;
        let templates: usize = report.sessions.iter().map(|facts| facts.templates.len()).sum();
        let text = format!(
            "{}, {}, {}, {} ({} about IPv6), {}",
            plural(report.coverage.len() as u64, "exporter"),
            plural(report.sessions.len() as u64, "session"),
            plural(report.total(|f| f.messages), "message"),
            plural(report.total(|f| f.flow_records), "flow record"),
            grouped(report.total(|f| f.ipv6_records)),
            plural(templates as u64, "template"),
        );
        self.filled(2, "read", &text)?;
        for line in report.left_out() {
            self.filled(2, "", &line)?;
        }
        let counts = report.counts();
        let part = |page: &Self, severity, (kinds, times): (u64, u64), word| {
            let (style, sign) = style(severity);
            let text = format!("{sign} {}", plural(kinds, word));
            let text = if kinds > 0 { page.paint(style, &text) } else { page.paint(DIM, &text) };
            if times > kinds { format!("{text} ({} times)", grouped(times)) } else { text }
        };
        let errors = part(self, Severity::Error, counts.errors, "error");
        let warnings = part(self, Severity::Warning, counts.warnings, "warning");
        let notes = part(self, Severity::Note, counts.notes, "note");
        writeln!(self.out, "  {:<8}{errors}   {warnings}   {notes}", "found")?;
        for coverage in &report.coverage {
            let grade = self.grade(coverage);
            writeln!(self.out, "  {:<8}{grade}  {}", "IPv6", coverage.exporter)?;
        }
        Ok(())
    }

    fn grade(&self, coverage: &Coverage) -> String {
        let style = match coverage.grade {
            'A' | 'B' => GREEN,
            'C' | 'D' => YELLOW,
            _ => RED,
        };
        match coverage.grade {
            '-' => self.paint(DIM, "no template for IPv6"),
            letter => {
                let text = format!("grade {letter}: {} % of what detection needs", coverage.score);
                self.paint(style, &text)
            }
        }
    }

    fn coverage(&mut self, coverage: &Coverage, named: bool) -> io::Result<()> {
        if coverage.grade == '-' {
            return Ok(());
        }
        let name = if named { format!(" of {}", coverage.exporter) } else { String::new() };
        self.heading(&format!("What a collector can see of IPv6{name}"))?;
        for row in &coverage.rows {
            let (style, word) = mark_style(row.mark);
            let word = self.paint(style, &format!("{word:<11}"));
            let mut detail = match (row.compared, row.mark) {
                (Some(Compared { right, wrong, .. }), _) if right + wrong > 0 => {
                    format!("right in {}, wrong in {}", grouped(right), plural(wrong, "flow"))
                }
                (_, Mark::Absent) => String::new(),
                _ => {
                    format!("in {} of {} records", grouped(row.carried), grouped(coverage.records))
                }
            };
            if !row.rules.is_empty() {
                detail = format!("{detail}  {}", row.rules.join(" "));
            }
            let name = format!("{:<30}", row.need.name);
            let wide = self.look.width >= 100;
            let shown =
                if wide { format!("{:<36}", first_element(row.need.shown)) } else { String::new() };
            let text = format!("  {word} {name} {shown}{}", self.paint(DIM, detail.trim()));
            self.line(text.trim_end())?;
        }
        for attack in &coverage.attacks {
            let (sign, rest) = if attack.lacking.is_empty() {
                (self.paint(GREEN, "✓ visible  "), String::new())
            } else {
                (self.paint(RED, "✗ hidden   "), format!("  lacks {}", attack.lacking.join(", ")))
            };
            let rest = self.paint(DIM, &rest);
            self.line(&format!("  {sign} {}{rest}", attack.name))?;
        }
        Ok(())
    }

    fn comparison(&mut self, comparison: &Comparison) -> io::Result<()> {
        self.heading("Against the traffic")?;
        for line in comparison.lines() {
            self.filled(2, &line.0, &line.1)?;
        }
        for row in &comparison.elements {
            let (style, sign) = if row.wrong == 0 { (GREEN, "✓") } else { (RED, "✗") };
            let sign = self.paint(style, sign);
            let text = format!("right in {}, wrong in {}", grouped(row.right), grouped(row.wrong));
            writeln!(self.out, "  {sign} {:<34} {text}", row.name)?;
            for pattern in &row.patterns {
                self.filled(
                    6,
                    "",
                    &format!("{} ×: {}; {}", grouped(pattern.count), pattern.text, pattern.example),
                )?;
            }
        }
        Ok(())
    }

    fn findings(&mut self, report: &Report) -> io::Result<()> {
        let shown = |finding: &&Finding| self.look.notes || finding.rule.severity > Severity::Note;
        let findings: Vec<&Finding> = report.findings.iter().filter(shown).collect();
        if !findings.is_empty() {
            self.heading("Findings")?;
        }
        let mut last = "";
        for finding in findings {
            let rule = finding.rule;
            if rule.id != last {
                last = rule.id;
                let all = report.findings.iter().filter(|f| f.rule.id == rule.id);
                let times: u64 = all.map(|f| f.count).sum();
                let (style, sign) = style(rule.severity);
                let head = self.paint(style, &format!("{sign} {}", rule.id));
                writeln!(self.out, "\n{head}  {}  {} ×", rule.title, grouped(times))?;
                self.filled(2, "wanted", rule.wanted)?;
                self.filled(2, "matters", rule.meaning)?;
                self.filled(2, "source", rule.source)?;
            }
            self.finding(report, finding)?;
        }
        let hidden = report.counts().notes.0;
        if !self.look.notes && hidden > 0 {
            let text = self.paint(DIM, &format!("\n{} not shown: --notes", plural(hidden, "note")));
            self.line(&text)?;
        }
        Ok(())
    }

    fn finding(&mut self, report: &Report, finding: &Finding) -> io::Result<()> {
        let mut who = report.session_name(finding.session);
        let about = subject(finding.subject);
        if !about.is_empty() {
            who = format!("{who}, {about}");
        }
        let who = self.paint(CYAN, &who);
        writeln!(self.out, "  {who}  {} ×", grouped(finding.count))?;
        for (index, example) in finding.examples.iter().enumerate() {
            self.example(example, index == 0)?;
        }
        Ok(())
    }

    fn example(&mut self, example: &Example, dumped: bool) -> io::Result<()> {
        self.filled(4, "saw", &format!("{} ({})", example.saw, example.place))?;
        if !example.wanted.is_empty() {
            self.filled(4, "wanted", &example.wanted)?;
        }
        match &example.dump {
            Some(dump) if dumped && dump.marked > 0 => self.dump(dump),
            _ => Ok(()),
        }
    }

    /// Sixteen octets a line, the offending ones marked.
    fn dump(&mut self, dump: &Dump) -> io::Result<()> {
        let marked = dump.mark as usize..(dump.mark + dump.marked) as usize;
        for (number, line) in dump.octets.chunks(16).enumerate() {
            let start = number * 16;
            let mut text = String::new();
            for (index, octet) in line.iter().enumerate() {
                let hex = format!("{octet:02x}");
                let bad = marked.contains(&(start + index));
                match (bad, self.look.colour) {
                    (true, true) => text.push_str(&format!(" {}", self.paint(RED, &hex))),
                    (true, false) => text.push_str(&format!(">{hex}")),
                    (false, _) => text.push_str(&format!(" {hex}")),
                }
            }
            let offset = self.paint(DIM, &format!("{:04x}", dump.start as usize + start));
            writeln!(self.out, "            {offset} {text}")?;
        }
        Ok(())
    }

    fn other(&mut self, report: &Report, other: &Report) -> io::Result<()> {
        self.heading("Side by side")?;
        let width = 26;
        let head = format!(
            "  {:<34} {:<width$} {:<width$}",
            "",
            cut(&report.input, width),
            cut(&other.input, width)
        );
        let head = self.paint(DIM, &head);
        self.line(&head)?;
        for (name, left, right) in side_by_side(report, other) {
            writeln!(self.out, "  {name:<34} {left:<width$} {right:<width$}")?;
        }
        Ok(())
    }
}

fn first_element(shown: &str) -> &str {
    shown.split(", ").next().unwrap_or(shown)
}

/// The end of a text that is too long.
fn cut(text: &str, width: usize) -> String {
    let count = text.chars().count();
    if count <= width {
        text.to_owned()
    } else {
        format!("…{}", text.chars().skip(count + 1 - width).collect::<String>())
    }
}

/// Rows of the comparison of two exporters: what, and how each of them does.
#[must_use]
pub fn side_by_side(report: &Report, other: &Report) -> Vec<(String, String, String)> {
    let both = |of: &dyn Fn(&Report) -> String| (of(report), of(other));
    let mut rows = Vec::new();
    let mut row = |name: &str, of: &dyn Fn(&Report) -> String| {
        let (left, right) = both(of);
        rows.push((name.to_owned(), left, right));
    };
    let best =
        |report: &Report| report.coverage.iter().max_by_key(|c| (c.grade != '-', c.score)).cloned();
    row("errors", &|r| grouped(r.counts().errors.0));
    row("warnings", &|r| grouped(r.counts().warnings.0));
    row("messages", &|r| grouped(r.total(|f| f.messages)));
    row("flow records", &|r| grouped(r.total(|f| f.flow_records)));
    row("flow records about IPv6", &|r| grouped(r.total(|f| f.ipv6_records)));
    row("records missing by sequence", &|r| grouped(r.total(|f| f.sequence.missing(f.version))));
    row("octets a flow record", &|r| {
        let (octets, records) = (r.total(|f| f.octets), r.total(|f| f.flow_records));
        octets.checked_div(records).map_or_else(|| "–".to_owned(), grouped)
    });
    row("IPv6 grade", &|r| {
        best(r).map_or_else(|| "-".to_owned(), |c| format!("{} ({} %)", c.grade, c.score))
    });
    for need in crate::validate::coverage::NEEDS {
        row(need.name, &|r| {
            let mark = best(r).and_then(|c| {
                c.rows.iter().find(|row| row.need.name == need.name).map(|row| row.mark)
            });
            mark.map_or("–", Mark::word).to_owned()
        });
    }
    let mut ids: Vec<_> = report.findings.iter().chain(&other.findings).map(|f| f.rule).collect();
    ids.sort_by_key(|rule| (std::cmp::Reverse(rule.severity), rule.id));
    ids.dedup_by_key(|rule| rule.id);
    for rule in ids.into_iter().filter(|rule| rule.severity > Severity::Note) {
        let times = |r: &Report| -> u64 {
            r.findings.iter().filter(|f| f.rule.id == rule.id).map(|f| f.count).sum()
        };
        row(rule.id, &|r| match times(r) {
            0 => "–".to_owned(),
            times => format!("{} ×", grouped(times)),
        });
    }
    rows
}
