//! The screen as lines of text.
//!
//! In: the state, columns and rows. Out: exactly so many lines, none longer than the columns. The terminal shows them, `--once`
//! prints them, the tests read them.

use super::screen::{Screen, View};
use super::words::{count, endpoints, fit, share, short, span};
use crate::telemetry::live::{Found, Row, Sort, header_names, protocol_name};
use crate::telemetry::{Status, Worker};
use std::time::Duration;

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Look {
    #[default]
    Plain,
    /// What is there to be read over.
    Soft,
    Strong,
    /// A heading or the key in force.
    Bar,
    Good,
    Bad,
}

/// Pieces of text side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line(pub(super) Vec<(String, Look)>);

impl Line {
    fn new(text: impl Into<String>, look: Look) -> Self {
        Self(vec![(text.into(), look)])
    }

    fn add(&mut self, text: impl Into<String>, look: Look) {
        self.0.push((text.into(), look));
    }

    /// The text alone.
    pub(super) fn text(&self) -> String {
        self.0.iter().map(|(text, _)| text.as_str()).collect()
    }

    /// Cut or filled to the columns.
    fn fitted(mut self, columns: usize) -> Self {
        let mut left = columns;
        for (text, _) in &mut self.0 {
            let length = text.chars().count();
            if length > left {
                *text = text.chars().take(left).collect();
            }
            left -= length.min(left);
        }
        if left > 0 {
            let look = match self.0.last() {
                Some((_, Look::Bar)) => Look::Bar,
                _ => Look::Plain,
            };
            self.0.push((" ".repeat(left), look));
        }
        self
    }
}

/// Lines of the head.
const HEAD: usize = 4;

/// Rows of flows that fit at the most: what to ask for.
pub(super) fn rows(lines: usize, screen: &Screen) -> usize {
    // What was scrolled over has to be asked for too.
    lines.saturating_sub(HEAD) + screen.scroll
}

/// The whole screen.
pub(super) fn draw(screen: &Screen, place: &str, columns: usize, lines: usize) -> Vec<Line> {
    let mut all = head(screen, place, columns);
    if screen.help {
        all.extend(HELP.lines().map(|line| Line::new(format!("  {line}"), Look::Plain)));
    } else {
        all.extend(body(screen, columns, lines.saturating_sub(HEAD + 1)));
    }
    all.truncate(lines.saturating_sub(1));
    all.resize(lines.saturating_sub(1), Line::default());
    all.push(foot(screen));
    all.truncate(lines);
    all.into_iter().map(|line| line.fitted(columns)).collect()
}

const HELP: &str = "\
1 to 8, Tab      flows, sources, destinations, networks (/64 and /24), ports,
                 IPv6 extension headers and fragments, queues and collectors,
                 the ledger
o p f r          sort by octets, packets, flows, rate
/                filter: ip6 and (port 443 or icmp6) and not net 2001:db8::/32
                 also: tcp udp host src dst vlan label proto frag eh, eh rh
Escape           no filter
space            stand still
up down j k      scroll
q                quit

Flows are the live ones, as they stand in the probe's tables: their counts are
those since the record began, at most one active timeout ago. Rates are since
the last look, and over the record's life for a flow that has just come.";

