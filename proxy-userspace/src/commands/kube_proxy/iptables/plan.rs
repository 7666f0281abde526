//! Decides which chains and jumps of an iptables table are removed: kube-proxy's chains, and the jumps to them from the kernel's
//! own chains. A chain that foreign rules use is kept, with all chains that it leads to: container runtimes and CNI plugins
//! (portmap's `externalSetMarkChain`) may have packets masqueraded by KUBE-MARK-MASQ. Pure.

use std::collections::BTreeSet;

use super::{
    super::names::{MARK, MASQUERADE, is_chain, is_entry},
    save::{Rule, Table},
};

/// The removal plan for a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct TablePlan {
    /// The table's name.
    pub table: String,
    /// kube-proxy's chains that are removed.
    pub chains: BTreeSet<String>,
    /// Jumps to these chains that are removed, as pairs of chain and rule text.
    pub jumps: Vec<(String, String)>,
    /// kube-proxy's chains that are kept because foreign rules use them.
    pub kept: BTreeSet<String>,
    /// The ipsets and nfacct counters that the remaining rules use.
    pub sets: BTreeSet<String>,
}

impl TablePlan {
    /// Makes the plan for a table.
    pub(super) fn new(table: &Table) -> Self {
        let own: BTreeSet<&str> =
            table.chains.keys().map(String::as_str).filter(|chain| is_chain(&table.name, chain)).collect();
        let kept = kept(table, &own);
        let chains: BTreeSet<&str> = own.difference(&kept).copied().collect();
        let goes = |name: &Option<String>| name.as_deref().is_some_and(|name| chains.contains(name));
        let jumps = table.rules.iter().filter(|rule| !own.contains(rule.chain.as_str()) && goes(&rule.target));
        let jumps: Vec<(String, String)> = jumps.map(|rule| (rule.chain.clone(), rule.text.clone())).collect();
        let stays = |rule: &&Rule| !chains.contains(rule.chain.as_str());
        let sets = table.rules.iter().filter(stays).flat_map(sets).collect();
        let owned = |names: BTreeSet<&str>| names.into_iter().map(str::to_owned).collect();
        Self { table: table.name.clone(), chains: owned(chains), jumps, kept: owned(kept), sets }
    }

    /// True if nothing is removed.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.chains.is_empty()
    }

    /// Returns the input for `iptables-restore --noflush`, which carries it out atomically: it empties the chains, so that
    /// none refers to another, then deletes the jumps, then the chains.
    pub(super) fn restore_text(&self) -> String {
        let empty = self.chains.iter().flat_map(|chain| [":", chain, " - [0:0]\n"]);
        let jumps = self.jumps.iter().flat_map(|(chain, rule)| ["-D ", chain, " ", rule, "\n"]);
        let delete = self.chains.iter().flat_map(|chain| ["-X ", chain, "\n"]);
        let lines: String = empty.chain(jumps).chain(delete).collect();
        format!("*{}\n{lines}COMMIT\n", self.table)
    }
}

/// Returns kube-proxy's chains that foreign rules use, and the chains that these lead to.
fn kept<'a>(table: &'a Table, own: &BTreeSet<&'a str>) -> BTreeSet<&'a str> {
    let is_made = |chain: &str| table.chains.get(chain).copied().unwrap_or(true);
    let used = |rule: &'a Rule| {
        let target = rule.target.as_deref().filter(|target| own.contains(target))?;
        let by_others = !own.contains(rule.chain.as_str()) && (is_made(&rule.chain) || !is_entry(target));
        by_others.then_some(target)
    };
    let mut open: Vec<&str> = table.rules.iter().filter_map(used).collect();
    let mut kept = BTreeSet::new();
    while let Some(chain) = open.pop() {
        if kept.insert(chain) {
            // The mark has no effect without the chain that masquerades.
            open.extend((chain == MARK).then_some(MASQUERADE).filter(|chain| own.contains(chain)));
            let rules = table.rules.iter().filter(|rule| rule.chain == chain);
            open.extend(rules.filter_map(|rule| rule.target.as_deref()).filter(|target| own.contains(target)));
        }
    }
    kept
}

