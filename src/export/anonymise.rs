//! Addresses made others before any record is made of them.
//!
//! In: a batch of ended flows. Out: the same batch with every IP address replaced: those of the Flow Key, of the tunnel
//! and of the Segment Routing Header. It stands in front of all that encodes, so that no format can leak what another
//! hides. Invariant: the mapping depends on nothing but the address and the key.
//!
//! Not replaced: MAC addresses (preset `full` has them), ports, interface numbers.

use crate::meter::flow::{Extra, FlowBatch, Key, TunnelKind};
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use aes::{Aes128Enc, Block};
use std::fmt;

/// How addresses are hidden.
#[derive(Clone, PartialEq, Eq)]
pub enum Anonymisation {
    /// Crypto-PAn (Fan, Xu, Ammar and Moon 2004), for IPv6 over all 128 bits: two addresses that share a prefix of n bits
    /// still share exactly n bits.
    PrefixPreserving {
        /// The secret: 16 octets of AES key, 16 octets that make the padding.
        key: [u8; 32],
        /// Whether the key outlives this process (it came from a file).
        stable: bool,
    },
    /// All bits behind a prefix are 0.
    Cut {
        /// Bits kept of an IPv6 address, 0 to 128.
        ipv6: u8,
        /// Bits kept of an IPv4 address, 0 to 32.
        ipv4: u8,
    },
}

impl Anonymisation {
    /// /48 and /24: the site, not the host.
    pub const CUT: Self = Self::Cut { ipv6: 48, ipv4: 24 };
}

/// The key is a secret: it is not printed.
impl fmt::Debug for Anonymisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PrefixPreserving { stable, .. } => {
                write!(f, "PrefixPreserving {{ stable: {stable}, .. }}")
            }
            Self::Cut { ipv6, ipv4 } => write!(f, "Cut {{ ipv6: {ipv6}, ipv4: {ipv4} }}"),
        }
    }
}

/// Reads a Crypto-PAn key as nfanon does: 32 characters as they are, or `0x` and 64 hexadecimal digits.
///
/// # Errors
/// It is neither.
pub fn parse_key(text: &str) -> Result<[u8; 32], String> {
    let text = text.trim_end_matches(['\n', '\r']);
    if let Ok(octets) = text.as_bytes().try_into() {
        return Ok(octets);
    }
    let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 64 && digits.is_ascii());
    let octets = digits.and_then(|digits| {
        let mut key = [0; 32];
        for (octet, pair) in key.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).ok()?;
            *octet = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(key)
    });
    octets.ok_or_else(|| "a key is 32 characters, or 0x and 64 hexadecimal digits".to_owned())
}

/// Replaces addresses.
pub(super) struct Anonymiser {
    mapping: Mapping,
    /// The batch with its addresses replaced; used again for the next.
    scratch: FlowBatch,
}

enum Mapping {
    PrefixPreserving(Box<CryptoPan>),
    Cut { ipv6: u8, ipv4: u8 },
}

impl fmt::Debug for Anonymiser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Anonymiser").finish_non_exhaustive()
    }
}

impl Anonymiser {
    pub(super) fn new(anonymisation: &Anonymisation) -> Self {
        let mapping = match anonymisation {
            Anonymisation::PrefixPreserving { key, .. } => {
                Mapping::PrefixPreserving(Box::new(CryptoPan::new(key)))
            }
            Anonymisation::Cut { ipv6, ipv4 } => Mapping::Cut { ipv6: *ipv6, ipv4: *ipv4 },
        };
        Self { mapping, scratch: FlowBatch::default() }
    }

    /// The batch with every address replaced.
    pub(super) fn batch(&mut self, batch: &FlowBatch) -> &FlowBatch {
        let Self { mapping, scratch } = self;
        scratch.flows.clone_from(&batch.flows);
        scratch.extras.clone_from(&batch.extras);
        scratch.chains.clone_from(&batch.chains);
        scratch.user.clone_from(&batch.user);
        for flow in &mut scratch.flows {
            flow.key = mapping.key(&flow.key);
        }
        for extra in &mut scratch.extras {
            mapping.extra(extra);
        }
        scratch
    }
}

impl Mapping {
    fn ipv6(&mut self, address: [u8; 16]) -> [u8; 16] {
        match self {
            Self::PrefixPreserving(pan) => pan.ipv6(address),
            Self::Cut { ipv6, .. } => {
                let mask = u128::MAX.checked_shl(128 - u32::from(*ipv6)).unwrap_or(0);
                (u128::from_be_bytes(address) & mask).to_be_bytes()
            }
        }
    }

