//! Places where a process aborts when told to, as if it were killed there.
//!
//! `CRASH_AT=order-1/order.after_commit:3,worker/queue.claimed` aborts the process of that replica (or of
//! any replica of that service, or any process where none is named) at that hit of its life. In the
//! folder `CRASH_DIR`, the file `order-1/order.after_commit` or `order/order.after_commit` does the same
//! at the next hit and goes with it, so that each such file costs one life.
use std::{
    collections::HashMap,
    env, fs,
    path::PathBuf,
    sync::{Mutex, OnceLock, PoisonError},
};

/// Names the folder.
pub const DIR: &str = "CRASH_DIR";

/// Every place there is, in the order of the crash plan, with the service that passes it.
pub const POINTS: [(&str, &str); 20] = [
    ("gateway", "gateway.before_forward"),
    ("gateway", "gateway.before_reply"),
    ("order", "order.inserted"),
    ("order", "order.before_commit"),
    ("order", "order.after_commit"),
    ("order", "order.relay_claimed"),
    ("order", "order.relay_pushed"),
    ("order", "order.acknowledged"),
    ("inventory", "inventory.before_commit"),
    ("inventory", "inventory.after_commit"),
    ("inventory", "inventory.releasing"),
    ("worker", "queue.claimed"),
    ("worker", "queue.started"),
    ("worker", "queue.handled"),
    ("worker", "queue.settled"),
    ("worker", "queue.retrying"),
    ("notification", "notification.mailed"),
    ("notification", "notification.recorded"),
    ("order", "db.half_migrated"),
    ("image", "image.half_stored"),
];

struct Plan {
    /// Hits that are left until the crash.
    at: Mutex<HashMap<String, u32>>,
    files: Option<(PathBuf, [String; 2])>,
}

/// Aborts here if this is the place.
///
/// # Panics
/// Never.
pub fn hit(name: &str) {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    let plan = PLAN.get_or_init(Plan::read);
    if plan.is_due(name) {
        eprintln!("{{\"level\":\"WARN\",\"message\":\"crashes at {name}, as asked\"}}");
        std::process::abort();
    }
}

impl Plan {
    fn read() -> Self {
        let text = |name| env::var_os(name).and_then(|value| value.into_string().ok());
        let replica = text("SEAWALL_REPLICA").unwrap_or_default();
        let service = replica.split('-').next().unwrap_or_default().to_owned();
        let scopes = [replica, service];
        let at = parse(&text("CRASH_AT").unwrap_or_default(), &scopes);
        let dir = env::var_os(DIR).map(PathBuf::from);
        Self {
            at: Mutex::new(at),
            files: dir.map(|dir| (dir, scopes)),
        }
    }

    fn is_due(&self, name: &str) -> bool {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left) = at.get_mut(name) {
            *left = left.saturating_sub(1);
            if *left == 0 {
                return true;
            }
        }
        let files = self.files.as_ref();
        files.is_some_and(|(dir, scopes)| {
            let of = |scope: &String| dir.join(scope).join(name);
            // Whoever removes it is the one it was meant for.
            scopes
                .iter()
                .any(|scope| fs::remove_file(of(scope)).is_ok())
        })
    }
}

fn parse(text: &str, scopes: &[String]) -> HashMap<String, u32> {
    let entries = text.split(',').filter(|entry| !entry.is_empty());
    let mine = entries.filter_map(|entry| match entry.split_once('/') {
        Some((scope, rest)) => scopes.iter().any(|mine| mine == scope).then_some(rest),
        None => Some(entry),
    });
    let read = |entry: &str| match entry.split_once(':') {
        Some((name, n)) => Some((name.to_owned(), n.parse().ok()?)),
        None => Some((entry.to_owned(), 1)),
    };
    mine.filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Plan {
        Plan {
            at: Mutex::new(parse(text, &["order-1".into(), "order".into()])),
            files: None,
        }
    }

    #[test]
    fn the_hit_that_is_named_is_the_one() {
        let plan = plan("order-1/a:2,order/b,c:1,order-2/d,worker/e");
        let due = |name| plan.is_due(name);
        assert!(!due("a"));
        assert!(due("a"));
        assert!(due("b") && due("c"));
        assert!(!due("d") && !due("e") && !due("f"));
    }

    #[test]
    fn a_file_is_good_for_one_crash() {
        let dir = env::temp_dir().join(format!("crash-points-{}", std::process::id()));
        fs::create_dir_all(dir.join("order")).expect("a folder");
        fs::write(dir.join("order/a"), "").expect("a file");
        let mut plan = plan("");
        plan.files = Some((dir.clone(), ["order-1".into(), "order".into()]));
        assert!(plan.is_due("a"));
        assert!(!plan.is_due("a"));
        fs::remove_dir_all(dir).expect("removed");
    }
}
