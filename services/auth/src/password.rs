//! Passwords: which are taken, and their hashes on a bounded pool.
use crate::error::{Error, Result};
use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::phc::{Output, PasswordHash, Salt},
};
use ring::rand::{SecureRandom as _, SystemRandom};
use service::Problem;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    thread,
};
use tokio::sync::{
    Semaphore,
    mpsc::{self, Receiver, Sender},
    oneshot,
};

/// Bytes, whatever the characters (OWASP ASVS 5.0, 6.2.1 and 6.2.9; the upper end bounds the work).
const LENGTH: std::ops::RangeInclusive<usize> = 8..=1024;
/// Bytes of a salt and of a hash.
const SALT: usize = 16;
const HASH: usize = 32;

/// What everybody tries first, in lower case, one a line.
const COMMON: &str = include_str!("common_passwords.txt");

/// # Errors
/// 422 when the password is too short, too long, or among the first that are guessed.
pub fn check(pointer: &str, password: &str, username: &str) -> Result<(), Problem> {
    if !LENGTH.contains(&password.len()) {
        return Err(Problem::invalid(pointer, "must be 8 to 1024 bytes"));
    }
    let lower = password.to_lowercase();
    // Also what only repeats or decorates such a word.
    let core = lower.trim_matches(|c: char| !c.is_alphabetic());
    let listed = |word: &str| !word.is_empty() && COMMON.lines().any(|common| common == word);
    let mut characters = lower.chars();
    let first = characters.next();
    let repeated = characters.all(|c| Some(c) == first);
    if listed(&lower) || listed(core) || repeated || core == username.to_lowercase() {
        return Err(Problem::invalid(pointer, "is too easy to guess"));
    }
    Ok(())
}

/// How passwords are hashed, and how many at once.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub memory_kib: u32,
    pub passes: u32,
    pub parallel: usize,
    pub queue: usize,
}

type Job = Box<dyn FnOnce() + Send>;

/// Hashes and verifies on threads of their own, a few at once: a hash takes tens of milliseconds and
/// `memory_kib` of memory. The threads take their work themselves; were it handed to them by the thread
/// of the requests, each hash would begin with a wait for that one's turn on a busy core.
#[derive(Clone)]
pub struct Hasher {
    argon2: Argon2<'static>,
    params: Params,
    /// Those that hash or wait.
    admitted: Arc<Semaphore>,
    jobs: Sender<Job>,
    /// Of nobody's password: verifying it takes as long as verifying a real one.
    nobody: Arc<str>,
}

impl Hasher {
    /// # Errors
    /// When Argon2 does not allow these settings.
    pub fn new(settings: Settings) -> anyhow::Result<Self> {
        let lanes = 1;
        let params = Params::new(settings.memory_kib, settings.passes, lanes, Some(HASH))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
        let most = settings.parallel + settings.queue;
        let (jobs, queue) = mpsc::channel(most);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..settings.parallel {
            let queue = queue.clone();
            let hash = thread::Builder::new().name("argon2".to_owned());
            hash.spawn(move || work(&queue))?;
        }
        Ok(Self {
            nobody: nobody(&params)?.into(),
            argon2,
            params,
            admitted: Arc::new(Semaphore::new(most)),
            jobs,
        })
    }

    /// The PHC string of a password, under a new salt.
    ///
    /// # Errors
    /// [`Error::Busy`] when too many wait already.
    pub async fn hash(&self, password: String) -> Result<String> {
        let argon2 = self.argon2.clone();
        self.run(move || {
            let hash = argon2.hash_password_with_salt(password.as_bytes(), &random::<SALT>()?);
            Ok(hash.map_err(|e| Error::Hash(e.to_string()))?.to_string())
        })
        .await
    }

    /// Is this the password of that PHC string? Without one, the same work and no.
    ///
    /// # Errors
    /// [`Error::Busy`] when too many wait already.
    pub async fn verify(&self, password: String, phc: Option<&str>) -> Result<bool> {
        let argon2 = self.argon2.clone();
        let known = phc.is_some();
        let phc = phc.unwrap_or(&self.nobody).to_owned();
        self.run(move || {
            let phc = PasswordHash::new(&phc).map_err(|e| Error::Hash(e.to_string()))?;
            Ok(argon2.verify_password(password.as_bytes(), &phc).is_ok() && known)
        })
        .await
    }

    /// Was this hash made with less work than is asked for now?
    pub fn is_weaker(&self, phc: &str) -> bool {
        let params = PasswordHash::new(phc).ok();
        let params = params.and_then(|phc| Params::try_from(&phc).ok());
        params
            .is_some_and(|p| p.m_cost() < self.params.m_cost() || p.t_cost() < self.params.t_cost())
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let admitted = self.admitted.clone().try_acquire_owned();
        let admitted = admitted.map_err(|_| Error::Busy)?;
        let (tell, answer) = oneshot::channel();
        let job = move || {
            let _admitted = admitted;
            // Whoever gave up meanwhile costs nothing any more.
            if !tell.is_closed() {
                let _ = tell.send(work());
            }
        };
        let waits = self.jobs.try_send(Box::new(job));
        waits.map_err(|_| Error::Busy)?;
        answer.await.map_err(|e| Error::Hash(e.to_string()))?
    }
}

/// Works until the last [`Hasher`] is gone.
fn work(queue: &Mutex<Receiver<Job>>) {
    let next = || {
        let mut queue = queue.lock().expect("nobody panics while waiting");
        queue.blocking_recv()
    };
    while let Some(job) = next() {
        // One that panics tells its caller by falling silent.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

/// Random bytes from the system.
///
/// # Errors
/// When it has none.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Error::Hash("no random bytes".to_owned()))?;
    Ok(bytes)
}

/// A hash that belongs to no password.
fn nobody(params: &Params) -> anyhow::Result<String> {
    let phc = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: params.try_into()?,
        salt: Some(Salt::new(&random::<SALT>()?)?),
        hash: Some(Output::new(&random::<HASH>()?)?),
    };
    Ok(phc.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_passwords_that_take_some_guessing() {
        let refused = |password: &str| check("/password", password, "lovelace").is_err();
        for bad in [
            "",
            "short",
            "1234567",
            "12345678",
            "password",
            "Password1!",
            "P@ssw0rd",
            "qwertyuiop",
            "aaaaaaaaaaaa",
            "Lovelace",
            "lovelace2026",
            &"x".repeat(1025),
            "🦀🦀",
        ] {
            assert!(refused(bad), "{bad}");
        }
        for good in [
            "correct horse battery",
            "🦀🦞🦐🐚🐙🦑🐠🐡",
            "nul\0 is a byte",
            "x7Kw9-qLmP",
            &"ab".repeat(512),
        ] {
            assert!(!refused(good), "{good:?}");
        }
    }
}
