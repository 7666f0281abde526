//! The explanation of a connection that the page's form asks for: what `waggle explain` prints, and its errors.

use clap::ValueEnum;
use http::StatusCode;

use crate::{
    commands::{
        cli::{ClientKind, ExplainArgs, ExplainOutput, InstanceArgs, Transport},
        explain::{ExplainError, Explained, explained},
    },
    logging::errors::Report,
    server::page::{Parameters, Refusal},
};

/// The namespace of `svc/NAME`, as in `waggle explain`.
const NAMESPACE: &str = "default";

/// Explains the connection that the parameters name.
pub(super) fn explain(instance: &str, parameters: &Parameters) -> Result<Explained, Refusal> {
    let args = arguments(instance, parameters).map_err(|text| Refusal { code: StatusCode::BAD_REQUEST, text })?;
    explained(&args).map_err(|error| {
        let code = match error {
            ExplainError::Question(_) => StatusCode::BAD_REQUEST,
            ExplainError::Inspect(_) | ExplainError::Namespaces(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Refusal { code, text: Report(&error).to_string() }
    })
}

fn arguments(instance: &str, parameters: &Parameters) -> Result<ExplainArgs, String> {
    Ok(ExplainArgs {
        client: Some(parameters.get("client").to_owned()),
        destination: Some(parameters.get("destination").to_owned()),
        protocol: word("protocol", parameters)?.unwrap_or(Transport::Tcp),
        from: word::<ClientKind>("from", parameters)?,
        device: parameters.given("device").map(str::to_owned),
        drop: None,
        object: None,
        namespace: parameters.given("namespace").unwrap_or(NAMESPACE).to_owned(),
        instance: InstanceArgs { instance: instance.to_owned() },
        output: ExplainOutput::Json,
        no_run: true,
    })
}

/// Reads a word of a flag; `None` if it is not given.
fn word<T: ValueEnum>(name: &str, parameters: &Parameters) -> Result<Option<T>, String> {
    let Some(given) = parameters.given(name) else { return Ok(None) };
    let known = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    let known: Vec<String> = known.map(|value| value.get_name().to_owned()).collect();
    let wrong = |_| format!("read {name} {given:?}: it is one of {}", known.join(", "));
    T::from_str(given, true).map(Some).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_those_of_the_command_line_and_so_are_their_errors() {
        let asked = [("client", "10.244.1.7"), ("destination", "svc/web:http"), ("protocol", "udp"), ("from", "pod")];
        let args = arguments("node-1", &asked.into()).unwrap();
        assert_eq!((args.protocol, args.from, args.device.as_deref()), (Transport::Udp, Some(ClientKind::Pod), None));
        assert_eq!((args.namespace.as_str(), args.instance.instance.as_str()), ("default", "node-1"));
        let refusal = |parameters: Parameters| {
            let refusal = explain("no-such-instance", &parameters).unwrap_err();
            (refusal.code.as_u16(), refusal.text)
        };
        let (code, text) = refusal([("client", "10.244.1"), ("destination", "svc/web")].into());
        assert_eq!(code, 400);
        assert_eq!(text, "read client \"10.244.1\": it is no IP address; give ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT");
        let (code, text) = refusal([("client", "10.244.1.7"), ("destination", "svc/web"), ("protocol", "dccp")].into());
        assert_eq!((code, text.as_str()), (400, "read protocol \"dccp\": it is one of tcp, udp, sctp"));
        assert_eq!(refusal([("client", "10.244.1.7"), ("destination", "svc/web")].into()).0, 503);
    }
}
