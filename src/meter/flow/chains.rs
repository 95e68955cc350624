//! The distinct extension header chains of a worker, each with a small number.
//!
//! Bounded: [`Chains::MOST`] chains; any further one is [`Chains::OTHER`], which stands for "more than that", and counted.

use super::Chain;
use hashbrown::HashTable;
use siphasher::sip::SipHasher13;
use std::hash::{Hash, Hasher};

/// Numbers for chains.
#[derive(Debug)]
pub(super) struct Chains {
    list: Vec<Chain>,
    index: HashTable<u32>,
    hasher: SipHasher13,
    /// Chains that found no room.
    pub(super) overflow: u64,
}

impl Chains {
    /// Most distinct chains of one worker.
    pub(super) const MOST: usize = 1 << 14;
    /// The number of all chains beyond [`Self::MOST`].
    pub(super) const OTHER: u32 = Self::MOST as u32;

    /// None yet. `secret` keys the hash, as chains come from the network.
    #[must_use]
    pub(super) fn new(secret: [u8; 16]) -> Self {
        Self {
            list: Vec::new(),
            index: HashTable::new(),
            hasher: SipHasher13::new_with_key(&secret),
            overflow: 0,
        }
    }

    /// The number of `chain`, a new one if it was not seen before.
    pub(super) fn number(&mut self, chain: &Chain) -> u32 {
        let hash = |chain: &Chain| {
            let mut hasher = self.hasher;
            chain.hash(&mut hasher);
            hasher.finish()
        };
        let list = &self.list;
        let known = self.index.find(hash(chain), |number| list[*number as usize] == *chain);
        if let Some(number) = known {
            return *number;
        }
        if self.list.len() == Self::MOST {
            self.overflow += 1;
            return Self::OTHER;
        }
        let number = self.list.len() as u32;
        self.list.push(*chain);
        let list = &self.list;
        self.index.insert_unique(hash(chain), number, |number| hash(&list[*number as usize]));
        number
    }

    /// The chain with this number; [`Chain::default`] marked incomplete for [`Self::OTHER`].
    #[must_use]
    pub(super) fn chain(&self, number: u32) -> Chain {
        self.list
            .get(number as usize)
            .copied()
            .unwrap_or(Chain { complete: false, ..Chain::default() })
    }
}
