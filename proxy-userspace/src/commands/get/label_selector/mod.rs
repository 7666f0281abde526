//! Selects by labels, in the form of kubectl's `--selector`, as in `app=web,tier in (front,back),!canary`. Pure. The grammar is
//! that of k8s.io/apimachinery/pkg/labels, without `<` and `>`.

mod lexer;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fmt, str::FromStr};

use kube::core::{Expression, Selector, SelectorExt as _};

use self::lexer::{Lexeme, Token, lexemes};
use super::labels::Labels;
use crate::objects::name::{label_key, label_value};

/// Conditions on labels. All must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector(Selector);

impl LabelSelector {
    /// Whether it has no condition.
    pub fn selects_all(&self) -> bool {
        self.0.selects_all()
    }

    /// Whether labels fulfil all conditions.
    pub fn selects(&self, labels: &Labels) -> bool {
        self.0.matches(labels)
    }
}

/// The error for a text that is no label selector. Its text shows the place.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct NotALabelSelector {
    text: String,
    /// How many characters are before the fault.
    place: usize,
    reason: String,
}

impl fmt::Display for NotALabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, reason, .. } = self;
        let place = self.place;
        // Each character takes one column.
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        write!(f, "at character {}: {reason}\n  {line}\n  {:place$}^", place + 1, "")
    }
}

impl FromStr for LabelSelector {
    type Err = NotALabelSelector;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let conditions = Parser { lexemes: lexemes(text) }.selector();
        let conditions = conditions.map_err(|Fault { place, reason }| {
            let text = text.to_owned();
            NotALabelSelector { place: text[..place].chars().count(), text, reason }
        })?;
        Ok(Self(conditions.into_iter().collect()))
    }
}

/// What is wrong, and behind how many bytes.
struct Fault {
    place: usize,
    reason: String,
}

/// Reads a selector.
struct Parser<'a> {
    /// What is still to be read, the last first. Its end is always there.
    lexemes: Vec<Lexeme<'a>>,
}

impl<'a> Parser<'a> {
    fn selector(&mut self) -> Result<Vec<Expression>, Fault> {
        if self.is_next(Token::End) {
            return Ok(Vec::new());
        }
        let mut conditions = vec![self.condition()?];
        while self.takes(Token::Comma) {
            conditions.push(self.condition()?);
        }
        if self.is_next(Token::End) { Ok(conditions) } else { Err(self.expected("',' or the end")) }
    }

    fn condition(&mut self) -> Result<Expression, Fault> {
        if self.takes(Token::Not) {
            return Ok(Expression::DoesNotExist(self.key()?));
        }
        let key = self.key()?;
        if self.ends_condition() {
            Ok(Expression::Exists(key))
        } else if self.takes(Token::Equal) {
            Ok(Expression::Equal(key, self.value()?))
        } else if self.takes(Token::NotEqual) {
            Ok(Expression::NotEqual(key, self.value()?))
        } else if self.takes(Token::Word("in")) {
            Ok(Expression::In(key, self.values()?))
        } else if self.takes(Token::Word("notin")) {
            Ok(Expression::NotIn(key, self.values()?))
        } else {
            Err(self.expected("'=', '!=', 'in', 'notin', ',' or the end"))
        }
    }

    fn key(&mut self) -> Result<String, Fault> {
        self.word("the key of a label", label_key)
    }

    /// Reads the value behind an equals sign; empty if there is none.
    fn value(&mut self) -> Result<String, Fault> {
        if self.ends_condition() { Ok(String::new()) } else { self.word("a value", label_value) }
    }

    /// Reads values in parentheses. Some may be empty, but there must be one, or a comma.
    fn values(&mut self) -> Result<BTreeSet<String>, Fault> {
        if !self.takes(Token::Open) {
            return Err(self.expected("'('"));
        }
        if self.is_next(Token::Close) {
            return Err(self.expected("a value"));
        }
        let mut values = BTreeSet::new();
        loop {
            let is_empty = self.is_next(Token::Comma) || self.is_next(Token::Close);
            values.insert(if is_empty { String::new() } else { self.word("a value", label_value)? });
            if self.takes(Token::Close) {
                return Ok(values);
            }
            if !self.takes(Token::Comma) {
                return Err(self.expected("',' or ')'"));
            }
        }
    }

    /// Reads a word to which no `rule` objects.
    fn word(&mut self, what: &str, rule: fn(&str) -> Vec<String>) -> Result<String, Fault> {
        let Lexeme { place, token: Token::Word(word) } = self.next() else { return Err(self.expected(what)) };
        if let Some(reason) = rule(word).first() {
            return Err(Fault { place, reason: format!("{word:?} is not {what}: {reason}") });
        }
        self.advance();
        Ok(word.to_owned())
    }

    fn ends_condition(&self) -> bool {
        self.is_next(Token::Comma) || self.is_next(Token::End)
    }

    fn next(&self) -> Lexeme<'a> {
        self.lexemes.last().copied().unwrap_or(Lexeme { place: 0, token: Token::End })
    }

    fn is_next(&self, token: Token<'_>) -> bool {
        self.next().token == token
    }

    fn advance(&mut self) {
        if !self.is_next(Token::End) {
            self.lexemes.pop();
        }
    }

    /// Takes the next token if it is this one.
    fn takes(&mut self, token: Token<'_>) -> bool {
        let is_next = self.is_next(token);
        if is_next {
            self.advance();
        }
        is_next
    }

    fn expected(&self, what: &str) -> Fault {
        let Lexeme { place, token } = self.next();
        Fault { place, reason: format!("expected {what}, found {token}") }
    }
}
