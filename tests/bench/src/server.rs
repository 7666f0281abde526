//! The measured server: one process with a thread for each connection, all on one CPU.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
};

use anyhow::{Context as _, Result};
use socket2::{Domain, Socket, Type};

use crate::{
    client::pin,
    orders::{ACCEPT, ECHO, SINK},
};

/// Serves until it is killed. Prints a line when it listens.
pub fn run(address: Ipv4Addr) -> Result<()> {
    pin(1);
    let listen = |port| listen((address, port).into()).with_context(|| format!("listen on {address}:{port}"));
    let (accept, echo, sink) = (listen(ACCEPT)?, listen(ECHO)?, listen(SINK)?);
    let datagrams = UdpSocket::bind((address, ECHO)).with_context(|| format!("bind {address}:{ECHO}"))?;
    println!("listening");
    thread::spawn(move || each(&echo, return_bytes));
    thread::spawn(move || each(&sink, swallow));
    thread::spawn(move || while return_datagram(&datagrams).is_ok() {});
    // The client resets its connections, perhaps before they are accepted.
    loop {
        let _ = accept.accept();
    }
}

/// Longer than a block of connects, so that no SYN is lost while this process gets no CPU for a moment.
const BACKLOG: i32 = 4096;

fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn each(listener: &TcpListener, serve: fn(TcpStream) -> io::Result<()>) {
    while let Ok((stream, _)) = listener.accept() {
        thread::spawn(move || serve(stream));
    }
}

fn return_bytes(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = [0; 64];
    loop {
        match stream.read(&mut bytes)? {
            0 => return Ok(()),
            length => stream.write_all(&bytes[..length])?,
        }
    }
}

fn return_datagram(datagrams: &UdpSocket) -> io::Result<()> {
    let mut bytes = [0; 64];
    let (length, client) = datagrams.recv_from(&mut bytes)?;
    datagrams.send_to(&bytes[..length], client).map(drop)
}

fn swallow(mut stream: TcpStream) -> io::Result<()> {
    let mut chunk = vec![0; 256 << 10];
    let mut header = [0; 8];
    loop {
        stream.read_exact(&mut header)?;
        let mut left = u64::from_le_bytes(header);
        while left > 0 {
            let most = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match stream.read(&mut chunk[..most])? {
                0 => return Ok(()),
                length => left -= length as u64,
            }
        }
        stream.write_all(&[1])?;
    }
}