fn head(screen: &Screen, place: &str, columns: usize) -> Vec<Line> {
    let mut first = Line::new(format!(" sixtap top  {place}"), Look::Bar);
    let Some(reading) = &screen.reading else {
        let waiting = screen.away.clone().unwrap_or_else(|| "waiting for the probe".to_owned());
        return vec![
            first,
            Line::new(format!(" {waiting}"), Look::Soft),
            Line::default(),
            tabs(screen),
        ];
    };
    let status = &reading.status;
    let up = Duration::from_millis(status.time.saturating_sub(status.started));
    let mut modes: Vec<&str> = status.workers.iter().map(|worker| worker.mode.as_str()).collect();
    modes.sort_unstable();
    modes.dedup();
    first.add(format!("  {}  up {}  ", modes.join(", "), span(up)), Look::Bar);
    let healthy = status.problems.is_empty() && screen.away.is_none();
    let state = match (&screen.away, healthy) {
        (Some(_), _) => "does not answer",
        (None, true) if screen.paused => "standing still",
        (None, true) => "healthy",
        (None, false) => "not healthy",
    };
    let used = first.text().chars().count();
    let right = format!("{state:>width$} ", width = columns.saturating_sub(used + 1));
    first.add(right, Look::Bar);

    let traffic = &status.traffic;
    let packets = screen.growth(|now| now.traffic.ipv4_packets + now.traffic.ipv6_packets);
    let ipv6 = screen.growth(|now| now.traffic.ipv6_octets);
    let ipv4 = screen.growth(|now| now.traffic.ipv4_octets);
    let mut second = Line::new(
        format!(" packets/s {:<8}bit/s {:<8}", short(packets), short(8.0 * (ipv4 + ipv6))),
        Look::Strong,
    );
    let octets = ipv4 + ipv6;
    let now = if octets > 0.0 { share(ipv6 as u64, octets as u64) } else { "-".to_owned() };
    let all = share(traffic.ipv6_octets, traffic.ipv4_octets + traffic.ipv6_octets);
    second.add(format!("IPv6 {now} of octets ({all} since start)"), Look::Plain);

    let mut third = Line::new(
        format!(
            " flows {} of {}  +{}/s  ",
            count(status.flows),
            count(status.capacity),
            short(screen.growth(|now| now.flows_begun))
        ),
        Look::Plain,
    );
    let lost = screen.growth(|now| now.lost);
    let look = if status.lost > 0 { Look::Bad } else { Look::Good };
    third.add(format!("lost {} ({}/s)", count(status.lost), short(lost)), look);
    if let Some(problem) = screen.away.as_ref().or(status.problems.first()) {
        third = Line::new(format!(" {problem}"), Look::Bad);
    } else if let Some(largest) = status.losses.iter().max_by_key(|loss| loss.count) {
        third.add(format!("  most: {}", largest.cause), Look::Bad);
    }
    vec![first, second, third, tabs(screen)]
}

fn tabs(screen: &Screen) -> Line {
    let mut line = Line::default();
    for (number, view) in View::ALL.into_iter().enumerate() {
        let look = if view == screen.view { Look::Bar } else { Look::Soft };
        line.add(format!("{}{}", number + 1, view.name()), look);
        line.add(" ", Look::Plain);
    }
    line
}

fn foot(screen: &Screen) -> Line {
    if let Some(problem) = &screen.problem {
        return Line::new(format!(" {problem}"), Look::Bad);
    }
    if let Some(text) = &screen.editing {
        return Line::new(format!(" filter: {text}_   Enter takes it, Escape does not"), Look::Bar);
    }
    if screen.help {
        return Line::new(" any key goes back", Look::Bar);
    }
    let mut line = Line::default();
    if screen.view.by().is_some() {
        for (key, sort) in
            [("o", Sort::Octets), ("p", Sort::Packets), ("f", Sort::Flows), ("r", Sort::Rate)]
        {
            let look = if sort == screen.sort { Look::Bar } else { Look::Soft };
            line.add(format!(" {key} {sort}"), look);
        }
        line.add("  ", Look::Plain);
    }
    line.add(" / filter  space stop  ? help  q quit", Look::Soft);
    if !screen.filter.text().is_empty() {
        line =
            Line::new(format!(" filter: {}   Escape removes it", screen.filter.text()), Look::Bar);
    }
    line
}

fn body(screen: &Screen, columns: usize, room: usize) -> Vec<Line> {
    let Some(reading) = &screen.reading else { return Vec::new() };
    match screen.view {
        View::Queues => scrolled(queues(screen, &reading.status, columns), screen, room),
        View::Ledger => {
            let text = reading.ledger.as_deref().unwrap_or("");
            let lines = text.lines().map(|line| {
                let look = if line.starts_with(' ') { Look::Plain } else { Look::Strong };
                Line::new(format!(" {line}"), look)
            });
            scrolled(lines.collect(), screen, room)
        }
        _ => match &reading.found {
            None => vec![Line::new(" looking", Look::Soft)],
            Some(found) => flows(screen, &reading.status, found, columns, room),
        },
    }
}

/// What is below the lines that were scrolled over, the last screenful at the most.
fn scrolled(lines: Vec<Line>, screen: &Screen, room: usize) -> Vec<Line> {
    let most = lines.len().saturating_sub(room);
    lines.into_iter().skip(screen.scroll.min(most)).collect()
}

/// Columns for numbers: packets, octets, bits a second.
const NUMBERS: usize = 26;
const PROTOCOL: usize = 7;

