//! The Lua scripts: each is one atomic step of the queue, of a bounded size.
use super::link::Link;
use crate::Error;
use redis::{Cmd, ErrorKind, FromRedisValue, ServerErrorKind, ToRedisArgs};

/// What every script gets as `KEYS`, in the order the preamble names them.
pub(super) const KEYS: [&str; 11] = [
    "jobs", "waiting", "running", "retrying", "done", "dead", "failed", "crashes", "errors",
    "results", "bell",
];

/// The list consumers wait at.
pub(super) fn bell(queue: &str) -> String {
    key(queue, "bell")
}

pub(super) fn unique_key(queue: &str, unique: &str) -> String {
    format!("{}:{unique}", key(queue, "unique"))
}

/// The braces keep a queue's keys together in a cluster.
fn key(queue: &str, name: &str) -> String {
    format!("queue:{{{queue}}}:{name}")
}

/// A script by the name the server gives it, its SHA-1.
pub(super) struct Script {
    text: String,
    hash: String,
}

impl Script {
    fn new(preamble: &str, step: &str) -> Self {
        let text = format!("{preamble}{step}");
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash }
    }
}

pub(super) struct Scripts {
    pub push: Script,
    pub claim: Script,
    pub settle: Script,
    pub renew: Script,
    pub rescue: Script,
    pub replay: Script,
    pub trim: Script,
    pub stats: Script,
    pub job: Script,
    pub list: Script,
}

impl Scripts {
    pub fn new() -> Self {
        let script = |step| Script::new(include_str!("scripts/preamble.lua"), step);
        Self {
            push: script(include_str!("scripts/push.lua")),
            claim: script(include_str!("scripts/claim.lua")),
            settle: script(include_str!("scripts/settle.lua")),
            renew: script(include_str!("scripts/renew.lua")),
            rescue: script(include_str!("scripts/rescue.lua")),
            replay: script(include_str!("scripts/replay.lua")),
            trim: script(include_str!("scripts/trim.lua")),
            stats: script(include_str!("scripts/stats.lua")),
            job: script(include_str!("scripts/job.lua")),
            list: script(include_str!("scripts/list.lua")),
        }
    }
}

/// A script about to be run.
pub(super) struct Call<'a> {
    script: &'a Script,
    command: Cmd,
}

impl<'a> Call<'a> {
    pub fn new(script: &'a Script, queue: &str) -> Self {
        Self::with_keys(script, queue, &[])
    }

    /// With keys of its own after those every script gets.
    pub fn with_keys(script: &'a Script, queue: &str, more: &[String]) -> Self {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&script.hash).arg(KEYS.len() + more.len());
        for name in KEYS {
            command.arg(key(queue, name));
        }
        command.arg(more);
        Self { script, command }
    }

    pub fn arg(&mut self, arg: impl ToRedisArgs) -> &mut Self {
        self.command.arg(arg);
        self
    }

    /// Runs it; a server that doesn't know the script (it was restarted) is told first.
    pub async fn run<T: FromRedisValue>(&self, link: &Link) -> Result<T, Error> {
        let unknown = ErrorKind::Server(ServerErrorKind::NoScript);
        match link.query(&self.command).await {
            Err(Error::Redis(error)) if error.kind() == unknown => {
                let mut load = redis::cmd("SCRIPT");
                load.arg("LOAD").arg(self.script.text.as_str());
                link.query::<()>(&load).await?;
                link.query(&self.command).await
            }
            outcome => outcome,
        }
    }
}
