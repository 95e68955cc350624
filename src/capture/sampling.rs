//! Packet sampling (RFC 5475): one packet of N is lent, the others are counted.
//!
//! A [`Selector`] that stands behind the capture filter: N counts frames which that selected. A run without sampling has
//! no [`Sampled`] at all, so it costs nothing there.

use super::selection::{Selected, Selector};
use super::{CaptureError, Frame, Source, SourceCounters};
use std::fmt;
use std::str::FromStr;

/// How packets are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Systematic count-based sampling (RFC 5475 section 5.1): every N-th packet.
    Count,
    /// Random n-out-of-N sampling with n = 1 (RFC 5475 section 5.2.1): one packet of each N in a row, at a random place.
    Random,
}

/// One packet of `one_in`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// Which one.
    pub method: Method,
    /// N: 2 and above.
    pub one_in: u32,
}

impl FromStr for Sampling {
    type Err = String;

    /// Reads `N` or `random:N`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (method, number) = match text.split_once(':') {
            None => (Method::Count, text),
            Some(("count", number)) => (Method::Count, number),
            Some(("random", number)) => (Method::Random, number),
            Some((other, _)) => return Err(format!("\"{other}\" is neither count nor random")),
        };
        match number.parse() {
            Ok(one_in) if one_in >= 2 => Ok(Self { method, one_in }),
            _ => Err("write N or random:N for one packet of N, N from 2 to 4294967295".to_owned()),
        }
    }
}

impl fmt::Display for Sampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.method {
            Method::Count => write!(f, "{}", self.one_in),
            Method::Random => write!(f, "random:{}", self.one_in),
        }
    }
}

/// Chooses packets.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    /// Packets until the next one that is chosen; 0: this one.
    wait: u32,
    /// Packets behind the chosen one that belong to the same N.
    rest: u32,
    random: u64,
}

impl Sampler {
    /// `seed` gives the first place and all random ones.
    fn new(sampling: Sampling, seed: u64) -> Self {
        let mut sampler = Self { sampling, wait: 0, rest: 0, random: seed };
        sampler.wait = sampler.below(sampling.one_in);
        sampler.rest = match sampling.method {
            Method::Count => 0,
            Method::Random => sampling.one_in - 1 - sampler.wait,
        };
        sampler
    }

    /// Whether the next packet is chosen.
    #[inline]
    fn chooses(&mut self) -> bool {
        if self.wait > 0 {
            self.wait -= 1;
            return false;
        }
        match self.sampling.method {
            Method::Count => self.wait = self.sampling.one_in - 1,
            Method::Random => {
                let place = self.below(self.sampling.one_in);
                // Up to twice N - 2: may be more than 32 bits hold, and then the next one comes that much earlier.
                self.wait = self.rest.saturating_add(place);
                self.rest = self.sampling.one_in - 1 - place;
            }
        }
        true
    }

    /// A random number below `bound`: SplitMix64 (Steele, Lea and Flood 2014), scaled by a multiplication, whose bias is
    /// below 2⁻³².
    fn below(&mut self, bound: u32) -> u32 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        ((u128::from(mixed) * u128::from(bound)) >> 64) as u32
    }
}

/// A source that lends one frame of N, and counts the others.
pub type Sampled<S> = Selected<S, Sampler>;

impl<S: Source> Sampled<S> {
    /// Samples `source`. `seed`: octets that nobody can guess, lest somebody hides between the samples.
    pub fn new(source: S, sampling: Sampling, seed: u64) -> Self {
        Self::of(source, Sampler::new(sampling, seed))
    }
}

impl Selector for Sampler {
    #[inline]
    fn selects(&mut self, _frame: &Frame<'_>) -> Result<bool, CaptureError> {
        Ok(self.chooses())
    }

    fn count(selected: u64, passed_over: u64, counters: &mut SourceCounters) {
        counters.observed = counters.delivered;
        counters.delivered = selected;
        counters.unsampled += passed_over;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Description, LinkType, Poll, Timestamp};
    use std::time::Duration;

    fn chosen(sampling: &str, seed: u64, packets: u32) -> Vec<u32> {
        let mut sampler = Sampler::new(sampling.parse().unwrap(), seed);
        (0..packets).filter(|_| sampler.chooses()).collect()
    }

