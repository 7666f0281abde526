//! The programs of the old set, to which new programs hand packets of flows that they do not know, by a tail call.

use aya::{
    maps::{MapData, ProgramArray},
    programs::ProgramFd,
};
use proxy_common::Stage;
use tracing::{debug, warn};

use super::SuccessionError;
use crate::{
    attach::{
        Variant,
        device::{DeviceHook, Hook, list},
    },
    logging::errors::Report,
    maps::{MapsError, PinFolder, open},
    node::capabilities,
};

/// The program array of the new set, and the index in it, of each program in [`PreviousPrograms`].
const ARRAY_SLOTS: [(&str, Stage); 3] =
    [("XDP_STAGES", Stage::Previous), ("TC_STAGES", Stage::Previous), ("TC_STAGES", Stage::PreviousEgress)];

/// The programs that are on devices now: XDP, TC ingress and TC egress. Each is the same on every device.
pub(super) struct PreviousPrograms([Option<ProgramFd>; 3]);

impl PreviousPrograms {
    /// Finds the programs by the links and filters of an instance. A hook without a device has none.
    pub(super) fn find(folder: &PinFolder) -> Result<Self, SuccessionError> {
        let mut found = [None, None, None];
        for hook in &list(folder)? {
            let place = match hook.hook {
                Hook::XdpNative | Hook::XdpGeneric => 0,
                Hook::TcxIngress | Hook::ClsactIngress => 1,
                Hook::TcxEgress | Hook::ClsactEgress => 2,
            };
            if found[place].is_none() {
                found[place] = descriptor(hook, folder);
            }
        }
        Ok(Self(found))
    }

    /// Puts the programs into the new set's program arrays. Logs failures.
    pub(super) fn install_in(self, new: &PinFolder) {
        debug!(programs = self.0.iter().flatten().count(), "new programs hand unknown flows to old programs");
        for ((array, stage), program) in ARRAY_SLOTS.into_iter().zip(self.0) {
            let Some(program) = program else { continue };
            let put = stages(new, array).map(|mut stages| stages.set(stage as u32, &program, 0));
            let problem = match put {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => Report(&error).to_string(),
                Err(error) => Report(&error).to_string(),
            };
            warn!(array, problem, "flows that begin or end now may be cut");
        }
    }
}

/// Returns the program of a hook; `None` if no packets are handed to it: those of L3 devices never are, and the programs on pods'
/// devices know only SCTP. The kernel gives a program's information and descriptor by its id, which takes CAP_SYS_ADMIN.
fn descriptor(hook: &DeviceHook, folder: &PinFolder) -> Option<ProgramFd> {
    let found = capabilities::with_all_programs_visible(|| {
        let program = hook.program(folder).ok_or("its program can't be found (this takes CAP_SYS_ADMIN)".to_owned())?;
        if Variant::of(&program) != Variant::Frames {
            return Ok(None);
        }
        program.fd().map(Some).map_err(|error| Report(&error).to_string())
    });
    found.unwrap_or_else(|problem: String| {
        warn!(device = hook.name, hook = hook.hook.word(), problem, "flows that begin or end now may be cut");
        None
    })
}

/// Removes the old programs from the new set's arrays.
pub(super) fn remove_from(new: &PinFolder) -> Result<(), SuccessionError> {
    for (array, stage) in ARRAY_SLOTS {
        // An absent program needs no removal.
        let _ = stages(new, array)?.clear_index(&(stage as u32));
    }
    Ok(())
}

fn stages(folder: &PinFolder, name: &'static str) -> Result<ProgramArray<MapData>, MapsError> {
    open(folder, name)
}
