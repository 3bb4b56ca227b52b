//! Faults on purpose: noted first, then begun at no more replicas than were asked for.
use crate::{
    App,
    entry::Entry,
    error::{Error, Result},
    kill::earlier,
    replica::{Replica, State},
};
use chrono::TimeDelta;
use rand::seq::IndexedRandom as _;
use serde::Deserialize;
use serde_json::Value;
use service::{
    Problem,
    faults::{Kind, Mode, Spec},
};
use uuid::Uuid;

const FAULT: &str = "fault";
const OUTAGE: &str = "outage";
const CLEAR: &str = "clear";

/// A fault, and where it is to be.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Order {
    pub service: String,
    /// This one of its replicas; left out, any that is ready.
    #[serde(default)]
    pub replica: Option<String>,
    #[serde(default)]
    pub scope: Scope,
    pub spec: Spec,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    #[default]
    One,
    /// Every ready replica of the service.
    All,
}

/// A dependency that is to be away, for every service that has it.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    pub dependency: Dependency,
    pub mode: Mode,
    /// Of `slow`; 1000 when left out.
    #[serde(default)]
    pub latency_ms: Option<u32>,
    pub seconds: u32,
    /// These services only. Left out, all that have it, but for commander: it keeps the journal.
    #[serde(default)]
    pub services: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dependency {
    Database,
    Queue,
}

/// Begins a fault in the name of `who`; the same `request_key` begins it once.
///
/// # Errors
/// When chaos is off, the fault isn't valid, or a replica doesn't take it; then none has it.
pub async fn fault(app: &App, who: &str, key: Option<&str>, order: Order) -> Result<Vec<Value>> {
    let spec = order.spec.clone().checked().map_err(within_spec)?;
    if spec.fault == Kind::Crash {
        let advice = "POST /ops/kill does that, within its bounds";
        return Err(Error::Invalid(Problem::invalid("/spec/fault", advice)));
    }
    if order.scope == Scope::All && order.replica.is_some() {
        let detail = "either one replica or all of them";
        return Err(Error::Invalid(Problem::invalid("/replica", detail)));
    }
    allowed(app)?;
    let replicas = targets(app, &order, &app.driver.replicas().await?)?;
    let target = match (&replicas[..], order.scope) {
        ([one], Scope::One) => &one.name,
        _ => &order.service,
    };
    let entry = note(who, FAULT, target, &order.service, &spec);
    inject(app, entry, key, &replicas, &spec, false).await
}

/// Takes a dependency away in the name of `who`; the same `request_key` does it once.
///
/// # Errors
/// As [`fault`].
pub async fn outage(app: &App, who: &str, key: Option<&str>, outage: Outage) -> Result<Vec<Value>> {
    let spec = outage.spec().checked().map_err(Error::Invalid)?;
    allowed(app)?;
    let mut replicas = app.driver.replicas().await?;
    let known = |name: &String| replicas.iter().any(|r| r.service == *name);
    if !outage.services.iter().flatten().all(known) {
        return Err(Error::NotFound);
    }
    replicas.retain(|r| r.state == State::Ready && outage.means(&r.service));
    if replicas.is_empty() {
        return Err(Error::NotReady);
    }
    let target = spec.fault.as_str();
    let entry = note(who, OUTAGE, target, target, &spec);
    let lenient = outage.services.is_none();
    inject(app, entry, key, &replicas, &spec, lenient).await
}

/// Ends all faults in the name of `who`.
///
/// # Errors
/// When chaos is off, or a replica that runs doesn't answer.
pub async fn clear(app: &App, who: &str) -> Result<()> {
    allowed(app)?;
    let replicas = app.driver.replicas().await?;
    let entry = Entry::brief(who, CLEAR, "all", "all");
    app.store.begin(&entry, None).await?;
    if let Err(error) = app.points.end_all(&replicas).await {
        app.store.failed(entry.id, &error.to_string()).await?;
        return Err(error);
    }
    for fault in app.store.faults().await? {
        app.store.over(fault.id).await?;
    }
    app.store.over(entry.id).await?;
    app.changes.send_replace(());
    Ok(())
}

/// Ends one fault in the name of `who`.
///
/// # Errors
/// When chaos is off, or there is no such fault.
pub async fn remove(app: &App, who: &str, id: Uuid) -> Result<()> {
    allowed(app)?;
    let replicas = app.driver.replicas().await?;
    let active = app.points.list(&replicas).await;
    let fault = active.iter().find(|f| f["id"] == id.to_string());
    let replica = fault.and_then(|f| replicas.iter().find(|r| f["replica"] == *r.name));
    let replica = replica.ok_or(Error::NoFault)?;
    let mut entry = Entry::brief(who, CLEAR, &replica.name, &replica.service);
    entry.detail = Some(id.to_string());
    app.store.begin(&entry, None).await?;
    let ended = app.points.end(replica, id).await;
    let Ok(ended) = ended else {
        app.store.failed(entry.id, "it doesn't answer").await?;
        return ended.map(drop);
    };
    app.store.over(entry.id).await?;
    let active = app.points.list(&replicas).await;
    for begun in app.store.faults().await? {
        if begun.began(&id.to_string()) && !active.iter().any(|f| begun.began_this(f)) {
            app.store.over(begun.id).await?;
        }
    }
    app.changes.send_replace(());
    ended.then_some(()).ok_or(Error::NoFault)
}

