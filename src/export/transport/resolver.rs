//! Looks a host up again while the exporter goes on: its collector may have moved.

use super::super::destination::Host;
use super::resolve;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

/// At most one question at a time is under way, in a thread of its own: the system's resolver waits as long as it likes.
#[derive(Debug)]
pub(super) struct Resolver {
    host: Host,
    answer: Option<Receiver<Vec<SocketAddr>>>,
}

impl Resolver {
    pub(super) fn new(host: &Host) -> Self {
        Self { host: host.clone(), answer: None }
    }

    /// Begins to ask, unless the host is an address or the last question is still open.
    pub(super) fn ask(&mut self) {
        if self.answer.is_some() || self.host.name.parse::<IpAddr>().is_ok() {
            return;
        }
        let (sender, answer) = channel();
        let host = self.host.clone();
        let asking = thread::Builder::new().name("resolver".into()).spawn(move || {
            // Nobody waits for the answer any more when the exporter has ended.
            let _ = sender.send(resolve(&host).unwrap_or_default());
        });
        self.answer = asking.is_ok().then_some(answer);
    }

    /// The addresses, once, when they are there; a name that does not resolve has none.
    pub(super) fn answer(&mut self) -> Option<Vec<SocketAddr>> {
        let addresses = match self.answer.as_ref()?.try_recv() {
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Vec::new(),
            Ok(addresses) => addresses,
        };
        self.answer = None;
        Some(addresses).filter(|addresses| !addresses.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn ask(name: &str) -> Option<Vec<SocketAddr>> {
        let mut resolver = Resolver::new(&Host { name: name.to_owned(), port: 4739 });
        resolver.ask();
        resolver.ask();
        let begin = Instant::now();
        while resolver.answer.is_some() && begin.elapsed() < Duration::from_secs(5) {
            if let Some(answer) = resolver.answer() {
                return Some(answer);
            }
            thread::sleep(Duration::from_millis(1));
        }
        None
    }

    #[test]
    fn names_are_asked_for_and_addresses_are_not() {
        let answer = ask("localhost").unwrap();
        assert!(answer.iter().all(|address| address.ip().is_loopback() && address.port() == 4739));
        assert_eq!(ask("2001:db8::1"), None);
    }
}
