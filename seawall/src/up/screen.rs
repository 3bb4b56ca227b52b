//! What people see: text, events and the children's warnings, one line each.
use super::{event::Event, logs::Line};
use chrono::Local;
use std::{
    fmt::Display,
    io::{self, IsTerminal as _, Write},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

/// Lines of children shown a second; the rest is only counted, all are in the log files.
const CHILD_LINES: u32 = 20;
/// Lines waiting for a terminal that does not take them; more are dropped.
const BACKLOG: usize = 1000;
/// How long the last lines may take at the end.
const LAST_LINES: Duration = Duration::from_millis(500);

/// Writes on a thread of its own, so that a terminal that blocks (Ctrl-S, a full pipe) never
/// stops the supervision.
#[derive(Debug)]
pub struct Screen {
    lines: SyncSender<String>,
    written: Receiver<()>,
    colours: bool,
    /// Lines of children since the last tick.
    child_lines: AtomicU32,
}

impl Screen {
    /// The standard output.
    pub fn new() -> Self {
        let colours = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self::on(io::stdout(), colours)
    }

    fn on(mut out: impl Write + Send + 'static, colours: bool) -> Self {
        let (lines, receiver) = sync_channel::<String>(BACKLOG);
        let (done, written) = sync_channel(1);
        std::thread::spawn(move || {
            for line in receiver {
                // A reader that has gone away is no reason to stop the platform.
                let _ = writeln!(out, "{line}").and_then(|()| out.flush());
            }
            let _ = done.send(());
        });
        Self {
            lines,
            written,
            colours,
            child_lines: AtomicU32::new(0),
        }
    }

    /// As it is.
    pub fn text(&self, text: &str) {
        let _ = self.lines.try_send(text.to_owned());
    }

    /// A line of the supervisor about itself.
    pub fn note(&self, text: &str) {
        self.line("seawall", &text, None);
    }

    /// A line about a replica.
    pub fn event(&self, event: &Event) {
        let colour = event.is_bad().then_some(RED);
        self.line(&event.replica, &event.kind, colour);
    }

    /// A line from a child's log, or its count when there are too many.
    pub fn child(&self, replica: &str, line: &Line) {
        if self.child_lines.fetch_add(1, Ordering::Relaxed) < CHILD_LINES {
            let colour = if line.error { RED } else { YELLOW };
            self.line(replica, &line.text, Some(colour));
        }
    }

    /// Ends a second of children's lines.
    pub fn tick(&self) {
        let lines = self.child_lines.swap(0, Ordering::Relaxed);
        if let Some(more @ 1..) = lines.checked_sub(CHILD_LINES) {
            self.note(&format!("{more} more lines, see the log files"));
        }
    }

    /// Waits for the last lines to be written.
    pub fn close(self) {
        drop(self.lines);
        let _ = self.written.recv_timeout(LAST_LINES);
    }

    fn line(&self, who: &str, what: &dyn Display, colour: Option<&str>) {
        let time = Local::now().format("%H:%M:%S");
        self.text(&match colour {
            Some(colour) if self.colours => {
                format!("{DIM}{time}{RESET} {who:<14} {colour}{what}{RESET}")
            }
            _ if self.colours => format!("{DIM}{time}{RESET} {who:<14} {what}"),
            _ => format!("{time} {who:<14} {what}"),
        });
    }
}

const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(memory: &Memory) -> String {
        let bytes = memory.0.lock().expect("not poisoned").clone();
        String::from_utf8(bytes).expect("UTF-8")
    }

    #[test]
    fn a_flood_of_children_is_cut_and_counted() {
        let memory = Memory::default();
        let screen = Screen::on(memory.clone(), false);
        let line = Line {
            text: "trouble".into(),
            error: false,
        };
        for _ in 0..50 {
            screen.child("order-1", &line);
        }
        screen.tick();
        screen.child("order-1", &line);
        screen.close();
        let text = written(&memory);
        assert_eq!(text.matches("order-1        trouble").count(), 21);
        assert!(text.contains("30 more lines"), "{text}");
    }

    /// A terminal held with Ctrl-S must not hold the supervisor, too.
    #[test]
    fn a_blocked_terminal_blocks_nobody() {
        struct Blocked(Receiver<()>);
        impl Write for Blocked {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (release, blocked) = sync_channel(0);
        let screen = Screen::on(Blocked(blocked), false);
        for _ in 0..2 * BACKLOG {
            screen.note("still here");
        }
        screen.close();
        drop(release);
    }
}
