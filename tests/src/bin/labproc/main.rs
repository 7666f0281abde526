//! A process inside a lab: opens sockets and serves as the lines on its stdin say, one answer line each (see
//! `harness::lab::Request`). Ends when stdin is closed. It must not know whether a service proxy is there.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Write},
};

use harness::lab::{Failure, Request, Response, Step};
use open::Open;
use serve::Listening;

mod dial;
mod open;
mod serve;

/// Result of a request.
type Answer = Result<Response, Failure>;

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
    fn obey(&mut self, request: Request) -> Answer {
        match request {
            Request::Dial(dial) => Ok(Response::Outcomes(dial::dial(&dial))),
            Request::Open { kind, bind } => self.open(Open::new(kind, bind)?),
            Request::Connect { socket, to, timeout } => {
                self.socket(socket)?.connect(to, timeout).map(Response::Connected)
            }
            Request::Send { socket, to, text } => self.socket(socket)?.send(to, &text).map(|()| Response::Done),
            Request::Receive { socket, timeout } => self.socket(socket)?.receive(timeout).map(Response::Received),
            Request::Names { socket } => self.socket(socket)?.names().map(Response::Names),
            Request::Close { socket } => self.close(socket),
            Request::Listen { name, at, mode } => self.listen(Listening::start(name, at, mode)?),
            Request::Unlisten => self.unlisten(),
        }
    }

    fn open(&mut self, socket: Open) -> Answer {
        self.last += 1;
        self.sockets.insert(self.last, socket);
        Ok(Response::Opened(self.last))
    }

    fn socket(&mut self, handle: u32) -> Result<&mut Open, Failure> {
        let unknown =
            || open::failure(Step::Socket, &io::Error::from_raw_os_error(libc::EBADF), std::time::Duration::ZERO);
        self.sockets.get_mut(&handle).ok_or_else(unknown)
    }

    fn close(&mut self, handle: u32) -> Answer {
        self.sockets.remove(&handle);
        Ok(Response::Done)
    }

    fn listen(&mut self, listening: Listening) -> Answer {
        self.listening.push(listening);
        Ok(Response::Done)
    }

    fn unlisten(&mut self) -> Answer {
        self.listening.clear();
        Ok(Response::Done)
    }
}
