//! One connection, of whatever kind: becomes ready, takes messages, ends.
//!
//! No call waits. Invariant: after an error the link is of no more use, and the message that was begun has not been sent.

use super::sctp;
use super::tls;
use socket2::Socket;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;

#[derive(Debug)]
pub(super) enum Link {
    /// TCP or a UNIX stream socket: octets.
    Stream(Socket),
    /// SCTP: messages.
    Messages(sctp::Messages),
    /// TLS over TCP.
    Tls(Box<tls::Session>),
}

impl Link {
    pub(super) fn socket(&self) -> &Socket {
        match self {
            Self::Stream(socket) => socket,
            Self::Messages(messages) => messages.socket(),
            Self::Tls(session) => session.socket(),
        }
    }

    /// Goes on with what has to be done before the first message. True when that is done.
    pub(super) fn establish(&mut self) -> io::Result<bool> {
        if let Some(error) = self.socket().take_error()? {
            return Err(error);
        }
        if self.socket().peer_addr().is_err() {
            return Ok(false);
        }
        match self {
            Self::Stream(_) | Self::Messages(_) => Ok(true),
            Self::Tls(session) => session.establish(),
        }
    }

    /// Whether [`Self::establish`] waits for octets of the peer rather than for room.
    pub(super) fn waits_to_read(&self) -> bool {
        match self {
            Self::Stream(_) | Self::Messages(_) => false,
            Self::Tls(session) => session.waits_to_read(),
        }
    }

    /// Goes on to write a message of which `begun` octets are written; how many more are. Only TCP writes in parts. To be
    /// called with the same message until the whole of it is written. `data`: it holds flow records.
    pub(super) fn write(&mut self, message: &[u8], begun: usize, data: bool) -> io::Result<usize> {
        match self {
            Self::Stream(socket) => socket.write(message.get(begun..).unwrap_or_default()),
            Self::Messages(messages) => messages.write(message, data),
            Self::Tls(session) => session.write(message),
        }
    }

    /// A collector says nothing that we need: what can be read is the end of the connection, or TLS's own affairs.
    pub(super) fn listen(&mut self) -> io::Result<()> {
        let socket = match self {
            Self::Tls(session) => return session.listen(),
            Self::Messages(messages) => messages.socket_mut(),
            Self::Stream(socket) => socket,
        };
        match socket.read(&mut [0; 64]) {
            Ok(0) => Err(ErrorKind::ConnectionAborted.into()),
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// Tells the peer that nothing more comes; it learns that from the closing anyway.
    pub(super) fn close(&mut self) {
        if let Self::Tls(session) = self {
            session.close();
        }
        let _ = self.socket().shutdown(Shutdown::Write);
    }
}
