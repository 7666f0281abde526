//! `cargo xtask cluster test`: scenarios of what users do with Services, as tutorials teach it, in the running
//! cluster.

mod audit;
mod backends;
mod cluster;
mod container;
mod helm;
mod install;
mod kubeadm;
mod load;
mod many;
mod names;
mod outage;
mod packages;
mod rules;
mod takeover;
mod terminal;
mod tutorial;
mod upgrade;

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use self::cluster::Cluster;

/// Which scenarios run.
#[derive(Args)]
pub struct Arguments {
    /// Run only the scenarios whose name contains one of these
    filters: Vec<String>,
}

/// A scenario's name and function.
type Scenario = (&'static str, fn(&Cluster) -> Result<()>);

const ALL: [Scenario; 19] = [
    ("the_api_server_accepts_every_package", packages::the_api_server_accepts_every_package),
    (
        "the_api_server_accepts_what_is_for_the_prometheus_operator",
        packages::the_api_server_accepts_what_is_for_the_prometheus_operator,
    ),
    ("a_deployment_is_exposed", tutorial::a_deployment_is_exposed),
    ("a_node_port_service_is_created", tutorial::a_node_port_service_is_created),
    ("a_service_is_forwarded_to_a_local_port", tutorial::a_service_is_forwarded_to_a_local_port),
    ("a_namespace_is_deleted", tutorial::a_namespace_is_deleted),
    ("services_have_names_and_variables", names::services_have_names_and_variables),
    ("backends_are_scaled_up_and_down_under_load", backends::backends_are_scaled_up_and_down_under_load),
    ("backends_are_updated_under_load", backends::backends_are_updated_under_load),
    ("a_thousand_services_come_and_go_under_load", many::a_thousand_services_come_and_go_under_load),
    ("the_agents_are_updated_under_load", upgrade::the_agents_are_updated_under_load),
    ("the_plugin_of_kubectl_asks_the_agent_of_a_node", helm::the_plugin_of_kubectl_asks_the_agent_of_a_node),
    (
        "helm_installs_updates_and_removes_the_agents_under_load",
        helm::helm_installs_updates_and_removes_the_agents_under_load,
    ),
    (
        "kubectl_installs_updates_and_removes_the_agents_under_load",
        install::kubectl_installs_updates_and_removes_the_agents_under_load,
    ),
    ("kubeadms_config_map_configures_the_agents", kubeadm::kubeadms_config_map_configures_the_agents),
    // Before the scenarios that stop the API server or remove the agent's rights.
    ("the_agents_rights_are_those_it_uses", audit::the_agents_rights_are_those_it_uses),
    (
        "kube_proxy_and_waggle_take_over_from_each_other_under_load",
        takeover::kube_proxy_and_waggle_take_over_from_each_other_under_load,
    ),
    ("a_node_reboots", outage::a_node_reboots),
    ("the_api_server_is_restarted_and_away_under_load", outage::the_api_server_is_restarted_and_away_under_load),
];

/// The command. Exit code 1 if one fails.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let cluster = Cluster::running()?;
    let is_wanted =
        |name: &str| arguments.filters.is_empty() || arguments.filters.iter().any(|part| name.contains(part.as_str()));
    let (mut passed, mut failed) = (0, 0);
    for (name, scenario) in ALL.into_iter().filter(|(name, _)| is_wanted(name)) {
        let outcome = cluster.in_namespace(scenario);
        match outcome {
            Ok(()) => {
                passed += 1;
                println!("test {name} ... ok");
            }
            Err(error) => {
                failed += 1;
                println!("test {name} ... FAILED: {error:#}");
            }
        }
    }
    println!("\n{passed} passed, {failed} failed");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
