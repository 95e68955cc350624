//! Socket options of AF_PACKET, AF_XDP and busy polling that rustix does not know, as octets.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sets an option whose value has no pointer in it.
///
/// # Errors
/// The kernel's errno.
pub(crate) fn set(socket: BorrowedFd<'_>, level: i32, option: i32, value: &[u8]) -> io::Result<()> {
    let length = libc::socklen_t::try_from(value.len()).map_err(io::Error::other)?;
    #[expect(unsafe_code, reason = "setsockopt(2) has no safe form for these options")]
    // SAFETY: the kernel reads `length` octets from `value`, all of them initialised, and keeps no pointer to them.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, value.as_ptr().cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
