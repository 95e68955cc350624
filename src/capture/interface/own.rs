//! Whether an interface carries traffic of this machine itself.

use std::net::IpAddr;

use super::Interface;

impl Interface {
    /// Why the kernel needs the frames of the interface itself: an address of this machine, or the default route, on it, on
    /// the bridge or bond it is a port of, or on a VLAN or macvlan that lies on it. `None`: it does not.
    ///
    /// Link-local addresses come by themselves with every interface that is up, so they alone say nothing.
    #[must_use]
    pub fn own_traffic(&self) -> Option<String> {
        if let Some(reason) = own_traffic_of(self) {
            return Some(reason);
        }
        let all = Self::all().unwrap_or_default();
        if let Some(controller) = all.iter().find(|other| Some(other.index) == self.controller)
            && let Some(reason) = own_traffic_of(controller)
        {
            return Some(format!("is a port of {}, which {reason}", controller.name));
        }
        // A veth names its other end where a VLAN names what it lies on: that is no traffic of its own.
        all.iter()
            .filter(|upper| upper.link == Some(self.index) && upper.kind.as_deref() != Some("veth"))
            .find_map(|upper| {
                Some(format!("carries {}, which {}", upper.name, own_traffic_of(upper)?))
            })
    }
}

fn own_traffic_of(interface: &Interface) -> Option<String> {
    let addresses = interface.addresses().unwrap_or_default();
    if let Some(address) = addresses.iter().find(|address| !is_link_local(address)) {
        return Some(format!("carries this machine's address {address}"));
    }
    let default_route = interface.has_default_route().unwrap_or(false);
    default_route.then(|| "carries the default route".to_owned())
}

fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}