fn flows(
    screen: &Screen,
    status: &Status,
    found: &Found,
    columns: usize,
    room: usize,
) -> Vec<Line> {
    let wide = columns.saturating_sub(NUMBERS);
    let is_flow = screen.view == View::Flows;
    let title = match screen.view {
        View::Flows => format!("{:<PROTOCOL$}SOURCE > DESTINATION", "PROTO"),
        View::Sources => "SOURCE".to_owned(),
        View::Destinations => "DESTINATION".to_owned(),
        View::Networks => "SOURCE NETWORK".to_owned(),
        View::Ports => "DESTINATION PORT".to_owned(),
        _ => "IPv6 EXTENSION HEADERS".to_owned(),
    };
    let wide_title = if is_flow { wide } else { wide.saturating_sub(9) };
    let mut line = Line::new(fit(&title, wide_title), Look::Strong);
    if !is_flow {
        line.add(format!("{:>9}", "FLOWS"), Look::Strong);
    }
    line.add(format!("{:>8}{:>9}{:>9}", "PACKETS", "OCTETS", "BIT/S"), Look::Strong);
    let mut lines = vec![line];
    let below = if screen.view == View::Headers { headers(status, found) } else { Vec::new() };
    let room = room.saturating_sub(1 + below.len());
    let mut used = 0;
    for row in found.rows.iter().skip(screen.scroll.min(found.rows.len().saturating_sub(1))) {
        let drawn = if is_flow { flow(screen, row, wide) } else { vec![group(screen, row, wide)] };
        used += drawn.len();
        if used > room {
            break;
        }
        lines.extend(drawn);
    }
    if found.rows.is_empty() {
        let none = if found.selected < found.flows {
            "no flow that the filter selects"
        } else {
            "no flows"
        };
        lines.push(Line::new(format!(" {none}"), Look::Soft));
    }
    if found.dropped > 0 || found.missing > 0 {
        let text = format!(
            " {} flows of small groups are left out, {} workers did not answer in time",
            count(found.dropped),
            found.missing
        );
        lines.truncate(room);
        lines.push(Line::new(text, Look::Bad));
    }
    lines.extend(below);
    lines
}

fn numbers(screen: &Screen, row: &Row) -> String {
    let bits = 8.0 * screen.rate(row);
    format!("{:>8}{:>9}{:>9}", count(row.packets), count(row.octets), short(bits))
}

fn group(screen: &Screen, row: &Row, wide: usize) -> Line {
    let mut line = Line::new(fit(&row.name, wide.saturating_sub(9)), Look::Plain);
    line.add(format!("{:>9}", count(row.flows)), Look::Plain);
    line.add(numbers(screen, row), Look::Plain);
    line
}

/// A flow: one line where both ends fit, else two.
fn flow(screen: &Screen, row: &Row, wide: usize) -> Vec<Line> {
    let Some(flow) = &row.flow else { return Vec::new() };
    let (source, destination) = endpoints(flow);
    let marks = marks(row);
    let ends = wide.saturating_sub(PROTOCOL + 1);
    let mut line = Line::new(fit(&protocol_name(flow.protocol), PROTOCOL), Look::Soft);
    let one = format!("{source} > {destination}");
    if one.chars().count() + marks.chars().count() < ends {
        let gap = ends - one.chars().count();
        line.add(one, Look::Plain);
        line.add(format!("{marks:>gap$} "), Look::Soft);
        line.add(numbers(screen, row), Look::Plain);
        return vec![line];
    }
    line.add(fit(&source, ends + 1), Look::Plain);
    line.add(numbers(screen, row), Look::Plain);
    let mut second = Line::new(format!("{:>PROTOCOL$}", "> "), Look::Soft);
    second.add(fit(&destination, ends + 1), Look::Plain);
    second.add(
        format!("{:>NUMBERS$}", fit(&marks, marks.chars().count().min(NUMBERS - 1)).trim_end()),
        Look::Soft,
    );
    vec![line, second]
}

/// What a flow has beside the usual: headers, fragments, VLAN, flow label.
fn marks(row: &Row) -> String {
    let Some(flow) = &row.flow else { return String::new() };
    let mut marks = Vec::new();
    if flow.headers != 0 {
        marks.push(header_names(flow.headers));
    }
    if flow.fragments.packets > 0 {
        marks.push(format!("frag {}", flow.fragments.packets));
    }
    if flow.fragments.overlaps > 0 {
        marks.push("OVERLAP".to_owned());
    }
    if flow.vlan != 0 {
        marks.push(format!("vlan {}", flow.vlan));
    }
    if flow.label != 0 {
        marks.push(format!("{:#07x}", flow.label));
    }
    marks.join(" ")
}

