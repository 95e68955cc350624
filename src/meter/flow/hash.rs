//! Keyed hash of a Flow Key.
//!
//! NH (Black, Halevi, Krawczyk, Krovetz, Rogaway: UMAC, 1999): the sum over pairs of words of
//! `(m₁ + k₁ mod 2⁶⁴) × (m₂ + k₂ mod 2⁶⁴)`, modulo 2¹²⁸. For two different keys chosen without knowing the secret the sums are
//! equal with a probability of at most 2⁻⁶⁴, which is proven, not hoped. A second keyed multiplication folds 128 bits to 64.
//! It is plain multiplication: the same on every machine, no CPU feature to detect.

use super::Key;

/// The random secret of one table. Two tables never share one.
#[derive(Clone, Copy)]
pub(super) struct Secret([u64; 8]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

impl Secret {
    /// From 64 random octets.
    #[must_use]
    pub(super) fn new(octets: [u8; 64]) -> Self {
        let mut words = [0; 8];
        for (word, chunk) in words.iter_mut().zip(octets.chunks_exact(8)) {
            let mut eight = [0; 8];
            eight.copy_from_slice(chunk);
            *word = u64::from_le_bytes(eight);
        }
        Self(words)
    }

    /// 64 bits for `key`.
    #[inline]
    #[must_use]
    pub(super) fn hash(&self, key: &Key) -> u64 {
        let secret = &self.0;
        let words = &key.0;
        let pair = |i: usize| {
            u128::from(words[i].wrapping_add(secret[i]))
                .wrapping_mul(u128::from(words[i + 1].wrapping_add(secret[i + 1])))
        };
        let sum = pair(0).wrapping_add(pair(2)).wrapping_add(pair(4));
        let low = sum as u64;
        let high = (sum >> 64) as u64;
        let folded = u128::from(low ^ secret[6]).wrapping_mul(u128::from(high ^ secret[7]));
        (folded as u64) ^ ((folded >> 64) as u64)
    }
}
