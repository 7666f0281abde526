//! `waggle`: parses the command line and runs the command. docs/semantics.md specifies how it serves Services.

use std::{
    env,
    io::{self, IsTerminal as _},
    process::ExitCode,
};

use anyhow::anyhow;
use proxy_userspace::{
    commands::{
        capture, check, cleanup,
        cli::{Cli, Command, RunArgs},
        config_file, explain, kube_proxy, monitor, ready, run, show, status, top, validate,
    },
    config::{LogConfig, LogFormat},
    logging::{colour, errors::Report, fatal, recent::RecentLines},
    node::{capabilities, heap, host, open_files, seccomp},
    watch::kube::LOG_DIRECTIVES,
};
use tracing::warn;
use tracing_subscriber::{EnvFilter, filter::LevelFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

pub(crate) fn main() -> ExitCode {
    let cli = Cli::read(env::args_os()).unwrap_or_else(|error| error.exit());
    match execute(cli.command) {
        Ok(code) => code,
        Err(error) => {
            if !fatal::log(error.as_ref()) {
                eprintln!("waggle: {}", Report(error.as_ref()));
            }
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => run_agent(*args)?,
        Command::Get(args) => show::get(&args)?,
        Command::Top(args) => top::run(&args)?,
        Command::Monitor(args) => monitor::run(&args)?,
        Command::Bpftool(args) => show::bpftool(&args)?,
        Command::Explain(args) => return explain::explain(&args),
        Command::Validate(args) => validate::validate(&args)?,
        Command::Status(args) => return status::status(&args),
        Command::Capture(args) => return capture::run(&args),
        Command::Check(args) => return check::check(*args),
        Command::Completion { shell } => show::completion(shell)?,
        Command::Ready(args) => ready::check(&args.instance)?,
        Command::Cleanup(args) => {
            if args.kube_proxy {
                let root = args.root.as_deref();
                let options = kube_proxy::CleanupOptions { force: args.force, is_dry: args.dry_run, root };
                println!("{}", kube_proxy::cleanup(options)?);
            } else {
                println!("{}", cleanup::cleanup(&args.instance.instance, args.force)?);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn run_agent(args: RunArgs) -> anyhow::Result<()> {
    let early = args.log_without_file();
    let (config, ignored_flags) = config_file::configure(args).inspect_err(|_| start_early_log(&early))?;
    heap::share();
    start_log(&config.log).inspect_err(|_| start_early_log(&config.log))?;
    config_file::warn_of_ignored(config.file.as_ref(), &ignored_flags);
    host::check()?;
    if let Err(error) = open_files::raise_limit() {
        warn!(error = %Report(&error), "with very many healthCheckNodePorts, some may not be answered");
    }
    // Before the runtime starts its threads, since capabilities belong to threads.
    capabilities::drop_unneeded(config.udp_termination)?;
    if let Err(error) = seccomp::deny_unused() {
        warn!(error = %Report(&error), "system calls that the agent never needs stay allowed");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(run::run(config));
    // Does not wait for the source, which may be in a system call.
    runtime.shutdown_background();
    result
}

/// Starts a log for the error that ends the agent before it has its configuration, if that log is read by programs. `config` is
/// what is known until then.
fn start_early_log(config: &LogConfig) {
    if config.format == LogFormat::Json {
        let config = LogConfig { level: "info".to_owned(), ..config.clone() };
        // The level can be parsed, so this can't fail.
        let _ = start_log(&config);
    }
}

fn start_log(config: &LogConfig) -> anyhow::Result<()> {
    // A bare level applies to Waggle's own code; libraries log warnings and errors.
    let filter = match config.level.parse::<LevelFilter>() {
        Ok(level) => {
            let libraries = LOG_DIRECTIVES.join(",");
            EnvFilter::try_new(format!("warn,{libraries},proxy_userspace={level},proxy_ebpf={level}"))?
        }
        Err(_) => EnvFilter::try_new(&config.level).map_err(|_| anyhow!(
            "use --log-level {:?}: give off, error, warn, info, debug or trace, or directives such as `info,proxy_userspace=debug`",
            config.level
        ))?,
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter.add_directive(fatal::directive()?))
        .with_writer(io::stderr)
        .with_ansi(colour::is_wanted(io::stderr().is_terminal(), env::var_os("NO_COLOR").as_deref()));
    match config.format {
        LogFormat::Text => log.finish().with(RecentLines).init(),
        LogFormat::Json => log.json().flatten_event(true).finish().with(RecentLines).init(),
    }
    fatal::log_panics();
    Ok(())
}
