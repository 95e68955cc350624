//! A collector that keeps what it gets.

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A collector of our own that keeps every datagram as it came.
pub(crate) struct Sink {
    pub(crate) port: u16,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Vec<u8>>>,
}

impl Sink {
    /// Listens at an address of loopback.
    pub(crate) fn listen(address: &str) -> io::Result<Self> {
        let socket = UdpSocket::bind(address)?;
        socket2::SockRef::from(&socket).set_recv_buffer_size(16 << 20)?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let port = socket.local_addr()?.port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut datagrams = Vec::new();
            let mut buffer = vec![0; 65_536];
            loop {
                match socket.recv(&mut buffer) {
                    Ok(length) => datagrams.push(buffer[..length].to_vec()),
                    Err(_) if stopped.load(Ordering::Relaxed) => return datagrams,
                    Err(_) => {}
                }
            }
        });
        Ok(Self { port, stop, thread })
    }

    pub(crate) fn datagrams(self) -> Vec<Vec<u8>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the sink does not panic")
    }
}
