//! One order or read as a sensible client makes it: a request that breaks or meets a 503 is
//! sent once more, with the same key.
use super::{
    client::{Broken, Connection, Reply},
    ledger::{Acknowledged, Fate},
    plan::Key,
};
use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, StatusCode, Uri,
    header::{CONTENT_TYPE, HOST},
};
use http_body_util::Full;
use serde::Deserialize;
use std::{borrow::Cow, fmt, time::Duration};
use tokio::time::Instant;
use uuid::Uuid;

/// Before the second try. A replica that dies resets its connections a moment before it stops
/// listening; who comes back within that moment is reset again.
const PAUSE: Duration = Duration::from_millis(50);
/// Longest that a `Retry-After` is obeyed.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Pieces per order.
pub const QUANTITY: u32 = 1;

/// Why a request got no good answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    Broken(Broken),
    /// Not 2xx, and not `sold_out`.
    Status(StatusCode),
    /// 2xx with a body that is not the order that was asked for.
    Unreadable,
}

impl Cause {
    fn is_worth_a_retry(self) -> bool {
        match self {
            Self::Broken(_) => true,
            Self::Status(status) => status == StatusCode::SERVICE_UNAVAILABLE,
            Self::Unreadable => false,
        }
    }

    /// Whether the request certainly had no effect. A 409 other than `sold_out` means that an
    /// earlier try is still under way.
    fn is_definite(self) -> bool {
        matches!(self, Self::Status(s) if s.is_client_error() && s != StatusCode::CONFLICT)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(broken) => broken.fmt(f),
            Self::Status(status) => write!(f, "status {}", status.as_u16()),
            Self::Unreadable => f.write_str("unexpected answer"),
        }
    }
}

/// What came of an order or read.
#[derive(Debug)]
pub struct Attempt<T> {
    pub end: Result<T, Cause>,
    /// Why it was sent twice.
    pub retried: Option<Cause>,
    /// The longest that one of its tries took.
    pub slowest: Duration,
}

/// A good answer to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Stored(Acknowledged),
    SoldOut,
}

impl Attempt<Answer> {
    /// What the ledger keeps. After a first try of unknown effect, only an acknowledgement is
    /// certain: the first try may still be under way while the second is refused.
    pub fn fate(&self) -> Fate {
        match self.end {
            Ok(Answer::Stored(ack)) => Fate::Ok(ack),
            _ if self.retried.is_some() => Fate::Info,
            Ok(Answer::SoldOut) => Fate::Fail,
            Err(cause) if cause.is_definite() => Fate::Fail,
            Err(_) => Fate::Info,
        }
    }
}

/// A product as orders name it.
#[derive(Debug)]
pub struct Product {
    pub id: String,
    /// Place in the catalogue.
    pub place: u32,
    /// The id as a JSON string.
    quoted: String,
    uri: Uri,
}

/// Where orders and reads go.
#[derive(Debug)]
pub struct Route {
    orders: Uri,
    pub products: Vec<Product>,
    /// Whether what breaks or meets a 503 is sent once more.
    pub insists: bool,
}

impl Route {
    /// `prefix` is `/api` at the gateway and empty at the services themselves.
    pub fn new(
        prefix: &str,
        products: impl IntoIterator<Item = (String, u32)>,
    ) -> anyhow::Result<Self> {
        let product = |(id, place): (String, u32)| {
            let quoted = serde_json::to_string(&id)?;
            let uri = format!("{prefix}/products/{id}").parse()?;
            Ok(Product {
                id,
                place,
                quoted,
                uri,
            })
        };
        Ok(Self {
            insists: true,
            orders: format!("{prefix}/orders").parse()?,
            products: products
                .into_iter()
                .map(product)
                .collect::<anyhow::Result<_>>()?,
        })
    }

    /// Orders one piece of `product`.
    pub async fn order(
        &self,
        via: &mut Connection,
        key: Key,
        product: &Product,
    ) -> Attempt<Answer> {
        let email = key.email();
        let body = format!(
            r#"{{"product_id":{},"quantity":{QUANTITY},"email":"{email}"}}"#,
            product.quoted
        );
        let body = Bytes::from(body);
        let key = HeaderValue::try_from(key.to_string()).expect("letters, digits and dashes");
        let request = |host: &HeaderValue| {
            let mut request = Request::new(Full::new(body.clone()));
            *request.method_mut() = Method::POST;
            *request.uri_mut() = self.orders.clone();
            let headers = request.headers_mut();
            headers.insert(HOST, host.clone());
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert("idempotency-key", key.clone());
            request
        };
        tries(via, self.insists, request, |reply| {
            read_order(reply, product)
        })
        .await
    }

    /// Reads `product`.
    pub async fn read(&self, via: &mut Connection, product: &Product) -> Attempt<()> {
        let request = |host: &HeaderValue| {
            let mut request = Request::new(Full::default());
            *request.uri_mut() = product.uri.clone();
            request.headers_mut().insert(HOST, host.clone());
            request
        };
        tries(via, self.insists, request, succeeded).await
    }

    /// Sends something else, of which only the status counts.
    pub async fn other(
        &self,
        via: &mut Connection,
        request: impl Fn(&HeaderValue) -> Request<Full<Bytes>>,
    ) -> Attempt<()> {
        tries(via, self.insists, request, succeeded).await
    }
}

