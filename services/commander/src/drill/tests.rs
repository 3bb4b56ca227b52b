//! The files of drills, their plans, and how a verdict comes about.
use super::{
    catalogue::{Catalogue, parse},
    course::{self, Options},
    file::Drill,
    judge::{self, Circumstances},
    lab::experiment,
    ops::Replica,
    plan::Plan,
    postmortem::postmortem,
    progress::Progress,
    report::{Detection, Mark, Report, Verdict},
    results,
};
use std::path::Path;

mod fake;
mod verdicts;

fn text(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../drills/{name}.toml"));
    std::fs::read_to_string(file).expect("a drill")
}

/// The first flaw of a drill whose text is changed.
fn flaw(from: &str, to: &str) -> String {
    let text = text("slow-inventory");
    assert!(text.contains(from), "{from} is not in {text}");
    let changed = text.replacen(from, to, 1);
    let flaw = parse("slow-inventory.toml", &changed).expect_err("a flaw");
    flaw.to_string()
}

#[test]
fn the_drills_of_this_version_are_sound_and_enough() {
    let (catalogue, flaws) = Catalogue::check(None).expect("drills");
    assert!(flaws.is_empty(), "{flaws:?}");
    assert!(catalogue.all().len() >= 14, "{}", catalogue.all().len());
    assert!(catalogue.gate().count() >= 10);
    assert!(experiment::all().expect("experiments").len() >= 3);
}

#[test]
fn a_flaw_is_named_with_its_file_and_line() {
    let line = |needle: &str| {
        let text = text("slow-inventory");
        1 + text.lines().position(|l| l.contains(needle)).expect(needle)
    };
    for (from, to, at, says) in [
        (
            "rate = 200",
            "rate = 0",
            line("rate = 200"),
            "a rate is from",
        ),
        (
            "rate = 200",
            "rats = 100",
            line("rate = 200"),
            "unknown field `rats`",
        ),
        (
            "seconds = 25",
            "seconds = 9000",
            line("seconds = 25"),
            "1 to 600",
        ),
        (
            "fault = \"latency\"",
            "fault = \"lateness\"",
            line("spec ="),
            "unknown fault",
        ),
        (
            "p99_ms = 250",
            "p99_ms = \"fast\"",
            line("p99_ms"),
            "expected a number",
        ),
        (
            "docs/runbooks/",
            "docs/",
            line("runbook ="),
            "docs/runbooks/NAME.md",
        ),
        (
            "name = \"slow-inventory\"",
            "name = \"slow\"",
            1,
            "`name` is slow",
        ),
    ] {
        let flaw = flaw(from, to);
        let expected = format!("slow-inventory.toml:{at}: ");
        assert!(
            flaw.starts_with(&expected),
            "{flaw:?} is not at {expected:?}"
        );
        assert!(flaw.contains(says), "{flaw:?} does not say {says:?}");
    }
}

#[test]
fn a_drill_that_can_not_fail_is_refused() {
    let text = text("slow-inventory");
    let (before, _) = text.split_once("[pass]").expect("marks");
    let flaw = parse("slow-inventory.toml", &format!("{before}[pass]\n")).expect_err("a flaw");
    assert!(flaw.message.contains("can't fail"), "{flaw}");
}

fn replicas() -> Vec<Replica> {
    let services = [
        "order",
        "inventory",
        "notification",
        "auth",
        "image",
        "worker",
        "gateway",
    ];
    let replica = |service: &str, n: usize| Replica {
        name: format!("{service}-{n}"),
        service: service.to_owned(),
        state: "ready".to_owned(),
        restarts: 0,
        started_at: None,
        zone: Some(["b", "a"][n % 2].to_owned()),
    };
    services
        .iter()
        .flat_map(|s| [replica(s, 1), replica(s, 2)])
        .collect()
}

fn plan(name: &str, seed: u64, replicas: &[Replica]) -> Plan {
    let catalogue = Catalogue::load(None).expect("drills");
    Plan::new(catalogue.get(name).expect(name), seed, replicas).expect("a plan")
}

#[test]
fn the_same_seed_gives_the_same_victims_whatever_the_order_of_the_replicas() {
    let forward = replicas();
    let backward: Vec<_> = forward.iter().rev().cloned().collect();
    assert_eq!(
        plan("kill-one", 7, &forward),
        plan("kill-one", 7, &backward)
    );
    assert_ne!(
        plan("kill-one", 7, &forward).victims,
        plan("kill-one", 8, &forward).victims
    );
    assert_eq!(plan("kill-one", 7, &forward).victims.len(), 8);
    let catalogue = Catalogue::load(None).expect("drills");
    let name = |seed| catalogue.draw(seed).expect("one").name.to_string();
    assert_eq!(name(3), name(3));
    assert!(
        (0..50).any(|seed| name(seed) != name(3)),
        "the seed decides nothing"
    );
}

