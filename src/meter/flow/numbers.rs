//! Distinct things of a worker, each with a small number that fits a Flow Key: chains of extension headers, tunnels.
//!
//! Bounded: [`MOST`] things; any further one is [`OTHER`], which stands for "more than that", and counted.

use hashbrown::HashTable;
use siphasher::sip::SipHasher13;
use std::hash::{Hash, Hasher};

/// Most distinct things that are told apart.
pub(super) const MOST: usize = 1 << 14;
/// The number of all beyond [`MOST`].
pub(super) const OTHER: u32 = MOST as u32;

/// Numbers for things of one kind.
#[derive(Debug)]
pub(super) struct Numbers<T> {
    list: Vec<T>,
    index: HashTable<u32>,
    hasher: SipHasher13,
    /// How often one found no room.
    pub(super) overflow: u64,
}

impl<T: Copy + Eq + Hash> Numbers<T> {
    /// None yet. `secret` keys the hash, as what is numbered comes from the network.
    #[must_use]
    pub(super) fn new(secret: [u8; 16]) -> Self {
        Self {
            list: Vec::new(),
            index: HashTable::new(),
            hasher: SipHasher13::new_with_key(&secret),
            overflow: 0,
        }
    }

    /// The number of `thing`, a new one if it was not seen before.
    pub(super) fn number(&mut self, thing: &T) -> u32 {
        let hash = |thing: &T| {
            let mut hasher = self.hasher;
            thing.hash(&mut hasher);
            hasher.finish()
        };
        let list = &self.list;
        let known = self.index.find(hash(thing), |number| list[*number as usize] == *thing);
        if let Some(number) = known {
            return *number;
        }
        if self.list.len() == MOST {
            self.overflow += 1;
            return OTHER;
        }
        let number = self.list.len() as u32;
        self.list.push(*thing);
        let list = &self.list;
        self.index.insert_unique(hash(thing), number, |number| hash(&list[*number as usize]));
        number
    }

    /// The thing with this number; `None` for [`OTHER`].
    #[must_use]
    pub(super) fn get(&self, number: u32) -> Option<&T> {
        self.list.get(number as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_keeps_its_number_and_the_rest_shares_one() {
        let mut numbers = Numbers::new([7; 16]);
        for thing in 0..MOST as u64 + 3 {
            let expected = if thing < MOST as u64 { thing as u32 } else { OTHER };
            assert_eq!(numbers.number(&thing), expected);
        }
        assert_eq!((numbers.number(&5), numbers.overflow), (5, 3));
        assert_eq!((numbers.get(5), numbers.get(OTHER)), (Some(&5), None));
    }
}
