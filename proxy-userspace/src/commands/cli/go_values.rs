//! Values of kube-proxy's flags, as Go's packages read them.

use std::{
    net::{AddrParseError, IpAddr},
    str::FromStr,
};

/// The value of `--bind-address`. An empty one counts as not given, as for kube-proxy.
#[derive(Clone, Copy, Debug)]
pub struct BindIp(pub Option<IpAddr>);

impl FromStr for BindIp {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() { Ok(Self(None)) } else { text.parse().map(Some).map(Self) }
    }
}

/// A switch of kube-proxy, which takes the words of Go's `strconv.ParseBool`.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        _ => Err("want true or false".into()),
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        commands::cli::{Cli, Command, RunArgs},
        config::{SourceConfig, kube_proxy::KubeProxyFile},
    };

    fn parse(flags: &[&str]) -> Result<RunArgs, clap::Error> {
        match Cli::read([&["waggle", "run"], flags].concat())?.command {
            // The environment of the test must not matter.
            Command::Run(args) => Ok(RunArgs { log_level: None, ..*args }),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn switches_take_the_words_that_kube_proxy_takes() {
        let hard_fail = |word: &str| {
            let flag = format!("--bind-address-hard-fail={word}");
            parse(&[&flag]).map(|args| args.kube_proxy.bind_address_hard_fail)
        };
        for (is_on, words) in
            [(true, ["1", "t", "T", "true", "True", "TRUE"]), (false, ["0", "f", "F", "false", "False", "FALSE"])]
        {
            for word in words {
                assert_eq!(hard_fail(word).unwrap(), Some(is_on), "{word}");
                assert_eq!(parse(&[&format!("--cleanup={word}")]).is_ok(), !is_on, "{word}");
                assert_eq!(parse(&[&format!("--init-only={word}")]).is_ok(), !is_on, "{word}");
                assert_eq!(
                    parse(&[&format!("--masquerade-all={word}")]).unwrap().kube_proxy.ignored.0,
                    ["masquerade-all"]
                );
            }
        }
        for word in ["", "yes", "tRUE", "2", "on"] {
            assert!(hard_fail(word).is_err(), "{word}");
        }
    }

    #[test]
    fn empty_values_count_as_kube_proxy_s_help_says() {
        let empty = ["--bind-address=", "--kubeconfig=", "--master=", "--config=", "--hostname-override="];
        let config = parse(&empty).unwrap().config(None);
        assert_eq!(config.bind_addresses, parse(&[]).unwrap().config(None).bind_addresses);
        assert!(
            matches!(config.source, SourceConfig::Kube { kubeconfig: None, api_server: None }),
            "the pod's account"
        );
        assert_eq!(parse(&empty).unwrap().config_file(), None);
        // What a flag does not say the file does.
        let file = || {
            let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/kube_proxy/samples/bare_metal_ipvs.yaml");
            KubeProxyFile::read(sample.as_ref()).unwrap()
        };
        let [empty, none] = [&empty[..], &[]].map(|flags| parse(flags).unwrap().config(Some(file())));
        assert_eq!(empty.bind_addresses, none.bind_addresses);
        assert!(
            matches!(empty.source, SourceConfig::Kube { kubeconfig: Some(path), .. } if path.ends_with("kube-proxy.kubeconfig"))
        );
        let off = parse(&["--healthz-bind-address=", "--metrics-bind-address="]).unwrap().config(None).bind_addresses;
        assert_eq!((off.health, off.metrics), (None, None));
        assert!(parse(&["--bind-address=localhost"]).is_err());
    }
}
