//! Pictures: what an upload may weigh, and what it becomes.
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Largest picture that is taken, in bytes.
pub const MAX_BYTES: usize = 5 << 20;
/// Largest body of an upload: the picture and the form around it.
pub const MAX_FORM_BYTES: usize = MAX_BYTES + (64 << 10);

/// A stored picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Image {
    /// SHA-256 of the stored picture, in hex: the same picture has the same id.
    pub id: String,
    /// In pixels, upright.
    pub width: u32,
    /// In pixels, upright.
    pub height: u32,
    #[schema(example = "image/jpeg")]
    pub content_type: String,
    /// Size of the stored picture.
    pub bytes: u64,
    /// URL path of the picture.
    pub url: String,
    /// URL paths of the smaller ones, by the pixels of the square they fit in: `256` and `800`.
    pub renditions: BTreeMap<String, String>,
}

/// The public URL path of a picture.
#[must_use]
pub fn url(id: &str) -> String {
    format!("/api/images/{id}")
}
