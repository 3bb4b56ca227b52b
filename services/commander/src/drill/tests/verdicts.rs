//! Whole runs against a platform in memory: each verdict, and nothing stays broken.
use super::{
    Drill, Options, Progress, Report, Verdict, course,
    fake::{Fake, Ills},
    parse,
};
use crate::audit::collect::Patience;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const KILL: &str = "[fault.kill]\nservices = [\"order\"]\npick = \"each\"\npause = 1\n";
const POINT: &str =
    "[fault.point]\nservice = \"order\"\nseconds = 2\nspec = { fault = \"error\", status = 500 }\n";

fn drill(fault: &str, more: &str) -> Drill {
    let text = format!(
        "name = \"x\"\ntitle = \"x\"\nstory = \"x\"\nhints = [\"a\", \"b\"]\n\
         [hypothesis]\ntext = \"x\"\nobjective_percent = 99\n\
         [load]\nkind = \"orders\"\nrate = 50\nbefore = 1\nafter = 1\n\
         {fault}\
         [alert]\nnames = [\"APIDown\"]\nwithin = 60\nclear_within = 60\nrunbook = \"docs/runbooks/APIDown.md\"\n\
         [root_cause]\nquestion = \"x\"\nanswers = [\"x\"]\n{more}\n"
    );
    parse("x.toml", &text).expect("a drill")
}

async fn run(ills: Ills, drill: &Drill, stop: &CancellationToken) -> (Report, Fake) {
    let fake = Fake::start(ills).await;
    let report = run_on(&fake, drill, stop).await;
    (report, fake)
}

async fn run_on(fake: &Fake, drill: &Drill, stop: &CancellationToken) -> Report {
    let options = Options {
        seed: 7,
        patience: Patience {
            settle: Duration::from_millis(500),
            holds: Duration::ZERO,
        },
        alerts: false,
        hold: None,
    };
    course::run(&fake.site, drill, &options, &Progress::default(), stop).await
}

const STRICT: &str = "[pass]\nbad = 0\nrecovered = 5\naudit = true";

async fn judged(ills: Ills, fault: &str, marks: &str) -> Report {
    let stop = CancellationToken::new();
    let (report, fake) = run(ills, &drill(fault, marks), &stop).await;
    assert_eq!(fake.active_faults(), 0, "a fault was left behind");
    report
}

#[tokio::test]
async fn a_replica_that_has_only_just_been_started_is_waited_for() {
    let down = Ills {
        unhealthy: true,
        ..Ills::default()
    };
    let (fake, stop) = (Fake::start(down).await, CancellationToken::new());
    let drill = drill(KILL, STRICT);
    let ready = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        fake.heal();
    };
    let (report, ()) = tokio::join!(run_on(&fake, &drill, &stop), ready);
    assert_eq!(report.verdict, Verdict::Passed, "{report:?}");
}

/// What was under way before the drill is not held against it.
#[tokio::test]
async fn it_waits_until_all_is_well() {
    let slow = Ills {
        slow_ms: 700,
        ..Ills::default()
    };
    let report = judged(slow, KILL, "[pass]\nbad = 0\nanswer_ms = 600").await;
    assert_eq!(report.verdict, Verdict::Passed, "{report:?}");
    let said: Vec<_> = report.timeline.iter().map(|event| &*event.what).collect();
    assert!(said[1].starts_with("not steady to begin with"), "{said:?}");
    assert!(
        said.iter().any(|what| what.starts_with("steady: ")),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_platform_that_holds_passes() {
    for fault in [KILL, POINT] {
        let report = judged(Ills::default(), fault, STRICT).await;
        assert_eq!(report.verdict, Verdict::Passed, "{report:?}");
        assert!(report.requests.sent > 50, "{:?}", report.requests);
        let audit = report.audit.expect("audited");
        assert_eq!(audit.orders, report.requests.ok, "all were orders");
        assert!(!report.detection.observed && report.detection.alert.is_none());
    }
}

#[tokio::test]
async fn failed_requests_fail_it() {
    let ills = Ills {
        fails_ms: 300,
        ..Ills::default()
    };
    let report = judged(ills, KILL, STRICT).await;
    assert_eq!(report.verdict, Verdict::Failed, "{report:?}");
    assert!(
        report.reasons[0].contains("bad requests"),
        "{:?}",
        report.reasons
    );
    let recovered = report.recovery.recovered.expect("it came back");
    assert!((0.1..2.0).contains(&recovered), "{recovered}");
}

#[tokio::test]
async fn a_lost_order_fails_it() {
    let ills = Ills {
        loses_every: 40,
        ..Ills::default()
    };
    let report = judged(ills, POINT, STRICT).await;
    assert_eq!(report.verdict, Verdict::Failed, "{report:?}");
    let found = report
        .marks
        .iter()
        .find(|m| m.mark.contains("audit"))
        .expect("a mark");
    assert!(!found.passed, "{found:?}");
}

#[tokio::test]
async fn what_can_not_be_injected_or_seen_is_inconclusive() {
    let ills = |change: fn(&mut Ills)| {
        let mut ills = Ills::default();
        change(&mut ills);
        ills
    };
    for (ills, fault, says) in [
        (ills(|i| i.unhealthy = true), KILL, "not healthy"),
        (ills(|i| i.immortal = true), KILL, "no kill"),
        (ills(|i| i.no_faults = true), POINT, "501"),
        (ills(|i| i.invisible = true), POINT, "don't show"),
    ] {
        let stop = CancellationToken::new();
        let (report, _fake) = run(ills, &drill(fault, STRICT), &stop).await;
        assert_eq!(report.verdict, Verdict::Inconclusive, "{says}: {report:?}");
        let reasons = report.reasons.join("; ");
        assert!(reasons.contains(says), "{reasons} does not say {says}");
    }
}

#[tokio::test]
async fn an_alert_that_nobody_can_see_is_no_pass() {
    let marks = STRICT.to_owned();
    let fault = POINT;
    let text = drill(fault, &marks);
    let required = Drill {
        alert: crate::drill::file::Alert {
            required: true,
            ..text.alert.clone()
        },
        ..text
    };
    let (report, _fake) = run(Ills::default(), &required, &CancellationToken::new()).await;
    assert_eq!(report.verdict, Verdict::Inconclusive, "{report:?}");
}

#[tokio::test]
async fn too_much_damage_ends_it_and_repairs() {
    let ills = Ills {
        fails_ms: 1,
        ..Ills::default()
    };
    let long = POINT.replace("seconds = 2", "seconds = 60");
    let marks = format!("{STRICT}\n[abort]\nbad_percent = 1");
    let began = std::time::Instant::now();
    let report = judged(ills, &long, &marks).await;
    assert_eq!(report.verdict, Verdict::Failed, "{report:?}");
    assert!(report.reasons[0].contains("budget"), "{:?}", report.reasons);
    assert!(
        began.elapsed() < Duration::from_secs(50),
        "it went on to the end"
    );
}

#[tokio::test]
async fn calling_it_off_repairs_at_once() {
    let stop = CancellationToken::new();
    let cancel = stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(2500)).await;
        cancel.cancel();
    });
    let long = POINT.replace("seconds = 2", "seconds = 300");
    let (report, fake) = run(Ills::default(), &drill(&long, STRICT), &stop).await;
    assert_eq!(report.verdict, Verdict::Aborted, "{report:?}");
    assert!(
        report.fault_from.is_some(),
        "it was broken when it was called off: {report:?}"
    );
    assert_eq!(fake.active_faults(), 0);
}
