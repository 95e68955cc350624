//! Points in time as elements carry them (RFC 7011 sections 6.1.7 to 6.1.10), and as RFC 3339 text.

use std::fmt;

/// Seconds from 1900 (NTP) to 1970 (UNIX).
const NTP_TO_UNIX: i64 = 2_208_988_800;
const NANOS: i64 = 1_000_000_000;

/// An NTP timestamp: seconds since 1900 in the upper 32 bits, a fraction of a second in the lower.
///
/// The seconds wrap in February 2036. Values below 2³¹ are read as the era that begins then, so that 1968 to 2104 are
/// covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ntp(pub u64);

impl Ntp {
    /// The bits that `dateTimeMicroseconds` leaves zero (RFC 7011 section 6.1.9).
    pub const MICROSECONDS_UNUSED: u64 = 0x7ff;

    /// From nanoseconds since 1970, rounded to the nearest fraction.
    #[inline]
    #[must_use]
    pub const fn from_unix_nanos(nanos: u64) -> Self {
        let (seconds, rest) = (nanos / NANOS as u64, nanos % NANOS as u64);
        // A fraction of 2^-32 s is shorter than a nanosecond: rounding here makes the way back exact.
        let fraction = ((rest << 32) + NANOS as u64 / 2) / NANOS as u64;
        Self((seconds.wrapping_add(NTP_TO_UNIX as u64) << 32).wrapping_add(fraction))
    }

    /// The same for `dateTimeMicroseconds`: the eleven bits without meaning are zero. The value is rounded up to the
    /// next that can be said, so that its whole microseconds are those of `nanos`.
    #[inline]
    #[must_use]
    pub const fn microseconds_from_unix_nanos(nanos: u64) -> Self {
        let whole = Self::from_unix_nanos(nanos - nanos % 1000);
        Self(whole.0.wrapping_add(Self::MICROSECONDS_UNUSED) & !Self::MICROSECONDS_UNUSED)
    }

    /// Nanoseconds since 1970, rounded to the nearest.
    #[inline]
    #[must_use]
    pub const fn unix_nanos(self) -> i64 {
        let mut seconds = (self.0 >> 32) as i64;
        if seconds < 1 << 31 {
            seconds += 1 << 32;
        }
        let fraction = self.0 & 0xffff_ffff;
        let nanos = (fraction * NANOS as u64 + (1 << 31)) >> 32;
        (seconds - NTP_TO_UNIX) * NANOS + nanos as i64
    }

    /// Whole microseconds since 1970, as `dateTimeMicroseconds` is meant: the lowest eleven bits are ignored.
    #[must_use]
    pub const fn unix_micros(self) -> i64 {
        Self(self.0 & !Self::MICROSECONDS_UNUSED).unix_nanos().div_euclid(1000)
    }
}

/// Shows a point in time as RFC 3339 in UTC, with as many digits of a second as asked for.
#[derive(Clone, Copy, Debug)]
pub struct Rfc3339 {
    /// Nanoseconds since 1970.
    pub unix_nanos: i64,
    /// Digits behind the point: 0, 3, 6 or 9.
    pub digits: u8,
}

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.unix_nanos.div_euclid(NANOS);
        let (year, month, day) = civil(seconds.div_euclid(86_400));
        let of_day = seconds.rem_euclid(86_400);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        let nanos = self.unix_nanos.rem_euclid(NANOS);
        match self.digits {
            0 => f.write_str("Z"),
            3 => write!(f, ".{:03}Z", nanos / 1_000_000),
            6 => write!(f, ".{:06}Z", nanos / 1000),
            _ => write!(f, ".{nanos:09}Z"),
        }
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar. Years are counted from
/// March, so that the leap day is the last of its year; an era is 400 years.
const fn civil(day: i64) -> (i64, i64, i64) {
    const ERA: i64 = 146_097;
    let from_march_0000 = day + 719_468;
    let era = from_march_0000.div_euclid(ERA);
    let of_era = from_march_0000.rem_euclid(ERA);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / (ERA - 1)) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + (month <= 2) as i64, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(unix_nanos: i64, digits: u8) -> String {
        Rfc3339 { unix_nanos, digits }.to_string()
    }

    #[test]
    fn dates() {
        assert_eq!(text(0, 0), "1970-01-01T00:00:00Z");
        assert_eq!(text(-1, 9), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(text(951_782_400 * NANOS, 0), "2000-02-29T00:00:00Z");
        assert_eq!(text(1_709_251_199_123_456_789, 6), "2024-02-29T23:59:59.123456Z");
        assert_eq!(text(4_107_542_400 * NANOS, 3), "2100-03-01T00:00:00.000Z");
    }

    /// The example of RFC 7011 is the epoch: 1900 in NTP; UNIX 0 is 2,208,988,800 s later.
    #[test]
    fn ntp_epochs() {
        assert_eq!(Ntp::from_unix_nanos(0).0, 2_208_988_800 << 32);
        assert_eq!(Ntp::from_unix_nanos(500_000_000).0 as u32, 1 << 31);
        // 2036-02-07T06:28:16Z is the first second of the second era.
        assert_eq!(Ntp(0).unix_nanos(), 2_085_978_496 * NANOS);
        assert_eq!(Ntp::from_unix_nanos(2_085_978_496 * NANOS as u64).0, 0);
    }

    proptest! {
        #[test]
        fn ntp_keeps_every_nanosecond(nanos in 0u64..4_200_000_000 * NANOS as u64) {
            prop_assert_eq!(Ntp::from_unix_nanos(nanos).unix_nanos(), nanos as i64);
        }

        #[test]
        fn microseconds_keep_every_microsecond(nanos in 0u64..4_200_000_000 * NANOS as u64) {
            let ntp = Ntp::microseconds_from_unix_nanos(nanos);
            prop_assert_eq!(ntp.0 & Ntp::MICROSECONDS_UNUSED, 0);
            prop_assert_eq!(ntp.unix_micros(), (nanos / 1000) as i64);
        }
    }
}
