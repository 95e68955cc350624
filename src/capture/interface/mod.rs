//! What the kernel knows of a network interface.
//!
//! In: a name. Out: [`Interface`], its addresses and routes, its counters; all over netlink (RFC 3549), so they hold
//! for the network namespace of the calling thread.
//! Invariant: nothing here changes the interface, and nothing here needs a privilege.

pub(crate) mod baseline;
pub mod ethtool;
pub(crate) mod netlink;
mod own;
#[cfg_attr(
    not(feature = "xdp"),
    expect(
        dead_code,
        reason = "only AF_XDP changes settings; without it they are only given back"
    )
)]
pub mod steering;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use super::CaptureError;
use netlink::{Ask, Attributes, Netlink, attribute, put_attribute, text, u32_at, u64_at};

const RTM_GETLINK: u16 = 18;
const RTM_GETADDR: u16 = 22;
const RTM_GETROUTE: u16 = 26;
/// Octets of `struct ifinfomsg`, `struct ifaddrmsg`, `struct rtmsg` and `struct rtnexthop`.
const IFINFOMSG: usize = 16;
const IFADDRMSG: usize = 8;
const RTMSG: usize = 12;
const RTNEXTHOP: usize = 8;

/// Attribute types of a link (`linux/if_link.h`).
mod ifla {
    pub(super) const ADDRESS: u16 = 1;
    pub(super) const IFNAME: u16 = 3;
    pub(super) const MTU: u16 = 4;
    pub(super) const LINK: u16 = 5;
    pub(super) const MASTER: u16 = 10;
    pub(super) const LINKINFO: u16 = 18;
    pub(super) const IFALIAS: u16 = 20;
    pub(super) const INFO_KIND: u16 = 1;
    pub(super) const STATS64: u16 = 23;
    pub(super) const NUM_RX_QUEUES: u16 = 32;
    pub(super) const CARRIER: u16 = 33;
    pub(super) const LINK_NETNSID: u16 = 37;
    pub(super) const XDP: u16 = 43;
    pub(super) const XDP_ATTACHED: u16 = 2;
    pub(super) const XDP_PROG_ID: u16 = 4;
    pub(super) const XDP_DRV_PROG_ID: u16 = 5;
    pub(super) const XDP_SKB_PROG_ID: u16 = 6;
    pub(super) const XDP_HW_PROG_ID: u16 = 7;
    pub(super) const PROP_LIST: u16 = 52;
    pub(super) const ALT_IFNAME: u16 = 53;
    pub(super) const PARENT_DEV_NAME: u16 = 56;
    pub(super) const PARENT_DEV_BUS_NAME: u16 = 57;
}

/// An interface as it was when it was looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// ifIndex.
    pub index: u32,
    /// The name, at most 15 octets.
    pub name: String,
    /// Other names of it (`ip link property`).
    pub alternative_names: Vec<String>,
    /// What an operator calls it (`ip link set IF alias TEXT`); empty if nothing.
    pub alias: String,
    /// Octets of the largest IP packet.
    pub mtu: u32,
    /// Administratively up (IFF_UP).
    pub up: bool,
    /// The other end is there (carrier).
    pub carrier: bool,
    /// IFF_LOOPBACK.
    pub loopback: bool,
    /// IFF_PROMISC, or somebody asked for it.
    pub promiscuous: bool,
    /// ARPHRD_ type: 1 is Ethernet.
    pub hardware_type: u16,
    /// Link-layer address, empty when there is none.
    pub hardware_address: Vec<u8>,
    /// Most receive queues the interface can have.
    pub receive_queues_at_most: u32,
    /// Kind of a virtual interface: `veth`, `vlan`, `bridge` …
    pub kind: Option<String>,
    /// Bus and name of the device behind it: (`pci`, `0000:3b:00.0`).
    pub device: Option<(String, String)>,
    /// XDP programs attached: mode and program id.
    pub programs: Vec<(ProgramMode, u32)>,
    /// ifIndex of the bridge, bond or team it is a port of.
    pub controller: Option<u32>,
    /// ifIndex of what it lies on (VLAN, macvlan) or is wired to (veth), when that is in this namespace.
    pub link: Option<u32>,
}

/// Where an XDP program sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramMode {
    /// In the kernel's common receive path (`xdpgeneric`).
    Generic,
    /// In the driver (`xdp`).
    Native,
    /// On the NIC (`xdpoffload`).
    Offload,
}

