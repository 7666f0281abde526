//! Tests which devices are served when the map DEVICES is full or can't be written. Hooks and map are in memory.

use std::{
    cell::RefCell,
    io,
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};

use tracing_subscriber::layer::SubscriberExt as _;

use super::*;
use crate::{
    attach::{Put, Variant},
    maps::memory::{Hash, Kernel},
    node::rtnetlink::Link,
};

/// Hooks in memory. Clones are the same hooks. Devices that are gone, and others that are broken, refuse programs, and keep those
/// that they have.
#[derive(Clone, Default)]
struct Hooks {
    attached: Rc<RefCell<BTreeSet<DeviceHook>>>,
    gone: Rc<RefCell<BTreeSet<u32>>>,
    broken: Rc<RefCell<BTreeSet<u32>>>,
}

impl Hooks {
    fn check(&self, device: u32) -> io::Result<()> {
        let refuses = self.is_gone(device) || self.broken.borrow().contains(&device);
        if refuses { Err(io::Error::from_raw_os_error(libc::ENODEV)) } else { Ok(()) }
    }
}

impl DeviceHooks for Hooks {
    fn list(&self) -> Result<Vec<DeviceHook>, AttachError> {
        Ok(self.attached.borrow().iter().cloned().collect())
    }

    fn load(&mut self, _group: Group) -> Result<(), AttachError> {
        Ok(())
    }

    fn put(&mut self, hook: &DeviceHook, pinned: Option<&DeviceHook>, _variant: Variant) -> Result<Put, AttachError> {
        self.check(hook.device).map_err(|source| AttachError::Attach {
            name: hook.hook.program(),
            target: hook.name.clone(),
            source,
        })?;
        self.attached.borrow_mut().insert(hook.clone());
        Ok(if pinned.is_some() { Put::Replaced } else { Put::Attached })
    }

    fn remove(&mut self, hook: &DeviceHook) -> Result<(), AttachError> {
        self.check(hook.device).map_err(|source| AttachError::Detach { path: hook.to_string().into(), source })?;
        self.attached.borrow_mut().remove(hook);
        Ok(())
    }

    fn is_dead(&self, hook: &DeviceHook) -> bool {
        !self.attached.borrow().contains(hook)
    }

    fn is_gone(&self, device: u32) -> bool {
        self.gone.borrow().contains(&device)
    }
}

struct World {
    devices: Devices<Hooks, Hash<u32, Device>>,
    hooks: Hooks,
    map: Hash<u32, Device>,
    kernel: Kernel,
    missing: Missing,
}

impl World {
    fn new(room: usize) -> Self {
        let (hooks, kernel, missing) = (Hooks::default(), Kernel::default(), Missing::default());
        let map = Hash::empty(room, &kernel);
        let devices = Devices {
            hooks: hooks.clone(),
            map: map.clone(),
            room,
            mode: DeviceMode::Auto,
            has_tcx: true,
            states: BTreeMap::new(),
            pinned: Vec::new(),
            missing: missing.clone(),
        };
        Self { devices, hooks, map, kernel, missing }
    }

    /// Serves these devices, and returns those that have programs and an entry.
    fn look(&mut self, wanted: &[(u32, Role)]) -> BTreeSet<u32> {
        let target = |(index, role): &(u32, Role)| {
            let link = Link { index: *index, name: format!("dev{index}"), ..Link::default() };
            (*index, Target { link, role: *role, unreliable: None })
        };
        self.devices.reconcile(wanted.iter().map(target).collect()).unwrap();
        let served: BTreeSet<u32> = self.hooks.attached.borrow().iter().map(|hook| hook.device).collect();
        assert_eq!(self.map.keys().collect::<BTreeSet<_>>(), served, "entries, and devices with programs");
        served
    }

    /// The sentences about devices for clients outside that are not served.
    fn missed(&self) -> Vec<String> {
        self.missing.missing_longer_than(Duration::ZERO, Instant::now() + Duration::from_secs(1))
    }
}

