//! The buyers of a schedule: what they ask, again and again until they know, and what they were told.
use super::schedule::{Asked, Schedule, What};
use crate::http::{self, Answer};
use ::http::header::{AUTHORIZATION, HeaderName};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

/// Longest wait for one answer.
const LIMIT: Duration = Duration::from_millis(2500);
/// So long a buyer asks again.
const PATIENCE: Duration = Duration::from_secs(15);
/// Before asking again.
const PAUSE: Duration = Duration::from_millis(50);

const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Where buyers go.
#[derive(Clone)]
pub struct Shop {
    pub url: String,
    /// `Bearer …`, of an operator.
    pub operator: String,
}

/// An order as it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Order {
    pub id: Uuid,
    pub product_id: String,
    pub quantity: i64,
    pub email: String,
    pub status: String,
}

/// How a request ended, in the three classes of Jepsen's histories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Ok(Order),
    /// Definitely refused.
    Fail,
    /// Unknown.
    Info,
}

/// What the buyers of one schedule were told.
#[derive(Debug, Default)]
pub struct History {
    /// Of orders, by their place in the schedule.
    pub placed: Vec<(usize, End)>,
    /// Of cancellations: the order's id.
    pub cancelled: Vec<(Uuid, End)>,
    /// What they saw that may never be.
    pub wrong: Vec<String>,
    /// First tries that broke or met an error of the server.
    pub failed_tries: Vec<String>,
}

/// One buyer's view of it all.
struct Buyer {
    shop: Shop,
    run: Arc<Run>,
}

/// What the buyers of one schedule share.
pub struct Run {
    pub schedule: Schedule,
    /// Ids of its products.
    pub products: Vec<String>,
    /// Unlike that of any other run.
    pub name: String,
    history: Mutex<History>,
}

impl Run {
    pub fn new(schedule: Schedule, products: Vec<String>, name: String) -> Self {
        Self {
            schedule,
            products,
            name,
            history: Mutex::default(),
        }
    }

    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An address of this order alone.
    pub fn email(&self, order: usize) -> String {
        format!("{}.{order}@example.com", self.name)
    }

    fn known(&self, order: usize) -> Option<Uuid> {
        let history = self.history();
        let mut placed = history.placed.iter();
        placed.find_map(|(n, end)| match end {
            End::Ok(known) if *n == order => Some(known.id),
            _ => None,
        })
    }
}

/// Lets all buyers do what the schedule says; returns when the last is done.
pub async fn shop(run: &Arc<Run>, shop: &Shop) {
    let mut buyers = JoinSet::new();
    for steps in run.schedule.buyers.clone() {
        let buyer = Buyer {
            shop: shop.clone(),
            run: run.clone(),
        };
        buyers.spawn(async move {
            for step in steps {
                sleep(step.wait()).await;
                buyer.act(step.what).await;
            }
        });
    }
    while buyers.join_next().await.is_some() {}
}

impl Buyer {
    async fn act(&self, what: What) {
        let orders = &self.run.schedule.orders;
        match what {
            What::Order(n) => self.order(n, orders[n]).await,
            What::Otherwise(n) => {
                let quantity = orders[n].quantity + 1;
                let asked = Asked {
                    quantity,
                    ..orders[n]
                };
                self.order(n, asked).await;
            }
            What::Cancel(n) => {
                if let Some(id) = self.run.known(n) {
                    self.cancel(id).await;
                }
            }
            What::Read(n) => {
                if let Some(id) = self.run.known(n) {
                    self.read(id).await;
                }
            }
            What::Restock(product, pieces) => {
                let product = &self.run.products[product];
                // Whether it worked or not, the sums must be right.
                let path = format!("/api/products/{product}/stock");
                self.try_once("PUT", &path, None, &json!({"available": pieces}))
                    .await;
            }
        }
    }

    async fn order(&self, n: usize, asked: Asked) {
        let product = &self.run.products[asked.product];
        let email = self.run.email(n);
        let body = json!({"product_id": product, "quantity": asked.quantity, "email": email});
        let key = asked.keyed.then(|| format!("{}-{n}", self.run.name));
        let end = self
            .ask("/api/orders", key.as_deref(), &body, asked.keyed)
            .await;
        let mut history = self.run.history();
        if let End::Ok(order) = &end {
            let got = (&order.product_id, order.quantity, &order.email);
            if got != (product, asked.quantity, &email) {
                let what = format!("I5: order {n} was answered with another: {order:?}");
                history.wrong.push(what);
            }
        }
        history.placed.push((n, end));
    }

    async fn cancel(&self, id: Uuid) {
        let path = format!("/api/orders/{id}/cancel");
        let end = self.ask(&path, None, &Value::Null, true).await;
        let mut history = self.run.history();
        match &end {
            End::Ok(order) if order.status != "cancelled" => {
                let what = format!("I3: {id} is {} after its cancellation", order.status);
                history.wrong.push(what);
            }
            End::Fail => history
                .wrong
                .push(format!("I5: {id} is not there to be cancelled")),
            _ => {}
        }
        history.cancelled.push((id, end));
    }

    async fn read(&self, id: Uuid) {
        let before: Vec<Uuid> = {
            let history = self.run.history();
            let done = history.cancelled.iter();
            done.filter(|(_, end)| matches!(end, End::Ok(_)))
                .map(|(id, _)| *id)
                .collect()
        };
        let path = format!("/api/orders/{id}");
        let Some(answer) = self.try_once("GET", &path, None, &Value::Null).await else {
            return;
        };
        let order = serde_json::from_slice::<Order>(&answer.body);
        let wrong = match (answer.status, order) {
            (200, Ok(order)) if before.contains(&id) && order.status != "cancelled" => {
                format!("I12: {id} is {} again after its cancellation", order.status)
            }
            (404, _) => format!("I5: {id} was acknowledged and can't be read"),
            _ => return,
        };
        self.run.history().wrong.push(wrong);
    }

    /// Asks until the answer says what happened; once, if a repeat is not safe.
    async fn ask(&self, path: &str, key: Option<&str>, body: &Value, repeat: bool) -> End {
        let until = Instant::now() + PATIENCE;
        let mut doubt = false;
        loop {
            let answer = self.try_once("POST", path, key, body).await;
            let status = answer.as_ref().map(|answer| answer.status);
            match (status, answer) {
                (Some(200 | 201), Some(answer)) => {
                    return serde_json::from_slice(&answer.body).map_or(End::Info, End::Ok);
                }
                // Refused; but an earlier try may be under way.
                (Some(400..=499), _) if doubt => return End::Info,
                (Some(400..=499), _) => return End::Fail,
                _ => doubt = true,
            }
            if !repeat || Instant::now() > until {
                return End::Info;
            }
            sleep(PAUSE).await;
        }
    }

    async fn try_once(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> Option<Answer> {
        let url = format!("{}{path}", self.shop.url);
        let mut headers = vec![(AUTHORIZATION, self.shop.operator.as_str())];
        headers.extend(key.map(|key| (KEY, key)));
        let answer = async {
            match method {
                "GET" => http::get(&url, &headers).await,
                "PUT" => http::put(&url, &headers, body).await,
                _ => http::post(&url, &headers, body).await,
            }
        };
        let failure = match timeout(LIMIT, answer).await {
            Ok(Ok(answer)) if answer.status < 500 => return Some(answer),
            Ok(Ok(answer)) => answer.to_string(),
            Ok(Err(error)) => format!("{error:#}"),
            // On a machine that stands still that is nobody's fault.
            Err(_) => return None,
        };
        let failure = format!("{method} {path}: {failure}");
        self.run.history().failed_tries.push(failure);
        None
    }
}
