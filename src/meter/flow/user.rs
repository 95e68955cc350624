//! Values of user-defined elements of a flow: how its packets combine.

use crate::meter::packet::Detail;
use crate::meter::packet::user::{Combine, Extractions, MOST};

/// Most elements of one plan that count distinct values.
pub const MOST_DISTINCT: usize = 2;
/// Distinct values told apart; one more means "more".
const VALUES: usize = 8;

/// The values of one flow.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Values {
    values: [u64; MOST],
    /// Bit n: element n has a value.
    set: u8,
    distinct: [[u64; VALUES]; MOST_DISTINCT],
}

impl Values {
    /// Takes in one packet.
    pub(super) fn count(&mut self, elements: &Extractions, detail: &Detail) {
        let mut distinct = self.distinct.iter_mut();
        for (number, element) in elements.iter().enumerate() {
            let known = (element.combine == Combine::Distinct).then(|| distinct.next()).flatten();
            if detail.user_set >> number & 1 == 0 {
                continue;
            }
            let (old, new) = (self.values[number], detail.user[number]);
            let first = self.set >> number & 1 == 0;
            self.set |= 1 << number;
            self.values[number] = match element.combine {
                Combine::Distinct => known.map_or(0, |known| add_distinct(known, old, new)),
                _ if first => new,
                Combine::First => old,
                Combine::Last => new,
                Combine::Minimum => old.min(new),
                Combine::Maximum => old.max(new),
                Combine::Or => old | new,
                Combine::Sum => old.wrapping_add(new),
            };
        }
    }

    /// The values of the first `count` elements; 0 for one that no packet had.
    pub(super) fn values(&self, count: usize) -> &[u64] {
        &self.values[..count.min(MOST)]
    }
}

/// How many distinct values there are with `new`, `count` being known.
fn add_distinct(known: &mut [u64; VALUES], count: u64, new: u64) -> u64 {
    let kept = (count as usize).min(VALUES);
    if known[..kept].contains(&new) || count as usize > VALUES {
        return count;
    }
    if let Some(slot) = known.get_mut(kept) {
        *slot = new;
    }
    count + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_values_are_exact_to_eight_and_then_more() {
        let mut known = [0; VALUES];
        let mut count = 0;
        for value in [5, 5, 0, 6, 7, 6, 1, 2, 3] {
            count = add_distinct(&mut known, count, value);
        }
        assert_eq!(count, 7);
        for value in 100..200 {
            count = add_distinct(&mut known, count, value);
        }
        assert_eq!(count, 9);
    }
}
