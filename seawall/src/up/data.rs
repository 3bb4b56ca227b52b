//! The data folder: its lock, its layout, its secrets.
use anyhow::{Context as _, bail};
use rand::Rng as _;
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// The operator's password until it was told, and the sign that it was.
const OPERATOR: &str = "secrets/operator_password";
const OPERATOR_TOLD: &str = "secrets/operator_told";
/// Where Prometheus answers, while there is one.
const PROMETHEUS_URL: &str = "prometheus.url";

/// A data folder that belongs to this process as long as this lives.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    /// The kernel frees it when this process ends, however it ends.
    _lock: File,
}

impl DataFolder {
    /// Creates what is missing and locks the folder against a second supervisor.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let at = |path: &Path| format!("cannot use the data folder {}", path.display());
        create(path).with_context(|| at(path))?;
        let path = path.canonicalize().with_context(|| at(path))?;
        for part in ["logs", "secrets"] {
            create(&path.join(part)).with_context(|| at(&path))?;
        }
        let lock = lock(&path)?;
        Ok(Self { path, _lock: lock })
    }

    /// Absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The `sqlite:` URL of a database in here.
    pub fn sqlite(&self, name: &str) -> anyhow::Result<String> {
        let path = self.path.join(name);
        let path = path.to_str().context("--data must be a UTF-8 path")?;
        // The two characters that mean something in such a URL.
        let path = path.replace('%', "%25").replace('?', "%3F");
        Ok(format!("sqlite:{path}"))
    }

    /// The `file:` URL of a folder in here.
    pub fn folder(&self, name: &str) -> anyhow::Result<String> {
        let path = self.path.join(name);
        let path = path.to_str().context("--data must be a UTF-8 path")?;
        Ok(format!("file://{path}"))
    }

    /// The file of a secret (32 random bytes in hex), made at the first call.
    pub fn secret(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.path.join("secrets").join(name);
        if !path.exists() {
            let mut bytes = [0; 32];
            rand::rng().fill_bytes(&mut bytes);
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            write(&path, &hex).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(path)
    }

    /// The operator's password, made at the first call. It stays here until people have been told, so
    /// that a start that was broken off is followed by one with the same; after that, none.
    pub fn operator_password(&self) -> anyhow::Result<Option<String>> {
        let path = self.path.join(OPERATOR);
        let read_or_make = || {
            if self.path.join(OPERATOR_TOLD).exists() {
                return Ok(None);
            }
            match fs::read_to_string(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let password = make_password();
                    write(&path, &password)?;
                    Ok(Some(password))
                }
                found => found.map(Some),
            }
        };
        read_or_make().with_context(|| format!("cannot use {}", path.display()))
    }

    /// There is an operator now, whose password people know. It is forgotten here.
    pub fn operator_is_told(&self) -> anyhow::Result<()> {
        let told = self.path.join(OPERATOR_TOLD);
        if !told.exists() {
            write(&told, "").with_context(|| format!("cannot write {}", told.display()))?;
        }
        match fs::remove_file(self.path.join(OPERATOR)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Leaves word of Prometheus in here, or that there is none.
    pub fn tell_prometheus(&self, url: Option<&str>) -> anyhow::Result<()> {
        let path = self.path.join(PROMETHEUS_URL);
        let told = match (url, fs::remove_file(&path)) {
            (Some(url), _) => write(&path, url),
            (None, Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            (None, _) => Ok(()),
        };
        told.with_context(|| format!("cannot use {}", path.display()))
    }
}

/// The URL of the Prometheus that `seawall up` has started for this data folder.
pub fn prometheus(data: &Path) -> Option<String> {
    fs::read_to_string(data.join(PROMETHEUS_URL)).ok()
}

/// Letters and digits that can't be taken for each other.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// 100 random bits that people can type.
fn make_password() -> String {
    let mut bytes = [0; 20];
    rand::rng().fill_bytes(&mut bytes);
    let groups = bytes.chunks(5).map(|group| {
        let letter = |byte: &u8| char::from(ALPHABET[usize::from(byte % 32)]);
        group.iter().map(letter).collect::<String>()
    });
    groups.collect::<Vec<_>>().join("-")
}

fn create(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

fn lock(data: &Path) -> anyhow::Result<File> {
    let path = data.join("lock");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600);
    let mut file = options.truncate(false).open(&path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let pid = fs::read_to_string(&path).unwrap_or_default();
            bail!(
                "already running with data folder {} (pid {}): stop that one, or choose another \
                 folder with --data, --port and --base-port",
                data.display(),
                pid.trim()
            );
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).context("cannot lock the data folder");
        }
    }
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

/// Written aside and renamed, so that a crash never leaves half a secret.
fn write(path: &Path, secret: &str) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&draft)?;
    file.write_all(secret.as_bytes())?;
    file.sync_all()?;
    fs::rename(draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_secret_is_private_and_stays_the_same() {
        let dir = tempfile::tempdir().expect("temp dir");
        let data = DataFolder::open(&dir.path().join("data")).expect("open");
        let file = data.secret("order_id").expect("secret");
        let first = fs::read_to_string(&file).expect("read");
        assert_eq!(first.len(), 64);
        let mode = file.metadata().expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(data);
        let data = DataFolder::open(&dir.path().join("data")).expect("open again");
        let again = data.secret("order_id").expect("secret");
        assert_eq!(fs::read_to_string(again).expect("read"), first);
        let other = data.secret("chaos_token").expect("secret");
        assert_ne!(fs::read_to_string(other).expect("read"), first);
    }

    #[test]
    fn the_operators_password_is_kept_until_it_is_told() {
        let dir = tempfile::tempdir().expect("temp dir");
        let data = DataFolder::open(dir.path()).expect("open");
        let password = data.operator_password().expect("made").expect("new");
        assert_eq!(password.len(), 23);
        drop(data);
        // As after a crash.
        let data = DataFolder::open(dir.path()).expect("open again");
        assert_eq!(data.operator_password().expect("read"), Some(password));
        for _ in 0..2 {
            data.operator_is_told().expect("written");
            assert_eq!(data.operator_password().expect("none"), None);
        }
        assert!(!dir.path().join(OPERATOR).exists());
    }

    #[test]
    fn a_second_holder_is_told_who_the_first_is() {
        let dir = tempfile::tempdir().expect("temp dir");
        let _first = DataFolder::open(dir.path()).expect("open");
        let error = DataFolder::open(dir.path())
            .expect_err("locked")
            .to_string();
        let pid = format!("(pid {})", std::process::id());
        assert!(error.contains(&pid), "{error}");
    }

    #[test]
    fn odd_characters_survive_in_a_database_url() {
        let dir = tempfile::tempdir().expect("temp dir");
        let data = DataFolder::open(&dir.path().join("100%?")).expect("open");
        let url = data.sqlite("order.db").expect("UTF-8");
        assert!(url.ends_with("/100%25%3F/order.db"), "{url}");
    }
}
