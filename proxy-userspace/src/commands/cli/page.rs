//! The flag for the page.

use std::net::{IpAddr, SocketAddr};

use clap::Args;

use crate::config::{BindAddress, PAGE_PORT};

/// Where the page is served.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Page")]
pub struct PageArgs {
    /// Serve a read-only page about what the node serves, at `IP`, `IP:PORT` or `PORT`; without a value at 127.0.0.1:10247. It
    /// asks for no password: whoever reaches the address sees the names of Services and the addresses of backends and clients
    /// [default: no page]
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, require_equals = true, default_missing_value = "10247")]
    pub page: Option<BindAddress>,
}

impl PageArgs {
    /// Returns the address of the page; `None` if it is turned off. `loopback` is the address where nothing else is given.
    pub(super) fn address(&self, loopback: IpAddr) -> Option<SocketAddr> {
        self.page?.or(SocketAddr::new(loopback, PAGE_PORT))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::commands::cli::{Cli, Command};

    /// The page's address with these flags of `waggle run`.
    fn address(flags: &[&str]) -> Option<String> {
        match Cli::try_parse_from([&["waggle", "run"], flags].concat()).unwrap().command {
            Command::Run(args) => args.config(None).bind_addresses.page.map(|address| address.to_string()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_page_is_off_unless_asked_for_and_on_loopback_unless_an_address_is_given() {
        for (flags, wanted) in [
            (&[][..], None),
            (&["--page"], Some("127.0.0.1:10247")),
            (&["--page", "--bind-address=::"], Some("[::1]:10247")),
            (&["--page=8080"], Some("127.0.0.1:8080")),
            (&["--page=192.0.2.1"], Some("192.0.2.1:10247")),
            (&["--page=[::]:80"], Some("[::]:80")),
            (&["--page=0"], None),
            (&["--page="], None),
            (&["--metrics-bind-address=0.0.0.0", "--page"], Some("127.0.0.1:10247")),
        ] {
            assert_eq!(address(flags).as_deref(), wanted, "{flags:?}");
        }
    }
}
