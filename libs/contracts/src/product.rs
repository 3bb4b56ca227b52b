//! Products and their stock.
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Product {
    #[schema(example = "PROD-001")]
    pub id: String,
    #[schema(example = "Storm lantern")]
    pub name: String,
    /// In minor units of the currency: cents for EUR.
    #[schema(example = 2900)]
    pub price_minor: i64,
    /// ISO 4217.
    #[schema(example = "EUR")]
    pub currency: String,
    /// Pieces that can be bought now.
    pub available: i64,
    /// URL path of the picture, if there is one.
    pub image: Option<String>,
}

/// Where every piece of a product is: `stocked = available + held + sold`, always.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Stock {
    pub product_id: String,
    /// Ever put on the shelf.
    pub stocked: i64,
    pub available: i64,
    /// Reserved for orders that are not confirmed yet.
    pub held: i64,
    pub sold: i64,
}
