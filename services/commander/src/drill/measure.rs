//! What the clients saw, computed from every single request.
use crate::load::samples::{End, Sample, What};
use serde::Serialize;

/// So long without a bad request is called recovered.
pub const CALM: f64 = 3.0;

/// Requests of a whole run or of a part of it.
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Requests {
    pub sent: u64,
    pub ok: u64,
    /// 503 in the end.
    pub refused: u64,
    /// Anything else in the end.
    pub failed: u64,
    /// Sent twice.
    pub retried: u64,
    /// Never sent: the generator was late or out of connections.
    pub dropped: u64,
    /// Of good ones, from when they were due.
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// The slowest single answer, good or bad.
    pub slowest_answer_ms: f64,
}

/// One second of a run, by when its requests were due.
#[derive(Clone, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Second {
    pub second: u32,
    pub ok: u32,
    pub refused: u32,
    pub failed: u32,
    pub p99_ms: Option<f64>,
}

/// How it came back, in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Recovery {
    /// After the load began.
    pub first_bad: Option<f64>,
    pub last_bad: Option<f64>,
    /// From the end of the fault to the end of the last bad request; 0 if there was none, null if it
    /// never was well again.
    pub recovered: Option<f64>,
    /// From the end of the fault to the first good order that was asked for after it.
    pub first_success: Option<f64>,
    /// The slowest replacement of those killed.
    pub ready_ms: Option<i64>,
}

impl Requests {
    pub fn of<'a>(samples: impl Iterator<Item = &'a Sample>, dropped: u64) -> Self {
        let mut requests = Self {
            dropped,
            ..Self::default()
        };
        let mut times = Vec::new();
        for sample in samples {
            requests.sent += 1;
            requests.retried += u64::from(sample.retried);
            requests.slowest_answer_ms = requests.slowest_answer_ms.max(sample.slowest_ms());
            match sample.end {
                End::Ok => {
                    requests.ok += 1;
                    times.push(sample.took_ms());
                }
                End::Refused => requests.refused += 1,
                End::Failed => requests.failed += 1,
            }
        }
        requests.p50_ms = quantile(&mut times, 0.5);
        requests.p99_ms = quantile(&mut times, 0.99);
        requests
    }

    /// Without a good answer.
    pub fn bad(&self) -> u64 {
        self.refused + self.failed
    }

    /// Percent of all.
    pub fn bad_percent(&self) -> f64 {
        100.0 * self.bad() as f64 / self.sent.max(1) as f64
    }
}

/// The nearest rank.
fn quantile(times: &mut [f64], share: f64) -> Option<f64> {
    times.sort_unstable_by(f64::total_cmp);
    let rank = (share * times.len() as f64).ceil() as usize;
    times.get(rank.saturating_sub(1)).copied()
}

/// Those due within a part of the run.
pub fn within(samples: &[Sample], from: f64, to: f64) -> impl Iterator<Item = &Sample> {
    samples
        .iter()
        .filter(move |s| (from..to).contains(&s.due()))
}

pub fn by_second(samples: &[Sample]) -> Vec<Second> {
    let last = samples.iter().map(|s| s.due() as u32).max();
    let Some(last) = last else { return Vec::new() };
    let mut seconds = vec![Second::default(); last as usize + 1];
    let mut times = vec![Vec::new(); seconds.len()];
    for sample in samples {
        let at = sample.due() as usize;
        let second = &mut seconds[at];
        match sample.end {
            End::Ok => {
                second.ok += 1;
                times[at].push(sample.took_ms());
            }
            End::Refused => second.refused += 1,
            End::Failed => second.failed += 1,
        }
    }
    for (n, (second, times)) in (0..).zip(seconds.iter_mut().zip(&mut times)) {
        second.second = n;
        second.p99_ms = quantile(times, 0.99);
    }
    seconds
}

/// `healed` is when the fault ended (for a kill, when it was done), `end` the last moment seen.
pub fn recovery(samples: &[Sample], healed: f64, end: f64) -> Recovery {
    let bad = || samples.iter().filter(|s| s.end != End::Ok);
    let last_bad = bad().map(Sample::ended).max_by(f64::total_cmp);
    let recovered = match last_bad {
        Some(last) if last > healed => (end - last >= CALM).then_some(last - healed),
        _ => (end - healed >= CALM).then_some(0.0),
    };
    let good_orders = samples.iter().filter(|s| {
        let asked = s.what != What::Read && s.due() >= healed;
        asked && s.end == End::Ok
    });
    let first_success = good_orders.map(Sample::ended).min_by(f64::total_cmp);
    Recovery {
        first_bad: bad().map(Sample::due).min_by(f64::total_cmp),
        last_bad,
        recovered,
        first_success: first_success.map(|at| at - healed),
        ready_ms: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(due: f64) -> Sample {
        Sample::at(due, 10.0, End::Ok)
    }

    fn bad(due: f64) -> Sample {
        Sample::at(due, 10.0, End::Failed)
    }

    #[test]
    fn recovery_lasts_until_the_last_bad_request() {
        let samples = [
            ok(1.0),
            bad(2.0),
            bad(5.0),
            ok(5.5),
            bad(6.0),
            ok(7.0),
            ok(12.0),
        ];
        let found = recovery(&samples, 5.2, 12.0);
        assert_eq!(found.first_bad, Some(2.0));
        assert!((found.recovered.expect("calm") - 0.81).abs() < 1e-6);
        assert!((found.first_success.expect("one") - 0.31).abs() < 1e-6);
    }

    #[test]
    fn who_is_still_failing_at_the_end_has_not_recovered() {
        let samples = [ok(1.0), bad(2.0), ok(8.0), bad(9.0)];
        assert_eq!(recovery(&samples, 5.0, 10.0).recovered, None);
        assert_eq!(
            recovery(&[ok(1.0)], 5.0, 6.0).recovered,
            None,
            "not seen for long enough"
        );
        assert_eq!(
            recovery(&[ok(1.0), bad(2.0)], 5.0, 9.0).recovered,
            Some(0.0)
        );
    }

    #[test]
    fn a_503_is_told_from_a_failure_and_both_are_bad() {
        let refused = Sample::at(0.5, 2.0, End::Refused);
        let samples = [ok(0.0), refused, bad(1.5), ok(1.9)];
        let all = Requests::of(samples.iter(), 2);
        assert_eq!((all.ok, all.refused, all.failed, all.dropped), (2, 1, 1, 2));
        assert_eq!((all.bad(), all.bad_percent()), (2, 50.0));
        let seconds = by_second(&samples);
        assert_eq!((seconds[0].ok, seconds[0].refused), (1, 1));
        assert_eq!((seconds[1].ok, seconds[1].failed), (1, 1));
        assert_eq!(within(&samples, 1.0, 2.0).count(), 2);
    }

    #[test]
    fn the_99th_percentile_is_one_of_the_times() {
        let mut times: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!(quantile(&mut times, 0.99), Some(198.0));
        assert_eq!(quantile(&mut times[..1], 0.99), Some(1.0));
        assert_eq!(quantile(&mut [], 0.99), None);
    }
}
