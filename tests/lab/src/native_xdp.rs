//! Makes veth pairs support native XDP, which takes two things that network cards do by themselves. It attaches to the
//! far ends of the wires only, and does not touch the ends that the agent attaches to.

#![expect(unsafe_code, reason = "bpf(2) for a program of two instructions")]

use std::{
    fs, io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    bpffs,
    error::{Error, Result, WithContext},
    netns::Netns,
};

/// `bpf(2)` commands and the program type, as in `linux/bpf.h`.
const PROG_LOAD: i32 = 5;
const OBJ_PIN: i32 = 6;
const TYPE_XDP: u32 = 6;
/// The program accepts packets in several fragments (`BPF_F_XDP_HAS_FRAGS`).
const HAS_FRAGS: u32 = 1 << 5;

/// `r0 = XDP_PASS; exit`.
const PASS: [u64; 2] = [0x0000_0002_0000_00b7, 0x0000_0000_0000_0095];

/// The head of `union bpf_attr` for loading a program.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: *const u64,
    license: *const u8,
    log: [u64; 2],
    kernel_version: u32,
    flags: u32,
    _rest: [u32; 20],
}

/// The head of `union bpf_attr` for pinning.
#[repr(C)]
struct Pin {
    path: *const u8,
    descriptor: u32,
    _rest: [u32; 5],
}

/// A pinned program that passes every frame. A lab's pin is removed with the lab's other pins.
#[derive(Debug)]
pub struct Pass {
    pin: PathBuf,
}

impl Pass {
    /// Loads the program and pins it among the pins of lab `id`.
    pub fn load(id: &str) -> Result<Self> {
        bpffs::mount()?;
        let folder = Path::new(bpffs::FOLDER).join(format!("{id}-pass"));
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let pin = folder.join("pass");
        let program = load().with_context(|| "load the XDP program that passes everything".into())?;
        pin_at(&program, &pin).with_context(|| format!("pin {}", pin.display()))?;
        Ok(Self { pin })
    }

    /// Gives `device` the program.
    ///
    /// A veth receives frames that its peer sends by `XDP_TX` or a redirect only if it polls, which it does once it
    /// has an XDP program itself. The cable of a network card has no such condition.
    pub fn attach(&self, netns: &Netns, device: &str) -> Result<()> {
        netns.batch(&[format!("link set dev {device} xdp pinned {}", self.pin.display())])
    }

    /// Removes the pin: the program stays on the devices that have it.
    pub fn unpin(self) -> Result<()> {
        let folder = self.pin.parent().unwrap_or(&self.pin);
        fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))
    }
}

/// Makes senders on `device` compute checksums, and cut their packets to size, at once.
///
/// A veth passes packets on before either is done, and an XDP program sees them so; a network card's XDP program sees
/// packets that their sender has finished.
pub fn send_complete(netns: &Netns, device: &str) -> Result<()> {
    let run = || Command::new("ethtool").args(["-K", device, "tx", "off"]).output();
    let output = netns.inside(run)?.with_context(|| "run ethtool".into())?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Command { command: format!("ethtool -K {device} tx off"), stderr })
}

fn load() -> io::Result<OwnedFd> {
    let count = u32::try_from(PASS.len()).map_err(io::Error::other)?;
    let load = Load {
        kind: TYPE_XDP,
        count,
        instructions: PASS.as_ptr(),
        license: c"GPL".as_ptr().cast(),
        log: [0; 2],
        kernel_version: 0,
        flags: HAS_FRAGS,
        _rest: [0; 20],
    };
    let descriptor = bpf(PROG_LOAD, &load)?;
    // SAFETY: the kernel has just made this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn pin_at(program: &OwnedFd, path: &Path) -> io::Result<()> {
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())?;
    let descriptor = u32::try_from(program.as_raw_fd()).map_err(io::Error::other)?;
    bpf(OBJ_PIN, &Pin { path: path.as_ptr().cast(), descriptor, _rest: [0; 5] }).map(drop)
}

/// The system call, for attributes whose pointers are valid until it returns.
fn bpf<T>(command: i32, attributes: &T) -> io::Result<i32> {
    // SAFETY: the kernel reads no more than the size given, and what the attributes point to lives until the return.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { i32::try_from(answer).map_err(io::Error::other) }
}