/// The interface's own counters (`struct rtnl_link_stats64`), since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStatistics {
    /// Frames received without error.
    pub rx_packets: u64,
    /// Octets of them.
    pub rx_bytes: u64,
    /// Damaged frames.
    pub rx_errors: u64,
    /// Frames received but not processed. Some drivers count refused XDP redirects here.
    pub rx_dropped: u64,
    /// Frames too long for the buffers, or for which a buffer was missing.
    pub rx_over_errors: u64,
    /// Receiver FIFO overruns.
    pub rx_fifo_errors: u64,
    /// Frames the host had no buffer for.
    pub rx_missed_errors: u64,
    /// Frames not sent. On veth: frames the other end's ring had no room for.
    pub tx_dropped: u64,
}

impl Interface {
    /// Looks an interface up by name or alternative name. `None`: there is none of that name in this namespace.
    ///
    /// # Errors
    /// Netlink cannot be used.
    pub fn by_name(name: &str) -> io::Result<Option<Self>> {
        const IFNAMSIZ: usize = 16;
        const ALTIFNAMSIZ: usize = 128;
        if name.is_empty() || name.len() >= ALTIFNAMSIZ || name.contains('\0') {
            return Ok(None);
        }
        let kind = if name.len() < IFNAMSIZ { ifla::IFNAME } else { ifla::ALT_IFNAME };
        let found = match Self::lookup(0, Some((kind, name))) {
            Ok(None) if kind == ifla::IFNAME => Self::lookup(0, Some((ifla::ALT_IFNAME, name))),
            found => found,
        }?;
        Ok(found.map(|(interface, _)| interface))
    }

    /// Looks an interface up by name, for one that has to be there.
    ///
    /// # Errors
    /// [`CaptureError::Environment`] that says which names there are.
    pub fn named(name: &str) -> Result<Self, CaptureError> {
        match Self::by_name(name) {
            Ok(Some(interface)) => Ok(interface),
            Ok(None) => Err(CaptureError::Environment(missing(name))),
            Err(error) => Err(CaptureError::Environment(format!(
                "interfaces cannot be listed over netlink: {error}"
            ))),
        }
    }

    /// Looks an interface up by ifIndex.
    ///
    /// # Errors
    /// Netlink cannot be used.
    pub fn by_index(index: u32) -> io::Result<Option<Self>> {
        Ok(Self::lookup(index, None)?.map(|(interface, _)| interface))
    }

    /// Every interface of this namespace.
    ///
    /// # Errors
    /// Netlink cannot be used.
    pub fn all() -> io::Result<Vec<Self>> {
        let mut interfaces = Vec::new();
        Netlink::route()?.request(RTM_GETLINK, Ask::Dump, &[0; IFINFOMSG], |_, body| {
            interfaces.extend(parse_link(body).map(|(interface, _)| interface));
        })?;
        Ok(interfaces)
    }

    /// The counters as they are now. `None`: the interface is gone.
    ///
    /// # Errors
    /// Netlink cannot be used.
    pub fn statistics(&self) -> io::Result<Option<LinkStatistics>> {
        Ok(Self::lookup(self.index, None)?.map(|(_, statistics)| statistics))
    }

    /// Addresses of this machine on the interface.
    ///
    /// # Errors
    /// Netlink cannot be used.
    pub fn addresses(&self) -> io::Result<Vec<IpAddr>> {
        let mut addresses = Vec::new();
        Netlink::route()?.request(RTM_GETADDR, Ask::Dump, &[0; IFADDRMSG], |_, body| {
            if u32_at(body, 4) == Some(self.index) {
                addresses.extend(parse_address(body));
            }
        })?;
        Ok(addresses)
    }

    /// Whether a default route (IPv4 or IPv6) leaves by the interface.
    ///
    /// # Errors
    /// Netlink cannot be used.
    pub fn has_default_route(&self) -> io::Result<bool> {
        let mut found = false;
        let mut netlink = Netlink::route()?;
        for family in [libc::AF_INET, libc::AF_INET6] {
            let mut body = [0; RTMSG];
            body[0] = u8::try_from(family).unwrap_or(0);
            netlink.request(RTM_GETROUTE, Ask::Dump, &body, |_, route| {
                found |= is_default_route(route, self.index);
            })?;
        }
        Ok(found)
    }

    /// Name of the driver, or the kind of a virtual interface.
    #[must_use]
    pub fn driver(&self) -> Option<String> {
        let of_device = self.device_path().and_then(|device| {
            let driver = std::fs::read_link(device.join("driver")).ok()?;
            Some(driver.file_name()?.to_string_lossy().into_owned())
        });
        of_device.or_else(|| self.kind.clone())
    }

    /// NUMA node of the device, when it has one.
    #[must_use]
    pub fn numa_node(&self) -> Option<u32> {
        let node = std::fs::read_to_string(self.device_path()?.join("numa_node")).ok()?;
        node.trim().parse().ok()
    }

