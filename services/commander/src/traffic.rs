//! What gateways did, read from their metrics, and the golden signals made of it.
use serde::Serialize;
use telemetry::openmetrics::Sample;

/// Looking at the platform is not what the platform is for.
const WATCHING: &str = "/api/ops/";

/// One scrape of one gateway.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    /// Start of the process: counters of another process start again.
    started: f64,
    pub traffic: Traffic,
    pub in_flight: f64,
    pub limit: f64,
}

/// Requests and how long they took, counted over some time.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    requests: f64,
    errors: f64,
    /// By upper edge in seconds, ascending: how many took no longer.
    buckets: Vec<(f64, f64)>,
}

/// The four golden signals of the whole front door
/// (<https://sre.google/sre-book/monitoring-distributed-systems/>).
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Signals {
    /// The time these are made of.
    pub window_seconds: u64,
    pub requests_per_second: f64,
    /// Share of 5xx answers, 0 to 1.
    pub error_ratio: f64,
    /// Null without a request.
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// Requests being worked on.
    pub in_flight: u64,
    /// These as a share of what is taken before requests are refused.
    pub saturation: f64,
}

impl Scrape {
    pub fn read(samples: &[Sample<'_>]) -> Self {
        let mut scrape = Self::default();
        for sample in samples {
            scrape.add(sample);
        }
        scrape
    }

    fn add(&mut self, sample: &Sample<'_>) {
        let value = sample.value;
        match sample.name {
            "process_start_time_seconds" => self.started = value,
            "http_requests_in_flight" => self.in_flight = value,
            "http_requests_in_flight_limit" => self.limit = value,
            _ if sample.label("route").starts_with(WATCHING) => {}
            "http_requests_total" => {
                self.traffic.requests += value;
                if sample.label("status").starts_with('5') {
                    self.traffic.errors += value;
                }
            }
            "http_request_duration_seconds_bucket" => {
                if let Ok(edge) = sample.label("le").parse() {
                    self.traffic.count(edge, value);
                }
            }
            _ => {}
        }
    }

    /// What happened since an earlier scrape of the same address.
    pub fn since(&self, earlier: &Self) -> Traffic {
        let mut traffic = self.traffic.clone();
        if self.started == earlier.started {
            traffic.add(&earlier.traffic, -1.0);
        }
        traffic
    }
}

impl Traffic {
    /// Takes in `factor` times another.
    pub fn add(&mut self, other: &Self, factor: f64) {
        self.requests += factor * other.requests;
        self.errors += factor * other.errors;
        for (edge, count) in &other.buckets {
            self.count(*edge, factor * count);
        }
    }

    fn count(&mut self, edge: f64, count: f64) {
        let place = self.buckets.binary_search_by(|(e, _)| e.total_cmp(&edge));
        match place {
            Ok(at) => self.buckets[at].1 += count,
            Err(at) => self.buckets.insert(at, (edge, count)),
        }
    }

    /// The time in milliseconds within which this share was answered, with the interpolation of
    /// <https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile>.
    fn quantile(&self, share: f64) -> Option<f64> {
        let (_, all) = self.buckets.last().filter(|(_, all)| *all > 0.0)?;
        let rank = share * all;
        let (mut edge, mut below) = (0.0, 0.0);
        for (next, count) in &self.buckets {
            if *count >= rank && next.is_finite() {
                let part = if count > &below {
                    (rank - below) / (count - below)
                } else {
                    1.0
                };
                return Some(1000.0 * (edge + (next - edge) * part));
            }
            if next.is_finite() {
                (edge, below) = (*next, *count);
            }
        }
        Some(1000.0 * edge)
    }

    /// Of requests within so many seconds; load is not in here.
    pub fn signals(&self, seconds: f64) -> Signals {
        let share = |part: f64, of: f64| if of > 0.0 { part / of } else { 0.0 };
        Signals {
            requests_per_second: share(self.requests, seconds),
            error_ratio: share(self.errors, self.requests),
            p50_ms: self.quantile(0.5),
            p95_ms: self.quantile(0.95),
            p99_ms: self.quantile(0.99),
            ..Signals::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry::openmetrics::parse;

    fn scrape(started: u32, ok: u32, failed: u32, within: [u32; 3]) -> Scrape {
        let [fast, slow, all] = within;
        let text = format!(
            "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {started}\n\
             # TYPE http_requests counter\n\
             http_requests_total{{route=\"/a\",status=\"200\"}} {ok}\n\
             http_requests_total{{route=\"/b\",status=\"503\"}} {failed}\n\
             http_requests_total{{route=\"/api/ops/state\",status=\"500\"}} 1000\n\
             # TYPE http_request_duration_seconds histogram\n\
             http_request_duration_seconds_bucket{{route=\"/a\",le=\"0.1\"}} {fast}\n\
             http_request_duration_seconds_bucket{{route=\"/a\",le=\"1.0\"}} {slow}\n\
             http_request_duration_seconds_bucket{{route=\"/a\",le=\"+Inf\"}} {all}\n# EOF\n"
        );
        Scrape::read(&parse(&text).expect("good metrics"))
    }

    #[test]
    fn signals_are_those_of_the_time_between() {
        let before = scrape(1, 1000, 1000, [1000, 1000, 2000]);
        let after = scrape(1, 1090, 1010, [1050, 1090, 2100]);
        let signals = after.since(&before).signals(10.0);
        assert_eq!(signals.requests_per_second, 10.0);
        assert_eq!(signals.error_ratio, 0.1);
        assert_eq!(signals.p50_ms, Some(100.0));
        // The 90th of 100 is the last of its bucket; those beyond the last edge count as that edge.
        assert_eq!(
            (signals.p95_ms, signals.p99_ms),
            (Some(1000.0), Some(1000.0))
        );
    }

    #[test]
    fn a_replacement_counts_from_zero() {
        let before = scrape(1, 5000, 0, [5000, 5000, 5000]);
        let after = scrape(2, 20, 0, [20, 20, 20]);
        let signals = after.since(&before).signals(10.0);
        assert_eq!(signals.requests_per_second, 2.0);
        assert_eq!(signals.p50_ms, Some(50.0));
    }

    #[test]
    fn without_requests_there_are_no_times() {
        let same = scrape(1, 7, 1, [8, 8, 8]);
        let signals = same.since(&same).signals(10.0);
        assert_eq!(
            (signals.requests_per_second, signals.error_ratio),
            (0.0, 0.0)
        );
        assert_eq!((signals.p50_ms, signals.p99_ms), (None, None));
    }
}
