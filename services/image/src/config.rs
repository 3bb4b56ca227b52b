//! The settings of the image service.
use crate::store::Location;
use std::net::SocketAddr;

/// Takes pictures, makes them safe and small, and serves them.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "image", version)]
pub struct Config {
    /// Address of the API.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:5004")]
    pub listen: SocketAddr,
    /// Where pictures are kept: file:///FOLDER or file:FOLDER; s3://BUCKET/PREFIX with the usual AWS_… variables, where built with it.
    #[arg(long, env = "IMAGE_STORE_URL", default_value = "file:images")]
    pub image_store_url: Location,
    /// Bytes of memory for pictures that are asked for often.
    #[arg(long, env = "IMAGE_CACHE_BYTES", default_value_t = 16 << 20)]
    pub image_cache_bytes: u64,
    /// Uploads taken at once; more are refused with 503. Each may hold 5 MiB.
    #[arg(long, env = "MAX_UPLOADS", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub max_uploads: u32,
    #[command(flatten)]
    pub service: service::Config,
}

impl AsRef<service::Config> for Config {
    fn as_ref(&self) -> &service::Config {
        &self.service
    }
}