/// Notes what is about to be, and does it. `lenient`: whoever lacks what is to break is left alone.
async fn inject(
    app: &App,
    entry: Entry,
    key: Option<&str>,
    replicas: &[Replica],
    spec: &Spec,
    lenient: bool,
) -> Result<Vec<Value>> {
    if !app.store.begin(&entry, key).await? {
        // The same request, which came twice.
        let earlier = earlier(app, key).await?.ok_or(Error::Busy)?;
        let active = app.points.list(&app.driver.replicas().await?).await;
        return Ok(active
            .into_iter()
            .filter(|f| earlier.began_this(f))
            .collect());
    }
    let (who, target) = (&entry.who, &entry.target);
    tracing::info!(%who, %target, fault = ?spec, "a fault begins at {target} on purpose");
    let begun = begin_all(app, replicas, spec, lenient).await;
    match &begun {
        Ok(items) => {
            let ids: Vec<_> = items.iter().filter_map(|f| f["id"].as_str()).collect();
            app.store.began(entry.id, &ids.join(" ")).await?;
            app.noted.send_replace(());
        }
        Err(error) => app.store.failed(entry.id, &error.to_string()).await?,
    }
    app.changes.send_replace(());
    begun
}

/// At all of them or at none.
async fn begin_all(
    app: &App,
    replicas: &[Replica],
    spec: &Spec,
    lenient: bool,
) -> Result<Vec<Value>> {
    let asked = replicas
        .iter()
        .map(|replica| app.points.begin(replica, spec));
    let answers = futures::future::join_all(asked).await;
    let (mut items, mut problem) = (Vec::new(), None);
    for answer in answers {
        match answer {
            Ok(item) => items.push(item),
            Err(Error::FaultNotAvailable) if lenient => {}
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    if problem.is_none() && !items.is_empty() {
        return Ok(items);
    }
    for item in &items {
        let replica = replicas.iter().find(|r| item["replica"] == *r.name);
        let id = item["id"].as_str().and_then(|id| id.parse().ok());
        if let (Some(replica), Some(id)) = (replica, id) {
            // One that can't be taken back now ends when its time is over.
            app.points.end(replica, id).await.ok();
        }
    }
    Err(problem.unwrap_or(Error::FaultNotAvailable))
}

fn allowed(app: &App) -> Result<()> {
    match app.chaos && app.points.are_open() {
        true => Ok(()),
        false => Err(Error::Disabled),
    }
}

/// The replicas that an order means, all of them ready.
fn targets(app: &App, order: &Order, all: &[Replica]) -> Result<Vec<Replica>> {
    let named = |r: &&Replica| {
        let name = order.replica.as_ref();
        r.service == order.service && name.is_none_or(|name| r.name == *name)
    };
    let mut meant: Vec<_> = all.iter().filter(named).cloned().collect();
    if meant.is_empty() {
        return Err(Error::NotFound);
    }
    meant.retain(|r| r.state == State::Ready);
    if order.scope == Scope::One {
        let mut random = app.random.lock().expect("nobody panics while choosing");
        meant = meant.choose(&mut *random).cloned().into_iter().collect();
    }
    match meant.is_empty() {
        true => Err(Error::NotReady),
        false => Ok(meant),
    }
}

fn note(who: &str, action: &str, target: &str, service: &str, spec: &Spec) -> Entry {
    let mut entry = Entry::brief(who, action, target, service);
    entry.detail = serde_json::to_string(spec).ok();
    entry.ends_at = Some(entry.at + TimeDelta::seconds(spec.seconds.into()));
    entry
}

/// Its fields are one deeper in an order.
fn within_spec(mut problem: Problem) -> Error {
    for error in &mut problem.errors {
        error.pointer.insert_str(0, "/spec");
    }
    Error::Invalid(problem)
}

impl Outage {
    fn spec(&self) -> Spec {
        let fault = match self.dependency {
            Dependency::Database => Kind::Database,
            Dependency::Queue => Kind::Queue,
        };
        Spec {
            mode: Some(self.mode),
            latency_ms: self.latency_ms,
            ..Spec::new(fault, self.seconds)
        }
    }

    fn means(&self, service: &str) -> bool {
        match &self.services {
            Some(services) => services.iter().any(|name| name == service),
            None => service != env!("CARGO_PKG_NAME"),
        }
    }
}
