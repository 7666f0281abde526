//! Finds a keyword in Rust source, where it is code: not in comments, strings or longer words. Pure.

use std::{iter::Peekable, str::Chars};

/// The numbers (from 1) of the lines where `word` stands as a word of code.
pub(super) fn lines_with(word: &str, source: &str) -> Vec<usize> {
    let is_word = |line: &str| line.split(|c: char| c != '_' && !c.is_alphanumeric()).any(|part| part == word);
    let code = code_only(source);
    code.lines().enumerate().filter(|(_, line)| is_word(line)).map(|(index, _)| index + 1).collect()
}

/// `source` without comments and without the contents of strings; lines keep their numbers.
fn code_only(source: &str) -> String {
    let mut code = String::new();
    let mut chars = source.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('/', Some('/')) => while chars.next_if(|&c| c != '\n').is_some() {},
            ('/', Some('*')) => skip_block(&mut chars, &mut code),
            ('"', _) => skip_string(&mut chars, &mut code),
            ('r', Some('"' | '#')) if !code.ends_with(|c: char| c == '_' || (c.is_alphanumeric() && c != 'b')) => {
                skip_raw_string(&mut chars, &mut code);
            }
            ('\'', _) => skip_char(&mut chars),
            _ => code.push(c),
        }
    }
    code
}

/// A comment that may hold others; the caller has read its `/`.
fn skip_block(chars: &mut Peekable<Chars<'_>>, code: &mut String) {
    let mut depth = 0;
    let mut previous = '/';
    for c in chars.by_ref() {
        if c == '\n' {
            code.push(c);
        }
        match (previous, c) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                previous = c;
                continue;
            }
        }
        // `*/*` is an end and a star, not an end and a beginning.
        previous = ' ';
        if depth == 0 {
            return;
        }
    }
}

fn skip_string(chars: &mut Peekable<Chars<'_>>, code: &mut String) {
    while let Some(c) = chars.next() {
        match c {
            '"' => return,
            '\n' => code.push(c),
            '\\' if chars.next() == Some('\n') => code.push('\n'),
            _ => {}
        }
    }
}

/// The caller has read its `r`; `r#name` is a word, not a string.
fn skip_raw_string(chars: &mut Peekable<Chars<'_>>, code: &mut String) {
    let mut hashes = 0;
    while chars.next_if_eq(&'#').is_some() {
        hashes += 1;
    }
    if chars.next_if_eq(&'"').is_none() {
        return;
    }
    while let Some(c) = chars.next() {
        if c == '\n' {
            code.push(c);
        }
        if c == '"' && (0..hashes).all(|_| chars.next_if_eq(&'#').is_some()) {
            return;
        }
    }
}

/// A character, so that `'"'` begins no string; a lifetime is left alone.
fn skip_char(chars: &mut Peekable<Chars<'_>>) {
    if chars.next_if_eq(&'\\').is_some() {
        chars.next();
    } else if chars.clone().nth(1) == Some('\'') {
        chars.next();
        chars.next();
    }
}

#[cfg(test)]
mod tests {
    use super::lines_with;

    #[test]
    fn code_is_found_by_line() {
        assert_eq!(lines_with("unsafe", "fn a() {\n    unsafe { b() }\n}\n#[unsafe(no_mangle)]\n"), [2, 4]);
    }

    #[test]
    fn comments_strings_and_longer_words_are_not_code() {
        let source = "// unsafe\n/* unsafe /* x */\nunsafe */ fn unsafe_op() {}\nlet a = \"unsafe \\\" unsafe\";\n\
                      let b = r#\"unsafe \" unsafe\"#;\nlet c = '\"'; unsafe {}\n";
        assert_eq!(lines_with("unsafe", source), [6]);
    }

    #[test]
    fn lifetimes_and_escapes_do_not_confuse() {
        let source = "fn a<'a>(x: &'a str) {}\nlet q = '\\''; let n = '\\n';\nlet s = \"a\\\n b\";\nunsafe {}\n";
        assert_eq!(lines_with("unsafe", source), [5]);
    }
}
