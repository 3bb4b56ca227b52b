//! A stand-in for the inventory service: reserves from a stock it was given.
use axum::{Router, extract::State, http::StatusCode, routing::post};
use chrono::TimeDelta;
use contracts::reservation::{self, Reservation, Reserve};
use prometheus_client::registry::Registry;
use service::{Config, Json, Problem};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::{net::TcpListener, task::JoinHandle};
use uuid::Uuid;

pub struct Inventory {
    pub url: String,
    stock: Arc<Mutex<Stock>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
pub struct Stock {
    /// Price and pieces.
    products: HashMap<String, (i64, i64)>,
    pub reservations: HashMap<Uuid, Reservation>,
    /// Calls, whatever became of them.
    pub calls: usize,
    /// Takes calls and never answers.
    pub hangs: bool,
}

impl Drop for Inventory {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Inventory {
    /// Starts with products: id, price, pieces.
    pub async fn start(products: &[(&str, i64, i64)]) -> Self {
        let products = products
            .iter()
            .map(|(id, price, pieces)| ((*id).to_owned(), (*price, *pieces)));
        let stock = Stock {
            products: products.collect(),
            ..Stock::default()
        };
        let stock = Arc::new(Mutex::new(stock));
        let router = Router::new()
            .route("/reservations", post(reserve))
            .with_state(stock.clone());
        let router = service::layers(router, &Config::defaults(), &mut Registry::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves");
        });
        Self { url, stock, task }
    }

    pub fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().expect("not poisoned")
    }

    /// Puts pieces on the shelf.
    pub fn restock(&self, product: &str, pieces: i64) {
        self.stock().products.get_mut(product).expect("a product").1 += pieces;
    }

    /// Gives an order's pieces back, for good.
    pub fn release(&self, order: Uuid) {
        let mut stock = self.stock();
        let reservation = stock.reservations.get_mut(&order).expect("a reservation");
        reservation.state = reservation::State::Released;
    }
}

async fn reserve(
    State(stock): State<Arc<Mutex<Stock>>>,
    Json(reserve): Json<Reserve>,
) -> Result<Json<Reservation>, Problem> {
    let hangs = {
        let mut stock = stock.lock().expect("not poisoned");
        stock.calls += 1;
        stock.hangs
    };
    if hangs {
        std::future::pending::<()>().await;
    }
    stock
        .lock()
        .expect("not poisoned")
        .reserve(reserve)
        .map(Json)
}

impl Stock {
    fn reserve(&mut self, reserve: Reserve) -> Result<Reservation, Problem> {
        let refuse = |status, code| Err(Problem::new(status, code, "refused"));
        if let Some(before) = self.reservations.get(&reserve.order_id) {
            return match before {
                r if (&r.product_id, r.quantity) != (&reserve.product_id, reserve.quantity) => {
                    refuse(StatusCode::CONFLICT, "reservation_mismatch")
                }
                r if r.state == reservation::State::Released => {
                    refuse(StatusCode::CONFLICT, "reservation_released")
                }
                r => Ok(r.clone()),
            };
        }
        let Some((price, pieces)) = self.products.get_mut(&reserve.product_id) else {
            return refuse(StatusCode::NOT_FOUND, "product_not_found");
        };
        if *pieces < reserve.quantity {
            return refuse(StatusCode::CONFLICT, "sold_out");
        }
        *pieces -= reserve.quantity;
        let reservation = Reservation {
            order_id: reserve.order_id,
            product_id: reserve.product_id,
            quantity: reserve.quantity,
            unit_price_minor: *price,
            currency: "EUR".to_owned(),
            state: reservation::State::Held,
            expires_at: db::now() + TimeDelta::seconds(120),
        };
        self.reservations
            .insert(reservation.order_id, reservation.clone());
        Ok(reservation)
    }
}
