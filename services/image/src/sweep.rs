//! Removes what a crash left half written in a folder. Other stores keep no such files.
use crate::store::Store;
use std::{
    fs, io,
    path::Path,
    time::{Duration, SystemTime},
};
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(300);
/// No upload takes that long.
const ABANDONED: Duration = Duration::from_secs(300);

/// Sweeps until stopped: nothing half written gets older than ten minutes.
pub async fn run(store: Store, stop: CancellationToken) -> anyhow::Result<()> {
    while let Some(folder) = store.folder() {
        let folder = folder.to_owned();
        let swept = tokio::task::spawn_blocking(move || sweep(&folder, ABANDONED)).await?;
        match swept {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "removed half-written files"),
            Err(error) => tracing::warn!(%error, "can't look for half-written files"),
        }
        if stop
            .run_until_cancelled(tokio::time::sleep(EVERY))
            .await
            .is_none()
        {
            return Ok(());
        }
    }
    stop.cancelled().await;
    Ok(())
}

/// The library writes beside the final place, with a `#` and a number at the end.
fn sweep(folder: &Path, age: Duration) -> io::Result<usize> {
    let now = SystemTime::now();
    let mut removed = 0;
    for picture in fs::read_dir(folder)? {
        let picture = picture?;
        if !picture.file_type()?.is_dir() {
            continue;
        }
        for file in fs::read_dir(picture.path())? {
            let file = file?;
            let written = file.metadata()?.modified()?;
            let old = now.duration_since(written).unwrap_or_default() >= age;
            if old && file.file_name().to_string_lossy().contains('#') {
                fs::remove_file(file.path())?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_abandoned_files_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let picture = folder.path().join("abc");
        fs::create_dir(&picture).expect("a folder");
        for name in ["256.jpg", "800.jpg#1", "full.jpg#12"] {
            fs::write(picture.join(name), "x").expect("a file");
        }
        assert_eq!(sweep(folder.path(), ABANDONED).expect("it sweeps"), 0);
        assert_eq!(sweep(folder.path(), Duration::ZERO).expect("it sweeps"), 2);
        assert!(picture.join("256.jpg").exists());
    }
}
