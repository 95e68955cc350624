//! The ways AF_XDP can be had, best first, and why a better one was not.

use std::fmt;

use xsk_rs::config::BindFlags;

use super::program::Attach;

/// How frames come from the NIC to the probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// The program runs in the driver, not in the kernel's common receive path.
    pub native: bool,
    /// The NIC writes into the probe's memory.
    pub zero_copy: bool,
    /// Frames larger than one buffer are received.
    pub multi_buffer: bool,
}

/// The least that will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Require {
    /// Any mode.
    #[default]
    Any,
    /// The program in the driver.
    Native,
    /// Zero-copy.
    ZeroCopy,
}

/// A mode that was tried and could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepDown {
    /// The mode.
    pub from: Mode,
    /// Why not.
    pub reason: String,
}

/// Best first.
pub(super) const LADDER: [Mode; 6] = [
    Mode { native: true, zero_copy: true, multi_buffer: true },
    Mode { native: true, zero_copy: true, multi_buffer: false },
    Mode { native: true, zero_copy: false, multi_buffer: true },
    Mode { native: true, zero_copy: false, multi_buffer: false },
    Mode { native: false, zero_copy: false, multi_buffer: true },
    Mode { native: false, zero_copy: false, multi_buffer: false },
];

impl Mode {
    /// Whether it is as good as asked for.
    #[must_use]
    pub const fn satisfies(&self, require: Require) -> bool {
        match require {
            Require::Any => true,
            Require::Native => self.native,
            Require::ZeroCopy => self.zero_copy,
        }
    }

    /// Exactly this mode: the kernel must not choose another on its own.
    pub(super) fn bind_flags(self) -> BindFlags {
        let copy = if self.zero_copy { BindFlags::XDP_ZEROCOPY } else { BindFlags::XDP_COPY };
        let multi_buffer =
            if self.multi_buffer { BindFlags::XDP_USE_SG } else { BindFlags::empty() };
        copy | multi_buffer | BindFlags::XDP_USE_NEED_WAKEUP
    }

    pub(super) const fn attach(self) -> Attach {
        if self.native { Attach::Native } else { Attach::Generic }
    }

    /// One word for metrics: `zero-copy`, `copy` or `generic`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match (self.native, self.zero_copy) {
            (_, true) => "zero-copy",
            (true, false) => "copy",
            (false, false) => "generic",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.native { "native" } else { "generic" };
        let copy = if self.zero_copy { "zero-copy" } else { "copy" };
        let buffers = if self.multi_buffer { "multi-buffer" } else { "single buffer" };
        write!(formatter, "{place}, {copy}, {buffers}")
    }
}

impl fmt::Display for StepDown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.from, self.reason)
    }
}

impl std::str::FromStr for Require {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "any" => Ok(Self::Any),
            "native" => Ok(Self::Native),
            "zero-copy" => Ok(Self::ZeroCopy),
            other => Err(format!("{other}: expected any, native or zero-copy")),
        }
    }
}
