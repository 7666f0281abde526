//! A process inside a lab: opens sockets and serves as the lines on its stdin say, and answers each with one line (see
//! `lab::Request`). Ends when stdin is closed. It must not know whether a service proxy runs.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Write},
    time::Duration,
};

use lab::{Failure, Request, Response, Step};
use open::{Open, failure};
use serve::Listening;

mod bulk;
mod dial;
mod open;
mod serve;

/// Everything this process holds open.
#[derive(Default)]
struct State {
    sockets: BTreeMap<u32, Open>,
    last: u32,
    listening: Vec<Listening>,
}

fn main() -> anyhow::Result<()> {
    let mut state = State::default();
    let mut answers = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let request = serde_json::from_str(&line?)?;
        let mut answer = serde_json::to_string(&state.obey(request))?;
        answer.push('\n');
        answers.write_all(answer.as_bytes())?;
        answers.flush()?;
    }
    Ok(())
}

impl State {
    fn obey(&mut self, request: Request) -> Result<Response, Failure> {
        match request {
            Request::Dial(dial) => return Ok(Response::Outcomes(dial::dial(&dial))),
            Request::Bulk { to, bind, bytes, timeout } => {
                return bulk::transfer(to, bind, bytes, timeout).map(Response::Connected);
            }
            Request::Open { kind, bind } => return Ok(Response::Opened(self.keep(Open::new(kind, bind)?))),
            Request::Connect { socket, to, timeout } => {
                return self.socket(socket)?.connect(to, timeout).map(Response::Connected);
            }
            Request::Disconnect { socket } => self.socket(socket)?.disconnect()?,
            Request::Receive { socket, timeout } => {
                return self.socket(socket)?.receive(timeout).map(Response::Received);
            }
            Request::Names { socket } => return self.socket(socket)?.names().map(Response::Names),
            Request::Send { socket, to, text } => self.socket(socket)?.send(to, &text)?,
            Request::Close { socket } => drop(self.sockets.remove(&socket)),
            Request::Listen { name, at, mode } => self.listening.push(Listening::start(name, at, mode)?),
            Request::ListenSctp { name, at } => self.listening.push(Listening::start_sctp(name, at)?),
            Request::Unlisten => self.listening.clear(),
        }
        Ok(Response::Done)
    }

    fn keep(&mut self, socket: Open) -> u32 {
        self.last += 1;
        self.sockets.insert(self.last, socket);
        self.last
    }

    fn socket(&mut self, handle: u32) -> Result<&mut Open, Failure> {
        let unknown = || failure(Step::Socket, &io::Error::from_raw_os_error(libc::EBADF), Duration::ZERO);
        self.sockets.get_mut(&handle).ok_or_else(unknown)
    }
}
