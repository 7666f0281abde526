//! The sentence about a chain that drops what is forwarded, whoever keeps it.

/// Says what `chain` hurts and which two commands help: that accept what goes to pods, and what comes from them.
pub(super) fn accept_in(chain: &str, commands: [&str; 2]) -> String {
    let [to, from] = commands;
    format!(
        "{chain} drops what is forwarded unless a rule of it accepts that: \
         where none accepts what goes to pods of this node, and comes from them, clients outside don't reach backends here \
         (those on other nodes they do); accept that with `{to}` and `{from}`, \
         where PODS are the addresses of this node's pods"
    )
}
