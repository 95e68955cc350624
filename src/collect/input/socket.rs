//! Sockets that exporters send to. No threads: one wait for whichever has something.

use super::framer::{Framer, Piece};
use super::{InputCounters, InputError, Queue, Queued, Received, now};
use crate::collect::event::{Checksum, Position, Protocol, Transport};
use crate::ipfix::{Anomaly, Kind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

/// Octets the kernel is asked to keep for a UDP socket while the collector is busy.
const RECEIVE_BUFFER: usize = 8 << 20;
/// Exporters connected at a time.
const CONNECTIONS: usize = 64;
/// Octets read of a connection at a time.
const READ: usize = 64 * 1024;

/// A UDP socket.
#[derive(Debug)]
pub(super) struct Udp {
    socket: UdpSocket,
    local: SocketAddr,
    buffer: Box<[u8]>,
    count: u64,
}

fn bound(kind: Type, address: SocketAddr, name: &str) -> Result<Socket, InputError> {
    let made = || {
        let socket = Socket::new(Domain::for_address(address), kind, None)?;
        if address.is_ipv6() {
            // One socket for both families; addresses of IPv4 are shown as such.
            socket.set_only_v6(false)?;
        }
        if kind == Type::STREAM {
            socket.set_reuse_address(true)?;
        } else {
            // The kernel gives less where net.core.rmem_max is smaller.
            socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        Ok(socket)
    };
    made().map_err(|error: std::io::Error| {
        InputError::Environment(format!("{name}://{address}: cannot listen: {error}"))
    })
}

fn local_of(address: std::io::Result<SocketAddr>, asked: SocketAddr) -> SocketAddr {
    address.unwrap_or(asked)
}

/// An IPv4 address that came through an IPv6 socket, as IPv4.
fn plain(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => SocketAddr::new(ip.into(), address.port()),
            // Without flow label and scope, which are no part of the session.
            None => SocketAddr::new(ip.into(), address.port()),
        },
        IpAddr::V4(_) => address,
    }
}

fn timespec(wait: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(wait.subsec_nanos()),
    }
}

fn failed(what: &str, error: impl std::fmt::Display) -> InputError {
    InputError::Environment(format!("{what}: {error}"))
}

impl Udp {
    pub(super) fn bind(address: SocketAddr) -> Result<Self, InputError> {
        let socket = UdpSocket::from(bound(Type::DGRAM, address, "udp")?);
        let local = local_of(socket.local_addr(), address);
        Ok(Self { socket, local, buffer: vec![0; 65_536].into_boxed_slice(), count: 0 })
    }

    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    pub(super) fn next(&mut self, wait: Duration) -> Result<Received<'_>, InputError> {
        let mut waited = false;
        loop {
            match self.socket.recv_from(&mut self.buffer) {
                Ok((length, from)) => {
                    self.count += 1;
                    let mut transport = Transport::file(length, 0);
                    transport.position = Position::Datagram(self.count);
                    transport.protocol = Protocol::Udp;
                    transport.exporter = Some(plain(from));
                    transport.collector = Some(plain(self.local));
                    transport.arrival = now();
                    transport.checksum = Checksum::Unknown;
                    let octets = self.buffer.get(..length).unwrap_or(&[]);
                    return Ok(Received::Message { transport, octets });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && !waited => {
                    waited = true;
                    let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
                    match poll(&mut fds, Some(&timespec(wait))) {
                        Ok(_) | Err(rustix::io::Errno::INTR) => {}
                        Err(error) => return Err(failed("udp socket", error)),
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Received::Idle),
                // An ICMP error for something sent earlier, or a signal: the next datagram may be fine.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Interrupted | ErrorKind::ConnectionRefused
                    ) => {}
                Err(error) => return Err(failed("udp socket", error)),
            }
        }
    }
}

