//! Checks the values of a kubeconfig's user that go into HTTP headers. kube panics at a token that can't be in a header, and does
//! not name other invalid values. So they are checked here first, and errors name the field.

use std::fs;

use http::HeaderValue;
use kube::config::AuthInfo;
use serde_json::Value;

/// The fields of a user whose texts go into headers, as JSON pointers.
const FIELDS: [&str; 7] = [
    "/token",
    "/as",
    "/as-uid",
    "/as-groups",
    "/as-user-extra",
    "/auth-provider/config/id-token",
    "/auth-provider/config/access-token",
];

/// Reads the user's token from its file if the file has spaces or line breaks around it, as after `kubectl create token a > file`.
/// client-go trims them, kube does not. Such a file is read again when the server refuses the token.
pub(super) fn trim_token(user: &mut AuthInfo) {
    if let (None, Some(file)) = (&user.token, &user.token_file)
        && let Ok(text) = fs::read_to_string(file)
        && text.trim() != text
    {
        user.token = Some(text.trim().to_owned().into());
    }
}

/// Returns the name of the first field whose value can't be in a header.
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
        // kube itself reads this file every minute.
        assert_eq!(read("abc"), Value::Null);
    }
}
