//! Compares the outcomes with what the example promises. Pure.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use lab::{Failure, Reply, Transport};

use crate::lines::{Expect, Line};

/// A refusal counts as "at once" up to this duration.
const AT_ONCE: Duration = Duration::from_millis(50);

/// The verdict on a line's outcomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// How often each backend answered, or how requests were refused.
    pub answered: String,
    /// Median duration of `connect()`; `None` where it fails or is not called.
    pub connect: Option<Duration>,
    /// What differs from the promise.
    pub fault: Option<String>,
}

/// Compares outcomes with the line's promise.
pub fn judge(line: &Line, outcomes: &[Result<Reply, Failure>]) -> Verdict {
    let counts = count(outcomes);
    let fault = match line.expect {
        Expect::Spread(names) => spread_fault(&counts, names, outcomes.len()).or_else(|| peer_fault(line, outcomes)),
        Expect::Sticky(names) => sticky_fault(&counts, names).or_else(|| peer_fault(line, outcomes)),
        Expect::Refused(errno) => refusal_fault(&counts, errno, outcomes),
    };
    let connects = outcomes.iter().flatten().map(|reply| reply.connect).collect();
    let connect = median(connects).filter(|_| line.transport != Transport::UdpUnconnected);
    Verdict { answered: describe(&counts, outcomes), connect, fault }
}

/// How often each backend answered; failures by their errno.
fn count(outcomes: &[Result<Reply, Failure>]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for outcome in outcomes {
        let name = outcome.as_ref().map_or_else(|failure| failure.errno.as_str(), Reply::backend);
        *counts.entry(name).or_default() += 1;
    }
    counts
}

fn describe(counts: &BTreeMap<&str, usize>, outcomes: &[Result<Reply, Failure>]) -> String {
    let failed = outcomes.iter().filter_map(|outcome| outcome.as_ref().err().map(|failure| failure.elapsed));
    match median(failed.collect()) {
        Some(elapsed) if counts.len() == 1 => {
            let errno = counts.keys().next().copied().unwrap_or_default();
            format!("{} in {:.1} µs", words(errno), elapsed.as_secs_f64() * 1e6)
        }
        _ => counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", "),
    }
}

/// An error in words.
fn words(errno: &str) -> &str {
    match errno {
        "ECONNREFUSED" => "connection refused",
        "EHOSTUNREACH" => "no route to host",
        "ETIMEDOUT" => "timed out",
        other => other,
    }
}

/// Wants a uniform spread: each count within five standard deviations of its share. A right choice fails once in a
/// million tables.
fn spread_fault(counts: &BTreeMap<&str, usize>, names: &[&str], total: usize) -> Option<String> {
    if !counts.keys().copied().eq(names.iter().copied()) {
        return Some(format!("wanted answers of {}, and of no other backend", names.join(", ")));
    }
    let (total, backends) = (as_f64(total), as_f64(names.len()));
    let mean = total / backends;
    let limit = 5.0 * (mean * (1.0 - 1.0 / backends)).sqrt();
    let (name, count) = counts.iter().find(|(_, count)| (as_f64(**count) - mean).abs() > limit)?;
    Some(format!("{name} answered {count} times, which is not within {mean:.0} ± {limit:.0}"))
}

fn sticky_fault(counts: &BTreeMap<&str, usize>, names: &[&str]) -> Option<String> {
    let one = counts.len() == 1 && counts.keys().all(|name| names.contains(name));
    (!one).then(|| format!("wanted one of {} for all", names.join(", ")))
}

fn refusal_fault(counts: &BTreeMap<&str, usize>, errno: &str, outcomes: &[Result<Reply, Failure>]) -> Option<String> {
    if !counts.keys().copied().eq([errno]) {
        return Some(format!("wanted {}", words(errno)));
    }
    let slowest = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).map(|failure| failure.elapsed).max()?;
    (slowest > AT_ONCE).then(|| format!("the slowest refusal took {slowest:?}"))
}

/// The client must see the address that it dialled as its peer.
fn peer_fault(line: &Line, outcomes: &[Result<Reply, Failure>]) -> Option<String> {
    let dialled: Option<SocketAddr> = line.dialled.parse().ok();
    let other = outcomes.iter().flatten().find(|reply| reply.peer() != dialled)?;
    Some(format!("the client sees {:?} as its peer", other.peer()))
}

fn median(mut durations: Vec<Duration>) -> Option<Duration> {
    durations.sort();
    durations.get(durations.len() / 2).copied()
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
fn as_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use lab::{Message, Names, Step};

    use super::*;
    use crate::lines::Dialler;

    const DIALLED: &str = "10.96.0.10:80";

    fn line(expect: Expect) -> Line {
        Line { service: "web", kind: "", dialled: DIALLED, dialler: Dialler::Pod, transport: Transport::Tcp, expect }
    }

    #[expect(clippy::unnecessary_wraps, reason = "one of the two answers that the table holds")]
    fn reply(name: &str) -> Result<Reply, Failure> {
        let peer = DIALLED.parse().ok();
        let (connect, total) = (Duration::from_micros(20), Duration::from_micros(90));
        let names = Names { local: "10.244.1.5:1".parse().unwrap(), peer };
        Ok(Reply { message: Message { text: format!("{name} x"), from: None }, names, connect, total })
    }

    fn failure(errno: &str, millis: u64) -> Result<Reply, Failure> {
        Err(Failure { step: Step::Connect, errno: errno.into(), elapsed: Duration::from_millis(millis) })
    }

    fn fits(expect: Expect, outcomes: &[Result<Reply, Failure>]) -> bool {
        judge(&line(expect), outcomes).fault.is_none()
    }

    #[test]
    fn spread_is_all_of_them_alike_and_no_other() {
        let both = Expect::Spread(&["a", "b"]);
        let of = |a: usize, b: usize| [vec![reply("a"); a], vec![reply("b"); b]].concat();
        assert!(fits(both, &of(140, 160)));
        assert!(!fits(both, &of(50, 250)), "uneven");
        assert!(!fits(both, &of(300, 0)), "one is missing");
        assert!(!fits(both, &[of(150, 149), vec![reply("c")]].concat()), "a stranger");
        assert!(!fits(both, &[of(150, 149), vec![failure("ECONNREFUSED", 0)]].concat()), "a failure");
    }

    #[test]
    fn sticky_is_one_of_them() {
        let sticky = Expect::Sticky(&["a", "b"]);
        assert!(fits(sticky, &[reply("b"), reply("b")]));
        assert!(!fits(sticky, &[reply("a"), reply("b")]));
        assert!(!fits(sticky, &[reply("c")]));
    }

    #[test]
    fn refusal_is_the_right_error_at_once() {
        let refused = Expect::Refused("ECONNREFUSED");
        assert!(fits(refused, &[failure("ECONNREFUSED", 0)]));
        assert!(!fits(refused, &[failure("ECONNREFUSED", 51)]), "late");
        assert!(!fits(refused, &[failure("ETIMEDOUT", 0)]));
        assert!(!fits(refused, &[reply("a")]));
        let verdict = judge(&line(refused), &[failure("ECONNREFUSED", 0)]);
        assert_eq!(verdict.answered, "connection refused in 0.0 µs");
    }

    #[test]
    fn client_must_see_what_it_dialled() {
        let mut seen = reply("a").unwrap();
        seen.names.peer = "10.244.1.1:8080".parse().ok();
        assert!(!fits(Expect::Spread(&["a"]), &[Ok(seen)]));
    }
}
