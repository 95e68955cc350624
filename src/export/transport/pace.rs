//! How fast messages go to a UDP collector: a token bucket.
//!
//! An active timeout ends many flows at once, and their records must not overrun the collector's socket: Linux gives one
//! 208 KiB by default, about 90 datagrams of 1,400 octets. Time is an argument.

use crate::capture::Timestamp;

/// Octets that may go at once.
const DEPTH: u64 = 64 << 10;

/// Octets a second that need no smoothing where the user gave no rate: 100 Mbit/s.
const EASY: u64 = 12_500_000;

/// Where the user gave no rate, what is queued goes within a quarter of a second.
const DRAIN: u64 = 4;

const SECOND: u64 = 1_000_000_000;

#[derive(Debug)]
pub(super) struct Pace {
    /// Octets a second; `None`: as fast as the queue asks for.
    rate: Option<u64>,
    /// Octets that may go now; negative after a burst longer than the bucket is deep.
    tokens: i64,
    last: Timestamp,
}

impl Pace {
    /// `rate` in bits a second.
    pub(super) fn new(rate: Option<u64>) -> Self {
        let rate = rate.map(|bits| (bits / 8).max(1));
        Self { rate, tokens: DEPTH as i64, last: Timestamp(0) }
    }

    /// Whether the rate is the user's: it holds whatever that costs.
    pub(super) const fn strict(&self) -> bool {
        self.rate.is_some()
    }

    /// Whether anything may go now; `queued` octets wait.
    pub(super) fn open(&mut self, queued: usize, now: Timestamp) -> bool {
        let rate = self.rate.unwrap_or_else(|| EASY.max(queued as u64 * DRAIN));
        // A clock that was set back gives nothing; one that leaps gives one bucket.
        let elapsed = now.since(self.last).min(SECOND);
        let earned = u128::from(elapsed) * u128::from(rate) / u128::from(SECOND);
        if earned > 0 || now < self.last {
            self.last = now;
            let earned = i64::try_from(earned).unwrap_or(i64::MAX);
            self.tokens = self.tokens.saturating_add(earned).min(DEPTH as i64);
        }
        self.tokens > 0
    }

    /// So many octets have gone.
    pub(super) fn take(&mut self, octets: usize) {
        self.tokens = self.tokens.saturating_sub(octets as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Octets that go in `milliseconds`, in bursts of `burst`, asked for every millisecond.
    fn gone(pace: &mut Pace, milliseconds: u64, burst: usize, queued: usize) -> u64 {
        let mut sum = 0;
        for millisecond in 0..milliseconds {
            let now = Timestamp(SECOND + millisecond * 1_000_000);
            while pace.open(queued, now) {
                pace.take(burst);
                sum += burst as u64;
            }
        }
        sum
    }

    #[test]
    fn a_rate_holds_over_time_and_a_burst_is_bounded() {
        let mut pace = Pace::new(Some(8_000_000));
        let first = gone(&mut pace, 1, 1_400, 1 << 24);
        assert!((DEPTH..DEPTH + 1_400).contains(&first), "{first}");
        let mut pace = Pace::new(Some(8_000_000));
        let sum = gone(&mut pace, 10_000, 22_400, 1 << 24);
        assert!((10_000_000..10_100_000).contains(&sum), "{sum}");
    }

    #[test]
    fn without_a_rate_a_long_queue_goes_faster() {
        let mut pace = Pace::new(None);
        let easy = gone(&mut pace, 1_000, 1_400, 0);
        assert!((12_400_000..12_700_000).contains(&easy), "{easy}");
        let mut pace = Pace::new(None);
        let hard = gone(&mut pace, 250, 1_400, 16 << 20);
        assert!((16_000_000..17_200_000).contains(&hard), "{hard}");
    }

    #[test]
    fn clocks_that_leap_do_not_open_the_gates() {
        let mut pace = Pace::new(Some(8_000));
        while pace.open(0, Timestamp(SECOND)) {
            pace.take(1_400);
        }
        assert!(!pace.open(0, Timestamp(SECOND - 1)));
        // A year later: one bucket at most.
        let year = Timestamp(365 * 86_400 * SECOND);
        let mut sum = 0;
        while pace.open(0, year) {
            pace.take(1_400);
            sum += 1_400;
        }
        assert!(sum <= DEPTH + 1_400, "{sum}");
    }
}
