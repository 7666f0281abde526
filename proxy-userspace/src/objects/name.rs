//! The rules for names and labels (RFC 1035, RFC 1123, Kubernetes' qualified names).

const MAX_LABEL: usize = 63;
const MAX_SUBDOMAIN: usize = 253;
const MAX_PORT_NAME: usize = 15;

fn too_long(value: &str, most: usize) -> Option<String> {
    (value.len() > most).then(|| format!("must be no more than {most} bytes"))
}

fn lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_label(value: &str) -> bool {
    let bytes = value.as_bytes();
    bytes.iter().all(|&byte| lower(byte) || byte == b'-')
        && bytes.first().is_some_and(|&byte| lower(byte))
        && bytes.last().is_some_and(|&byte| lower(byte))
}

/// The rule for names of Services. Returns its violations.
pub(crate) fn dns1035_label(value: &str) -> Vec<String> {
    let valid = is_label(value) && value.starts_with(|first: char| first.is_ascii_lowercase());
    let form = (!valid).then(|| {
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
         character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation \
         is '[a-z]([-a-z0-9]*[a-z0-9])?')"
            .to_owned()
    });
    too_long(value, MAX_LABEL).into_iter().chain(form).collect()
}

/// The rule for namespaces and names of service ports. Returns its violations.
pub(crate) fn dns1123_label(value: &str) -> Vec<String> {
    let form = (!is_label(value)).then(|| {
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
         end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
         '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            .to_owned()
    });
    too_long(value, MAX_LABEL).into_iter().chain(form).collect()
}

/// The rule for names of most objects, and for external names. Returns its violations.
pub(crate) fn dns1123_subdomain(value: &str) -> Vec<String> {
    let form = (!value.split('.').all(is_label)).then(|| {
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
         start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
         '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            .to_owned()
    });
    too_long(value, MAX_SUBDOMAIN).into_iter().chain(form).collect()
}

/// The rule for names of container ports, and for named target ports. Returns its violations.
pub(crate) fn port_name(value: &str) -> Vec<String> {
    let mut faults: Vec<_> = too_long(value, MAX_PORT_NAME).into_iter().collect();
    let mut rule = |broken: bool, reason: &str| {
        if broken {
            faults.push(reason.to_owned());
        }
    };
    rule(
        !value.bytes().all(|byte| lower(byte) || byte == b'-'),
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
    );
    rule(!value.bytes().any(|byte| byte.is_ascii_lowercase()), "must contain at least one letter (a-z)");
    rule(value.contains("--"), "must not contain consecutive hyphens");
    rule(value.starts_with('-') || value.ends_with('-'), "must not begin or end with a hyphen");
    faults
}

fn is_qualified_part(value: &str) -> bool {
    let bytes = value.as_bytes();
    bytes.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
}

/// The rule for keys of labels. Returns its violations.
pub(crate) fn label_key(value: &str) -> Vec<String> {
    let (prefix, name) = value.split_once('/').map_or((None, value), |(prefix, name)| (Some(prefix), name));
    let mut faults: Vec<_> =
        prefix.into_iter().flat_map(dns1123_subdomain).map(|reason| format!("prefix part {reason}")).collect();
    faults.extend(too_long(name, MAX_LABEL).map(|reason| format!("name part {reason}")));
    if !is_qualified_part(name) {
        faults.push(
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
             alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
             '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
                .to_owned(),
        );
    }
    faults
}

/// The rule for values of labels. Returns its violations.
pub(crate) fn label_value(value: &str) -> Vec<String> {
    let form = (!value.is_empty() && !is_qualified_part(value)).then(|| {
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
         start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
         validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            .to_owned()
    });
    too_long(value, MAX_LABEL).into_iter().chain(form).collect()
}
