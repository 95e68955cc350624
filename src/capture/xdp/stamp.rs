//! When a frame was observed: one clock reading a batch, or a time that the XDP program put before each frame.
//!
//! In: octets of a frame as the program gave them. Out: the frame without its stamp, and its time by the system's clock (UTC).
//!
//! | way | read where | then |
//! |---|---|---|
//! | [`Timestamps::Batch`] | by the worker, when it takes the batch | is the system's clock |
//! | [`Timestamps::Packet`] | by the program, CLOCK_MONOTONIC | plus the difference of the two clocks, read with each batch |
//! | [`Timestamps::Nic`] | by the NIC on arrival | plus the difference of NIC and system clock, measured once a second |

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::time::{ClockId, DynamicClockId, Timespec, clock_gettime, clock_gettime_dynamic};

use super::super::interface::Interface;
use super::super::interface::ethtool::{Ethtool, xdp_features};
use super::super::{CaptureError, Timestamp};

/// Where time stamps come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timestamps {
    /// One clock reading a batch, when the worker takes it. Costs nothing a packet; late by as long as the frame waited.
    #[default]
    Batch,
    /// A clock reading a packet, in the XDP program.
    Packet,
    /// The NIC's own, on arrival at its port (kernel 6.3, and a driver that offers it to XDP programs).
    Nic(NicClock),
}

/// How the time of a NIC becomes UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NicClock {
    /// Its clock is compared with the system's once a second, through its PTP device.
    #[default]
    Compared,
    /// It is UTC already: the NIC's firmware or another program keeps it so.
    Utc,
}

/// Octets that the program puts before a frame.
pub(super) const STAMP: usize = size_of::<u64>();

/// Turns stamps into times. One for all queues of an interface.
#[derive(Debug)]
pub(super) struct Clock {
    timestamps: Timestamps,
    nic: Option<NicDevice>,
}

/// What holds for the frames of one batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// The system's clock now.
    pub(super) now: Timestamp,
    /// What turns a stamp into UTC; `None`: frames have no stamp.
    conversion: Option<Conversion>,
}

/// UTC = stamp + `offset` + (stamp - `reference`) * `drift` / 10^9.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Conversion {
    reference: i64,
    offset: i64,
    /// Nanoseconds that the offset grows by in a second.
    drift: i64,
}

impl Conversion {
    fn utc(self, stamp: u64) -> Timestamp {
        let stamp = i64::try_from(stamp).unwrap_or(i64::MAX);
        let since = i128::from(stamp) - i128::from(self.reference);
        let correction = since * i128::from(self.drift) / 1_000_000_000;
        let utc = i128::from(stamp) + i128::from(self.offset) + correction;
        Timestamp(u64::try_from(utc.max(0)).unwrap_or(u64::MAX))
    }

    /// From two comparisons, the earlier and the later. Clocks that drift more than 1 in 1000 are being set, not drifting.
    fn between(earlier: Option<Self>, later: Self) -> Self {
        const MOST: i64 = 1_000_000;
        let Some(earlier) = earlier else { return later };
        let apart = i128::from(later.reference) - i128::from(earlier.reference);
        if apart <= 0 {
            return later;
        }
        let grown = i128::from(later.offset) - i128::from(earlier.offset);
        let drift = i64::try_from(grown * 1_000_000_000 / apart).unwrap_or(i64::MAX);
        Self { drift: if drift.abs() <= MOST { drift } else { 0 }, ..later }
    }
}

impl Reading {
    /// Takes the stamp off. `true`: it had none of its own and has the time of its batch.
    #[inline]
    pub(super) fn frame<'a>(&self, octets: &'a [u8]) -> (&'a [u8], Timestamp, bool) {
        let Some(conversion) = self.conversion else { return (octets, self.now, false) };
        match octets.split_first_chunk::<STAMP>() {
            Some((stamp, frame)) => match u64::from_ne_bytes(*stamp) {
                0 => (frame, self.now, true),
                stamp => (frame, conversion.utc(stamp), false),
            },
            None => (octets, self.now, true),
        }
    }
}

impl Clock {
    /// # Errors
    /// The NIC cannot stamp frames for us, and why.
    pub(super) fn open(
        timestamps: Timestamps,
        interface: &Interface,
    ) -> Result<Self, CaptureError> {
        let nic = match timestamps {
            Timestamps::Batch | Timestamps::Packet => None,
            Timestamps::Nic(clock) => {
                offered(interface)?;
                match clock {
                    NicClock::Utc => None,
                    NicClock::Compared => Some(NicDevice::open(interface)?),
                }
            }
        };
        Ok(Self { timestamps, nic })
    }

    /// Compares the NIC's clock with the system's. To be called once a second.
    pub(super) fn compare(&self) {
        if let Some(nic) = &self.nic {
            nic.compare();
        }
    }

    /// One or two clock readings, for one batch.
    #[inline]
    pub(super) fn read(&self) -> Reading {
        let now = nanoseconds(clock_gettime(ClockId::Realtime));
        let conversion = match self.timestamps {
            Timestamps::Batch => None,
            Timestamps::Packet => {
                let offset = now - nanoseconds(clock_gettime(ClockId::Monotonic));
                Some(Conversion { offset, ..Conversion::default() })
            }
            Timestamps::Nic(_) => {
                Some(self.nic.as_ref().map(NicDevice::conversion).unwrap_or_default())
            }
        };
        Reading { now: Timestamp(u64::try_from(now).unwrap_or(0)), conversion }
    }
}