    fn ipv4(&mut self, address: [u8; 4]) -> [u8; 4] {
        match self {
            Self::PrefixPreserving(pan) => pan.ipv4(address),
            Self::Cut { ipv4, .. } => {
                let mask = u32::MAX.checked_shl(32 - u32::from(*ipv4)).unwrap_or(0);
                (u32::from_be_bytes(address) & mask).to_be_bytes()
            }
        }
    }

    /// An address of either family; IPv4 stands in the first four octets.
    fn either(&mut self, is_ipv6: bool, address: [u8; 16]) -> [u8; 16] {
        if is_ipv6 {
            return self.ipv6(address);
        }
        let [a, b, c, d, rest @ ..] = address;
        let [a, b, c, d] = self.ipv4([a, b, c, d]);
        let mut mapped = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        mapped[4..].copy_from_slice(&rest);
        mapped
    }

    fn key(&mut self, key: &Key) -> Key {
        let is_ipv6 = key.is_ipv6();
        let source = u128::from_le_bytes(self.either(is_ipv6, key.source_octets()));
        let destination = u128::from_le_bytes(self.either(is_ipv6, key.destination_octets()));
        let [_, _, _, _, upper, rest] = key.0;
        let (low, high) = (|word: u128| word as u64, |word: u128| (word >> 64) as u64);
        Key([low(source), high(source), low(destination), high(destination), upper, rest])
    }

    fn extra(&mut self, extra: &mut Extra) {
        let tunnel = &mut extra.tunnel;
        if tunnel.kind != TunnelKind::default() {
            tunnel.source = self.either(tunnel.outer_ipv6, tunnel.source);
            tunnel.destination = self.either(tunnel.outer_ipv6, tunnel.destination);
        }
        let segments = &mut extra.segments;
        if segments.total > 0 || segments.count > 0 {
            segments.active = self.ipv6(segments.active);
            for segment in segments.each_mut() {
                *segment = self.ipv6(*segment);
            }
        }
    }
}

/// Crypto-PAn: bit i of the result is bit i of the address, turned if the first bit of AES over the first i bits of the
/// address, filled up from the padding, is set.
struct CryptoPan {
    cipher: Aes128Enc,
    padding: u128,
    blocks: Box<[Block; 128]>,
}

impl CryptoPan {
    fn new(key: &[u8; 32]) -> Self {
        let (key, padding) = key.split_at(16);
        let cipher = Aes128Enc::new(&array(key));
        let mut padding = array(padding);
        cipher.encrypt_block(&mut padding);
        Self {
            cipher,
            padding: u128::from_be_bytes(padding.into()),
            blocks: Box::new([Block::default(); 128]),
        }
    }

    fn ipv6(&mut self, address: [u8; 16]) -> [u8; 16] {
        self.map(u128::from_be_bytes(address), 128).to_be_bytes()
    }

    fn ipv4(&mut self, address: [u8; 4]) -> [u8; 4] {
        let address = u128::from(u32::from_be_bytes(address)) << 96;
        let [a, b, c, d, ..] = self.map(address, 32).to_be_bytes();
        [a, b, c, d]
    }

    /// Maps the first `bits` bits. The blocks do not depend on one another, so that the cipher works on several at once.
    fn map(&mut self, address: u128, bits: usize) -> u128 {
        let blocks = &mut self.blocks[..bits];
        for (place, block) in blocks.iter_mut().enumerate() {
            let known = u128::MAX.checked_shl(128 - place as u32).unwrap_or(0);
            *block = Array((address & known | self.padding & !known).to_be_bytes());
        }
        self.cipher.encrypt_blocks(blocks);
        let turned = blocks.iter().enumerate().fold(0u128, |turned, (place, block)| {
            turned | u128::from(block[0] >> 7) << (127 - place)
        });
        address ^ turned
    }
}

