//! What a user of a kubeconfig puts into HTTP headers. kube panics at a token that none can have, and says of other values only
//! that one is wrong: this looks first, and names the field.

use std::fs;

use http::HeaderValue;
use kube::config::AuthInfo;
use serde_json::Value;

/// Fields of a user whose texts go into headers, as pointers into its JSON.
const FIELDS: [&str; 7] = [
    "/token",
    "/as",
    "/as-uid",
    "/as-groups",
    "/as-user-extra",
    "/auth-provider/config/id-token",
    "/auth-provider/config/access-token",
];

/// Has the user's token read from its file here if space surrounds it there, as after `kubectl create token a > file`. client-go
/// removes that, kube does not. Such a file is read again when the server refuses the token.
pub(super) fn trim_token(user: &mut AuthInfo) {
    if let (None, Some(file)) = (&user.token, &user.token_file)
        && let Ok(text) = fs::read_to_string(file)
        && text.trim() != text
    {
        user.token = Some(text.trim().to_owned().into());
    }
}

/// The name of the first field that no header can carry.
pub(super) fn unusable(user: &AuthInfo) -> Option<String> {
    let user = serde_json::to_value(user).ok()?;
    let field = FIELDS.into_iter().find(|field| user.pointer(field).is_some_and(|value| !fits(value)))?;
    Some(field.trim_start_matches('/').replace('/', "."))
}

fn fits(value: &Value) -> bool {
    match value {
        Value::String(text) => HeaderValue::from_str(text).is_ok(),
        Value::Array(texts) => texts.iter().all(fits),
        Value::Object(texts) => texts.values().all(fits),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> AuthInfo {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn fields_that_no_header_can_carry_are_named() {
        for (text, field) in [
            (r#"{"token": "a\n"}"#, "token"),
            (r#"{"token": "a", "as": "b\r\nc: d"}"#, "as"),
            (r#"{"as-uid": "\u0000"}"#, "as-uid"),
            (r#"{"as-groups": ["a", "b\n"]}"#, "as-groups"),
            (r#"{"as-user-extra": {"a": ["b", "\u007f"]}}"#, "as-user-extra"),
            (r#"{"auth-provider": {"name": "oidc", "config": {"id-token": "a\n"}}}"#, "auth-provider.config.id-token"),
        ] {
            assert_eq!(unusable(&user(text)).as_deref(), Some(field), "{text}");
        }
        for text in [r#"{"token": "a.b-c", "as-groups": ["é"]}"#, r#"{"username": "a\n", "password": "b\n"}"#, "{}"] {
            assert_eq!(unusable(&user(text)), None, "{text}");
        }
    }

    #[test]
    fn a_line_break_at_the_end_of_a_tokens_file_does_not_count() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |text: &str| {
            fs::write(file.path(), text).unwrap();
            let mut user = AuthInfo { token_file: Some(file.path().display().to_string()), ..AuthInfo::default() };
            trim_token(&mut user);
            serde_json::to_value(&user).unwrap()["token"].clone()
        };
        assert_eq!(read("abc\n"), "abc");
        // kube reads this one every minute.
        assert_eq!(read("abc"), Value::Null);
    }
}
