//! The order bench from end to end: prepare, load, kills, CPU and memory, audit.
use super::{
    args::{Args, Load, Path},
    attempt::Route,
    client::Peers,
    collect::{Subject, settled_audit},
    drive::{Pace, Phase, Run},
    findings::Findings,
    kill::{self, Kill, Spree},
    ledger::{Catalogue, Ledger},
    plan::{self, Plan},
    report::{Comparison, Cost, Kills, Report, Section},
    shop::Shop,
    slice::{Slice, slices},
    usage::{self, Meter},
};
use anyhow::{Context as _, ensure};
use chrono::{DateTime, Utc};
use commander::load::generator::restock;
use control::Client;
use std::{
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

/// Connections unless told otherwise, in a closed and in an open loop.
const CLOSED_CONNECTIONS: u16 = 64;
const OPEN_CONNECTIONS: u16 = 1024;
/// Longest wait for the work that orders leave behind.
const DRAIN: Duration = Duration::from_secs(15);
/// A killed consumer's events start elsewhere within 5 s; what they doubled shows only then.
const REDELIVERY: Duration = Duration::from_secs(6);
/// How often CPU clocks are read, so that little is lost with a process that dies.
const SAMPLE: Duration = Duration::from_secs(1);

/// Everything a run needs, made before the first order.
struct Bench<'a> {
    args: &'a Args,
    slices: Vec<Slice>,
    run: Arc<Run>,
    catalogue: Catalogue,
    meter: Arc<Meter>,
    /// Whether there is a supervisor that tells the pids.
    supervised: bool,
}

/// Runs it.
///
/// # Errors
/// When it can't be prepared, or the supervisor is lost on the way. Failed orders and a failed
/// audit are in the report.
pub async fn run(args: &Args) -> anyhow::Result<Report> {
    let since = Utc::now();
    let seed = args.load.seed.unwrap_or_else(plan::draw_seed);
    let mut shop = args.platform.shop().await?;
    let bench = Bench::prepare(args, seed, &mut shop).await?;
    let mut report = Report::new(args);
    report.run = Some(format!("{:08x}", bench.run.plan.run));
    report.seed = Some(seed);
    bench.load(seed, &mut report).await?;
    if bench.supervised {
        report.memory = Some(usage::memory(&bench.control()).await?);
    }
    if args.kills.kill_every.is_some() {
        sleep(REDELIVERY).await;
    }
    report.set_audit(bench.audit(&mut shop, since).await);
    Ok(report)
}

impl<'a> Bench<'a> {
    async fn prepare(args: &'a Args, seed: u64, shop: &mut Shop) -> anyhow::Result<Self> {
        let load = &args.load;
        let slices = slices(load)?;
        if args.kills.kill_every.is_some() {
            let control = Client::of(&args.platform.data);
            kill::check(&control, args.kills.kill.as_deref()).await?;
        }
        let orders = slices.iter().map(|slice| slice.orders).sum();
        let products = choose_products(load, shop).await?;
        let plan = Plan::new(plan::draw_run(), seed, products, orders, load.mix);
        if !load.no_restock {
            restock(&plan, shop).await?;
        }
        let mut catalogue = Catalogue::default();
        for id in &plan.products {
            catalogue.place(id);
        }
        let meter = Arc::new(Meter::new(&args.platform.data));
        let supervised = meter.start().await;
        if let Err(error) = &supervised {
            eprintln!("CPU and memory are not measured: {error:#}");
        }
        let ledger = Mutex::new(Ledger::new(plan.run, plan.steps.len()));
        let patience = load.timeout;
        Ok(Self {
            args,
            slices,
            run: Arc::new(Run {
                plan,
                ledger,
                patience,
                stop: CancellationToken::new(),
                samples: None,
                errands: None,
            }),
            catalogue,
            meter,
            supervised: supervised.is_ok(),
        })
    }

    fn control(&self) -> Client {
        Client::of(&self.args.platform.data)
    }

    /// Sends every slice, and reports those that count.
    async fn load(&self, seed: u64, report: &mut Report) -> anyhow::Result<()> {
        let (mut orders, mut start) = (0, 0);
        for slice in &self.slices {
            orders += slice.orders;
            let end = self.run.plan.reach(orders);
            let kills = slice.counts.then(|| self.start_kills(seed)).flatten();
            let sampling = self.start_sampling().await?;
            let section = self.send(*slice, start..end).await?;
            if let Some((kills, stop)) = kills {
                stop.cancel();
                report.kills = Some(Kills::of(kills.await??));
            }
            drop(sampling);
            let cost = self.cost(&section).await?;
            if slice.counts {
                report.phases.push(Section { cost, ..section });
            }
            start = end;
        }
        let compare = self.args.load.compare_gateway;
        report.gateway = compare.then(|| Comparison::of(&report.phases));
        Ok(())
    }