#[test]
fn a_plan_hits_whom_the_drill_says() {
    let all = replicas();
    assert_eq!(
        plan("kill-each", 1, &all).victims,
        ["inventory-1", "inventory-2", "order-1", "order-2"]
    );
    let same = plan("crash-loop", 1, &all).victims;
    assert!(
        same.len() == 5 && same.iter().all(|v| *v == same[0]),
        "{same:?}"
    );
    let zone = plan("zone-lost", 1, &all).victims;
    assert_eq!(zone.len(), 7);
    assert!(zone.iter().all(|v| v.ends_with("-2")), "{zone:?}");
    let nobody = Plan::new(
        Catalogue::load(None)
            .expect("drills")
            .get("kill-each")
            .expect("it"),
        1,
        &[],
    );
    assert!(nobody.is_err());
}

#[test]
fn an_answer_counts_by_its_letters() {
    let catalogue = Catalogue::load(None).expect("drills");
    let drill: &Drill = catalogue.get("queue-gone").expect("it");
    assert!(drill.accepts(" The Queue! "));
    assert!(!drill.accepts("the database"));
    assert!(!drill.accepts(""));
}

fn mark(passed: bool) -> Mark {
    Mark {
        mark: "bad requests",
        limit: "at most 0".to_owned(),
        measured: "5".to_owned(),
        passed,
    }
}

#[test]
fn passing_needs_proof_and_failing_does_not() {
    let fine = Circumstances::default();
    let blind = Detection::default();
    let verdict = |how: &Circumstances, passed, seen: &Detection| {
        judge::verdict(how, &[mark(passed)], seen).0
    };
    assert_eq!(verdict(&fine, true, &blind), Verdict::Passed);
    assert_eq!(verdict(&fine, false, &blind), Verdict::Failed);
    let unproven = Circumstances {
        proves_nothing: vec!["not injected".to_owned()],
        ..Circumstances::default()
    };
    assert_eq!(verdict(&unproven, true, &blind), Verdict::Inconclusive);
    let spent = Circumstances {
        budget_spent: true,
        ..Circumstances::default()
    };
    assert_eq!(verdict(&spent, true, &blind), Verdict::Failed);
    let required = Circumstances {
        alert_required: true,
        ..Circumstances::default()
    };
    assert_eq!(
        verdict(&required, true, &blind),
        Verdict::Inconclusive,
        "nobody to ask"
    );
    let silent = Detection {
        observed: true,
        ..Detection::default()
    };
    assert_eq!(
        verdict(&required, true, &silent),
        Verdict::Failed,
        "it did not fire"
    );
    let fired = Detection {
        alert: Some("APIDown".to_owned()),
        ..silent
    };
    assert_eq!(
        verdict(&required, true, &fired),
        Verdict::Failed,
        "it did not clear"
    );
    let cleared = Detection {
        cleared: Some(3.0),
        ..fired
    };
    assert_eq!(verdict(&required, true, &cleared), Verdict::Passed);
    assert_eq!(Verdict::ALL.map(Verdict::exit), [0, 1, 2, 2]);
}

#[test]
fn reports_are_well_formed_whatever_they_say() {
    let catalogue = Catalogue::load(None).expect("drills");
    let mut report = Report::new(catalogue.get("kill-one").expect("it"), 7);
    report.reasons.push("a < b & \"c\" \u{1b}[0m".to_owned());
    report.marks.push(mark(false));
    report.verdict = Verdict::Failed;
    let mut passed = report.clone();
    passed.verdict = Verdict::Passed;
    let mut unclear = report.clone();
    unclear.verdict = Verdict::Inconclusive;
    let xml = results::junit(&[report.clone(), passed, unclear]);
    assert!(
        xml.contains(r#"tests="3" failures="1" errors="1""#),
        "{xml}"
    );
    assert!(xml.contains("a &lt; b &amp; &quot;c&quot;"), "{xml}");
    assert!(!xml.contains('\u{1b}'), "{xml}");
    assert_eq!(xml.matches("<testcase ").count(), 3);
    assert_eq!(
        xml.matches("<failure ").count() + xml.matches("<error ").count(),
        2
    );
    let draft = postmortem(&report);
    for part in [
        "## What happened",
        "time to detect",
        "not observed",
        "## Pass marks",
        "**failed**",
        "docs/runbooks/",
    ] {
        assert!(draft.contains(part), "{part} is missing in {draft}");
    }
}
