//! The benchmark: what a connection through a ClusterIP costs compared with one to the backend's own address, with Waggle and
//! with an nftables rule set laid out as kube-proxy's, with few Services and with many. `cargo xtask bench` starts it.

use std::{fs, path::Path, time::Instant};

use anyhow::{Context as _, Result, bail};
use clap::Parser as _;
use nix::unistd::geteuid;
use serde_json::Map;

mod bars;
mod chart;
mod cli;
mod client;
mod figures;
mod grid;
mod interrupt;
mod link;
mod machine;
mod manifests;
mod measure;
mod nftables;
mod orders;
mod outside;
mod packets;
mod processes;
mod scale;
mod scenario;
mod server;
mod stats;
mod svg;
mod table;

use cli::{Cli, Options, Part, Role};
use figures::{Figures, Proxy};
use interrupt::Interrupted;
use machine::Machine;
use scenario::Scenario;

fn main() -> Result<()> {
    let cli = Cli::parse();
    match cli.role {
        Some(Role::Client) => client::run(),
        Some(Role::Server { address }) => server::run(address),
        Some(Role::Probe { to }) => scale::probe::run(to),
        None => bench(&cli.options),
    }
}

/// Measures each part that is wanted, and reports.
fn bench(options: &Options) -> Result<()> {
    if !geteuid().is_root() {
        bail!("the benchmark makes network namespaces and loads eBPF programs: run it as root, or with sudo");
    }
    let interrupted = interrupt::watch()?;
    let (start, machine) = (Instant::now(), Machine::begin()?);
    let mut numbers = Map::new();
    if options.measures(Part::Packets) {
        eprintln!("packets");
        let figures = packets::measure(options.rounds(), &interrupted)?;
        println!("{}", packets::text(&figures, options.markdown));
        numbers.extend(figures.flat());
    }
    if options.measures(Part::Sockets) {
        let figures = sockets(options, &interrupted)?;
        report(&figures, options)?;
        numbers.extend(figures.flat());
    }
    if options.measures(Part::Outside) {
        eprintln!("outside");
        let figures = outside::measure(options, &interrupted)?;
        println!("{}", figures.table(options.markdown));
        write_chart(&options.chart_path("packets.svg"), &outside::draw(&figures))?;
        numbers.extend(figures.flat());
    }
    if options.measures(Part::Scale) {
        eprintln!("scale");
        let rows = scale::measure(&options.scale_plan(), &interrupted)?;
        println!("{}", scale::text(&rows, options.markdown));
        write_chart(&options.chart_path("scale.svg"), &scale::draw(&rows))?;
        numbers.extend(scale::flat(&rows));
    }
    let machine = machine.describe()?;
    println!("{}", machine.text());
    numbers.extend(machine.flat());
    if let Some(json) = &options.json {
        let text = serde_json::to_string_pretty(&numbers)?;
        fs::write(json, text + "\n").with_context(|| format!("write the numbers {}", json.display()))?;
    }
    eprintln!("took {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Connections of sockets, in each scenario.
fn sockets(options: &Options, interrupted: &Interrupted) -> Result<Figures> {
    let mut figures = Figures::default();
    let proxies: &[Proxy] = if options.no_nftables { &[Proxy::Waggle] } else { &[Proxy::Waggle, Proxy::Nftables] };
    for proxy in proxies.iter().copied() {
        for services in [1, options.services] {
            eprintln!("{}: {services} Services", proxy.name());
            let begin = Instant::now();
            let scenario = Scenario::create(proxy, services, options)?;
            eprintln!("  ready after {:.1} s", begin.elapsed().as_secs_f64());
            figures.add(proxy, services, measure::all(&scenario, &options.plan(), interrupted)?);
        }
    }
    Ok(figures)
}

/// The table on stdout, the chart in its file.
fn report(figures: &Figures, options: &Options) -> Result<()> {
    println!("{}", table::text(figures, options.markdown));
    if let Some([waggle, nftables]) = figures.connects() {
        let times = nftables / waggle;
        let services = options.services;
        println!(
            "With {services} Services a connect to a ClusterIP takes {waggle:.1} µs with Waggle, {nftables:.1} µs with \
             nftables: {times:.2} times as long.\n"
        );
    }
    println!("{}", cli::conditions(options));
    write_chart(&options.chart_path("connections.svg"), &chart::draw(figures))
}

fn write_chart(path: &Path, chart: &str) -> Result<()> {
    fs::write(path, chart).with_context(|| format!("write the chart {}", path.display()))?;
    eprintln!("chart: {}", path.display());
    Ok(())
}