fn array(octets: &[u8]) -> Block {
    let mut block = Block::default();
    block.copy_from_slice(octets);
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    /// The key of the sample trace in the authors' reference implementation.
    const KEY: [u8; 32] = [
        21, 34, 23, 141, 51, 164, 207, 128, 19, 10, 91, 22, 73, 144, 125, 16, 216, 152, 143, 131,
        121, 121, 101, 39, 98, 87, 76, 45, 42, 132, 34, 2,
    ];

    #[test]
    fn ipv4_is_as_in_the_sample_trace_of_the_reference_implementation() {
        let mut pan = CryptoPan::new(&KEY);
        for (address, mapped) in [
            ("128.11.68.132", "135.242.180.132"),
            ("129.118.74.4", "134.136.186.123"),
            ("130.132.252.244", "133.68.164.234"),
            ("141.223.7.43", "141.167.8.160"),
            ("141.233.145.108", "141.129.237.235"),
            ("152.163.225.39", "151.140.114.167"),
            ("156.29.3.236", "147.225.12.42"),
            ("64.34.154.117", "0.221.154.117"),
            ("64.39.15.238", "0.219.7.41"),
        ] {
            let octets = address.parse::<Ipv4Addr>().unwrap().octets();
            assert_eq!(Ipv4Addr::from(pan.ipv4(octets)).to_string(), mapped, "{address}");
        }
    }

    /// These are what the other implementations with IPv6 agree on (Yawning's in Go, node-cryptopan, pancake).
    #[test]
    fn ipv6_is_as_other_implementations_have_it() {
        let mut pan = CryptoPan::new(&KEY);
        for (address, mapped) in [
            ("::1", "78ff:f001:9fc0:20df:8380:b1f1:704:ed"),
            ("::2", "78ff:f001:9fc0:20df:8380:b1f1:704:ef"),
            ("::ffff", "78ff:f001:9fc0:20df:8380:b1f1:704:f838"),
            ("2001:db8::1", "4401:2bc:603f:d91d:27f:ff8e:e6f1:dc1e"),
            ("2001:db8::2", "4401:2bc:603f:d91d:27f:ff8e:e6f1:dc1c"),
        ] {
            let octets = address.parse::<Ipv6Addr>().unwrap().octets();
            assert_eq!(Ipv6Addr::from(pan.ipv6(octets)).to_string(), mapped, "{address}");
        }
    }

    proptest::proptest! {
        #[test]
        fn common_prefixes_stay_exactly_as_long(
            first: u128, second: u128, shared in 0u32..=128, key: [u8; 32],
        ) {
            let mask = u128::MAX.checked_shl(128 - shared).unwrap_or(0);
            let second = first & mask | second & !mask;
            let mut pan = CryptoPan::new(&key);
            let mapped = |pan: &mut CryptoPan, address: u128| {
                u128::from_be_bytes(pan.ipv6(address.to_be_bytes()))
            };
            let (one, other) = (mapped(&mut pan, first), mapped(&mut pan, second));
            proptest::prop_assert_eq!((one ^ other).leading_zeros(), (first ^ second).leading_zeros());
            let mapped = |pan: &mut CryptoPan, address: u128| {
                u32::from_be_bytes(pan.ipv4(((address >> 96) as u32).to_be_bytes()))
            };
            let (one, other) = (mapped(&mut pan, first), mapped(&mut pan, second));
            let before = ((first ^ second) >> 96) as u32;
            proptest::prop_assert_eq!((one ^ other).leading_zeros(), before.leading_zeros());
        }
    }

    #[test]
    fn cutting_keeps_the_prefix() {
        let mut cut = Mapping::Cut { ipv6: 48, ipv4: 24 };
        let address = "2001:db8:1:2:3:4:5:6".parse::<Ipv6Addr>().unwrap();
        assert_eq!(Ipv6Addr::from(cut.ipv6(address.octets())).to_string(), "2001:db8:1::");
        assert_eq!(cut.ipv4([192, 0, 2, 77]), [192, 0, 2, 0]);
        let mut nothing = Mapping::Cut { ipv6: 0, ipv4: 0 };
        assert_eq!((nothing.ipv6([9; 16]), nothing.ipv4([9; 4])), ([0; 16], [0; 4]));
        let mut all = Mapping::Cut { ipv6: 128, ipv4: 32 };
        assert_eq!((all.ipv6([9; 16]), all.ipv4([9; 4])), ([9; 16], [9; 4]));
    }

    #[test]
    fn keys_are_read_as_nfanon_reads_them() {
        assert_eq!(parse_key("abcdefghijklmnopqrstuvwxyz012345\n").unwrap()[..3], *b"abc");
        let digits = format!("0x{}", "0aff".repeat(16));
        assert_eq!(parse_key(&digits).unwrap()[..2], [0x0a, 0xff]);
        for text in ["", "short", "0x12", &format!("0x{}", "zz".repeat(32)), &"a".repeat(33)] {
            assert!(parse_key(text).is_err(), "{text}");
        }
        let shown = format!("{:?}", Anonymisation::PrefixPreserving { key: [7; 32], stable: true });
        assert!(!shown.contains('7'), "{shown}");
    }
}