fn succeeded(reply: &Reply) -> Result<(), Cause> {
    match reply.status {
        status if status.is_success() => Ok(()),
        status => Err(Cause::Status(status)),
    }
}

async fn tries<T>(
    via: &mut Connection,
    insists: bool,
    request: impl Fn(&HeaderValue) -> Request<Full<Bytes>>,
    judge: impl Fn(&Reply) -> Result<T, Cause>,
) -> Attempt<T> {
    let (mut retried, mut slowest) = (None, Duration::ZERO);
    loop {
        let request = request(via.host());
        let sent = Instant::now();
        let reply = via.send(request).await;
        slowest = slowest.max(sent.elapsed());
        let end = match &reply {
            Ok(reply) => judge(reply),
            Err(broken) => Err(Cause::Broken(*broken)),
        };
        match end {
            Err(cause) if insists && retried.is_none() && cause.is_worth_a_retry() => {
                retried = Some(cause);
                let asked = reply.ok().and_then(|reply| reply.retry_after);
                tokio::time::sleep(asked.unwrap_or(PAUSE).min(LONGEST_PAUSE)).await;
            }
            end => {
                return Attempt {
                    end,
                    retried,
                    slowest,
                };
            }
        }
    }
}

fn read_order(reply: &Reply, asked: &Product) -> Result<Answer, Cause> {
    #[derive(Deserialize)]
    struct Problem<'a> {
        #[serde(borrow)]
        r#type: Cow<'a, str>,
    }
    let status = reply.status;
    if status == StatusCode::CONFLICT {
        return match serde_json::from_slice::<Problem>(&reply.body) {
            Ok(problem) if problem.r#type.ends_with("sold_out") => Ok(Answer::SoldOut),
            _ => Err(Cause::Status(status)),
        };
    }
    if !status.is_success() {
        return Err(Cause::Status(status));
    }
    read_acknowledgement(&reply.body, asked)
        .map(Answer::Stored)
        .ok_or(Cause::Unreadable)
}

fn read_acknowledgement(body: &[u8], asked: &Product) -> Option<Acknowledged> {
    #[derive(Deserialize)]
    struct Order<'a> {
        id: Uuid,
        #[serde(borrow)]
        product_id: Cow<'a, str>,
        quantity: u32,
        total_minor: i64,
        #[serde(borrow)]
        currency: Cow<'a, str>,
    }
    let order: Order = serde_json::from_slice(body).ok()?;
    let as_asked = order.product_id == asked.id && order.quantity == QUANTITY;
    as_asked.then_some(Acknowledged {
        id: order.id.into_bytes(),
        product: asked.place,
        quantity: order.quantity,
        total_minor: order.total_minor,
        currency: order.currency.as_bytes().try_into().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0191d7a0-0000-7000-8000-000000000001";

    fn product() -> Product {
        let route = Route::new("/api", [("PROD-001".to_owned(), 0)]).expect("valid ids");
        route.products.into_iter().next().expect("one")
    }

    fn judge(status: u16, body: String) -> Result<Answer, Cause> {
        let reply = Reply {
            status: StatusCode::from_u16(status).expect("a status"),
            retry_after: None,
            body: body.into(),
        };
        read_order(&reply, &product())
    }

    fn order(product: &str) -> String {
        format!(
            r#"{{"id":"{ID}","product_id":"{product}","quantity":1,"email":"e","status":"confirmed","total_minor":500,"currency":"EUR","created_at":"t"}}"#
        )
    }

    fn fate(end: Result<Answer, Cause>, retried: bool) -> Fate {
        let retried = retried.then_some(Cause::Broken(Broken::Closed));
        let slowest = Duration::ZERO;
        Attempt {
            end,
            retried,
            slowest,
        }
        .fate()
    }

    #[test]
    fn an_acknowledgement_counts_only_when_it_is_of_the_order_asked_for() {
        assert!(matches!(
            judge(201, order("PROD-001")),
            Ok(Answer::Stored(_))
        ));
        assert!(
            matches!(judge(200, order("PROD-001")), Ok(Answer::Stored(_))),
            "replayed"
        );
        assert_eq!(judge(201, order("PROD-002")), Err(Cause::Unreadable));
        assert_eq!(judge(201, "{}".into()), Err(Cause::Unreadable));
    }

    #[test]
    fn sold_out_is_told_from_a_key_still_in_use() {
        assert_eq!(
            judge(409, r#"{"type":"sold_out"}"#.into()),
            Ok(Answer::SoldOut)
        );
        let in_use = judge(409, r#"{"type":"in_progress"}"#.into());
        assert_eq!(in_use, Err(Cause::Status(StatusCode::CONFLICT)));
        assert_eq!(fate(in_use, false), Fate::Info);
    }

    #[test]
    fn a_refusal_is_definite_only_when_no_earlier_try_may_have_worked() {
        let ack = judge(201, order("PROD-001"));
        let refused = judge(422, String::new());
        assert_eq!(fate(refused, false), Fate::Fail);
        assert_eq!(fate(refused, true), Fate::Info);
        assert_eq!(fate(Ok(Answer::SoldOut), false), Fate::Fail);
        assert_eq!(fate(Ok(Answer::SoldOut), true), Fate::Info);
        assert_eq!(fate(judge(500, String::new()), false), Fate::Info);
        assert!(matches!(fate(ack, true), Fate::Ok(_)));
    }
}
