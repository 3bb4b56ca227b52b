//! What an audit finds: counts of everything looked at, and the first violations in detail.
use serde::Serialize;
use std::collections::BTreeMap;

/// Violations told in detail; all are counted.
const DETAILED: usize = 20;

/// What must hold, under the names that the reliability plan gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Invariant {
    /// Per product: stocked = available + held + sold, sold = confirmed orders.
    I1,
    /// No stock is negative.
    I2,
    /// No reservation outlives its order or its time.
    I4,
    /// Every acknowledged order is stored as acknowledged.
    I5,
    /// A key has exactly one order: unknown ones at most one, refused ones none.
    I6,
    /// A confirmed order has exactly one mail, a cancelled one its cancellation too.
    I7,
}

/// How one invariant fared.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    pub invariant: Invariant,
    pub rule: &'static str,
    /// Things looked at; an audit of nothing proves nothing.
    pub checked: u64,
    pub violations: u64,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    pub invariant: Invariant,
    pub detail: String,
}

/// The audit's result.
#[derive(Debug, Clone, Serialize)]
pub struct Findings {
    /// Stored orders, all clients' and all runs'.
    pub orders: u64,
    pub confirmed: u64,
    pub cancelled: u64,
    pub mails_by_status: BTreeMap<String, u64>,
    /// Of this run's ledger: acknowledged, refused, unknown.
    pub ledger: Option<Counts>,
    pub checks: Vec<Check>,
    pub violations: u64,
    /// The first of them.
    pub first: Vec<Violation>,
}

/// A ledger's entries by class.
#[derive(Debug, Clone, Serialize)]
pub struct Counts {
    pub ok: u64,
    pub fail: u64,
    pub info: u64,
}

impl Findings {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.violations == 0
    }

    /// Whether holds are all that is left over: those of orders that never came end by
    /// themselves, later than everything else.
    pub fn is_only_held(&self) -> bool {
        let held = self.checks.iter().find(|c| c.invariant == Invariant::I4);
        !self.is_clean() && held.is_some_and(|check| check.violations == self.violations)
    }

    /// Opens the check of one invariant.
    pub fn check(&mut self, invariant: Invariant, rule: &'static str) -> Checking<'_> {
        self.checks.push(Check {
            invariant,
            rule,
            checked: 0,
            violations: 0,
        });
        Checking(self)
    }
}

/// Books into the newest check.
pub struct Checking<'a>(&'a mut Findings);

impl Checking<'_> {
    /// Books one thing looked at; `detail` is asked for when it does not hold.
    pub fn expect(&mut self, holds: bool, detail: impl FnOnce() -> String) {
        let check = self.0.checks.last_mut().expect("made by Findings::check");
        check.checked += 1;
        if holds {
            return;
        }
        check.violations += 1;
        self.0.violations += 1;
        if self.0.first.len() < DETAILED {
            let violation = Violation {
                invariant: check.invariant,
                detail: detail(),
            };
            self.0.first.push(violation);
        }
    }
}
