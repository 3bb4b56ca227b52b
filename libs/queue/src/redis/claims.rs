//! The life of a claim: taking jobs, keeping them, recording how they ended, and taking over the
//! jobs of dead workers.
use super::{Redis, millis, record, record::Standing, scripts::Call};
use crate::{
    Error, Options, State,
    claim::{BATCH, CRASH, Claim, Outcome, Rescue, Settlement, readable},
    redis::link::RESPONSE_TIMEOUT,
};
use std::{collections::HashSet, sync::PoisonError, time::Duration};
use tokio::time::Instant;
use uuid::Uuid;

impl Redis {
    /// A claim reaches a server that hangs all the same, to be run when it wakes up and the caller
    /// has long gone. So it carries its own deadline, in the server's time, and does nothing after.
    pub async fn claim(
        &self,
        queue: &str,
        limit: usize,
        token: i64,
        lease: Duration,
    ) -> Result<Claim, Error> {
        const NOT_LOOKED_UP: i64 = -2;
        const TOO_LATE: i64 = -3;
        type Claimed = (String, String, u32, Option<String>);
        for _ in 0..2 {
            let until = self.server_time(Instant::now() + RESPONSE_TIMEOUT).await?;
            let mut call = Call::new(&self.scripts.claim, queue);
            call.arg(limit.min(BATCH))
                .arg(millis(lease))
                .arg(token)
                .arg(until);
            let (now, next_due, claimed): (i64, i64, Vec<Claimed>) = call.run(&self.link).await?;
            self.set_clock(now);
            if next_due == TOO_LATE {
                // Or its clock was set. Now we know the time it has.
                continue;
            }
            let job = |(id, record, failed, last_error): Claimed| {
                let standing = Standing {
                    state: State::Running,
                    at: now,
                    failed,
                    last_error,
                    result: None,
                    token,
                };
                record::decode(queue, &id, &record, standing)
            };
            let next_due = match next_due {
                ..=NOT_LOOKED_UP | -1 => None,
                at => Some(Duration::from_millis(u64::try_from(at - now).unwrap_or(0))),
            };
            return Ok(Claim {
                jobs: readable(claimed.into_iter().map(job)),
                next_due,
            });
        }
        Err(Error::Timeout)
    }

    /// Extends claims; returns the ids of those that still held.
    pub async fn renew(
        &self,
        queue: &str,
        claims: &[(Uuid, i64)],
        lease: Duration,
    ) -> Result<HashSet<Uuid>, Error> {
        let mut call = Call::new(&self.scripts.renew, queue);
        call.arg(millis(lease));
        for (id, token) in claims {
            call.arg(member(id, *token));
        }
        let kept: Vec<String> = call.run(&self.link).await?;
        Ok(kept.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// Records outcomes; returns how many claims still held and were so ended.
    pub async fn settle(&self, queue: &str, settlements: &[Settlement]) -> Result<usize, Error> {
        let mut settled = 0;
        for settlements in settlements.chunks(BATCH) {
            let mut call = Call::new(&self.scripts.settle, queue);
            for Settlement { id, token, outcome } in settlements {
                call.arg(member(id, *token));
                match outcome {
                    Outcome::Done { result } => {
                        let result = result.as_ref().map(ToString::to_string);
                        call.arg("done").arg("").arg(result.unwrap_or_default())
                    }
                    Outcome::Retry { error, after } => {
                        call.arg("retry").arg(millis(*after)).arg(error)
                    }
                    Outcome::Dead { error } => call.arg("dead").arg("").arg(error),
                    Outcome::Release => call.arg("release").arg("").arg(""),
                    Outcome::Remove => call.arg("remove").arg("").arg(""),
                };
            }
            settled += call.run::<usize>(&self.link).await?;
        }
        Ok(settled)
    }

    /// Takes jobs from workers whose lease has run out, if the server gets to it in time.
    pub async fn rescue(
        &self,
        queue: &str,
        judge: bool,
        in_time: Instant,
        options: &Options,
    ) -> Result<Rescue, Error> {
        let in_time = self.server_time(in_time).await?;
        let mut call = Call::new(&self.scripts.rescue, queue);
        call.arg(in_time)
            .arg(options.max_crashes)
            .arg(CRASH)
            .arg(if judge { BATCH } else { 0 });
        let (now, taken): (i64, i64) = call.run(&self.link).await?;
        self.set_clock(now);
        Ok(u64::try_from(taken).map_or(Rescue::TooLate, Rescue::Took))
    }

    /// What the server's clock shows at an instant, in milliseconds since 1970.
    async fn server_time(&self, at: Instant) -> Result<i64, Error> {
        let known = *self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let (instant, shown) = match known {
            Some(known) => known,
            None => {
                let (seconds, micros): (i64, i64) = self.link.query(&redis::cmd("TIME")).await?;
                let now = seconds * 1000 + micros / 1000;
                self.set_clock(now);
                (Instant::now(), now)
            }
        };
        let ahead = at.saturating_duration_since(instant);
        Ok(shown.saturating_add(i64::try_from(ahead.as_millis()).unwrap_or(0)))
    }

    fn set_clock(&self, now: i64) {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        *clock = Some((Instant::now(), now));
    }
}

/// A claimed job as the scripts know it.
fn member(id: &Uuid, token: i64) -> String {
    format!("{id}:{token}")
}