/// A listening TCP socket and the exporters connected to it.
#[derive(Debug)]
pub(super) struct Tcp {
    listener: TcpListener,
    local: SocketAddr,
    connections: Vec<Connection>,
    buffer: Box<[u8]>,
    queue: Queue,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    transport: Transport,
    framer: Framer,
}

impl Tcp {
    pub(super) fn bind(address: SocketAddr) -> Result<Self, InputError> {
        let socket = bound(Type::STREAM, address, "tcp")?;
        socket.listen(16).map_err(|error| failed("tcp socket", error))?;
        let listener = TcpListener::from(socket);
        let local = local_of(listener.local_addr(), address);
        let buffer = vec![0; READ].into_boxed_slice();
        Ok(Self { listener, local, connections: Vec::new(), buffer, queue: Queue::default() })
    }

    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    pub(super) fn next(
        &mut self,
        wait: Duration,
        counters: &mut InputCounters,
    ) -> Result<Received<'_>, InputError> {
        if self.queue.is_empty() {
            let ready = self.wait(wait)?;
            if ready.first() == Some(&true) {
                self.accept(counters)?;
            }
            // From the last to the first: a connection that ends is taken out.
            for place in (0..ready.len().saturating_sub(1)).rev() {
                if ready.get(place + 1) == Some(&true) {
                    self.read(place, counters);
                }
            }
        }
        Ok(self.queue.next().unwrap_or(Received::Idle))
    }

    /// Which have something: the listener first, then the connections.
    fn wait(&self, wait: Duration) -> Result<Vec<bool>, InputError> {
        let streams = self.connections.iter().map(|connection| connection.stream.as_fd());
        let all = std::iter::once(self.listener.as_fd()).chain(streams);
        let mut fds: Vec<_> = all.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        match poll(&mut fds, Some(&timespec(wait))) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(failed("tcp socket", error)),
        }
        Ok(fds.iter().map(|fd| !fd.revents().is_empty()).collect())
    }

    fn accept(&mut self, counters: &mut InputCounters) -> Result<(), InputError> {
        match self.listener.accept() {
            Ok((stream, from)) => {
                if self.connections.len() >= CONNECTIONS || stream.set_nonblocking(true).is_err() {
                    counters.refused_connections += 1;
                    return Ok(());
                }
                let collector = stream.local_addr().unwrap_or(self.local);
                let mut transport = Transport::file(0, 0);
                transport.protocol = Protocol::Tcp;
                transport.exporter = Some(plain(from));
                transport.collector = Some(plain(collector));
                self.connections.push(Connection { stream, transport, framer: Framer::default() });
                Ok(())
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(failed("tcp socket", error)),
        }
    }

    fn read(&mut self, place: usize, counters: &mut InputCounters) {
        let Some(connection) = self.connections.get_mut(place) else { return };
        let ended = match connection.stream.read(&mut self.buffer) {
            Ok(0) => true,
            Ok(length) => {
                connection.framer.push(self.buffer.get(..length).unwrap_or(&[]));
                false
            }
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        };
        connection.transport.arrival = now();
        connection.messages(ended, counters, &mut self.queue);
        if ended {
            let connection = self.connections.swap_remove(place);
            self.queue.waiting.push_back(Queued::End(connection.transport));
        }
    }
}

impl Connection {
    fn messages(&mut self, ended: bool, counters: &mut InputCounters, queue: &mut Queue) {
        while let Some(piece) = self.framer.next(ended) {
            let mut transport = self.transport;
            transport.position = Position::Octet(self.framer.position());
            match piece {
                Piece::Message(length) => {
                    transport.length = length;
                    queue.message(transport, self.framer.take(length));
                }
                Piece::Noise(skipped) => {
                    self.framer.take(skipped);
                    counters.skipped_octets += skipped as u64;
                    let kind = Kind::Resynchronised { skipped };
                    queue.noise(transport, Anomaly { offset: 0, kind });
                }
            }
        }
    }
}
