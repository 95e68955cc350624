//! Capabilities given up (capabilities(7)).

use rustix::process::geteuid;
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};

/// Leaves the calling thread without capabilities. `files` and root: CAP_DAC_OVERRIDE stays, so that the root of a machine
/// can have configuration and outputs in a folder of somebody else; Landlock says which.
pub(super) fn drop_all(files: bool) -> Result<String, String> {
    let keep = if files && geteuid().is_root() {
        CapabilitySet::DAC_OVERRIDE
    } else {
        CapabilitySet::empty()
    };
    // Needs the ambient set's ioctl only; a kernel before 4.3 has none.
    let _ = clear_ambient_capability_set();
    // Takes CAP_SETPCAP, which a service has not: there the unit bounds the set.
    for capability in CapabilitySet::all().difference(keep).iter() {
        if remove_capability_from_bounding_set(capability).is_err() {
            break;
        }
    }
    let sets =
        CapabilitySets { effective: keep, permitted: keep, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(|error| error.to_string())?;
    Ok(if keep.is_empty() {
        "none left".into()
    } else {
        "CAP_DAC_OVERRIDE left, for files of others".into()
    })
}
