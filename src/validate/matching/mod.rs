//! Records against true flows: which flows are missing, which were invented, and which values are wrong, and how.
//!
//! Comes in: what was exported ([`Gathering`]) and what is true of the same traffic ([`Reality`]).
//! Goes out: a [`Comparison`].
//!
//! ```text
//! exported records, one group a key ──┐   1 the same key
//!                                     ├─► 2 ICMP without type and code: all of the pair's ICMP
//! true flows, one group a key ────────┘   3 the same addresses: the flow that fits best
//!                                         4 the rest of a flow already matched (fragments exported apart)
//! ```
//!
//! An exporter may cut flows in time where it likes: all records of a key are held together against all packets of
//! the key. Its clock may be off: the median of the differences is taken off. It may sample: then counts, times and
//! flags prove nothing. Messages may be lost: as many records as sequence numbers miss are no fault. Where the traffic
//! was observed only for a time, flows that reach over its edges are not judged by counts and times.

mod comparison;
mod exported;
mod judge;
mod reality;
#[cfg(test)]
mod tests;
mod truth;

pub use comparison::{Check, Comparison, ElementRow, Kind, Pattern};
pub use exported::{ELEMENTS, Exported, Gathering, What};
pub use judge::{Allowance, Outcome};
pub use reality::{Known, Reality};
pub use truth::Truth;

use super::reference::Ports;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// A true flow and the groups of records matched with it.
struct Match {
    truth: Truth,
    records: Vec<usize>,
    parts: usize,
    /// Whether it is only a part of a flow: it reaches over the edge of what was observed.
    partial: bool,
}

type Pair = (IpAddr, IpAddr);
type TrueKey = (IpAddr, IpAddr, u8, Ports);

/// Open flows of a pair of addresses that a record without a flow of its key is held against.
const FITTED: usize = 256;
/// Nanoseconds by which a flow may reach over the edge of the time observed: clocks differ, and sending takes time.
const EDGE: i64 = 1_000_000_000;

struct Matching {
    exported: Vec<Exported>,
    taken: Vec<bool>,
    matches: Vec<Match>,
    /// The match of each key.
    keys: HashMap<TrueKey, usize>,
    /// Matches of each pair of addresses; from step 3 on those that are still open.
    pairs: HashMap<Pair, Vec<usize>>,
    merged: u64,
}

/// Compares. `lost`: records missing by sequence number.
#[must_use]
pub fn compare(gathering: Gathering, reality: Reality, lost: u64) -> Comparison {
    let mut comparison = Comparison {
        frames: reality.frames,
        unmetered: reality.unmetered,
        records: gathering.records,
        biflows: gathering.biflows,
        left_out: gathering.left_out,
        sampling: (gathering.sampling, None),
        lost,
        ..Comparison::default()
    };
    let (exported, again) = gathering.flows();
    comparison.again = again;
    let mut matching = Matching::new(exported, reality.flows);
    matching.same_key();
    matching.merged_icmp();
    matching.same_addresses();
    if let Some(window) = reality.window {
        matching.mark_partial(window);
    }
    comparison.take(&matching, reality.window);
    comparison
}

impl Matching {
    fn new(exported: Vec<Exported>, flows: Vec<Truth>) -> Self {
        let mut keys: HashMap<TrueKey, usize> = HashMap::new();
        let mut matches: Vec<Match> = Vec::new();
        for truth in flows {
            // An exporter has nothing but zero for all of these.
            let ports = match truth.ports {
                Ports::Known(0, 0) | Ports::Unknown => Ports::None,
                ports => ports,
            };
            let key = (truth.source, truth.destination, truth.protocol, ports);
            match keys.get(&key).and_then(|&at| matches.get_mut(at)) {
                Some(known) => known.truth.join(&truth),
                None => {
                    keys.insert(key, matches.len());
                    matches.push(Match { truth, records: Vec::new(), parts: 1, partial: false });
                }
            }
        }
        let mut pairs: HashMap<Pair, Vec<usize>> = HashMap::new();
        for (index, one) in matches.iter().enumerate() {
            pairs.entry((one.truth.source, one.truth.destination)).or_default().push(index);
        }
        Self { taken: vec![false; exported.len()], exported, matches, keys, pairs, merged: 0 }
    }