    #[test]
    fn counting_takes_every_nth_from_a_random_place() {
        let mut firsts = std::collections::BTreeSet::new();
        for seed in 0..64 {
            let chosen = chosen("10", seed, 1_000);
            assert_eq!(chosen.len(), 100);
            assert!(chosen.windows(2).all(|pair| pair[1] - pair[0] == 10), "{chosen:?}");
            firsts.insert(chosen[0]);
        }
        assert_eq!(firsts, (0..10).collect());
    }

    #[test]
    fn random_takes_exactly_one_of_each_n() {
        let chosen = chosen("random:10", 7, 100_000);
        assert_eq!(chosen.len(), 10_000);
        let mut places = [0u32; 10];
        for (block, place) in chosen.iter().enumerate() {
            assert_eq!(*place as usize / 10, block);
            places[*place as usize % 10] += 1;
        }
        // Expected 1,000 each with a standard deviation of 30.
        assert!(places.iter().all(|count| (850..1_150).contains(count)), "{places:?}");
    }

    #[test]
    fn the_largest_n_overflows_nothing() {
        for method in ["count", "random"] {
            let sampling = format!("{method}:{}", u32::MAX);
            assert!(chosen(&sampling, 1, 1_000).len() <= 1);
        }
    }

    #[test]
    fn what_is_written_is_read_the_same_and_the_rest_is_refused() {
        for text in ["100", "random:2"] {
            assert_eq!(text.parse::<Sampling>().unwrap().to_string(), text);
        }
        for text in ["0", "1", "-3", "1/100", "hash:9", "", "random:", "4294967296"] {
            assert!(text.parse::<Sampling>().is_err(), "{text}");
        }
    }

    /// Lends `left` frames in batches of different sizes.
    struct Frames {
        left: usize,
        delivered: u64,
    }

    impl Source for Frames {
        fn poll(
            &mut self,
            _: Duration,
            sink: &mut dyn FnMut(&[Frame<'_>]),
        ) -> Result<Poll, CaptureError> {
            let count = (self.left % 61 + 3).min(self.left);
            if count == 0 {
                return Ok(Poll::End);
            }
            let frame = Frame {
                data: &[],
                wire_length: 60,
                interface: 1,
                link: LinkType::Ethernet,
                time: Timestamp(0),
            };
            sink(&vec![frame; count]);
            self.left -= count;
            self.delivered += count as u64;
            Ok(Poll::Frames(count))
        }

        fn counters(&mut self) -> SourceCounters {
            SourceCounters { delivered: self.delivered, ..SourceCounters::default() }
        }

        fn stop(&mut self) -> bool {
            true
        }

        fn progress(&self) -> Option<(u64, u64)> {
            Some((self.delivered, 12_345))
        }

        fn describe(&mut self) -> Option<Description> {
            Some(Description { interface: "frames".to_owned(), ..Description::default() })
        }
    }

    #[test]
    fn every_frame_is_lent_or_counted() {
        for text in ["7", "random:7", "1000", "random:100000"] {
            let frames = Frames { left: 12_345, delivered: 0 };
            let mut sampled = Sampled::new(frames, text.parse().unwrap(), 3);
            let mut lent = 0;
            while sampled.poll(Duration::ZERO, &mut |frames| lent += frames.len()).unwrap()
                != Poll::End
            {}
            let counters = sampled.counters();
            assert_eq!(counters.delivered, lent as u64, "{text}");
            assert_eq!(counters.delivered + counters.unsampled, 12_345, "{text}");
            assert_eq!(counters.observed, 12_345, "{text}");
        }
    }

    #[test]
    fn all_else_is_the_inner_source_s() {
        let frames = Frames { left: 100, delivered: 0 };
        let mut sampled = Sampled::new(frames, "2".parse().unwrap(), 3);
        while sampled.poll(Duration::ZERO, &mut |_| ()).unwrap() != Poll::End {}
        assert!(sampled.stop());
        assert_eq!(sampled.progress(), Some((100, 12_345)));
        assert_eq!(sampled.describe().unwrap().interface, "frames");
    }
}
