//! Reads field selectors as kubectl does (`ParseSelector` of k8s.io/apimachinery/pkg/fields), and `<` and `>` besides. Pure.

use std::str::FromStr;

use super::{Condition, FieldSelector, Wanted};

/// The error for a text that is no field selector.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    r"give FIELD=VALUE, FIELD!=VALUE, FIELD<NUMBER or FIELD>NUMBER, several separated by commas; in a VALUE, give \, for a comma, \= and \\"
)]
pub struct NotAFieldSelector;

impl FromStr for FieldSelector {
    type Err = NotAFieldSelector;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        terms(text).map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

/// Returns the texts between commas that no backslash precedes, without those that are empty.
fn terms(text: &str) -> impl Iterator<Item = &str> {
    let mut is_escaped = false;
    let is_end = move |character| {
        let was_escaped = is_escaped;
        is_escaped = character == '\\' && !was_escaped;
        character == ',' && !was_escaped
    };
    text.split(is_end).filter(|term| !term.is_empty())
}

impl FromStr for Condition {
    type Err = NotAFieldSelector;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let operator = text.find(['=', '!', '<', '>']).filter(|at| *at > 0).ok_or(NotAFieldSelector)?;
        let (field, rest) = text.split_at(operator);
        let number = |value: &str| value.parse().map_err(|_| NotAFieldSelector);
        let wanted = if let Some(rest) = rest.strip_prefix("!=") {
            Wanted::Unequal(unescaped(rest)?)
        } else if let Some(rest) = rest.strip_prefix('<') {
            Wanted::Below(number(rest)?)
        } else if let Some(rest) = rest.strip_prefix('>') {
            Wanted::Above(number(rest)?)
        } else {
            let rest = rest.strip_prefix("==").or_else(|| rest.strip_prefix('=')).ok_or(NotAFieldSelector)?;
            Wanted::Equal(unescaped(rest)?)
        };
        Ok(Self { field: field.to_owned(), wanted })
    }
}

/// Returns a value without its backslashes, each of which precedes a backslash, a comma or `=`.
fn unescaped(text: &str) -> Result<String, NotAFieldSelector> {
    let mut value = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        value.push(match character {
            '\\' => characters.next().filter(|next| ['\\', ',', '='].contains(next)).ok_or(NotAFieldSelector)?,
            '=' => return Err(NotAFieldSelector),
            other => other,
        });
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Condition>, NotAFieldSelector> {
        text.parse::<FieldSelector>().map(|selector| selector.0)
    }

    fn equal(field: &str, value: &str) -> Condition {
        Condition { field: field.to_owned(), wanted: Wanted::Equal(value.to_owned()) }
    }

    #[test]
    fn selectors_are_read_as_kubectl_reads_them() {
        let unequal = Condition { field: "c".to_owned(), wanted: Wanted::Unequal("d".to_owned()) };
        assert_eq!(read("a=b,c!=d"), Ok(vec![equal("a", "b"), unequal]));
        assert_eq!(read("a==b"), read("a=b"));
        assert_eq!(read("a="), Ok(vec![equal("a", "")]));
        assert_eq!([read(""), read(",")], [Ok(vec![]), Ok(vec![])]);
        assert_eq!(read("a=b,"), read("a=b"));
        assert_eq!(
            read(r"a=b\,c,d=e\=f,g=\\,h=i"),
            Ok(vec![equal("a", "b,c"), equal("d", "e=f"), equal("g", r"\"), equal("h", "i")])
        );
        for bad in ["a", "=b", "!=b", "a=b=c", "a===b", "a!b", r"a=\b", r"a=b\"] {
            assert_eq!(read(bad), Err(NotAFieldSelector), "{bad}");
        }
    }

    #[test]
    fn numbers_are_compared_besides() {
        let condition = |field: &str, wanted| Condition { field: field.to_owned(), wanted };
        assert_eq!(read("a<5,b>6"), Ok(vec![condition("a", Wanted::Below(5)), condition("b", Wanted::Above(6))]));
        for bad in ["<5", "a<", "a<=5", "a>b", "a>-1"] {
            assert_eq!(read(bad), Err(NotAFieldSelector), "{bad}");
        }
    }
}
