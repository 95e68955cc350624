//! What a session's sequence numbers count.
//!
//! Comes in: each message's number and what it held. Goes out: a [`Verdict`] on the whole session.
//!
//! The step from one message to the next is held against several things an exporter may have counted; each that fits
//! gets a vote. Most votes decide what is counted; only if that is right are the other steps loss or disorder.

use super::finding::Example;
use super::rules::{Rule, sequence as rules};
use crate::collect::Version;

/// What a message held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Data Records that are not options.
    pub flows: u32,
    /// Options Data Records.
    pub options: u32,
    /// Template Records.
    pub templates: u32,
    /// Sets.
    pub sets: u32,
    /// Octets.
    pub octets: u32,
    /// Whether all of it could be read.
    pub complete: bool,
}

/// What may be counted.
const COUNTS: usize = 6;

/// One stream of sequence numbers.
#[derive(Clone, Debug, Default)]
pub struct Track {
    last: Option<(u32, Content)>,
    /// Number of the first message.
    pub first: Option<u32>,
    /// Steps between messages that could be read.
    pub steps: u64,
    /// Steps that fit each way of counting: records, messages, records and templates, flows only, Sets, octets.
    votes: [u64; COUNTS],
    /// Steps of zero behind a message that had records.
    still: u64,
    /// Steps between messages of which something could not be read.
    pub unreadable: u64,
    /// Steps that skip records, if records are counted; and the records skipped.
    gaps: [(u64, u64); COUNTS],
    /// Steps back, if records are counted.
    back: [u64; COUNTS],
    first_wrong: [Option<Example>; COUNTS],
}

impl Track {
    /// Takes the next message. `example` shows its sequence number; it is called only where evidence is still needed.
    pub fn message(&mut self, sequence: u32, content: Content, example: impl Fn(u32) -> Example) {
        self.first.get_or_insert(sequence);
        let Some((before, held)) = self.last.replace((sequence, content)) else { return };
        let step = sequence.wrapping_sub(before);
        if !held.complete {
            self.unreadable += 1;
            return;
        }
        self.steps += 1;
        let records = held.flows + held.options;
        self.still += u64::from(step == 0 && records > 0);
        let counts = [records, 1, records + held.templates, held.flows, held.sets, held.octets];
        for (at, count) in counts.into_iter().enumerate() {
            let off = step.wrapping_sub(count).cast_signed();
            let (Some(votes), Some(gap), Some(back)) =
                (self.votes.get_mut(at), self.gaps.get_mut(at), self.back.get_mut(at))
            else {
                continue;
            };
            match off {
                0 => *votes += 1,
                1.. => {
                    gap.0 += 1;
                    gap.1 += u64::from(off.unsigned_abs());
                }
                _ => *back += 1,
            }
            if off != 0
                && let Some(wrong @ None) = self.first_wrong.get_mut(at)
            {
                *wrong = Some(example(before.wrapping_add(count)));
            }
        }
    }

    /// Whether the last message's number was lower than was expected: it may be a repetition.
    #[must_use]
    pub fn votes_for_right(&self, version: Version) -> (u64, u64) {
        (self.votes.get(right(version)).copied().unwrap_or(0), self.steps)
    }

    /// What is wrong with the numbers, with how many steps show it.
    #[must_use]
    pub fn verdict(&self, version: Version) -> Vec<Verdict> {
        let right = right(version);
        let (fits, steps) = self.votes_for_right(version);
        let wrong = self.first_wrong.get(right).cloned().flatten();
        let Some(example) = wrong else { return Vec::new() };
        let fault = |rule, count, saw: String| {
            let mut example = example.clone();
            example.saw = saw;
            Verdict { rule, count, example }
        };
        if fits * 2 >= steps {
            let mut found = Vec::new();
            let (gaps, missing) = self.gaps.get(right).copied().unwrap_or_default();
            if gaps > 0 {
                let unit = if version == Version::Netflow9 { "messages" } else { "records" };
                let saw = format!(
                    "{}; {missing} {unit} missing in {gaps} gaps of {steps} steps",
                    example.saw
                );
                found.push(fault(&rules::GAP, gaps, saw));
            }
            let back = self.back.get(right).copied().unwrap_or(0);
            if back > 0 {
                let saw = format!("{}; {back} of {steps} steps go back", example.saw);
                found.push(fault(&rules::BACKWARDS, back, saw));
            }
            return found;
        }
        let off = steps - fits;
        let most = |votes: u64| steps >= 3 && votes * 5 >= steps * 4;
        if most(self.still) {
            return vec![fault(
                &rules::CONSTANT,
                off,
                format!("the same number in {} of {steps} steps", self.still),
            )];
        }
        let others: [(usize, &'static Rule); 5] = [
            (1, &rules::COUNTS_MESSAGES),
            (2, &rules::COUNTS_TEMPLATES),
            (3, &rules::OPTIONS_NOT_COUNTED),
            (4, &rules::COUNTS_SETS),
            (5, &rules::COUNTS_OCTETS),
        ];
        let votes = |at: usize| self.votes.get(at).copied().unwrap_or(0);
        let best = others
            .into_iter()
            .filter(|&(at, _)| at != right)
            .rev()
            .max_by_key(|&(at, _)| votes(at));
        if let Some((at, rule)) = best
            && most(votes(at))
        {
            return vec![fault(
                rule,
                off,
                format!("{}; so in {} of {steps} steps", example.saw, votes(at)),
            )];
        }
        if version == Version::Netflow9 && most(votes(0)) {
            let saw =
                format!("{}; it counts records in {} of {steps} steps", example.saw, votes(0));
            return vec![fault(&rules::WRONG, off, saw)];
        }
        if steps >= 5 {
            let saw = format!("{}; {fits} of {steps} steps are right", example.saw);
            return vec![fault(&rules::WRONG, off, saw)];
        }
        let gaps = self.gaps.get(right).copied().unwrap_or_default();
        let mut found = Vec::new();
        if gaps.0 > 0 {
            found.push(fault(&rules::GAP, gaps.0, format!("{}; {} missing", example.saw, gaps.1)));
        }
        if gaps.0 < off {
            found.push(fault(&rules::BACKWARDS, off - gaps.0, example.saw.clone()));
        }
        found
    }

    /// Records (NetFlow v9: messages) that the numbers say are missing; 0 if the numbers count something else.
    #[must_use]
    pub fn missing(&self, version: Version) -> u64 {
        let (fits, steps) = self.votes_for_right(version);
        if fits * 2 < steps { 0 } else { self.gaps.get(right(version)).map_or(0, |gap| gap.1) }
    }
}

/// What is to be counted: records in IPFIX and NetFlow v5, messages in NetFlow v9.
const fn right(version: Version) -> usize {
    match version {
        Version::Netflow9 => 1,
        _ => 0,
    }
}

/// A fault of the numbers.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The broken rule.
    pub rule: &'static Rule,
    /// Steps that show it.
    pub count: u64,
    /// The first of them.
    pub example: Example,
}
