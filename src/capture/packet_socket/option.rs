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

/// One ethtool request over ioctl, for what netlink does not have. `data` begins with the command and is overwritten by the
/// answer; it must be at least as long as the structure of that command.
///
/// # Errors
/// The kernel's errno: EOPNOTSUPP where the driver does not know the request.
pub(crate) fn ethtool(socket: BorrowedFd<'_>, interface: &str, data: &mut [u8]) -> io::Result<()> {
    const SIOCETHTOOL: libc::c_ulong = 0x8946;
    device(socket, SIOCETHTOOL, interface, data)
}

/// One request about an interface, of those whose `struct ifreq` points at a structure. `data` is that structure, overwritten by the
/// answer.
///
/// # Errors
/// The kernel's errno.
pub(crate) fn device(
    socket: BorrowedFd<'_>,
    number: libc::c_ulong,
    interface: &str,
    data: &mut [u8],
) -> io::Result<()> {
    /// `struct ifreq` as this request uses it.
    #[repr(C)]
    struct Request {
        name: [u8; 16],
        data: *mut u8,
        rest: [u8; 16],
    }
    /// Octets of the longest structure of the commands used here, `struct ethtool_rxnfc`.
    const LONGEST: usize = 256;
    let mut name = [0; 16];
    let taken = interface.as_bytes().get(..15).unwrap_or(interface.as_bytes());
    name[..taken.len()].copy_from_slice(taken);
    let mut room = data.to_vec();
    room.resize(data.len().max(LONGEST), 0);
    let mut request = Request { name, data: room.as_mut_ptr(), rest: [0; 16] };
    // SAFETY: the kernel reads the request, and reads and writes at most the structure of the command at `data`, which is
    // shorter than `room`; both live until the call returns.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), number as _, &raw mut request) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let length = data.len();
    data.copy_from_slice(&room[..length]);
    Ok(())
}
