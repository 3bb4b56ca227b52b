//! Which traces are kept, as
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/> has it.
use std::sync::OnceLock;

/// Process-wide like the exporter it works for; unset, what the caller wants is kept.
static SAMPLER: OnceLock<Sampler> = OnceLock::new();

/// All of what a ratio is a part of: the lower 63 bits of a trace id.
const ALL: u64 = 1 << 63;

/// Decides about each trace by its id, so that every process comes to the same answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sampler {
    /// Ids below this are kept.
    bound: u64,
    /// The caller's decision stands, where there is a caller.
    follows: bool,
}

/// What `OTEL_TRACES_SAMPLER` may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    AlwaysOn,
    AlwaysOff,
    Ratio,
}

/// A kind, and whether the caller's decision comes first.
pub type Choice = (Kind, bool);

/// Reads `OTEL_TRACES_SAMPLER`; empty is unset.
pub(crate) fn choice(text: &str) -> Result<Choice, String> {
    let (name, follows) = match text.strip_prefix("parentbased_") {
        Some(name) => (name, true),
        None => (text, false),
    };
    match name {
        "" if text.is_empty() => Ok((Kind::AlwaysOn, true)),
        "always_on" => Ok((Kind::AlwaysOn, follows)),
        "always_off" => Ok((Kind::AlwaysOff, follows)),
        "traceidratio" => Ok((Kind::Ratio, follows)),
        _ => {
            Err("expected always_on, always_off or traceidratio, or parentbased_ before one".into())
        }
    }
}

/// Reads `OTEL_TRACES_SAMPLER_ARG`; empty is unset, which means all.
pub(crate) fn ratio(text: &str) -> Result<f64, String> {
    if text.is_empty() {
        return Ok(1.0);
    }
    let ratio = text.parse().ok().filter(|r| (0.0..=1.0).contains(r));
    ratio.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

impl Sampler {
    pub fn new((kind, follows): Choice, ratio: f64) -> Self {
        let bound = match kind {
            Kind::AlwaysOn => ALL,
            Kind::AlwaysOff => 0,
            Kind::Ratio => (ratio * ALL as f64) as u64,
        };
        Self { bound, follows }
    }

    pub fn install(self) {
        SAMPLER.set(self).ok();
    }

    fn decide(self, trace_id: u128, caller: Option<bool>) -> bool {
        match caller {
            Some(kept) if self.follows => kept,
            // The lower half, without its last bit: what OpenTelemetry's own libraries look at.
            _ => (trace_id as u64) >> 1 < self.bound,
        }
    }
}

/// Is this trace kept? `caller`: what the caller decided, if there is one.
pub(crate) fn decide(trace_id: u128, caller: Option<bool>) -> bool {
    match SAMPLER.get() {
        Some(sampler) => sampler.decide(trace_id, caller),
        None => caller.unwrap_or(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(name: &str, argument: &str) -> Sampler {
        let ratio = ratio(argument).expect("a ratio");
        Sampler::new(choice(name).expect("a sampler"), ratio)
    }

    #[test]
    fn a_ratio_of_all_traces_is_kept() {
        let quarter = sampler("parentbased_traceidratio", "0.25");
        let kept = (0..10_000).filter(|_| quarter.decide(rand::random(), None));
        assert!((2200..2800).contains(&kept.count()));
        // The last id below the bound, and the first above.
        assert!(quarter.decide((1 << 62) - 1, None));
        assert!(!quarter.decide(1 << 62, None));
        for (name, argument, kept) in [
            ("", "", true),
            ("always_on", "0.1", true),
            ("always_off", "1", false),
            ("traceidratio", "", true),
            ("traceidratio", "0", false),
        ] {
            let sampler = sampler(name, argument);
            let all = [0, 1, u128::from(u64::MAX), u128::MAX];
            assert!(
                all.iter().all(|id| sampler.decide(*id, None) == kept),
                "{name}"
            );
        }
    }

    #[test]
    fn a_caller_decides_only_where_the_parent_counts() {
        for (name, follows) in [("parentbased_always_off", true), ("always_off", false)] {
            assert_eq!(sampler(name, "").decide(1, Some(true)), follows, "{name}");
        }
        assert!(!sampler("", "").decide(1, Some(false)));
        assert!(sampler("always_on", "").decide(1, Some(false)));
    }

    #[test]
    fn what_is_unknown_is_refused() {
        for bad in ["on", "jaeger_remote", "parentbased_", "parentbased_on"] {
            assert!(choice(bad).is_err(), "{bad}");
        }
        for bad in ["-0.1", "1.1", "NaN", "half"] {
            assert!(ratio(bad).is_err(), "{bad}");
        }
    }
}
