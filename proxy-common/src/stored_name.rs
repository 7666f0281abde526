//! SERVICE_NAMES: from a service id back to Kubernetes names, so that the pinned maps explain themselves
//! and a restarted agent finds its ids again.

use crate::pod::pod;

pod! {
    /// Value of SERVICE_NAMES: the service port that an id stands for. Each name is UTF-8, zero-padded.
    pub struct StoredName: 196 {
        /// Namespace.
        pub namespace: [u8; 64],
        /// Service name.
        pub name: [u8; 64],
        /// Port name; empty for an unnamed port.
        pub port_name: [u8; 64],
        /// IANA protocol number.
        pub protocol: u8,
        /// 4 or 6.
        pub family: u8,
        /// Zero.
        pub _pad: u16,
    }
}