    /// Records that begin before the traffic was observed, or end after, tell more than the truth knows of.
    fn mark_partial(&mut self, window: (i64, i64)) {
        let exported = &self.exported;
        for one in &mut self.matches {
            let records = one.records.iter().filter_map(|&index| exported.get(index));
            one.partial = records.clone().any(|said| reaches_over(said, window));
        }
    }

    /// Matches of the same addresses.
    fn candidates(&self, index: usize) -> &[usize] {
        let pair = self.exported.get(index).map(|one| (one.key.source, one.key.destination));
        pair.and_then(|pair| self.pairs.get(&pair)).map_or(&[], Vec::as_slice)
    }

    fn join(&mut self, record: usize, at: usize) {
        if let (Some(taken), Some(one)) = (self.taken.get_mut(record), self.matches.get_mut(at)) {
            *taken = true;
            one.records.push(record);
        }
    }

    /// Step 1.
    fn same_key(&mut self) {
        for index in 0..self.exported.len() {
            let Some(said) = self.exported.get(index).map(|one| &one.key) else { continue };
            let Some(protocol) = said.protocol else { continue };
            let find =
                |ports| self.keys.get(&(said.source, said.destination, protocol, ports)).copied();
            let icmp = || find(Ports::Icmp((said.icmp >> 8) as u8, said.icmp as u8));
            let found = (matches!(protocol, 1 | 58).then(icmp).flatten())
                .or_else(|| find(Ports::Known(said.ports.0, said.ports.1)))
                .or_else(|| (said.ports == (0, 0)).then(|| find(Ports::None)).flatten());
            if let Some(at) = found {
                self.join(index, at);
            }
        }
    }

    /// Step 2: flows that the exporter does not tell apart are one.
    fn merged_icmp(&mut self) {
        for index in 0..self.exported.len() {
            let Some(said) = self
                .exported
                .get(index)
                .filter(|_| !self.taken.get(index).copied().unwrap_or(true))
            else {
                continue;
            };
            if !matches!(said.key.protocol, Some(1 | 58)) || said.key.icmp != 0 {
                continue;
            }
            let free: Vec<usize> = self
                .candidates(index)
                .iter()
                .copied()
                .filter(|&at| {
                    self.matches.get(at).is_some_and(|one| {
                        one.records.is_empty()
                            && one.truth.icmp().is_some()
                            && Some(one.truth.protocol) == said.key.protocol
                    })
                })
                .collect();
            let Some((&first, rest)) = free.split_first() else { continue };
            for &at in rest {
                let Some(other) = self.matches.get(at).map(|one| one.truth.clone()) else {
                    continue;
                };
                if let Some(one) = self.matches.get_mut(first) {
                    one.truth.join(&other);
                    one.truth.merged = true;
                    one.parts += 1;
                }
                if let Some(one) = self.matches.get_mut(at) {
                    // Nothing of it is left.
                    one.parts = 0;
                }
            }
            self.merged += u64::from(!rest.is_empty());
            self.join(index, first);
        }
    }

    /// Packets of the flow that no record tells yet.
    fn open(&self, one: &Match) -> u64 {
        let told = one
            .records
            .iter()
            .filter_map(|&index| self.exported.get(index))
            .map(|said| said.packets);
        one.truth.packets.saturating_sub(told.fold(0, u64::saturating_add))
    }

    /// Steps 3 and 4, the best fits first.
    fn same_addresses(&mut self) {
        let matches = &self.matches;
        let open = |at: &usize| matches.get(*at).is_some_and(|one| self.is_open(one));
        let pairs: HashMap<Pair, Vec<usize>> = (self.pairs.iter())
            .map(|(&pair, all)| (pair, all.iter().copied().filter(open).collect()))
            .collect();
        self.pairs = pairs;
        for least in [6, 4, 2] {
            for index in 0..self.exported.len() {
                let Some(said) = self
                    .exported
                    .get(index)
                    .filter(|_| !self.taken.get(index).copied().unwrap_or(true))
                else {
                    continue;
                };
                let best = self
                    .candidates(index)
                    .iter()
                    .take(FITTED)
                    .filter_map(|&at| Some((self.fit(said, self.matches.get(at)?)?, at)))
                    .max_by_key(|&(fit, at)| (fit, std::cmp::Reverse(at)));
                if let Some((fit, at)) = best
                    && fit >= least
                {
                    let pair = (said.key.source, said.key.destination);
                    self.join(index, at);
                    let closed = self.matches.get(at).is_none_or(|one| !self.is_open(one));
                    if closed && let Some(all) = self.pairs.get_mut(&pair) {
                        all.retain(|&other| other != at);
                    }
                }
            }
        }
    }

