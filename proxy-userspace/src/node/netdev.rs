//! What drivers say of their XDP, over generic netlink (include/uapi/linux/netdev.h; Linux 6.3 and later). Only reads.

use std::{io, ops::ControlFlow};

use rtnetlink::{
    packet_core::{DefaultNla, Emitable as _, NLM_F_ACK, NetlinkBuffer, NetlinkSerializable},
    sys::protocols::NETLINK_GENERIC,
};

use super::{
    netfilter::{attribute, find},
    netlink::{NetlinkSocket, encode},
};

/// The family of the controller, which knows the others by name.
const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
/// The size of `struct genlmsghdr`: command, version, reserved.
const HEADER: usize = 4;

/// The XDP features of a device (`enum netdev_xdp_act`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct XdpFeatures(pub u64);

impl XdpFeatures {
    /// NETDEV_XDP_ACT_BASIC: the driver runs programs, and passes, drops, and sends back packets.
    const BASIC: u64 = 1;
    /// NETDEV_XDP_ACT_REDIRECT: packets can be redirected to other devices.
    const REDIRECT: u64 = 1 << 1;
    /// NETDEV_XDP_ACT_NDO_XMIT: the driver sends packets that other devices redirect to it.
    const TRANSMIT: u64 = 1 << 2;

    /// Whether the driver has native XDP.
    pub(crate) const fn is_native(self) -> bool {
        self.0 & Self::BASIC != 0
    }

    /// Returns the features in the kernel's words.
    pub(crate) fn words(self) -> Vec<&'static str> {
        let known = [(Self::BASIC, "basic"), (Self::REDIRECT, "redirect"), (Self::TRANSMIT, "ndo-xmit")];
        known.into_iter().filter(|(bit, _)| self.0 & bit != 0).map(|(_, word)| word).collect()
    }
}

/// A message of generic netlink.
struct Request {
    family: u16,
    command: u8,
    attribute: DefaultNla,
}

impl NetlinkSerializable for Request {
    fn message_type(&self) -> u16 {
        self.family
    }

    fn buffer_len(&self) -> usize {
        HEADER + self.attribute.buffer_len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer[..HEADER].copy_from_slice(&[self.command, 1, 0, 0]);
        self.attribute.emit(&mut buffer[HEADER..]);
    }
}

/// The devices' XDP features.
pub(crate) struct NetdevFamily {
    socket: NetlinkSocket,
    id: u16,
}

impl NetdevFamily {
    /// Finds the family. The error is NotFound before Linux 6.3.
    pub(crate) fn open() -> io::Result<Self> {
        let mut socket = NetlinkSocket::new(NETLINK_GENERIC)?;
        let attribute = attribute(CTRL_ATTR_FAMILY_NAME, "netdev");
        let request = Request { family: GENL_ID_CTRL, command: CTRL_CMD_GETFAMILY, attribute };
        let id = ask(&mut socket, request, CTRL_ATTR_FAMILY_ID)?.and_then(|value| value.try_into().ok());
        let id = u16::from_ne_bytes(id.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?);
        Ok(Self { socket, id })
    }

    /// Returns the features of the device with this index.
    pub(crate) fn features(&mut self, device: u32) -> io::Result<XdpFeatures> {
        let attribute = DefaultNla::new(NETDEV_A_DEV_IFINDEX, device.to_ne_bytes().to_vec());
        let request = Request { family: self.id, command: NETDEV_CMD_DEV_GET, attribute };
        let value = ask(&mut self.socket, request, NETDEV_A_DEV_XDP_FEATURES)?.and_then(|value| value.try_into().ok());
        Ok(XdpFeatures(value.map_or(0, u64::from_ne_bytes)))
    }
}

/// Sends a request and returns the value of an attribute of the response.
fn ask(socket: &mut NetlinkSocket, request: Request, wanted: u16) -> io::Result<Option<Vec<u8>>> {
    let mut value = None;
    socket.ask(&encode(request, NLM_F_ACK), |answer| {
        let payload = NetlinkBuffer::new(answer).payload();
        value = payload.get(HEADER..).and_then(|attributes| find(attributes, wanted));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_have_words() {
        assert_eq!(XdpFeatures(0b100_0111).words(), ["basic", "redirect", "ndo-xmit"]);
        assert!(XdpFeatures(0).words().is_empty() && !XdpFeatures(0b110).is_native());
    }

    #[test]
    fn loopback_has_no_native_xdp() {
        // Before Linux 6.3 nothing can be asked.
        let Ok(mut family) = NetdevFamily::open() else { return };
        assert!(!family.features(1).unwrap().is_native());
    }
}
