//! Cuts a label selector into words and signs.

use std::fmt;

/// A word or a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A key, a value, `in` or `notin`.
    Word(&'a str),
    /// `,`
    Comma,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `!`
    Not,
    /// `=` or `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<` or `>`, by which only the API server can select.
    Order(&'a str),
    /// The end of the text.
    End,
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "{word:?}"),
            Self::Comma => f.write_str("','"),
            Self::Open => f.write_str("'('"),
            Self::Close => f.write_str("')'"),
            Self::Not => f.write_str("'!'"),
            Self::Equal => f.write_str("'='"),
            Self::NotEqual => f.write_str("'!='"),
            Self::Order(sign) => write!(f, "'{sign}', which is not supported"),
            Self::End => f.write_str("the end"),
        }
    }
}

/// A token in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lexeme<'a> {
    /// How many bytes are before it.
    pub(super) place: usize,
    /// The token.
    pub(super) token: Token<'a>,
}

/// Returns the tokens of a text, the last first.
pub(super) fn lexemes(text: &str) -> Vec<Lexeme<'_>> {
    let mut lexemes = Vec::new();
    let mut rest = text.trim_start();
    loop {
        let (token, length) = token(rest);
        lexemes.push(Lexeme { place: text.len() - rest.len(), token });
        if token == Token::End {
            break;
        }
        rest = rest[length..].trim_start();
    }
    lexemes.reverse();
    lexemes
}

/// Returns the first token of a text that does not begin with a space, and its length in bytes.
fn token(text: &str) -> (Token<'_>, usize) {
    const SIGNS: [(&str, Token<'static>); 9] = [
        ("!=", Token::NotEqual),
        ("==", Token::Equal),
        ("=", Token::Equal),
        ("!", Token::Not),
        (",", Token::Comma),
        ("(", Token::Open),
        (")", Token::Close),
        ("<", Token::Order("<")),
        (">", Token::Order(">")),
    ];
    if text.is_empty() {
        return (Token::End, 0);
    }
    if let Some((sign, token)) = SIGNS.into_iter().find(|(sign, _)| text.starts_with(sign)) {
        return (token, sign.len());
    }
    let length = text.find(|c: char| c.is_whitespace() || "=!,()<>".contains(c)).unwrap_or(text.len());
    (Token::Word(&text[..length]), length)
}