    /// The device in sysfs, by bus and name: unlike `/sys/class/net` that does not depend on the network namespace.
    fn device_path(&self) -> Option<PathBuf> {
        let (bus, device) = self.device.as_ref()?;
        Some(PathBuf::from("/sys/bus").join(bus).join("devices").join(device))
    }

    fn lookup(index: u32, name: Option<(u16, &str)>) -> io::Result<Option<(Self, LinkStatistics)>> {
        let mut body = vec![0; IFINFOMSG];
        body[4..8].copy_from_slice(&index.to_ne_bytes());
        if let Some((kind, name)) = name {
            put_attribute(&mut body, kind, &[name.as_bytes(), b"\0"].concat());
        }
        let mut found = None;
        let answer = Netlink::route()?.request(RTM_GETLINK, Ask::One, &body, |_, link| {
            found = found.take().or_else(|| parse_link(link));
        });
        match answer {
            Ok(()) => Ok(found),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            // An alternative name on a kernel that has none.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) && name.is_some() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn missing(name: &str) -> String {
    let mut names: Vec<String> = Interface::all()
        .unwrap_or_default()
        .into_iter()
        .filter(|interface| !interface.loopback)
        .map(|interface| interface.name)
        .collect();
    names.sort();
    match names.is_empty() {
        true => format!("no interface {name}: this network namespace has none but loopback"),
        false => format!("no interface {name}: there are {}", names.join(", ")),
    }
}

fn parse_link(body: &[u8]) -> Option<(Interface, LinkStatistics)> {
    const IFF_UP: u32 = 0x1;
    const IFF_LOOPBACK: u32 = 0x8;
    const IFF_PROMISC: u32 = 0x100;
    let flags = u32_at(body, 8)?;
    let attributes = body.get(IFINFOMSG..)?;
    let number = |kind| attribute(attributes, kind).and_then(|value| u32_at(value, 0));
    let string = |kind| attribute(attributes, kind).map(text);
    let elsewhere = attribute(attributes, ifla::LINK_NETNSID).is_some();
    let interface = Interface {
        index: u32_at(body, 4)?,
        name: string(ifla::IFNAME)?,
        alias: string(ifla::IFALIAS).unwrap_or_default(),
        alternative_names: attribute(attributes, ifla::PROP_LIST)
            .map(|list| Attributes(list).map(|(_, name)| text(name)).collect())
            .unwrap_or_default(),
        mtu: number(ifla::MTU).unwrap_or(0),
        up: flags & IFF_UP != 0,
        carrier: attribute(attributes, ifla::CARRIER).is_none_or(|value| value.first() != Some(&0)),
        loopback: flags & IFF_LOOPBACK != 0,
        promiscuous: flags & IFF_PROMISC != 0,
        hardware_type: netlink::u16_at(body, 2)?,
        hardware_address: attribute(attributes, ifla::ADDRESS).unwrap_or_default().to_vec(),
        receive_queues_at_most: number(ifla::NUM_RX_QUEUES).unwrap_or(1).max(1),
        kind: attribute(attributes, ifla::LINKINFO)
            .and_then(|info| attribute(info, ifla::INFO_KIND))
            .map(text),
        device: string(ifla::PARENT_DEV_BUS_NAME).zip(string(ifla::PARENT_DEV_NAME)),
        programs: attribute(attributes, ifla::XDP).map(parse_programs).unwrap_or_default(),
        controller: number(ifla::MASTER),
        link: number(ifla::LINK).filter(|&link| link != 0 && !elsewhere),
    };
    let statistics = attribute(attributes, ifla::STATS64).map(parse_statistics).unwrap_or_default();
    Some((interface, statistics))
}

fn parse_programs(xdp: &[u8]) -> Vec<(ProgramMode, u32)> {
    const NONE: u8 = 0;
    let number = |kind| attribute(xdp, kind).and_then(|value| u32_at(value, 0));
    let attached = attribute(xdp, ifla::XDP_ATTACHED).and_then(|value| value.first().copied());
    if attached.unwrap_or(NONE) == NONE {
        return Vec::new();
    }
    let by_mode = [
        (ProgramMode::Native, ifla::XDP_DRV_PROG_ID),
        (ProgramMode::Generic, ifla::XDP_SKB_PROG_ID),
        (ProgramMode::Offload, ifla::XDP_HW_PROG_ID),
    ];
    let programs: Vec<_> =
        by_mode.into_iter().filter_map(|(mode, kind)| Some((mode, number(kind)?))).collect();
    if programs.is_empty() {
        return number(ifla::XDP_PROG_ID).map(|id| (ProgramMode::Native, id)).into_iter().collect();
    }
    programs
}

/// Places in `struct rtnl_link_stats64`, counted in 64-bit words.
fn parse_statistics(stats: &[u8]) -> LinkStatistics {
    let word = |number: usize| u64_at(stats, number * 8).unwrap_or(0);
    LinkStatistics {
        rx_packets: word(0),
        rx_bytes: word(2),
        rx_errors: word(4),
        rx_dropped: word(6),
        tx_dropped: word(7),
        rx_over_errors: word(11),
        rx_fifo_errors: word(14),
        rx_missed_errors: word(15),
    }
}

fn parse_address(body: &[u8]) -> Option<IpAddr> {
    const IFA_ADDRESS: u16 = 1;
    const IFA_LOCAL: u16 = 2;
    let attributes = body.get(IFADDRMSG..)?;
    // On a point-to-point interface IFA_ADDRESS is the peer's and IFA_LOCAL is ours.
    let address =
        attribute(attributes, IFA_LOCAL).or_else(|| attribute(attributes, IFA_ADDRESS))?;
    if let Ok(octets) = <[u8; 4]>::try_from(address) {
        return Some(Ipv4Addr::from(octets).into());
    }
    <[u8; 16]>::try_from(address).ok().map(|octets| Ipv6Addr::from(octets).into())
}

fn is_default_route(route: &[u8], interface: u32) -> bool {
    const RTN_UNICAST: u8 = 1;
    const RTA_OIF: u16 = 4;
    const RTA_MULTIPATH: u16 = 9;
    let (Some(&prefix), Some(&kind)) = (route.get(1), route.get(7)) else { return false };
    if prefix != 0 || kind != RTN_UNICAST {
        return false;
    }
    let attributes = route.get(RTMSG..).unwrap_or_default();
    if attribute(attributes, RTA_OIF).and_then(|value| u32_at(value, 0)) == Some(interface) {
        return true;
    }
    let mut hops = attribute(attributes, RTA_MULTIPATH).unwrap_or_default();
    while let (Some(length), Some(index)) = (netlink::u16_at(hops, 0), u32_at(hops, 4)) {
        if index == interface {
            return true;
        }
        hops = hops.get((length as usize).max(RTNEXTHOP)..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_found_by_name_and_index() {
        let Ok(Some(lo)) = Interface::by_name("lo") else { panic!("no lo in this namespace") };
        assert!(lo.loopback);
        assert_eq!(lo.hardware_address, [0; 6]);
        let again = Interface::by_index(lo.index).expect("netlink");
        assert_eq!(again.map(|found| found.name), Some("lo".to_owned()));
        assert!(Interface::all().expect("netlink").iter().any(|found| found.name == "lo"));
        assert!(lo.statistics().expect("netlink").is_some());
        assert!(!lo.has_default_route().expect("netlink"));
    }

    #[test]
    fn names_that_cannot_be_are_not_found() {
        for name in
            ["", "no-such-if", "a-name-longer-than-sixteen-octets", "a\0b", &"x".repeat(200)]
        {
            assert_eq!(Interface::by_name(name).expect("netlink"), None, "{name:?}");
        }
    }

    #[test]
    fn default_routes_are_told_from_others() {
        let route = |prefix: u8, kind: u8, attributes: &[u8]| {
            let mut body = vec![2, prefix, 0, 0, 254, 3, 0, kind, 0, 0, 0, 0];
            body.extend_from_slice(attributes);
            body
        };
        let mut through_7 = Vec::new();
        put_attribute(&mut through_7, 4, &7u32.to_ne_bytes());
        assert!(is_default_route(&route(0, 1, &through_7), 7));
        assert!(!is_default_route(&route(0, 1, &through_7), 8));
        assert!(!is_default_route(&route(24, 1, &through_7), 7));
        assert!(!is_default_route(&route(0, 7, &through_7), 7), "unreachable default");
        let hop = |index: u32| [&8u16.to_ne_bytes()[..], &[0, 0], &index.to_ne_bytes()].concat();
        let mut multipath = Vec::new();
        put_attribute(&mut multipath, 9, &[hop(3), hop(9)].concat());
        assert!(is_default_route(&route(0, 1, &multipath), 9));
        assert!(!is_default_route(&route(0, 1, &multipath), 4));
    }

    #[test]
    fn damaged_links_are_passed_over() {
        for length in 0..IFINFOMSG {
            assert!(parse_link(&vec![0; length]).is_none());
        }
        assert!(parse_link(&[0; IFINFOMSG]).is_none(), "a link without a name");
    }
}
