//! The reasons to refuse packets and calls, and the other counters of the programs.

use proxy_common::{Counter, Outcome};

use super::text::{row, titles};

/// Returns the section.
pub(super) fn section() -> String {
    let table = |wanted: Outcome| {
        let rows = Counter::ALL.into_iter().filter(|counter| counter.label().0 == wanted);
        let rows = rows.map(|counter| row([&format!("`{}`", counter.label().1), counter.meaning()]));
        titles(["reason", "meaning"]) + &rows.collect::<String>()
    };
    format!(
        "\
## Reasons to refuse

`waggle get drops -o wide` prints them with their numbers on this node. Their metrics are `waggle_rejected_total` and
`waggle_dropped_total`, with the label `reason`. Numbers like S16 are rules: [semantics.md](semantics.md).

### Rejected

The client gets an error at once. `connect` and `sendto` on this node fail with `ECONNREFUSED`. Packets are replied to with a TCP reset,
or with the ICMP message that the port is unreachable.

{}
### Dropped

`connect` and `sendto` on this node fail with `EHOSTUNREACH`. Packets are dropped without a reply, but for `too_big` and
`hop_limit`, whose senders get an ICMP error.

{}
### Other counters

These refuse nothing. Their metric is `waggle_events_total`.

{}",
        table(Outcome::Rejected),
        table(Outcome::Dropped),
        table(Outcome::Done)
    )
}
