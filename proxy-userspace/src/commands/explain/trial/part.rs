//! What the programs did, for the explanation, and in words. Pure.

use super::{Decided, Trial, packet::Seen};
use crate::commands::explain::explanation::{PacketPart, ProgramsPart, TranslatedPart};

/// Returns the part of an explanation about what the programs did.
pub fn part(trial: &Trial, disagreements: Vec<String>) -> ProgramsPart {
    let Trial { made, layers, by, decided, .. } = trial;
    let mut part = ProgramsPart {
        packet: Some(PacketPart {
            kind: made.kind(),
            source: made.source.to_string(),
            destination: made.destination.to_string(),
        }),
        hooks: layers.iter().map(|layer| layer.label()).collect(),
        decided_by: Some(by.label()),
        outcome: Some(outcome(decided)),
        disagreements,
        ..ProgramsPart::default()
    };
    match decided {
        Decided::Passed => {}
        Decided::Left(seen) => part.translated = Some(translated(seen, true, None)),
        Decided::Sent(seen, device) => part.translated = Some(translated(seen, false, device.as_deref())),
        Decided::Refused(reason, answer) => {
            part.reason = Some(reason.label().1);
            part.answer = Some(if answer.is_reset { "RST" } else { "ICMP error" });
        }
        Decided::Dropped(reason) => part.reason = reason.map(|reason| reason.label().1),
        Decided::Failed(failure) => part.failure = Some(failure.clone()),
    }
    part
}

const fn outcome(decided: &Decided) -> &'static str {
    match decided {
        Decided::Passed => "passes",
        Decided::Left(_) | Decided::Sent(..) => "served",
        Decided::Refused(reason, _) => match reason.label().0 {
            proxy_common::Outcome::Rejected => "rejected",
            _ => "dropped",
        },
        Decided::Dropped(_) => "dropped",
        Decided::Failed(_) => "failed",
    }
}

fn translated(seen: &Seen, to_stack: bool, device: Option<&str>) -> TranslatedPart {
    TranslatedPart {
        source: seen.source.to_string(),
        destination: seen.destination.to_string(),
        to_stack,
        device: device.map(str::to_owned),
    }
}

/// Returns the lines of an explanation about what the programs did.
pub fn lines(part: &ProgramsPart) -> Vec<String> {
    if let Some(reason) = &part.not_run {
        return vec![format!("not run: {reason}"), "what is said here is decided without them".to_owned()];
    }
    let made = part.packet.as_ref().map(|packet| format!("a {} from {}", packet.kind, packet.source));
    let run = format!("a private copy of them was run on {}", made.unwrap_or_default());
    let mut lines = vec![run, did(part)];
    if !part.disagreements.is_empty() {
        lines.extend(
            part.disagreements
                .iter()
                .map(|text| format!("but the loaded programs and the other steps disagree: {text}")),
        );
        lines.push("this is a bug of Waggle: please report it, with this output as -o json prints it".to_owned());
    }
    lines
}

fn did(part: &ProgramsPart) -> String {
    let by = part.decided_by.unwrap_or_default().to_uppercase();
    let reason = part.reason.map(|reason| format!(", {reason}")).unwrap_or_default();
    match (part.outcome, &part.translated, part.answer) {
        (Some("served"), Some(to), _) => {
            let verb = if to.to_stack { "leaves it to the stack," } else { "sends it" };
            let device = to.device.as_ref().map(|device| format!(", by {device}")).unwrap_or_default();
            format!("{by} {verb} to {} from {}{device}", to.destination, to.source)
        }
        (Some("rejected"), _, Some(answer)) => format!("{by} rejects it{reason}: the {answer} goes back"),
        (Some("dropped"), _, Some(answer)) => format!("{by} drops it{reason}: the {answer} goes back"),
        (Some("dropped"), ..) => format!("{by} drops it{reason}"),
        (Some("passes"), ..) if part.hooks.len() > 1 => "XDP and TC pass it untouched".to_owned(),
        (Some("passes"), ..) => format!("{by} passes it untouched"),
        _ => format!("{by} fails: {}", part.failure.as_deref().unwrap_or("the result is unknown")),
    }
}