    async fn send(&self, slice: Slice, steps: Range<usize>) -> anyhow::Result<Section> {
        let (peers, prefix) = match slice.path {
            Path::Gateway => (Peers::resolve(&[&self.args.platform.url]).await?, "/api"),
            Path::Direct => (self.order_replicas().await?, ""),
        };
        let products = (0..)
            .zip(&self.run.plan.products)
            .map(|(place, id)| (id.clone(), place));
        let mut route = Route::new(prefix, products)?;
        route.insists = !self.args.load.no_retry;
        let route = Arc::new(route);
        let own = usage::own_cpu_time();
        let figures = Phase::drive(&self.run, &route, &peers, steps, self.pace(slice)).await;
        let own = usage::own_cpu_time() - own;
        Ok(Section::new(slice.path, figures, own))
    }

    /// What the phase cost the platform, once all work that it left behind is done.
    async fn cost(&self, section: &Section) -> anyhow::Result<Option<Cost>> {
        if !self.supervised {
            return Ok(None);
        }
        self.meter.wait_until_quiet(DRAIN).await?;
        let orders = section.figures.orders.ok;
        Ok(Some(Cost::of(&self.meter.total(), orders)))
    }

    fn pace(&self, slice: Slice) -> Pace {
        let load = &self.args.load;
        match load.rate {
            Some(rate) if slice.counts => Pace::Open {
                // The rate is of orders; reads come on top.
                requests_per_second: rate / (1.0 - load.mix),
                most_connections: load.concurrency.unwrap_or(OPEN_CONNECTIONS).into(),
            },
            _ => Pace::Closed {
                connections: load.concurrency.unwrap_or(CLOSED_CONNECTIONS).into(),
            },
        }
    }

    async fn order_replicas(&self) -> anyhow::Result<Arc<Peers>> {
        let replicas = self.control().list().await?.into_iter();
        let urls: Vec<_> = replicas
            .filter(|r| r.service == "order")
            .map(|r| r.api)
            .collect();
        Peers::resolve(&urls).await
    }

    /// Reads the CPU clocks until dropped.
    async fn start_sampling(&self) -> anyhow::Result<Option<AbortOnDrop>> {
        if !self.supervised {
            return Ok(None);
        }
        self.meter.start().await?;
        let meter = self.meter.clone();
        Ok(Some(AbortOnDrop(tokio::spawn(async move {
            loop {
                sleep(SAMPLE).await;
                // The next one makes up for a missed one.
                let _ = meter.sample().await;
            }
        }))))
    }

    fn start_kills(
        &self,
        seed: u64,
    ) -> Option<(JoinHandle<anyhow::Result<Vec<Kill>>>, CancellationToken)> {
        let kills = &self.args.kills;
        let spree = Spree {
            every: kills.kill_every?,
            service: kills.kill.clone(),
            signal: kills.signal,
            seed,
        };
        let stop = CancellationToken::new();
        let run = kill::run(self.control(), spree, self.meter.clone(), stop.clone());
        Some((tokio::spawn(run), stop))
    }

    async fn audit(self, shop: &mut Shop, since: DateTime<Utc>) -> anyhow::Result<Findings> {
        let run = Arc::into_inner(self.run).context("requests still under way")?;
        let ledger = run.ledger.into_inner().expect("no task panicked");
        let subject = Subject {
            catalogue: self.catalogue,
            ledger: Some(&ledger),
            since: Some(since),
        };
        settled_audit(shop, subject, self.args.patience()).await
    }
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn choose_products(load: &Load, shop: &mut Shop) -> anyhow::Result<Vec<String>> {
    if let Some(product) = &load.product {
        return Ok(vec![product.clone()]);
    }
    let mut products = shop.products().await?;
    ensure!(!products.is_empty(), "the shop has no products");
    let wanted = load.products.map_or(products.len(), |n| n as usize);
    products.truncate(wanted);
    for n in products.len() + 1..=wanted {
        products.push(shop.add_product(n).await?);
    }
    Ok(products)
}