#[test]
fn s19_a_device_without_room_is_missed_until_another_goes_and_all_others_are_served() {
    let mut world = World::new(3);
    let wanted = [2, 3, 4, 5].map(|index| (index, Role::Outside));
    for _ in 0..2 {
        assert_eq!(world.look(&wanted), [2, 3, 4].into());
        let missed = world.missed();
        assert!(missed.len() == 1 && missed[0].starts_with("device dev5 has not been served"), "{missed:?}");
        assert!(missed[0].contains("it has room for 1024 (name fewer with --devices"), "{missed:?}");
        assert!(world.devices.is_unsettled(), "it is tried again");
    }
    assert_eq!(world.look(&[wanted[0], wanted[1], wanted[3]]), [2, 3, 5].into());
    assert_eq!((world.missed(), world.devices.is_unsettled()), (vec![], false));
}

#[test]
fn s19_an_uplink_that_appears_gets_the_room_of_a_pod_which_is_counted() {
    let mut world = World::new(2);
    let pods = [(2, Role::Sctp), (3, Role::Pod), (4, Role::Sctp)];
    assert_eq!(world.look(&pods), [2, 3].into());
    assert_eq!((world.missing.count(), world.missing.pods()), (0, 1));
    assert_eq!(world.look(&[pods[0], pods[1], pods[2], (9, Role::Outside)]), [3, 9].into());
    assert_eq!((world.missing.count(), world.missing.pods()), (0, 2));
    assert_eq!(world.look(&pods), [2, 3].into());
    assert_eq!(world.look(&pods[1..]), [3, 4].into());
    assert_eq!((world.missing.count(), world.missing.pods()), (0, 0));
}

#[test]
fn s19_a_device_whose_entry_is_refused_has_no_program_until_it_is_taken() {
    for role in [Role::Outside, Role::Pod] {
        let mut world = World::new(2);
        assert_eq!(world.look(&[(2, Role::Outside)]), [2].into());
        let wanted = [(2, Role::Outside), (3, role)];
        world.kernel.refuse([Some(libc::ENOMEM)]);
        assert_eq!(world.look(&wanted), [2].into(), "{role:?}");
        assert_eq!(world.missing.count() + world.missing.pods(), 1);
        assert!(world.devices.is_unsettled());
        assert_eq!(world.look(&wanted), [2, 3].into(), "{role:?}");
        assert_eq!(world.missing.count() + world.missing.pods(), 0);
    }
}

/// The levels of the lines that `act` logs.
fn logged(act: impl FnOnce()) -> Vec<tracing::Level> {
    #[derive(Clone, Default)]
    struct Levels(Arc<Mutex<Vec<tracing::Level>>>);

    impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Levels {
        fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
            self.0.lock().unwrap().push(*event.metadata().level());
        }
    }

    let levels = Levels::default();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(levels.clone()), act);
    levels.0.lock().unwrap().clone()
}

#[test]
fn s31_a_device_that_is_removed_while_it_is_served_is_no_news() {
    let mut world = World::new(3);
    let wanted = [(2, Role::Outside), (3, Role::Pod)];
    for index in [2, 3] {
        world.hooks.gone.borrow_mut().insert(index);
    }
    let levels = logged(|| assert_eq!(world.look(&wanted), [].into()));
    assert!(levels.iter().all(|level| *level > tracing::Level::INFO), "{levels:?}");
    assert_eq!((world.missing.count(), world.missing.pods()), (0, 0));
    assert!(world.devices.is_unsettled(), "a device may have appeared again with the same index");
    world.hooks.gone.borrow_mut().clear();
    assert_eq!(world.look(&wanted), [2, 3].into());

    // The programs are gone with the devices, and that their pins are left over is not logged as an error.
    world.hooks.gone.borrow_mut().extend([2, 3]);
    let levels = logged(|| world.devices.reconcile(BTreeMap::new()).unwrap());
    assert!(levels.iter().all(|level| *level > tracing::Level::INFO), "{levels:?}");
}

#[test]
fn s31_a_device_that_is_there_but_refuses_programs_is_an_error() {
    let mut world = World::new(3);
    world.hooks.broken.borrow_mut().insert(2);
    let levels = logged(|| assert_eq!(world.look(&[(2, Role::Outside)]), [].into()));
    assert!(levels.contains(&tracing::Level::ERROR), "{levels:?}");
    assert_eq!(world.missing.count(), 1);
}
