//! Tail calls from one program to the next.

use core::{arch::asm, ffi::c_void};

use proxy_common::Stage;

/// Number of the helper `bpf_tail_call`.
const TAIL_CALL: u32 = 12;

/// Tail-calls the program of a stage; returns only if there is none.
///
/// # Safety
///
/// `context` must be the program's own, and `stages` a program array of its type. No value may be waiting to be dropped.
#[inline(always)]
pub unsafe fn tail_call(context: *mut c_void, stages: *const c_void, stage: Stage) {
    // SAFETY: as the caller has promised.
    unsafe {
        match stage {
            Stage::Open => jump::<{ Stage::Open as u32 }>(context, stages),
            Stage::Icmp => jump::<{ Stage::Icmp as u32 }>(context, stages),
            Stage::Reject => jump::<{ Stage::Reject as u32 }>(context, stages),
            Stage::IcmpEgress => jump::<{ Stage::IcmpEgress as u32 }>(context, stages),
            Stage::Send => jump::<{ Stage::Send as u32 }>(context, stages),
            Stage::Refresh => jump::<{ Stage::Refresh as u32 }>(context, stages),
            Stage::RefreshEgress => jump::<{ Stage::RefreshEgress as u32 }>(context, stages),
            Stage::Previous => jump::<{ Stage::Previous as u32 }>(context, stages),
            Stage::Uplink => jump::<{ Stage::Uplink as u32 }>(context, stages),
            Stage::PreviousEgress => jump::<{ Stage::PreviousEgress as u32 }>(context, stages),
            Stage::Ingress => jump::<{ Stage::Ingress as u32 }>(context, stages),
            Stage::Egress => jump::<{ Stage::Egress as u32 }>(context, stages),
            Stage::Own => jump::<{ Stage::Own as u32 }>(context, stages),
            Stage::OwnReply => jump::<{ Stage::OwnReply as u32 }>(context, stages),
        }
    }
}

/// Written in assembly, since the compiler would merge two calls that differ only in the stage. To a constant stage the kernel
/// jumps directly. For a variable one it reads the map and makes an indirect jump, which mitigations of Spectre make slow.
#[inline(always)]
unsafe fn jump<const STAGE: u32>(context: *mut c_void, stages: *const c_void) {
    // SAFETY: as the caller has promised; all registers that a call may change are named.
    unsafe {
        asm!(
            "r3 = {stage}",
            "call {helper}",
            stage = const STAGE,
            helper = const TAIL_CALL,
            inlateout("r1") context => _,
            inlateout("r2") stages => _,
            lateout("r0") _,
            lateout("r3") _,
            lateout("r4") _,
            lateout("r5") _,
            options(nostack),
        );
    }
}
