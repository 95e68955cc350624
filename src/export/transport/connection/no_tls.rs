//! In place of TLS where sixtap is built without it: nothing of this can be made.

use super::super::super::destination::{Host, TlsFiles};
use super::super::TransportError;
use socket2::Socket;
use std::io;

#[derive(Debug)]
pub(super) enum Client {}

#[derive(Debug)]
pub(super) enum Session {}

impl Client {
    pub(super) fn load(host: &Host, _files: &TlsFiles) -> Result<Self, TransportError> {
        let problem = "this sixtap was built without TLS: build it with the feature \"tls\"";
        Err(TransportError::Tls { host: host.clone(), problem: problem.to_owned() })
    }

    pub(super) fn reload(&mut self) {
        match *self {}
    }

    pub(super) fn begin(&self, _socket: Socket) -> io::Result<Session> {
        match *self {}
    }
}

impl Session {
    pub(super) fn socket(&self) -> &Socket {
        match *self {}
    }

    pub(super) fn establish(&mut self) -> io::Result<bool> {
        match *self {}
    }

    pub(super) fn waits_to_read(&self) -> bool {
        match *self {}
    }

    pub(super) fn write(&mut self, _message: &[u8]) -> io::Result<usize> {
        match *self {}
    }

    pub(super) fn listen(&mut self) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn close(&mut self) {
        match *self {}
    }
}
