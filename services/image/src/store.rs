//! Where pictures are kept: a folder, or S3-compatible storage, by URL.
use crate::{
    error::{Error, Result},
    picture::{Id, Picture, Size},
};
use anyhow::Context as _;
use bytes::Bytes;
use object_store::{
    GetOptions, GetRange, GetResult, ObjectStore, ObjectStoreExt as _, local::LocalFileSystem,
    path::Path,
};
use std::{ops::Range, path::PathBuf, str::FromStr, sync::Arc};

/// The value of `IMAGE_STORE_URL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    Folder(PathBuf),
    /// A bucket, and a prefix within it.
    #[cfg(feature = "s3")]
    S3(String, String),
}

impl FromStr for Location {
    type Err = &'static str;
    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = url.split_once(':').unwrap_or_default();
        match (scheme, rest) {
            ("file", path) => match path.strip_prefix("//").unwrap_or(path) {
                "" => Err("expected a folder, such as file:///var/lib/images"),
                path if path.len() < rest.len() && !path.starts_with('/') => {
                    Err("expected an absolute path after file://")
                }
                path => Ok(Self::Folder(path.into())),
            },
            #[cfg(feature = "s3")]
            ("s3", rest) => {
                let rest = rest.strip_prefix("//").unwrap_or_default();
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                match bucket {
                    "" => Err("expected s3://BUCKET or s3://BUCKET/PREFIX"),
                    _ => Ok(Self::S3(bucket.to_owned(), prefix.to_owned())),
                }
            }
            #[cfg(not(feature = "s3"))]
            ("s3", _) => Err("this program was built without S3 (feature s3)"),
            _ => Err("expected file:///FOLDER or s3://BUCKET/PREFIX"),
        }
    }
}

/// The pictures. Each is written once and never changes: the name of each is its content.
#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    /// Of a store in a folder, for the sweeper.
    folder: Option<PathBuf>,
}

impl Store {
    /// # Errors
    /// When the folder can't be made or the storage's settings make no sense.
    pub fn open(location: &Location) -> anyhow::Result<Self> {
        match location {
            Location::Folder(folder) => {
                let open = || -> anyhow::Result<_> {
                    std::fs::create_dir_all(folder)?;
                    let folder = folder.canonicalize()?;
                    // A picture that was answered for survives a power cut.
                    let objects = LocalFileSystem::new_with_prefix(&folder)?.with_fsync(true);
                    Ok((folder, Arc::new(objects)))
                };
                let open =
                    open().with_context(|| format!("can't keep pictures in {}", folder.display()));
                let (folder, objects) = open?;
                Ok(Self {
                    objects,
                    folder: Some(folder),
                })
            }
            #[cfg(feature = "s3")]
            Location::S3(bucket, prefix) => s3(bucket, prefix),
        }
    }

    /// The folder, if this is one.
    pub fn folder(&self) -> Option<&std::path::Path> {
        self.folder.as_deref()
    }

    /// Does the store answer?
    pub async fn ping(&self) -> anyhow::Result<()> {
        if let Some(folder) = &self.folder {
            tokio::fs::metadata(folder).await?;
            return Ok(());
        }
        match self.objects.head(&Path::from("ready")).await {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Is the picture there, in all its sizes?
    pub async fn has(&self, id: Id) -> Result<bool> {
        match self.objects.head(&place(id, Size::Full)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps a picture. Its full size comes last, so that where that is, the others are, too; whatever
    /// a crash left undone, the next upload of the same picture does again.
    pub async fn put(&self, picture: &Picture) -> Result<()> {
        for (size, rendition) in Size::RENDITIONS.into_iter().zip(&picture.renditions) {
            self.write(picture.id, size, rendition).await?;
            sabotage::crash_point!("image.half_stored");
        }
        self.write(picture.id, Size::Full, &picture.full).await
    }

    async fn write(&self, id: Id, size: Size, bytes: &Bytes) -> Result<()> {
        // In a folder: written aside, then renamed.
        self.objects
            .put(&place(id, size), bytes.clone().into())
            .await?;
        Ok(())
    }

    /// Opens a picture for reading, from the first byte or a range of them.
    pub async fn get(&self, id: Id, size: Size, range: Option<Range<u64>>) -> Result<GetResult> {
        let options = GetOptions {
            range: range.map(GetRange::Bounded),
            ..GetOptions::default()
        };
        match self.objects.get_opts(&place(id, size), options).await {
            Err(object_store::Error::NotFound { .. }) => Err(Error::NoSuchPicture),
            got => Ok(got?),
        }
    }
}

fn place(id: Id, size: Size) -> Path {
    Path::from_iter([id.to_string(), format!("{}.jpg", size.name())])
}

#[cfg(feature = "s3")]
fn s3(bucket: &str, prefix: &str) -> anyhow::Result<Store> {
    use object_store::{aws::AmazonS3Builder, prefix::PrefixStore};
    // Fails only if there is one already.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
    let objects = builder
        .build()
        .context("IMAGE_STORE_URL and the AWS_ variables")?;
    Ok(Store {
        objects: Arc::new(PrefixStore::new(objects, prefix)),
        folder: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_of_stores_are_taken() {
        let folder = |path: &str| Ok(Location::Folder(path.into()));
        assert_eq!("file:///var/lib/images".parse(), folder("/var/lib/images"));
        assert_eq!("file:images".parse(), folder("images"));
        for bad in [
            "",
            "images",
            "/images",
            "file:",
            "file://",
            "file://host/x",
            "ftp://x",
            "s3:",
            "s3://",
        ] {
            assert!(bad.parse::<Location>().is_err(), "{bad}");
        }
    }
}
