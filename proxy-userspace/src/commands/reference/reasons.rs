//! The reasons to refuse packets and calls, and the other counters of the programs.

use proxy_common::{Counter, Outcome};

use super::text::{marked, row, titles};

/// Returns the section.
pub(super) fn section() -> String {
    let of = |outcome: Outcome| Counter::ALL.into_iter().filter(move |counter| counter.label().0 == outcome);
    let cells = |counter: Counter| {
        (format!("`{}`", counter.label().1), (counter as u32).to_string(), marked(counter.meaning()))
    };
    let refusals = |outcome: Outcome| {
        let rows = of(outcome).map(|counter| {
            let (reason, key, meaning) = cells(counter);
            row([&reason, &key, &meaning, &marked(counter.advice().unwrap_or_default())])
        });
        titles(["reason", "key", "meaning", "what to do"]) + &rows.collect::<String>()
    };
    let others = of(Outcome::Done).map(|counter| {
        let (reason, key, meaning) = cells(counter);
        row([&reason, &key, &meaning])
    });
    format!(
        "\
## Reasons to refuse

`waggle get drops -o wide` prints them and how often each has applied on this node, `waggle explain --drop REASON` what clients see
of one. Their metrics are `waggle_rejected_total` and `waggle_dropped_total`, with the label `reason`. The key is that of the map
COUNTERS ([maps.md](maps.md#counters)). Numbers like S16 are rules: [semantics.md](semantics.md).

### Rejected

The client gets an error at once. `connect` and `sendto` on this node fail with `ECONNREFUSED`. Packets are replied to with a TCP
reset, or with the ICMP message that the port is unreachable.

{}
### Dropped

`connect` and `sendto` on this node fail with `EHOSTUNREACH`. Packets are dropped without a reply, but for `too_big` and
`hop_limit`, whose senders get an ICMP error.

{}
### Other counters

These refuse nothing. Their metric is `waggle_events_total`.

{}",
        refusals(Outcome::Rejected),
        refusals(Outcome::Dropped),
        titles(["reason", "key", "meaning"]) + &others.collect::<String>()
    )
}