    /// Whether a further record can be of the flow.
    fn is_open(&self, one: &Match) -> bool {
        one.parts > 0 && (one.records.is_empty() || one.truth.fragments && self.open(one) > 0)
    }

    /// How well a record fits a flow of the same addresses; `None` if it cannot be of it.
    fn fit(&self, said: &Exported, one: &Match) -> Option<u32> {
        let open = self.open(one);
        if one.parts == 0 || open == 0 || said.packets > open && said.packets > 1 {
            return None;
        }
        let truth = &one.truth;
        let ports = match truth.ports {
            Ports::Known(from, to) => {
                u32::from(said.key.ports.0 == from) + u32::from(said.key.ports.1 == to)
            }
            _ => 0,
        };
        let begins = said
            .start
            .is_some_and(|start| start.abs_diff(truth.first.cast_signed()) < 1_000_000_000);
        let free = one.records.is_empty();
        // A flow that already has records has more only if it was taken apart: fragments.
        if !free && !truth.fragments {
            return None;
        }
        Some(
            3 * u32::from(said.packets == open)
                + 2 * u32::from(said.octets == truth.octets)
                + 2 * u32::from(said.key.protocol == Some(truth.protocol))
                + ports
                + u32::from(begins)
                + u32::from(free),
        )
    }
}

/// Whether the records tell of a time in which the traffic was not observed.
fn reaches_over(said: &Exported, (from, to): (i64, i64)) -> bool {
    said.start.is_some_and(|start| start < from + EDGE)
        || said.end.is_some_and(|end| end > to - EDGE)
}

/// The value in the middle.
fn median(mut values: Vec<i64>) -> Option<i64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    Some(*values.select_nth_unstable(middle).1)
}

