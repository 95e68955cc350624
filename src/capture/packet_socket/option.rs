//! Socket options of AF_PACKET, AF_XDP and busy polling that rustix does not know, as octets.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// `struct sock_filter`: one instruction of classic BPF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    /// Operation.
    pub(crate) code: u16,
    /// Instructions to skip when true.
    pub(crate) jt: u8,
    /// Instructions to skip when false.
    pub(crate) jf: u8,
    /// Operand.
    pub(crate) k: u32,
}

/// Sets an option whose value has no pointer in it.
///
/// # Errors
/// The kernel's errno.
pub(crate) fn set(socket: BorrowedFd<'_>, level: i32, option: i32, value: &[u8]) -> io::Result<()> {
    let length = libc::socklen_t::try_from(value.len()).map_err(io::Error::other)?;
    // SAFETY: the kernel reads `length` octets from `value`, all of them initialised, and keeps no pointer to them.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, value.as_ptr().cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reads an option of at most `N` octets.
///
/// # Errors
/// The kernel's errno.
pub(crate) fn read<const N: usize>(
    socket: BorrowedFd<'_>,
    level: i32,
    option: i32,
) -> io::Result<[u8; N]> {
    let mut value = [0u8; N];
    let mut length = libc::socklen_t::try_from(N).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most `length` octets, the size of `value`, and that length.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            option,
            value.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

/// Sets an option whose value is a classic BPF program (`struct sock_fprog`).
///
/// # Errors
/// The kernel's errno; EINVAL for a program it does not accept.
pub(crate) fn set_program(
    socket: BorrowedFd<'_>,
    level: i32,
    option: i32,
    program: &[Instruction],
) -> io::Result<()> {
    #[repr(C)]
    struct Program {
        length: u16,
        instructions: *const Instruction,
    }
    let value = Program {
        length: u16::try_from(program.len()).map_err(io::Error::other)?,
        instructions: program.as_ptr(),
    };
    // SAFETY: the kernel reads `value` and the `length` instructions it points to, which live until the call returns, and copies
    // them.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<Program>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Binds a packet socket to every protocol of an interface: from here on it receives.
///
/// # Errors
/// The kernel's errno: ENETDOWN, ENODEV.
pub(crate) fn bind_packet(socket: BorrowedFd<'_>, interface: u32) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: i32::try_from(interface).map_err(io::Error::other)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: the kernel reads one whole `sockaddr_ll` from `address`.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
