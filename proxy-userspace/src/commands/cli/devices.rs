//! The flags for devices.

use clap::Args;

use crate::config::devices::{DeviceChoice, DeviceConfig, DeviceMode, Pattern, TcAttach};

/// Settings of the packet programs.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Devices")]
pub struct DeviceArgs {
    /// Devices whose packets are served: `auto` (devices with an address of the node, a default route or a link-local
    /// gateway), or names, in which `*` and `?` are wildcards. Devices that appear later are included
    #[arg(long, value_name = "auto|NAME,…", default_value = "auto")]
    pub devices: DeviceChoice,
    /// How devices are served
    #[arg(long, value_name = "MODE", default_value = "auto")]
    pub device_mode: DeviceMode,
    /// Host ends of pods whose sockets belong to another kernel (virtual machines): names, in which `*` and `?` are wildcards
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub pod_interfaces: Vec<Pattern>,
    /// How TC programs are attached
    #[arg(long, value_name = "WAY", default_value = "auto")]
    pub tc_attach: TcAttach,
}

impl From<DeviceArgs> for DeviceConfig {
    fn from(args: DeviceArgs) -> Self {
        Self {
            choice: args.devices,
            mode: args.device_mode,
            pod_interfaces: args.pod_interfaces,
            tc_attach: args.tc_attach,
        }
    }
}
