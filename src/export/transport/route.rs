//! How packets get to a collector: source address, interface, DSCP.

use super::super::destination::Network;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// A socket towards `address`, bound as `network` says, not yet connected.
pub(super) fn socket(
    network: &Network,
    address: SocketAddr,
    kind: Type,
    protocol: Protocol,
) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if let Some(interface) = &network.interface {
        socket.bind_device(Some(interface.as_bytes())).map_err(|error| {
            io::Error::new(error.kind(), format!("interface={interface}: {error}"))
        })?;
    }
    if let Some(dscp) = network.dscp {
        // Upper six bits of the octet (RFC 2474); the two below are the kernel's (ECN).
        let octet = u32::from(dscp) << 2;
        if address.is_ipv4() {
            socket.set_tos_v4(octet)?;
        } else {
            socket.set_tclass_v6(octet)?;
        }
    }
    if let Some(source) = network.source {
        let scope = match (source, address) {
            (IpAddr::V6(source), SocketAddr::V6(address)) if source.is_unicast_link_local() => {
                address.scope_id()
            }
            _ => 0,
        };
        let mut from = SocketAddr::new(source, 0);
        if let SocketAddr::V6(from) = &mut from {
            from.set_scope_id(scope);
        }
        socket
            .bind(&SockAddr::from(from))
            .map_err(|error| io::Error::new(error.kind(), format!("source={source}: {error}")))?;
    }
    Ok(socket)
}

/// Those of `addresses` that can be reached from the source address; all of them where none is given.
pub(super) fn reachable(network: &Network, addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(source) = network.source else { return addresses };
    addresses.into_iter().filter(|address| address.is_ipv4() == source.is_ipv4()).collect()
}
