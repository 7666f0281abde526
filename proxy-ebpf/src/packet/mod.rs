//! Packet access over XDP and TC. The only code that touches packet bytes; it does not interpret them.

mod frame;
mod pending;
mod skb;
mod stage;
mod wire;
mod xdp;

use core::{arch::asm, ffi::c_void, intrinsics::is_val_statically_known};

use proxy_common::{EventHook, Headers, Stage, checksum::Difference};

use crate::route::Route;

pub use skb::{BARE, EITHER, FRAME, Skb};
pub use wire::Wire;
pub use xdp::Xdp;

/// Headers are looked for in this many bytes at the front of a packet.
pub const MAX_OFFSET: usize = 0x1ff;

/// A packet of either hook. Methods that change it invalidate nothing that a caller may hold: no reference
/// into a packet leaves this trait.
pub trait Packet {
    /// The hook, as events name it.
    const HOOK: EventHook;

    /// The hook's context, for helpers.
    fn context(&self) -> *mut c_void;

    /// Tail-calls the program of a stage. Returns only if there is none.
    fn continue_at(&self, stage: Stage);

    /// The addresses at which the packet's directly readable bytes begin and end.
    fn bounds(&self) -> (usize, usize);

    /// The bounds, if they stay the same until the program ends, since no helper moves the packet.
    #[inline(always)]
    fn fixed_bounds(&self) -> Option<(usize, usize)> {
        None
    }

    /// Length in bytes, Ethernet header included.
    fn length(&self) -> u32;

    /// Bytes of transport payload in each of the packets that the kernel will cut this one into (GSO). 0 if it leaves whole;
    /// [`GSO_BY_FRAGS`](Self::GSO_BY_FRAGS) if the fragments in the packet decide.
    fn segment(&self) -> usize;

    /// The kernel's `GSO_BY_FRAGS`.
    const GSO_BY_FRAGS: usize = 0xffff;

    /// The index of the device that the packet came in on, or leaves by (TC egress).
    fn ifindex(&self) -> u32;

    /// The packet's mark (`skb->mark`), which rules of policy routing may look at; 0 if it has none.
    fn mark(&self) -> u32;

    /// Whether the packet begins with its network header, since its device carries no Ethernet frames.
    fn is_bare(&self) -> bool;

    /// The ether type, host byte order, of a packet without an Ethernet header. Other packets have it in theirs.
    fn protocol(&self) -> u16;

    /// Whether the packet comes from a pod of this node (`--pod-interfaces`).
    fn is_from_pod(&self) -> bool;

    /// Whether the packet belongs to a VLAN of its device. `network` is the offset of its network header.
    fn is_tagged(&self, network: usize) -> bool;

    /// Whether this hook can send the packet by `route`, given the device and whether the neighbour is resolved.
    fn can_send(&self, route: &Route) -> bool;

    /// Sends the packet by `route`: it leaves when the program ends.
    fn send(&mut self, route: &Route) -> Option<()>;

    /// Whether this hook can send the packet back to where it came from. If not, a later hook can: TC ingress, or one on the
    /// VLAN's own device.
    fn can_send_back(&self, headers: &Headers) -> bool;

    /// Sends the packet back to where it came from, with the Ethernet addresses swapped.
    fn send_back(&mut self) -> Option<()>;

    /// Sets both addresses of an IPv6 header. `offset` is that of the source address.
    fn store_ipv6_addresses(&mut self, offset: usize, addresses: [[u32; 4]; 2]) -> Option<()>;

    /// Changes the transport checksum at `offset`. `pseudo` is the change outside the transport header, `inside` the change in
    /// it. `udp` says that it is UDP's checksum, which the caller must leave alone if it is 0.
    fn change_checksum(&mut self, offset: usize, pseudo: Difference, inside: Difference, udp: bool) -> Option<()>;

    /// Cuts the packet down to `length` bytes.
    fn truncate(&mut self, length: u32) -> Option<()>;

    /// Inserts `bytes` bytes after the Ethernet header, which no VLAN tag may follow.
    fn insert(&mut self, bytes: u32) -> Option<()>;

    /// Whether the kernel still has to fill in the transport checksum (`CHECKSUM_PARTIAL`) at its original `offset`. Until then
    /// the field has the sum of the pseudo header only, or 0 for SCTP.
    fn is_checksum_pending(&mut self, offset: usize) -> bool;

    /// Whether the transport checksum looks as if it were pending and this hook can't tell the kernel about changes. TC ingress
    /// sees the same packet, and can.
    fn is_unfinished(&self, headers: &Headers) -> bool;

    /// The four bytes at `offset` of a context's packet, as loaded from there, if the packet is long enough.
    fn read_word(context: *mut c_void, offset: usize) -> Option<u32>;

    /// A pointer to the `T` that is `offset` bytes from the start, if all of it is in the packet.
    #[inline(always)]
    fn at<T>(&self, offset: usize) -> Option<*mut T> {
        // If the compiler knows the offset, it may drop a check that follows from an earlier one of more bytes: the verifier sees
        // one pointer with several constants.
        if is_val_statically_known(offset)
            && let Some((start, end)) = self.fixed_bounds()
        {
            // SAFETY: no packet is at the end of the address space.
            let (first, behind) =
                unsafe { (start.unchecked_add(offset), start.unchecked_add(offset + size_of::<T>())) };
            return (behind <= end).then_some(first as *mut T);
        }
        let (start, end) = self.bounds();
        let mut first = start;
        // Otherwise in assembly, so that the compiler does not drop such a check: the verifier knows of no relation between two
        // pointers with different variable offsets. The mask tells the verifier what callers guarantee: offsets are small.
        // SAFETY: adds two numbers.
        unsafe {
            asm!(
                "{first} += {offset}",
                first = inout(reg) first,
                offset = in(reg) offset & MAX_OFFSET,
                options(pure, nomem, nostack),
            );
        }
        (first + size_of::<T>() <= end).then_some(first as *mut T)
    }

    /// A copy of the `T` at `offset`.
    #[inline(always)]
    fn load<T: Wire>(&self, offset: usize) -> Option<T> {
        // SAFETY: `at` has checked the bounds.
        self.at(offset).map(|pointer| unsafe { T::read(pointer) })
    }

    /// Replaces the `T` at `offset`.
    #[inline(always)]
    fn store<T: Wire>(&mut self, offset: usize, value: T) -> Option<()> {
        // SAFETY: as in `load`.
        self.at(offset).map(|pointer| unsafe { value.write(pointer) })
    }
}
