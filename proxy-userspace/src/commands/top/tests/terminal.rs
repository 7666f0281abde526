//! The terminal after a panic. The panic happens in a process of its own, in a pseudo-terminal: the test starts itself once more.

use std::{
    env,
    fs::File,
    io::Read as _,
    num::NonZeroU16,
    os::fd::AsFd as _,
    panic,
    process::{self, Command, Stdio},
    thread,
};

use nix::{
    pty::{OpenptyResult, Winsize, openpty},
    sys::termios::{LocalFlags, tcgetattr},
};

use crate::commands::top::terminal::RawTerminal;

/// Set in the process that panics.
const PANICS: &str = "WAGGLE_TEST_PANICS";
/// The name of the only test here.
const TEST: &str = "a_panic_restores_the_terminal_and_then_prints_its_message";

/// The exit code of that process.
const PANICKED: i32 = 77;

const LINES: NonZeroU16 = NonZeroU16::new(40).unwrap();
const COLUMNS: NonZeroU16 = NonZeroU16::new(200).unwrap();

fn panic_on_the_terminal() {
    let mut terminal = RawTerminal::open().unwrap();
    terminal.0.draw(|frame| frame.render_widget("what the screen shows", frame.area())).unwrap();
    panic!("on purpose");
}

/// Runs this test as the process that panics. Returns the terminal's local flags afterwards, and what it shows.
fn run() -> (LocalFlags, vt100::Parser) {
    let size = Winsize { ws_row: LINES.get(), ws_col: COLUMNS.get(), ws_xpixel: 0, ws_ypixel: 0 };
    let OpenptyResult { master, slave } = openpty(&size, None).unwrap();
    let module = module_path!().split_once("::").unwrap().1;
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", &format!("{module}::{TEST}"), "--nocapture"])
        .env(PANICS, "1")
        .env("TERM", "xterm-256color");
    let stream = || Stdio::from(slave.try_clone().unwrap());
    let mut child = command.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
    // Its copies of the terminal would keep the reader from the end.
    drop(command);
    let reader = thread::spawn(move || {
        let (mut master, mut bytes) = (File::from(master), Vec::new());
        // The end is an error (EIO), once no process has the other half open.
        let _ = master.read_to_end(&mut bytes);
        bytes
    });
    assert_eq!(child.wait().unwrap().code(), Some(PANICKED));
    let flags = tcgetattr(slave.as_fd()).unwrap().local_flags;
    drop(slave);
    let mut parser = vt100::Parser::new(LINES, COLUMNS, 0);
    parser.process(&reader.join().unwrap());
    (flags, parser)
}

#[test]
fn a_panic_restores_the_terminal_and_then_prints_its_message() {
    if env::var_os(PANICS).is_some() {
        // Ends at once, since what test programs print after a panic could hide its message.
        let _ = panic::catch_unwind(panic_on_the_terminal);
        process::exit(PANICKED);
    }
    let (flags, parser) = run();
    assert!(flags.contains(LocalFlags::ICANON | LocalFlags::ECHO), "{flags:?}");
    let screen = parser.screen();
    assert!(!screen.alternate_screen() && !screen.hide_cursor());
    let contents = screen.contents();
    assert!(!contents.contains("what the screen shows"), "{contents}");
    let message = contents.lines().position(|line| line.contains("on purpose"));
    let message = message.unwrap_or_else(|| panic!("no message in\n{contents}"));
    assert!(usize::from(screen.cursor_position().0) > message, "the cursor is below the message: {contents}");
}
