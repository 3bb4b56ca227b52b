//! The breaker against a plain statement of its rules, on random histories and a virtual clock.
use super::*;
use proptest::prelude::*;

/// What the rules say, kept as lists of what happened rather than as counters.
struct Model {
    rules: Rules,
    phase: ModelPhase,
    /// Number of the phase, to tell late results.
    number: usize,
    openings: u32,
    epoch: Instant,
    others_eject: bool,
}

enum ModelPhase {
    /// When each call ended, and whether it failed.
    Closed(Vec<(Instant, bool)>),
    Open(Instant, Fault),
    /// Verdicts of probes; `None` while under way.
    HalfOpen(Vec<Option<Verdict>>, Fault),
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Admit,
    Knock,
    /// Brings back one of the tickets handed out.
    Record(usize, Verdict),
    /// Another endpoint of the upstream takes or frees the only ejection.
    OtherEjected(bool),
}

/// The number of the phase it belongs to and, in a half-open one, of the probe.
type ModelTicket = (usize, usize);

impl Model {
    fn admits(&self, now: Instant) -> bool {
        match &self.phase {
            ModelPhase::Closed(_) => true,
            ModelPhase::Open(until, _) => now >= *until,
            ModelPhase::HalfOpen(probes, _) => !probes.contains(&None),
        }
    }

    fn knockable(&self, now: Instant) -> bool {
        let (ModelPhase::Open(_, fault) | ModelPhase::HalfOpen(_, fault)) = &self.phase else {
            return true;
        };
        *fault == Fault::Refused || self.admits(now)
    }

    fn ticket(&mut self) -> ModelTicket {
        if let ModelPhase::Open(_, fault) = self.phase {
            self.enter(ModelPhase::HalfOpen(Vec::new(), fault));
        }
        let probe = match &mut self.phase {
            ModelPhase::HalfOpen(probes, _) => {
                probes.push(None);
                probes.len() - 1
            }
            _ => 0,
        };
        (self.number, probe)
    }

    fn enter(&mut self, phase: ModelPhase) {
        self.number += 1;
        self.phase = phase;
    }

    fn record(&mut self, (number, probe): ModelTicket, verdict: Verdict, now: Instant) {
        if number != self.number {
            return;
        }
        let trips = match (&mut self.phase, verdict) {
            (ModelPhase::Closed(calls), Verdict::Good) => {
                calls.push((now, false));
                None
            }
            (ModelPhase::Closed(calls), Verdict::Bad(fault)) => {
                calls.push((now, true));
                trips(&self.rules, calls, fault, now, self.epoch).then_some(fault)
            }
            (ModelPhase::HalfOpen(probes, _), verdict) => {
                probes[probe] = Some(verdict);
                let good = |p: &&Option<Verdict>| **p == Some(Verdict::Good);
                if probes.iter().filter(good).count() >= self.rules.probes as usize {
                    self.close(now);
                }
                match verdict {
                    Verdict::Bad(fault) => Some(fault),
                    _ => None,
                }
            }
            (ModelPhase::Closed(_), Verdict::Unknown) | (ModelPhase::Open(..), _) => None,
        };
        if let Some(fault) = trips {
            self.open(fault, now);
        }
    }

    fn open(&mut self, fault: Fault, now: Instant) {
        if fault == Fault::Answer && self.others_eject {
            if matches!(self.phase, ModelPhase::HalfOpen(..)) {
                self.close(now);
            }
            return;
        }
        let pause = match fault {
            Fault::Answer | Fault::Silent => self.rules.open,
            Fault::Refused | Fault::Broken => (0..self.openings.min(9))
                .fold(self.rules.redial, |pause, _| pause * 2)
                .min(REDIAL_MAX),
        };
        self.openings += 1;
        self.enter(ModelPhase::Open(now + pause, fault));
    }

    fn close(&mut self, now: Instant) {
        self.openings = 0;
        self.epoch = now;
        self.enter(ModelPhase::Closed(Vec::new()));
    }

    /// Does this endpoint hold the ejection?
    fn ejected(&self) -> bool {
        matches!(
            self.phase,
            ModelPhase::Open(_, Fault::Answer) | ModelPhase::HalfOpen(_, Fault::Answer)
        )
    }
}