/// What was seen of headers and fragments since the start, and in the live flows.
fn headers(status: &Status, found: &Found) -> Vec<Line> {
    let traffic = &status.traffic;
    let mut lines = vec![
        Line::default(),
        Line::new(
            format!(
                "SINCE THE START  {} of {} IPv6 packets have extension headers ({})",
                count(traffic.extended),
                count(traffic.ipv6_packets),
                share(traffic.extended, traffic.ipv6_packets)
            ),
            Look::Strong,
        ),
    ];
    let seen = traffic.headers.iter().filter(|(_, seen)| *seen > 0);
    let seen: Vec<String> =
        seen.map(|(name, seen)| format!("{} {}", name.replace('_', " "), count(*seen))).collect();
    for part in seen.chunks(3) {
        lines.push(Line::new(format!(" {}", part.join(", ")), Look::Plain));
    }
    if traffic.cut > 0 {
        lines.push(Line::new(
            format!(" chain not walked to its end {}", count(traffic.cut)),
            Look::Bad,
        ));
    }
    lines.push(Line::new(
        format!(
            "FRAGMENTS  IPv6 {}, atomic {}, IPv4 {}; without their first {}, no room {}",
            count(traffic.ipv6_fragments),
            count(traffic.atomic_fragments),
            count(traffic.ipv4_fragments),
            count(status.fragments_orphaned),
            count(status.fragments_overflow)
        ),
        Look::Strong,
    ));
    let live = &found.fragments;
    let of = |number: u32| count(number.into());
    let look = if live.overlaps > 0 || live.ports_rewritten { Look::Bad } else { Look::Plain };
    lines.push(Line::new(
        format!(
            " live: overlaps {}, duplicates {}, out of order {}, tiny {}, incomplete {}{}",
            of(live.overlaps),
            of(live.duplicates),
            of(live.out_of_order),
            of(live.tiny),
            of(live.incomplete),
            if live.ports_rewritten { ", PORTS REWRITTEN" } else { "" }
        ),
        look,
    ));
    lines
}

fn queues(screen: &Screen, status: &Status, columns: usize) -> Vec<Line> {
    let wide = columns.saturating_sub(60);
    let mut lines = vec![Line::new(
        format!(
            "{}{:<14}{:>9}{:>9}{:>9}{:>9}  {:<8}",
            fit("QUEUE", wide),
            "MODE",
            "FRAMES/S",
            "BIT/S",
            "FLOWS",
            "LOST",
            "STATE"
        ),
        Look::Strong,
    )];
    for worker in &status.workers {
        let of = |pick: fn(&Worker) -> u64| {
            screen.growth(|status| {
                let known = status.workers.iter().find(|known| known.name == worker.name);
                known.map_or(0, pick)
            })
        };
        let mut line = Line::new(
            format!(
                "{}{}{:>9}{:>9}{:>9}",
                fit(&worker.name, wide),
                fit(&worker.mode, 14),
                short(of(|worker| worker.frames)),
                short(8.0 * of(|worker| worker.octets)),
                count(worker.flows)
            ),
            Look::Plain,
        );
        let look = if worker.lost > 0 { Look::Bad } else { Look::Good };
        line.add(format!("{:>9}", count(worker.lost)), look);
        let stalled = worker.silent > crate::telemetry::STALLED.as_millis() as u64;
        let (state, look) = match (worker.ended, stalled) {
            (true, _) => ("ended", Look::Soft),
            (_, true) => ("SILENT", Look::Bad),
            _ => ("running", Look::Good),
        };
        line.add(format!("  {state:<8}"), look);
        lines.push(line);
    }
    lines.push(Line::default());
    let wide = columns.saturating_sub(40);
    lines.push(Line::new(
        format!(
            "{}{:>10}{:>10}{:>10}{:>10}",
            fit("COLLECTOR", wide),
            "RECORDS",
            "A SECOND",
            "HELD",
            "LOST"
        ),
        Look::Strong,
    ));
    for collector in &status.collectors {
        let sent = screen.growth(|status| {
            let known = status.collectors.iter().find(|known| known.name == collector.name);
            known.map_or(0, |known| known.sent)
        });
        let mut line = Line::new(
            format!(
                "{}{:>10}{:>10}{:>10}",
                fit(&collector.name, wide),
                count(collector.sent),
                short(sent),
                count(collector.held)
            ),
            Look::Plain,
        );
        let look = if collector.lost > 0 { Look::Bad } else { Look::Good };
        line.add(format!("{:>10}", count(collector.lost)), look);
        lines.push(line);
    }
    if !status.losses.is_empty() {
        lines.push(Line::default());
        lines.push(Line::new("LOST, BY CAUSE", Look::Strong));
        for loss in &status.losses {
            lines.push(Line::new(
                format!(" {}  {}", fit(&loss.cause, columns.saturating_sub(20)), count(loss.count)),
                Look::Bad,
            ));
        }
    }
    lines
}

#[cfg(test)]
mod tests;
