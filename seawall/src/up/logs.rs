//! The children's log files: they write, the supervisor reads along and keeps them small.
use serde_json::{Map, Value};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// A log that has grown past this is moved to `.1`, bytes.
const LARGE: u64 = 16 << 20;
/// Read at most this much of what was appended, bytes; older lines stay in the file unseen.
const READ_LIMIT: u64 = 1 << 20;
/// The end of a log in which the cause of a death is looked for, bytes.
const LAST_WORDS: u64 = 64 << 10;
/// Fields that are the same in every line, or of no use without the file.
const HIDDEN: [&str; 9] = [
    "time",
    "level",
    "service",
    "target",
    "message",
    "request_id",
    "trace_id",
    "span_id",
    "traceparent",
];

/// The log of one replica.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    /// Up to where it has been read.
    read: AtomicU64,
    /// Where the present process began.
    born: AtomicU64,
}

impl LogFile {
    /// Starts reading behind what earlier runs wrote.
    pub fn new(path: PathBuf) -> Self {
        let len = fs::metadata(&path).map_or(0, |meta| meta.len());
        Self {
            path,
            read: AtomicU64::new(len),
            born: AtomicU64::new(len),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// For a new process to write to. In append mode, so that it goes on at the front after the
    /// file was emptied.
    pub fn writer(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600);
        let file = options.open(&self.path)?;
        self.born.store(file.metadata()?.len(), Ordering::Relaxed);
        Ok(file)
    }

    /// What the present process said last: the line that says why it failed. It won't be among
    /// the [`appended`](Self::appended) lines again.
    pub fn last_words(&self) -> Option<String> {
        let len = fs::metadata(&self.path).ok()?.len();
        let from = self
            .born
            .load(Ordering::Relaxed)
            .max(len.saturating_sub(LAST_WORDS));
        let text = self.read(from, len).ok()?;
        self.read.store(len, Ordering::Relaxed);
        last_words(&String::from_utf8_lossy(&text))
    }

    /// The whole lines since the last call; empties a large file. Trouble with the file counts as
    /// no lines: the replica matters more than its log.
    pub fn appended(&self) -> Vec<String> {
        let Ok(len) = fs::metadata(&self.path).map(|meta| meta.len()) else {
            return Vec::new();
        };
        let mut from = self.read.load(Ordering::Relaxed);
        if len == from {
            return Vec::new();
        }
        if len < from {
            from = 0;
        }
        let text = self.read(from.max(len.saturating_sub(READ_LIMIT)), len);
        let text = text.unwrap_or_default();
        // A line without its end is still being written, unless it is endless.
        let end = text.iter().rposition(|&byte| byte == b'\n');
        let whole = end.map_or(0, |end| end + 1);
        let rest = (text.len() - whole) as u64;
        let rest = if rest < READ_LIMIT { rest } else { 0 };
        self.read.store(len - rest, Ordering::Relaxed);
        if len > LARGE && self.rotate().is_ok() {
            self.read.store(0, Ordering::Relaxed);
        }
        let lines = text[..whole].split(|&byte| byte == b'\n');
        lines
            .filter(|line| !line.is_empty())
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect()
    }

    fn read(&self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(from))?;
        let mut text = Vec::new();
        file.take(to - from).read_to_end(&mut text)?;
        Ok(text)
    }

    /// Copies and empties: the child goes on writing to the file it has open. What it writes
    /// between the two steps is lost.
    fn rotate(&self) -> io::Result<()> {
        let mut old = self.path.clone().into_os_string();
        old.push(".1");
        fs::copy(&self.path, old)?;
        OpenOptions::new().write(true).open(&self.path)?.set_len(0)
    }
}

/// A line worth showing.
#[derive(Debug, PartialEq)]
pub struct Line {
    /// Without time and level.
    pub text: String,
    /// Whether it is worse than a warning.
    pub error: bool,
}

/// Warnings, errors, and what is not of our logging (a panic, say, without its backtrace).
pub fn notable(line: &str) -> Option<Line> {
    if !line.starts_with('{') {
        if [" ", "note: ", "stack backtrace:"]
            .iter()
            .any(|start| line.starts_with(start))
        {
            return None;
        }
        let text = line.chars().filter(|c| !c.is_control()).collect();
        return Some(Line { text, error: true });
    }
    // Far cheaper than parsing, for the many lines of requests served.
    let head = line.get(..100).unwrap_or(line);
    let error = head.contains(r#""level":"error""#);
    if !error && !head.contains(r#""level":"warn""#) {
        return None;
    }
    let fields: Map<String, Value> = serde_json::from_str(line).ok()?;
    let mut text = fields.get("message").map(plain).unwrap_or_default();
    for (name, value) in &fields {
        if !HIDDEN.contains(&name.as_str()) {
            text += &format!(" {name}={}", plain(value));
        }
    }
    Some(Line { text, error })
}

/// As text on one line, harmless to a terminal.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.chars().filter(|c| !c.is_control()).collect(),
        other => other.to_string(),
    }
}

