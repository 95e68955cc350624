//! What systemd is told (sd_notify(3)): a datagram with one `NAME=value` a line to the socket that `$NOTIFY_SOCKET` names.
//!
//! Nobody listens where the variable is not set; then nothing is sent. A message that cannot be delivered is no reason to
//! stop: systemd notices by itself that none came.

use rustix::time::{ClockId, clock_gettime};
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// The way to systemd.
#[derive(Debug, Default)]
pub struct Notifier {
    socket: Option<UnixDatagram>,
    /// `WatchdogSec=` of the unit.
    watchdog: Option<Duration>,
    fed: Option<Instant>,
}

impl Notifier {
    /// As the environment says.
    #[must_use]
    pub fn from_environment() -> Self {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return Self::default() };
        let socket = match connect(&name) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::warn!("NOTIFY_SOCKET {}: {error}", name.to_string_lossy());
                return Self::default();
            }
        };
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let is_for_us =
            number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|_| is_for_us).map(Duration::from_micros);
        Self { socket: Some(socket), watchdog, fed: None }
    }

    /// To `socket`, which is connected.
    #[cfg(test)]
    pub(super) const fn to(socket: UnixDatagram, watchdog: Option<Duration>) -> Self {
        Self { socket: Some(socket), watchdog, fed: None }
    }

    /// Everything is open and the workers run.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// The configuration is read again; [`Notifier::ready`] ends it (sd_notify(3), `RELOADING=1`).
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = now.tv_sec as i128 * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.send(&format!(
            "RELOADING=1\nMONOTONIC_USEC={microseconds}\nSTATUS=reading the configuration again"
        ));
    }

    /// No more is captured; what is in flows goes out.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=sending what is left");
    }

    /// Whether the watchdog is due: a third of its time has passed.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        let Some(period) = self.watchdog else { return false };
        self.fed.is_none_or(|fed| now.duration_since(fed) >= period / 3)
    }

    /// All threads move.
    pub fn feed(&mut self, now: Instant) {
        self.fed = Some(now);
        self.send("WATCHDOG=1");
    }

    fn send(&self, lines: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(lines.as_bytes())
        {
            tracing::debug!("systemd not notified: {error}");
        }
    }
}

/// A path, or with `@` in front a name in the abstract namespace.
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    // A full socket must not hold the supervisor.
    socket.set_nonblocking(true)?;
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(name)?,
    }
    Ok(socket)
}
