//! The probe as a service: whether its threads move, and what systemd is told of it.
//!
//! In: how things stand, several times a second. Out: sd_notify(3) messages. The watchdog is fed only when every worker and
//! the exporter have moved since it was fed last: a thread that hangs, in a driver or on a lock, ends the process by
//! systemd's hand, which starts it again.

use super::Progress;
use super::notify::Notifier;
use std::collections::BTreeMap;
use std::time::Instant;

/// Watches a run for systemd.
#[derive(Debug, Default)]
pub struct Service {
    notifier: Notifier,
    stage: Stage,
    /// Turns of each thread when the watchdog was fed last.
    turns: BTreeMap<String, u64>,
    complained: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Starting,
    Running,
    Stopping,
}

impl Service {
    /// Tells `notifier`.
    #[must_use]
    pub fn new(notifier: Notifier) -> Self {
        Self { notifier, ..Self::default() }
    }

    /// To be called several times a second, with whether the run was told to end.
    pub fn look(&mut self, progress: &Progress, stopping: bool, now: Instant) {
        if self.stage == Stage::Starting {
            self.stage = Stage::Running;
            self.notifier.ready("capturing");
        }
        if stopping && self.stage == Stage::Running {
            self.stage = Stage::Stopping;
            self.notifier.stopping();
        }
        if !self.notifier.is_due(now) {
            return;
        }
        let still: Vec<_> = progress
            .turns
            .iter()
            .filter(|(name, turns)| self.turns.get(*name) == Some(turns))
            .map(|(name, _)| name.as_str())
            .collect();
        if still.is_empty() {
            self.complained = false;
            self.notifier.feed(now);
            self.turns = progress.turns.clone();
        } else if !self.complained {
            self.complained = true;
            tracing::error!("no move in {}: the watchdog is not fed", still.join(", "));
        }
    }

    /// The run has ended: said here where it ended before anybody looked.
    pub fn end(&mut self) {
        if self.stage != Stage::Stopping {
            self.stage = Stage::Stopping;
            self.notifier.stopping();
        }
    }

    /// Around a reload: `change` reads the configuration again.
    pub fn reload<T>(&self, change: impl FnOnce() -> T) -> T {
        self.notifier.reloading();
        let outcome = change();
        self.notifier.ready("capturing");
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;
    use std::time::Duration;

    fn progress(turns: &[(&str, u64)]) -> Progress {
        let turns = turns.iter().map(|(name, turns)| ((*name).to_owned(), *turns)).collect();
        Progress { turns, ..Progress::default() }
    }

    fn said(socket: &UnixDatagram) -> Vec<String> {
        socket.set_nonblocking(true).unwrap();
        let mut octets = [0; 256];
        std::iter::from_fn(|| socket.recv(&mut octets).ok().map(|length| octets[..length].to_vec()))
            .map(|octets| String::from_utf8(octets).unwrap())
            .collect()
    }

    #[test]
    fn the_watchdog_is_fed_only_while_every_thread_moves() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        let period = Duration::from_secs(3);
        let mut service = Service::new(Notifier::to(theirs, Some(period)));
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        service.look(&progress(&[("a", 1), ("b", 1)]), false, start);
        assert_eq!(said(&ours), ["READY=1\nSTATUS=capturing", "WATCHDOG=1"]);
        // Not due yet.
        service.look(&progress(&[("a", 2), ("b", 2)]), false, start + period / 4);
        assert!(said(&ours).is_empty());
        service.look(&progress(&[("a", 3), ("b", 2)]), false, after(1));
        assert_eq!(said(&ours), ["WATCHDOG=1"]);
        // `b` hangs: neither `a` nor time feeds it.
        for second in 2..10 {
            service.look(&progress(&[("a", 3 + second), ("b", 2)]), false, after(second));
        }
        assert!(said(&ours).is_empty());
        service.look(&progress(&[("a", 20), ("b", 3)]), false, after(10));
        assert_eq!(said(&ours), ["WATCHDOG=1"]);
        assert_eq!(service.reload(|| said(&ours).len()), 1, "RELOADING=1 goes before the reading");
        assert!(said(&ours)[0].starts_with("READY=1"));
        service.look(&progress(&[("a", 21), ("b", 4)]), true, after(10));
        service.look(&progress(&[("a", 22), ("b", 5)]), true, after(10));
        let last = said(&ours);
        assert_eq!(last.len(), 1, "{last:?}");
        assert!(last[0].starts_with("STOPPING=1"), "{last:?}");
    }
}