/// Of the last lines of a process that failed, the one that says why.
fn last_words(text: &str) -> Option<String> {
    let lines = text.lines().filter(|line| !line.is_empty());
    let lines: Vec<Line> = lines.filter_map(notable).collect();
    let panics = |line: &Line| line.text.contains(" panicked at ");
    if let Some(at) = lines.iter().position(panics) {
        let panic = lines[at..].iter().take(2).map(|line| line.text.as_str());
        return Some(panic.collect::<Vec<_>>().join(" "));
    }
    let says = |line: &&Line| line.text.starts_with("error: ");
    let line = lines.iter().rfind(says).or_else(|| lines.last())?;
    Some(line.text.trim_start_matches("error: ").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn log() -> (tempfile::TempDir, LogFile) {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("order-1.log");
        fs::write(&path, "of an earlier run\n").expect("write");
        let log = LogFile::new(path);
        (dir, log)
    }

    #[test]
    fn each_whole_line_is_read_once() {
        let (_dir, log) = log();
        let mut child = log.writer().expect("open");
        assert!(log.appended().is_empty());
        child.write_all(b"one\ntwo\nthr").expect("write");
        assert_eq!(log.appended(), ["one", "two"]);
        child.write_all(b"ee\n").expect("write");
        assert_eq!(log.appended(), ["three"]);
        assert!(log.appended().is_empty());
    }

    #[test]
    fn a_large_file_moves_aside_and_the_child_goes_on() {
        let (dir, log) = log();
        let mut child = log.writer().expect("open");
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        for _ in 0..=LARGE / 1024 {
            child.write_all(&line).expect("write");
        }
        assert!(log.appended().len() as u64 <= READ_LIMIT / 1024);
        let old = fs::metadata(dir.path().join("order-1.log.1")).expect("moved aside");
        assert!(old.len() > LARGE);
        child.write_all(b"after\n").expect("write");
        assert_eq!(log.appended(), ["after"]);
        assert_eq!(fs::read(log.path()).expect("read"), b"after\n");
    }

    #[test]
    fn warnings_errors_and_panics_are_notable() {
        let line = |level: &str| {
            format!(
                r#"{{"time":"2026-01-01T00:00:00Z","level":"{level}","service":"order","target":"order","request_id":"r","message":"queue is away","attempt":3,"error":"refused\u001b[2J"}}"#
            )
        };
        assert_eq!(notable(&line("info")), None);
        let warning = notable(&line("warn")).expect("notable");
        assert_eq!(warning.text, "queue is away attempt=3 error=refused[2J");
        assert!(!warning.error);
        assert!(notable(&line("error")).expect("notable").error);
        assert!(notable("thread 'main' panicked at src/lib.rs:1:1:").is_some());
    }

    #[test]
    fn last_words_name_the_cause() {
        let said = last_words("error: LISTEN: invalid\n\nFor more, try '--help'.\n");
        assert_eq!(said.as_deref(), Some("LISTEN: invalid"));
        let panic =
            "\nthread 'main' panicked at a.rs:1:1:\nboom\nnote: run\nstack backtrace:\n   0: f";
        let said = last_words(panic);
        assert_eq!(
            said.as_deref(),
            Some("thread 'main' panicked at a.rs:1:1: boom")
        );
        assert_eq!(last_words(r#"{"level":"info","message":"ok"}"#), None);
    }

    #[test]
    fn last_words_are_of_the_present_process_even_if_read_already() {
        let (_dir, log) = log();
        let mut child = log.writer().expect("open");
        child.write_all(b"error: old\n").expect("write");
        let mut child = log.writer().expect("open");
        assert_eq!(log.last_words(), None);
        child.write_all(b"error: new\n").expect("write");
        assert_eq!(log.appended(), ["error: new"]);
        assert_eq!(log.last_words().as_deref(), Some("new"));
        child.write_all(b"error: newer\n").expect("write");
        assert_eq!(log.last_words().as_deref(), Some("newer"));
        assert!(log.appended().is_empty());
    }
}
