//! What an operator says of a product: validation. No IO here.
use serde::Deserialize;
use service::Problem;

/// A product as an operator puts it; its stock is set apart from it.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProduct {
    #[schema(example = "Storm lantern", max_length = 100)]
    pub name: String,
    /// In minor units of the currency: cents for EUR.
    #[schema(example = 2900, minimum = 0, maximum = 1_000_000_000_i64)]
    pub price_minor: i64,
    /// ISO 4217.
    #[schema(example = "EUR")]
    pub currency: String,
    /// URL path of the picture, if there is one.
    #[schema(max_length = 200)]
    pub image: Option<String>,
}

impl NewProduct {
    /// # Errors
    /// 422 that names the field.
    pub fn validate(&self) -> Result<(), Problem> {
        let text = |text: &str| !text.is_empty() && !text.contains(char::is_control);
        if !text(self.name.trim()) || self.name.chars().count() > 100 {
            return Err(Problem::invalid("/name", "must be 1 to 100 characters"));
        }
        if !(0..=1_000_000_000).contains(&self.price_minor) {
            return Err(Problem::invalid("/price_minor", "must be 0 to 1000000000"));
        }
        if self.currency.len() != 3 || !self.currency.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(Problem::invalid(
                "/currency",
                "must be three capital letters (ISO 4217)",
            ));
        }
        match &self.image {
            Some(path) if !is_own_path(path) => Err(Problem::invalid(
                "/image",
                "must be a path on this site of at most 200 characters, such as /api/images/…",
            )),
            _ => Ok(()),
        }
    }
}

/// `//host/…` would lead elsewhere.
fn is_own_path(path: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.');
    path.starts_with('/') && !path.starts_with("//") && path.len() <= 200 && path.bytes().all(plain)
}
