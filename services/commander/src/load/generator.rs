//! An open loop of load from its preparation to what came of it, for drills and for `/ops/load`.
use super::{
    attempt::Route,
    client::Peers,
    drive::{Pace, Phase, Run},
    errands::Errands,
    ledger::{Catalogue, Ledger},
    plan::{Kind, Plan, Step, draw_run},
    samples::Samples,
    shop::{Login, Shop},
    tally::Figures,
};
use anyhow::{Context as _, ensure};
use http::HeaderValue;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections at most; a rate that needs more drops requests, and says so.
const CONNECTIONS: usize = 1024;
/// An operator's token lasts ten minutes, some of which may be gone.
const REFRESH: Duration = Duration::from_secs(240);
/// As many products are ordered, so that no single row decides.
const PRODUCTS: usize = 5;

/// What is sent, and how fast.
#[derive(Clone, Debug)]
pub struct Demand {
    pub kind: Kind,
    /// Requests per second.
    pub rate: f64,
    /// The longest it may go on.
    pub seconds: f64,
    /// Share of reads among orders.
    pub mix: f64,
    pub seed: u64,
    /// Whether a client sends once more what breaks or meets a 503.
    pub insists: bool,
}

/// A load that runs. Dropping it ends it.
pub struct Generator {
    run: Arc<Run>,
    catalogue: Catalogue,
    driver: JoinHandle<Figures>,
    _refresh: Option<AbortOnDropHandle<()>>,
}

impl Generator {
    /// Fills the shelves as far as the load needs it, and starts to send.
    ///
    /// # Errors
    /// When the platform can't be prepared.
    pub async fn start(url: &str, login: &Login, demand: &Demand) -> anyhow::Result<Self> {
        let mut shop = Shop::open(url, login.clone()).await?;
        let count = (demand.rate * demand.seconds).ceil() as usize;
        ensure!(count > 0, "a load without a request");
        let products = products(&mut shop, demand.kind).await?;
        let plan = Plan::of(
            demand.kind,
            draw_run(),
            demand.seed,
            products,
            count,
            demand.mix,
        );
        if plan.steps.iter().any(|step| matches!(step, Step::Order(_))) {
            restock(&plan, &mut shop).await?;
        }
        let mut catalogue = Catalogue::default();
        for id in &plan.products {
            catalogue.place(id);
        }
        let (errands, refresh) = match demand.kind {
            Kind::Images | Kind::Jobs => {
                let (errands, refresh) = errands(login).await?;
                (Some(errands), Some(refresh))
            }
            Kind::Orders | Kind::Products => (None, None),
        };
        let mut route = Route::new(
            "/api",
            (0..).zip(&plan.products).map(|(n, p)| (p.clone(), n)),
        )?;
        route.insists = demand.insists;
        let peers = Peers::resolve(&[url]).await?;
        let run = Arc::new(Run {
            ledger: Mutex::new(Ledger::new(plan.run, plan.steps.len())),
            plan,
            patience: PATIENCE,
            stop: CancellationToken::new(),
            samples: Some(Samples::new(Instant::now())),
            errands,
        });
        let pace = Pace::Open {
            requests_per_second: demand.rate,
            most_connections: CONNECTIONS,
        };
        let driver = tokio::spawn({
            let (run, route) = (run.clone(), Arc::new(route));
            async move { Phase::drive(&run, &route, &peers, 0..count, pace).await }
        });
        Ok(Self {
            run,
            catalogue,
            driver,
            _refresh: refresh,
        })
    }

    /// What has come back so far.
    pub fn samples(&self) -> &Samples {
        let samples = self.run.samples.as_ref();
        samples.expect("made at the start")
    }

    /// Whether all is sent and answered.
    pub fn is_over(&self) -> bool {
        self.driver.is_finished()
    }

    /// Sends no more, and waits for the answers to what is under way.
    ///
    /// # Errors
    /// When the generator itself broke.
    pub async fn stop(mut self) -> anyhow::Result<Sent> {
        self.run.stop.cancel();
        let figures = (&mut self.driver).await.context("the load broke")?;
        let ledger = self.run.ledger.lock().expect("no task panicked").clone();
        Ok(Sent {
            run: self.run.clone(),
            ledger,
            catalogue: std::mem::take(&mut self.catalogue),
            figures,
        })
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.run.stop.cancel();
    }
}

/// A load that is over.
pub struct Sent {
    run: Arc<Run>,
    pub ledger: Ledger,
    /// Of the ledger's products.
    pub catalogue: Catalogue,
    pub figures: Figures,
}

impl Sent {
    pub fn samples(&self) -> &Samples {
        let samples = self.run.samples.as_ref();
        samples.expect("made at the start")
    }
}

async fn products(shop: &mut Shop, kind: Kind) -> anyhow::Result<Vec<String>> {
    if matches!(kind, Kind::Images | Kind::Jobs) {
        return Ok(Vec::new());
    }
    let mut products = shop.products().await?;
    ensure!(!products.is_empty(), "the shop has no products");
    products.truncate(PRODUCTS);
    Ok(products)
}

async fn errands(login: &Login) -> anyhow::Result<(Errands, AbortOnDropHandle<()>)> {
    let header = |token: String| HeaderValue::try_from(format!("Bearer {token}"));
    let authorization = Arc::new(Mutex::new(header(login().await?)?));
    let (kept, login) = (authorization.clone(), login.clone());
    let refresh = tokio::spawn(async move {
        loop {
            tokio::time::sleep(REFRESH).await;
            // Where it fails the old token goes on for a while, and then the requests say so.
            if let Ok(Ok(fresh)) = login().await.map(header) {
                *kept.lock().expect("nobody panics with it") = fresh;
            }
        }
    });
    Ok((Errands::new(authorization), AbortOnDropHandle::new(refresh)))
}

/// Makes sure that no order of the plan is sold out, other buyers' orders aside.
///
/// # Errors
/// When the platform doesn't answer.
pub async fn restock(plan: &Plan, shop: &mut Shop) -> anyhow::Result<()> {
    let stock = shop.stock().await?;
    for (id, demand) in plan.products.iter().zip(plan.demand()) {
        let stock = stock.iter().find(|stock| stock.product_id == *id);
        let stock = stock.with_context(|| format!("there is no stock of {id}"))?;
        if stock.available < i64::try_from(demand)? {
            shop.set_available(id, demand).await?;
        }
    }
    Ok(())
}