impl Comparison {
    fn take(&mut self, matching: &Matching, window: Option<(i64, i64)>) {
        let live = || matching.matches.iter().filter(|one| one.parts > 0);
        let groups = |one: &Match| -> Vec<&Exported> {
            one.records.iter().filter_map(|&index| matching.exported.get(index)).collect()
        };
        let starts = live().filter(|one| !one.truth.merged).filter_map(|one| {
            let start = groups(one).iter().filter_map(|said| said.start).min()?;
            Some(start.saturating_sub(one.truth.first.cast_signed()))
        });
        self.clock = median(starts.collect());
        self.merged = matching.merged;
        for one in live() {
            self.flows += one.parts as u64;
            // What is true may be told by records, which can say anything.
            self.truth.0 = self.truth.0.saturating_add(one.truth.packets);
            self.truth.1 = self.truth.1.saturating_add(one.truth.octets);
        }
        for said in &matching.exported {
            self.said.0 = self.said.0.saturating_add(said.packets);
            self.said.1 = self.said.1.saturating_add(said.octets);
        }
        self.infer_sampling(matching);
        let allow = Allowance { clock: self.clock.unwrap_or(0), sampled: self.sampled() };
        let mut rows: BTreeMap<What, (ElementRow, BTreeMap<&'static str, (u64, String)>)> =
            BTreeMap::new();
        for one in live() {
            let all = groups(one);
            if all.is_empty() {
                // The record may still be to come.
                if window.is_some_and(|(_, end)| one.truth.last.cast_signed() > end - EDGE) {
                    self.edge += one.parts as u64;
                    continue;
                }
                let kind = self.missing.entry(one.truth.kind().to_owned()).or_default();
                kind.count(one.truth.packets, one.truth.octets, || one.truth.show());
                continue;
            }
            self.found += one.parts as u64;
            self.edge += u64::from(one.partial);
            let allow = Allowance { sampled: allow.sampled || one.partial, ..allow };
            self.split += u64::from(all.iter().map(|said| said.records).sum::<u64>() > 1);
            for &(what, _, name) in ELEMENTS {
                judge_element(&mut rows, what, name, &one.truth, &all, allow);
            }
        }
        for (said, _) in matching.exported.iter().zip(&matching.taken).filter(|(_, taken)| !**taken)
        {
            if window.is_some_and(|window| reaches_over(said, window)) {
                self.edge += 1;
                continue;
            }
            let protocol = said
                .key
                .protocol
                .map_or_else(|| "no protocol".to_owned(), |p| format!("protocol {p}"));
            let show = || {
                let (from, to) = said.key.ports;
                format!("{} port {from} to {} port {to}", said.key.source, said.key.destination)
            };
            self.extra.entry(protocol).or_default().count(said.packets, said.octets, show);
        }
        self.elements = rows.into_values().map(|(row, patterns)| finished(row, patterns)).collect();
    }

    /// Sampling shows in counts that are a fraction of the truth in most flows of many packets.
    fn infer_sampling(&mut self, matching: &Matching) {
        let (mut said, mut truth) = (0u128, 0u128);
        for one in matching
            .matches
            .iter()
            .filter(|one| one.truth.packets >= 100 && !one.records.is_empty())
        {
            truth += u128::from(one.truth.packets);
            said += one
                .records
                .iter()
                .filter_map(|&i| matching.exported.get(i))
                .map(|e| u128::from(e.packets))
                .sum::<u128>();
        }
        if said > 0 && truth > said * 3 / 2 && self.lost == 0 {
            self.sampling.1 = Some(truth as f64 / said as f64);
        }
    }
}

type Rows = BTreeMap<What, (ElementRow, BTreeMap<&'static str, (u64, String)>)>;

/// Judges one element over all groups of records of a flow: one wrong group makes the flow wrong.
fn judge_element(
    rows: &mut Rows,
    what: What,
    name: &'static str,
    truth: &Truth,
    all: &[&Exported],
    allow: Allowance,
) {
    if !truth.known.has(what) {
        return;
    }
    let mut right = false;
    let mut wrong = None;
    for one in all.iter().filter(|one| one.values(what).is_some()) {
        match judge::judge(what, truth, one, all, allow) {
            Outcome::Right => right = true,
            Outcome::Wrong(mistake, shown) => {
                wrong = wrong.or(Some((mistake, shown, one.template)));
            }
            Outcome::Nothing => {}
        }
    }
    if !right && wrong.is_none() {
        return;
    }
    let (row, patterns) = rows.entry(what).or_insert_with(|| {
        let row = ElementRow {
            name: name.to_owned(),
            what,
            templates: Vec::new(),
            right: 0,
            right_v6: 0,
            telling_v6: 0,
            wrong: 0,
            wrong_v6: 0,
            patterns: Vec::new(),
        };
        (row, BTreeMap::new())
    });
    for one in all.iter().filter(|one| one.values(what).is_some()) {
        if !row.templates.contains(&one.template) && row.templates.len() < 64 {
            row.templates.push(one.template);
        }
    }
    let v6 = u64::from(truth.is_ipv6());
    match wrong {
        None => {
            row.right += 1;
            row.right_v6 += v6;
            let filled = |one: &&Exported| one.values(what).is_some_and(|values| values.first != 0);
            row.telling_v6 += v6 * u64::from(all.iter().any(filled));
        }
        Some((mistake, shown, _)) => {
            row.wrong += 1;
            row.wrong_v6 += v6;
            let entry = patterns
                .entry(mistake)
                .or_insert_with(|| (0, format!("{shown} ({})", truth.show())));
            entry.0 += 1;
        }
    }
}

fn finished(mut row: ElementRow, patterns: BTreeMap<&'static str, (u64, String)>) -> ElementRow {
    row.templates.sort_unstable();
    row.patterns = patterns
        .into_iter()
        .map(|(text, (count, example))| Pattern { text: text.to_owned(), count, example })
        .collect();
    row.patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.count));
    row
}