fn trips(
    rules: &Rules,
    calls: &[(Instant, bool)],
    fault: Fault,
    now: Instant,
    epoch: Instant,
) -> bool {
    let in_a_row = calls.iter().rev().take_while(|(_, failed)| *failed).count();
    let second = |at: Instant| at.duration_since(epoch).as_secs();
    let recent: Vec<_> = calls
        .iter()
        .filter(|(at, _)| second(*at) + 10 > second(now))
        .collect();
    let failed = recent.iter().filter(|(_, failed)| *failed).count();
    fault == Fault::Refused
        || in_a_row >= rules.failures as usize
        || recent.len() >= rules.min_calls as usize
            && failed * 100 >= recent.len() * rules.percent as usize
}

/// A step from random bits: cheaper than a tree of strategies, which makes 10,000 histories a matter
/// of seconds.
fn step(bits: u32) -> Step {
    let (kind, detail) = (bits % 17, bits / 17);
    match kind {
        0 | 1 => Step::Wait((detail % 400).into()),
        2 => Step::Wait((detail % 12_000).into()),
        3..9 => Step::Admit,
        9 => Step::Knock,
        10..16 => Step::Record(detail as usize / 16, verdict(detail % 16)),
        _ => Step::OtherEjected(detail % 2 == 0),
    }
}

fn verdict(detail: u32) -> Verdict {
    match detail {
        0..6 => Verdict::Good,
        6..9 => Verdict::Bad(Fault::Answer),
        9..12 => Verdict::Bad(Fault::Silent),
        12 => Verdict::Bad(Fault::Broken),
        13 => Verdict::Bad(Fault::Refused),
        _ => Verdict::Unknown,
    }
}

struct Pair {
    breaker: Breaker,
    model: Model,
    ejections: Arc<Ejections>,
    other: Option<Ejection>,
    tickets: Vec<(Ticket, ModelTicket)>,
    now: Instant,
}

impl Pair {
    fn new() -> Self {
        let now = Instant::now();
        let rules = Rules {
            failures: 3,
            min_calls: 6,
            probes: 2,
            ..Rules::from(&Settings::default())
        };
        let ejections = Arc::new(Ejections::default());
        ejections.set_limit(2, 50);
        let model = Model {
            rules: rules.clone(),
            phase: ModelPhase::Closed(Vec::new()),
            number: 0,
            openings: 0,
            epoch: now,
            others_eject: false,
        };
        let breaker = Breaker::new(rules, now);
        Self {
            breaker,
            model,
            ejections,
            other: None,
            tickets: Vec::new(),
            now,
        }
    }

    fn apply(&mut self, step: Step) {
        let now = self.now;
        match step {
            Step::Wait(ms) => self.now += Duration::from_millis(ms),
            Step::Admit => {
                let ticket = self.breaker.admit(now);
                assert_eq!(ticket.is_some(), self.model.admits(now), "admits");
                self.tickets
                    .extend(ticket.map(|t| (t, self.model.ticket())));
            }
            Step::Knock => {
                let ticket = self.breaker.knock(now);
                assert_eq!(ticket.is_some(), self.model.knockable(now), "knocks");
                self.tickets
                    .extend(ticket.map(|t| (t, self.model.ticket())));
            }
            Step::Record(_, _) if self.tickets.is_empty() => {}
            Step::Record(index, verdict) => {
                let (ticket, model) = self.tickets.swap_remove(index % self.tickets.len());
                self.breaker.record(&ticket, verdict, now, &self.ejections);
                self.model.record(model, verdict, now);
            }
            Step::OtherEjected(false) => self.other = None,
            Step::OtherEjected(true) => {
                self.other = self.other.take().or_else(|| self.ejections.take())
            }
        }
        self.model.others_eject = self.other.is_some();
    }

    fn compare(&self) {
        let expected = match &self.model.phase {
            ModelPhase::Closed(_) => State::Closed,
            ModelPhase::Open(until, _) if self.now < *until => State::Open,
            _ => State::HalfOpen,
        };
        assert_eq!(self.breaker.state(self.now), expected);
        let ejected = usize::from(self.other.is_some()) + usize::from(self.model.ejected());
        assert_eq!(self.ejections.taken(), ejected, "ejections");
        assert!(ejected <= 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn follows_its_rules(history in prop::collection::vec(any::<u32>(), 1..50)) {
        let mut pair = Pair::new();
        for bits in history {
            pair.apply(step(bits));
            pair.compare();
        }
    }
}