/// Returns the ipsets that a rule matches, and the nfacct counters that it counts into.
fn sets(rule: &Rule) -> Vec<String> {
    let words = rule.words();
    let names = words.windows(2).filter(|pair| ["--match-set", "--nfacct-name"].contains(&pair[0].as_str()));
    names.map(|pair| pair[1].clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::save::tables, *};

    const NAT: &str = r#"*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:CNI-HOSTPORT - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-PROXY-CANARY - [0:0]
:KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-TCOU7JCQXEZGVUNU - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A PREROUTING -m comment --comment "ours -j KUBE-SERVICES" -j CNI-HOSTPORT
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A POSTROUTING -s 10.244.0.0/16 -j MASQUERADE
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-POSTROUTING -m comment --comment hairpin -m set --match-set KUBE-LOOP-BACK dst,dst,src -j MASQUERADE
-A KUBE-SEP-AAAAAAAAAAAAAAAA -p tcp -j DNAT --to-destination 10.244.1.2:80
-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m comment --comment "default/kubernetes" -j KUBE-SVC-TCOU7JCQXEZGVUNU
-A KUBE-SVC-TCOU7JCQXEZGVUNU -j KUBE-MARK-MASQ
-A KUBE-SVC-TCOU7JCQXEZGVUNU -j KUBE-SEP-AAAAAAAAAAAAAAAA
COMMIT
"#;

    fn plan(text: &str) -> TablePlan {
        TablePlan::new(&tables(text)[0])
    }

    fn with_rule(rule: &str) -> TablePlan {
        plan(&NAT.replace("COMMIT", &format!("{rule}\nCOMMIT")))
    }

    #[test]
    fn chains_go_with_the_jumps_to_them_and_nothing_else() {
        let plan = plan(NAT);
        assert!(plan.kept.is_empty() && plan.sets.is_empty());
        let expected = r#"*nat
:KUBE-MARK-MASQ - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-PROXY-CANARY - [0:0]
:KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-TCOU7JCQXEZGVUNU - [0:0]
-D PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-D POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-X KUBE-MARK-MASQ
-X KUBE-POSTROUTING
-X KUBE-PROXY-CANARY
-X KUBE-SEP-AAAAAAAAAAAAAAAA
-X KUBE-SERVICES
-X KUBE-SVC-TCOU7JCQXEZGVUNU
COMMIT
"#;
        assert_eq!(plan.restore_text(), expected);
    }

    #[test]
    fn what_others_use_stays_with_all_that_it_leads_to() {
        // portmap uses kube-proxy's chain to mark packets.
        let plan = with_rule("-A CNI-HOSTPORT -p tcp -m tcp --dport 8080 -j KUBE-MARK-MASQ");
        assert_eq!(plan.kept, BTreeSet::from([MARK.to_owned(), MASQUERADE.to_owned()]));
        assert_eq!(plan.sets, BTreeSet::from(["KUBE-LOOP-BACK".to_owned()]));
        assert!(plan.jumps.iter().all(|(_, rule)| rule.ends_with("KUBE-SERVICES")), "{:?}", plan.jumps);
        assert_eq!((plan.chains.len(), plan.jumps.len()), (4, 1));
    }

    #[test]
    fn a_jump_of_others_from_the_kernels_chains_keeps_its_target() {
        let plan = with_rule("-A PREROUTING -d 192.0.2.1/32 -j KUBE-SVC-TCOU7JCQXEZGVUNU");
        assert_eq!(plan.chains.iter().map(String::as_str).collect::<Vec<_>>(), ["KUBE-PROXY-CANARY", "KUBE-SERVICES"]);
        assert_eq!(plan.kept.len(), 4);
    }

    #[test]
    fn a_counter_of_a_rule_that_stays_is_used() {
        let rule = "-A KUBE-MARK-MASQ -m nfacct --nfacct-name  localhost_nps_accepted_pkts -j RETURN";
        assert!(with_rule(rule).sets.is_empty());
        let plan = with_rule(&format!("{rule}\n-A CNI-HOSTPORT -j KUBE-MARK-MASQ"));
        assert!(plan.sets.contains("localhost_nps_accepted_pkts"), "{:?}", plan.sets);
    }

    #[test]
    fn two_equal_jumps_both_go() {
        let plan = with_rule("-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES");
        assert_eq!(plan.restore_text().matches("-D PREROUTING").count(), 2);
    }

    #[test]
    fn a_table_without_kube_proxys_chains_has_nothing_to_remove() {
        let plan = plan("*filter\n:INPUT ACCEPT [0:0]\n:KUBE-FIREWALL - [0:0]\n-A INPUT -j KUBE-FIREWALL\nCOMMIT\n");
        assert!(plan.is_empty() && plan.jumps.is_empty());
    }
}
