//! What is stored, read back through the lists, in as few bytes as the audit needs.
use crate::load::{
    ledger::{Catalogue, Id},
    plan::Key,
    shop::Stock,
};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// An order as its list shows it. A cancelled placeholder has hardly any content.
#[derive(Debug, Deserialize)]
pub struct OrderItem {
    pub id: Uuid,
    pub product_id: Option<String>,
    pub quantity: Option<u32>,
    pub email: Option<String>,
    pub status: String,
    pub total_minor: Option<i64>,
    pub currency: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// A notification as its list shows it.
#[derive(Debug, Deserialize)]
pub struct MailItem {
    pub order_id: Option<Uuid>,
    pub kind: String,
    pub status: String,
}

/// Where an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Confirmed,
    Cancelled,
    /// A state that no settled order has.
    Other,
}

/// Whose order it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Buyer {
    /// A load's, of this run or of an earlier one.
    Bench(Key),
    /// Placed since this run began under a masked address that may be one of its own.
    Masked,
    /// Anybody else.
    Other,
}

/// One stored order.
#[derive(Debug, Clone)]
pub struct StoredOrder {
    /// Place in the catalogue.
    pub product: u32,
    pub quantity: u32,
    pub total_minor: i64,
    pub currency: [u8; 3],
    pub status: Status,
    pub buyer: Buyer,
}

/// An order's mails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mails {
    /// Of kind `order_confirmed`.
    pub confirmed: u32,
    /// Of kind `order_cancelled`.
    pub cancelled: u32,
}

/// Everything stored, at one time.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    pub catalogue: Catalogue,
    pub orders: HashMap<Id, StoredOrder>,
    pub listed_twice: Vec<Id>,
    pub mails: HashMap<Id, Mails>,
    /// Notifications by their status.
    pub mails_by_status: BTreeMap<String, u64>,
    pub stock: Vec<Stock>,
}

impl Evidence {
    /// Takes in one line of the list of orders. `since` is when this run began.
    pub fn add_order(&mut self, item: &OrderItem, since: Option<DateTime<Utc>>) {
        let currency = item.currency.as_deref().unwrap_or_default();
        let order = StoredOrder {
            product: self
                .catalogue
                .place(item.product_id.as_deref().unwrap_or_default()),
            quantity: item.quantity.unwrap_or_default(),
            total_minor: item.total_minor.unwrap_or_default(),
            currency: currency.as_bytes().try_into().unwrap_or_default(),
            status: match item.status.as_str() {
                "confirmed" => Status::Confirmed,
                "cancelled" => Status::Cancelled,
                _ => Status::Other,
            },
            buyer: buyer(item, since),
        };
        let id = item.id.into_bytes();
        if self.orders.insert(id, order).is_some() {
            self.listed_twice.push(id);
        }
    }

    /// Takes in one line of the list of notifications.
    pub fn add_mail(&mut self, item: MailItem) {
        *self.mails_by_status.entry(item.status).or_default() += 1;
        let Some(order) = item.order_id else { return };
        let mails = self.mails.entry(order.into_bytes()).or_default();
        match item.kind.as_str() {
            "order_confirmed" => mails.confirmed += 1,
            "order_cancelled" => mails.cancelled += 1,
            _ => {}
        }
    }
}

fn buyer(item: &OrderItem, since: Option<DateTime<Utc>>) -> Buyer {
    let email = item.email.as_deref().unwrap_or_default();
    let masked = email.starts_with('b') && email.contains('*') && email.ends_with("@example.com");
    match Key::from_email(email) {
        Some(key) => Buyer::Bench(key),
        None if masked && since.is_some_and(|since| item.created_at >= since) => Buyer::Masked,
        None => Buyer::Other,
    }
}
