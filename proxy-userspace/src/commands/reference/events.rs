//! The Events of the Kubernetes API that the agent writes.

use super::text::{row, titles};
use crate::objects::Reason;

/// Returns the table.
pub(super) fn table() -> String {
    let rows = Reason::ALL.iter().map(|reason| {
        let (word, severity) = (format!("`{}`", reason.word()), format!("{:?}", reason.severity()));
        row([&word, &severity, reason.objects(), reason.meaning()])
    });
    titles(["reason", "type", "of", "meaning"]) + &rows.collect::<String>()
}
