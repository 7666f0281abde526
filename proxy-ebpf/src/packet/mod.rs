//! Packet access over XDP and TC. The only code that touches packet bytes; it does not interpret them.

mod frame;
mod pending;
mod skb;
mod stage;
mod wire;
mod xdp;

use core::{arch::asm, ffi::c_void, intrinsics::is_val_statically_known};

use proxy_common::{Headers, Stage, checksum::Difference};

use crate::route::Route;

pub use skb::{BARE, EITHER, FRAME, Skb};
pub use wire::Wire;
pub use xdp::Xdp;

/// Headers are looked for in this many bytes at the front of a packet.
pub const REACH: usize = 0x1ff;

/// A packet of either hook. Methods that change it invalidate nothing that a caller may hold: no reference
/// into a packet leaves this trait.
pub trait Packet {
    /// The hook's context, for helpers.
    fn context(&self) -> *mut c_void;

    /// Hands the packet over to another program, for good. Returns only if there is none.
    fn continue_at(&self, stage: Stage);

    /// Where the packet's directly readable bytes begin and end.
    fn bounds(&self) -> (usize, usize);

    /// The bounds, if they stay the same until the program ends, since no helper moves the packet.
    #[inline(always)]
    fn fixed_bounds(&self) -> Option<(usize, usize)> {
        None
    }

    /// Length in bytes, Ethernet header included.
    fn length(&self) -> u32;

    /// Bytes of transport payload in each packet that the kernel still has to cut this one into; 0: it goes out whole;
    /// [`CUT_ELSEWHERE`](Self::CUT_ELSEWHERE): the packet itself says where.
    fn segment(&self) -> usize;

    /// The kernel's `GSO_BY_FRAGS`.
    const CUT_ELSEWHERE: usize = 0xffff;

    /// The device that it came in on, or leaves by (TC egress).
    fn ifindex(&self) -> u32;

    /// The packet's mark (`skb->mark`), which rules of policy routing may look at; 0 if it has none.
    fn mark(&self) -> u32;

    /// Whether it begins with its network header: its device carries no Ethernet frames.
    fn is_bare(&self) -> bool;

    /// The ether type of what is bare, host byte order; of others it is in the packet.
    fn protocol(&self) -> u16;

    /// Whether it comes from a pod of this node (`--pod-interfaces`).
    fn is_from_pod(&self) -> bool;

    /// Whether it belongs to a VLAN of its device, given where its network header begins.
    fn is_tagged(&self, network: usize) -> bool;

    /// Whether this hook can send to another device: resolved, or with the neighbour still to be asked.
    fn can_send(&self, route: &Route) -> bool;

    /// Sends the packet by `route`: it leaves when the program ends.
    fn send(&mut self, route: &Route) -> Option<()>;

    /// Whether this hook can send a packet back where this one came from. What it can't, a later one can: TC ingress, or
    /// the VLAN's own device.
    fn can_send_back(&self, headers: &Headers) -> bool;

    /// Sends the packet back where it came from, with the Ethernet addresses swapped.
    fn send_back(&mut self) -> Option<()>;

    /// Sets both addresses of the IPv6 header whose source lies at `offset`.
    fn store_ipv6_addresses(&mut self, offset: usize, addresses: [[u32; 4]; 2]) -> Option<()>;

    /// Changes the transport checksum at `offset`: `pseudo` is the change of what lies outside the transport
    /// header, `inside` of what lies in it. `UDP` checksums of 0 have to be left alone by the caller.
    fn change_checksum(&mut self, offset: usize, pseudo: Difference, inside: Difference, udp: bool) -> Option<()>;

    /// Cuts the packet down to `length` bytes.
    fn truncate(&mut self, length: u32) -> Option<()>;

    /// Makes room for `bytes` bytes behind the Ethernet header, which no tag follows.
    fn insert(&mut self, bytes: u32) -> Option<()>;

    /// Whether the kernel still has to fill in the transport checksum, at the place where it was when the packet
    /// came, so that the field holds the pseudo header's sum only; of SCTP, 0.
    fn is_checksum_pending(&mut self, offset: usize) -> bool;

    /// Whether the transport checksum looks as if it were pending, and this hook can't have the kernel know so: TC ingress
    /// sees the same packet, and can.
    fn is_unfinished(&self, headers: &Headers) -> bool;

    /// The four bytes at `offset` of the packet of a context, as they lie there, if the packet is long enough.
    fn read_word(context: *mut c_void, offset: usize) -> Option<u32>;

    /// A pointer to a `T` that lies `offset` bytes from the start, if it lies in the packet.
    #[inline(always)]
    fn at<T>(&self, offset: usize) -> Option<*mut T> {
        // Where the compiler knows the offset, a check may follow from an earlier one of more bytes: the verifier sees one
        // pointer with several constants.
        if is_val_statically_known(offset)
            && let Some((start, end)) = self.fixed_bounds()
        {
            // SAFETY: no packet lies at the end of all memory.
            let (first, behind) =
                unsafe { (start.unchecked_add(offset), start.unchecked_add(offset + size_of::<T>())) };
            return (behind <= end).then_some(first as *mut T);
        }
        let (start, end) = self.bounds();
        let mut first = start;
        // Otherwise in assembly, to keep the compiler from dropping such a check: the verifier knows of no relation between two
        // pointers that are no constants apart. The mask tells the verifier what callers know: offsets are small.
        // SAFETY: adds two numbers.
        unsafe {
            asm!(
                "{first} += {offset}",
                first = inout(reg) first,
                offset = in(reg) offset & REACH,
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
