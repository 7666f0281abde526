//! SERVICE_NAMES: from a service id back to Kubernetes names and to the last change, so that the pinned maps explain themselves
//! and a restarted agent finds its ids again.

use crate::pod::pod;

pod! {
    /// Value of SERVICE_NAMES: the service port that an id stands for, and when its backends last changed. Each name is UTF-8,
    /// zero-padded.
    pub struct StoredName: 216 {
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
        pub _pad: [u8; 6],
        /// When its lists of backends or its source ranges last changed on this node, in seconds since 1970; 0 means never.
        pub changed: u64,
        /// A digest of what they were changed to, by which a restarted agent knows that they have not changed meanwhile.
        pub digest: u64,
    }
}