/// Whether kernel and driver give the NIC's time to XDP programs.
fn offered(interface: &Interface) -> Result<(), CaptureError> {
    let name = &interface.name;
    let driver = interface.driver().unwrap_or_else(|| "this".to_owned());
    let reason = match xdp_features(interface) {
        None => "this kernel does not say what drivers can do: it takes Linux 6.3".to_owned(),
        Some(features) if !features.receive_time => {
            format!("the {driver} driver does not give its receive time to XDP programs")
        }
        Some(_) => return Ok(()),
    };
    Err(CaptureError::Environment(format!("{name}: {reason}; use --timestamps packet")))
}

/// The NIC's PTP clock.
#[derive(Debug)]
struct NicDevice {
    device: File,
    conversion: Mutex<Option<Conversion>>,
}

impl NicDevice {
    fn open(interface: &Interface) -> Result<Self, CaptureError> {
        let name = &interface.name;
        let refused = |reason: String| {
            Err(CaptureError::Environment(format!("{name}: {reason}; use --timestamps packet")))
        };
        let ethtool = Ethtool::open(interface);
        let Some(number) = ethtool.ok().and_then(|mut ethtool| ethtool.ptp_clock()) else {
            return refused(
                "the NIC has no clock that can be compared with this machine's".to_owned(),
            );
        };
        let path = format!("/dev/ptp{number}");
        let device = match File::open(&path) {
            Ok(device) => device,
            Err(error) => {
                return refused(format!("the NIC's clock {path} cannot be read: {error}"));
            }
        };
        let nic = Self { device, conversion: Mutex::new(None) };
        nic.compare();
        if nic.lock().is_none() {
            return refused(format!("the NIC's clock {path} cannot be read"));
        }
        Ok(nic)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Conversion>> {
        self.conversion.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn conversion(&self) -> Conversion {
        self.lock().unwrap_or_default()
    }

    /// The system's clock is read before and after the NIC's; of some such readings the shortest counts.
    fn compare(&self) {
        const READINGS: usize = 5;
        let reading = || {
            let before = nanoseconds(clock_gettime(ClockId::Realtime));
            let nic = clock_gettime_dynamic(DynamicClockId::Dynamic(self.device.as_fd())).ok()?;
            let after = nanoseconds(clock_gettime(ClockId::Realtime));
            let reference = nanoseconds(nic);
            let middle = before + (after - before) / 2;
            Some((after - before, Conversion { reference, offset: middle - reference, drift: 0 }))
        };
        let best = (0..READINGS).filter_map(|_| reading()).min_by_key(|(took, _)| *took);
        if let Some((_, later)) = best {
            let mut conversion = self.lock();
            *conversion = Some(Conversion::between(*conversion, later));
        }
    }
}

fn nanoseconds(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_taken_off_and_becomes_utc() {
        let conversion = Conversion { offset: 1_000, ..Conversion::default() };
        let reading = Reading { now: Timestamp(7), conversion: Some(conversion) };
        let octets = [&500u64.to_ne_bytes()[..], b"frame"].concat();
        assert_eq!(reading.frame(&octets), (&b"frame"[..], Timestamp(1_500), false));
        let none = [&[0; 8][..], b"frame"].concat();
        assert_eq!(reading.frame(&none), (&b"frame"[..], Timestamp(7), true));
        let batch = Reading { now: Timestamp(7), conversion: None };
        assert_eq!(batch.frame(b"frame"), (&b"frame"[..], Timestamp(7), false));
    }

    #[test]
    fn a_clock_that_drifts_is_followed() {
        // 20 microseconds a second slow, half a second after the later of two comparisons.
        let at = |reference, offset| Conversion { reference, offset, drift: 0 };
        let first = at(5_000_000_000, 100_000);
        let followed = Conversion::between(Some(first), at(6_000_000_000, 120_000));
        assert_eq!(followed.drift, 20_000);
        assert_eq!(followed.utc(6_500_000_000), Timestamp(6_500_130_000));
        // A clock that was set between.
        assert_eq!(Conversion::between(Some(first), at(6_000_000_000, 9_000_000_000)).drift, 0);
        assert_eq!(Conversion::between(Some(first), at(4_000_000_000, 0)).drift, 0);
        assert_eq!(Conversion::between(None, first), first);
    }

    #[test]
    fn the_programs_clock_is_the_systems() {
        let clock = Clock { timestamps: Timestamps::Packet, nic: None };
        let monotonic = nanoseconds(clock_gettime(ClockId::Monotonic));
        let reading = clock.read();
        let stamp = u64::try_from(monotonic).expect("after boot").to_ne_bytes();
        let (_, time, unstamped) = reading.frame(&stamp);
        assert!(!unstamped);
        assert!(reading.now.since(time) < 1_000_000_000 && time <= reading.now, "{time:?}");
    }
}
