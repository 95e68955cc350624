//! The distinct chains of extension headers of a worker, each with a number.

use super::numbers::Numbers;
use super::{Chain, ShortChain};

/// Short chains whose numbers are at hand: most traffic has few.
const RECENT: usize = 32;

/// Numbers of chains.
#[derive(Debug)]
pub(super) struct Chains {
    numbers: Numbers<Chain>,
    /// Short chains and their numbers, each at the place that its word leads to; a later one takes the place of an earlier.
    recent: [(ShortChain, u32); RECENT],
}

impl Chains {
    /// None yet. `secret` keys the hash.
    pub(super) fn new(secret: [u8; 16]) -> Self {
        Self { numbers: Numbers::new(secret), recent: [(ShortChain::NONE, 0); RECENT] }
    }

    /// The number of `chain`, a new one if it was not seen before.
    pub(super) fn number(&mut self, chain: &Chain) -> u32 {
        self.numbers.number(chain)
    }

    /// The number of the chain that `short` stands for.
    pub(super) fn number_of_short(&mut self, short: ShortChain) -> u32 {
        let place = short.spread() as usize % RECENT;
        let (known, number) = self.recent[place];
        if known == short && !short.is_none() {
            return number;
        }
        let number = self.numbers.number(&short.chain());
        self.recent[place] = (short, number);
        number
    }

    /// The chain with this number; beyond what is told apart one of which nothing is known.
    pub(super) fn chain(&self, number: u32) -> Chain {
        let unknown = Chain { complete: false, ..Chain::default() };
        self.numbers.get(number).copied().unwrap_or(unknown)
    }

    /// How often a chain found no room.
    pub(super) fn overflow(&self) -> u64 {
        self.numbers.overflow
    }
}
