//! A short chain of extension headers in one word.
//!
//! Most chains have few headers, all of them whole: then kinds and length say everything that a [`Chain`] says, and fit
//! 64 bits. So the meter sees by one comparison that a packet's chain is the one its flow had before.
//!
//! ```text
//! 63      50 49            36 35                              0
//! | zero    | octets / 4     | 1, then 4 bits a header         |
//! ```
//! The four bits are the header's bit number in `ipv6ExtensionHeadersFull` (RFC 9740 section 3.3), last header lowest.

use super::ipv6::{bit, next_header};
use super::{Chain, RUNS};

/// Extension headers that stand in a packet one after the other, whole, at most [`ShortChain::MOST`]; or that there are none.
/// Two are equal if, and only if, their [`Chain`]s are: same headers in the same order, same octets in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct ShortChain(u64);

/// A chain while it is walked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walking(u64);

impl Walking {
    /// No header yet.
    pub(super) const START: Self = Self(1);

    /// The chain with one more header, by its code.
    #[inline(always)]
    pub(super) const fn with(self, code: u8) -> Self {
        Self(self.0 << 4 | code as u64)
    }

    /// The chain, of so many octets in all (a multiple of four, at most 65,532).
    #[inline(always)]
    pub(super) const fn done(self, octets: usize) -> ShortChain {
        ShortChain(self.0 | (octets as u64 / 4) << 36)
    }
}

/// The code of a header that says its own length, or of ESP; [`NO_CODE`] for all other numbers.
pub(super) const CODES: [u8; 256] = {
    let mut codes = [NO_CODE; 256];
    let mut code = 0;
    while code < KINDS.len() {
        if KINDS[code] != NO_KIND {
            codes[KINDS[code] as usize] = code as u8;
        }
        code += 1;
    }
    codes
};
/// Not a header of a short chain.
pub(super) const NO_CODE: u8 = u8::MAX;

/// By bit number the header that has it, as far as it can be in a short chain. A Fragment header cannot: what it says differs
/// from packet to packet.
const KINDS: [u8; 12] = [
    next_header::DESTINATION,
    next_header::HOP_BY_HOP,
    NO_KIND,
    NO_KIND,
    NO_KIND,
    next_header::ROUTING,
    NO_KIND,
    next_header::MOBILITY,
    next_header::ESP,
    next_header::AUTHENTICATION,
    next_header::HIP,
    next_header::SHIM6,
];
/// Not an extension header (255 is reserved).
const NO_KIND: u8 = u8::MAX;

const _: () = {
    assert!(1 << CODES[next_header::DESTINATION as usize] == bit::DST);
    assert!(1 << CODES[next_header::HOP_BY_HOP as usize] == bit::HOP);
    assert!(1 << CODES[next_header::ROUTING as usize] == bit::ROUTING);
    assert!(1 << CODES[next_header::MOBILITY as usize] == bit::MOBILITY);
    assert!(1 << CODES[next_header::ESP as usize] == bit::ESP);
    assert!(1 << CODES[next_header::AUTHENTICATION as usize] == bit::AH);
    assert!(1 << CODES[next_header::HIP as usize] == bit::HIP);
    assert!(1 << CODES[next_header::SHIM6 as usize] == bit::SHIM6);
};

impl ShortChain {
    /// No extension headers, or a chain that is not short.
    pub const NONE: Self = Self(0);
    /// Most headers of a short chain.
    pub const MOST: u32 = 8;

    /// Whether there is none.
    #[inline(always)]
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Bits that depend on all headers and the length: for a table of few.
    #[must_use]
    pub const fn spread(self) -> u64 {
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 59
    }

    /// What it stands for.
    #[must_use]
    pub fn chain(self) -> Chain {
        let mut chain = Chain { length: (self.0 >> 36) as u32 * 4, ..Chain::default() };
        let codes = self.0 & ((1 << 36) - 1);
        let headers = codes.checked_ilog2().unwrap_or(0) / 4;
        for place in (0..headers).rev() {
            let code = codes >> (4 * place) & 15;
            chain.headers |= 1 << code;
            let kind = KINDS.get(code as usize).copied().unwrap_or(NO_KIND);
            let count = usize::from(chain.run_count);
            match chain.runs[..count].last_mut() {
                Some((last, times)) if *last == kind => *times += 1,
                _ if count < RUNS => {
                    chain.runs[count] = (kind, 1);
                    chain.run_count += 1;
                }
                _ => {}
            }
        }
        chain
    }
}
