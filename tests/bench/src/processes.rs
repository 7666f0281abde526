//! The benchmark's processes that connect and serve: this executable in another role.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    ops::Deref,
    process::{ChildStdin, ChildStdout, Command, Stdio},
    sync::Mutex,
};

use anyhow::{Context as _, Result, bail};
use harness::lab::{Host, Process};

use crate::orders::{Block, Order};

/// A process that measures as it is ordered.
pub struct Client(Mutex<Pipes>);

struct Pipes {
    orders: ChildStdin,
    blocks: BufReader<ChildStdout>,
    _process: Process,
}

impl Client {
    /// Starts the process.
    pub fn start(host: &Host) -> Result<Self> {
        let mut command = own(&["client".into()])?;
        command.stdin(Stdio::piped());
        let mut process = host.spawn(command)?;
        let orders = process.take_stdin().context("the client's stdin")?;
        let blocks = BufReader::new(process.take_stdout().context("the client's stdout")?);
        Ok(Self(Mutex::new(Pipes { orders, blocks, _process: process })))
    }

    /// Orders one block from it and returns the figures.
    pub fn measure(&self, order: &Order) -> Result<Block> {
        let mut pipes = self.0.lock().expect("no thread panics while it measures");
        let mut line = serde_json::to_string(order)? + "\n";
        pipes.orders.write_all(line.as_bytes()).context("send an order to the measuring process")?;
        line.clear();
        pipes.blocks.read_line(&mut line).context("read what was measured")?;
        if line.is_empty() {
            bail!("the measuring process has ended: see its message above");
        }
        serde_json::from_str(&line).context("understand what was measured")
    }
}

/// Starts the server at the host's IPv4 address, and waits until it listens.
pub fn start_server(host: &impl Deref<Target = Host>) -> Result<Process> {
    let mut server = host.spawn(own(&["server".into(), host.v4().to_string()])?)?;
    let mut line = String::new();
    BufReader::new(server.take_stdout().context("the server's stdout")?).read_line(&mut line)?;
    if line.is_empty() {
        bail!("the server has ended: see its message above");
    }
    Ok(server)
}

/// This executable in another role, with the highest priority on its CPU.
fn own(arguments: &[String]) -> Result<Command> {
    let mut command = Command::new("nice");
    command.args(["-n", "-20"]).arg(env::current_exe().context("find this executable")?);
    command.args(arguments).stdout(Stdio::piped());
    Ok(command)
}
