//! Days in the zone of TZ. No IO here.
use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeZone as _, Utc};
use chrono_tz::Tz;

/// The day it is now.
pub fn today(now: DateTime<Utc>, tz: Tz) -> NaiveDate {
    now.with_timezone(&tz).date_naive()
}

/// A date as in 2026-11-21.
pub fn parse_day(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()
}

/// When a day begins: the first moment that exists in its zone (some days start at one o'clock).
pub fn start(day: NaiveDate, tz: Tz) -> DateTime<Utc> {
    let midnight = day.and_time(NaiveTime::MIN);
    let mut hours = (0..24).map(|h| midnight + chrono::TimeDelta::hours(h));
    let local = hours.find_map(|at| tz.from_local_datetime(&at).earliest());
    local.map_or(midnight.and_utc(), |at| at.with_timezone(&Utc))
}

/// From the beginning of a day to the beginning of the next.
pub fn bounds(day: NaiveDate, tz: Tz) -> (DateTime<Utc>, DateTime<Utc>) {
    let next = day.checked_add_days(Days::new(1)).unwrap_or(day);
    (start(day, tz), start(next, tz))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(day: &str, tz: Tz) -> i64 {
        let (from, to) = bounds(parse_day(day).expect("a day"), tz);
        (to - from).num_hours()
    }

    #[test]
    fn days_are_those_of_the_zone() {
        let now = "2026-11-21T23:30:00Z".parse().expect("a time");
        assert_eq!(today(now, Tz::Europe__Berlin).to_string(), "2026-11-22");
        assert_eq!(today(now, Tz::UTC).to_string(), "2026-11-21");
        assert_eq!(hours("2026-03-29", Tz::Europe__Berlin), 23);
        assert_eq!(hours("2026-10-25", Tz::Europe__Berlin), 25);
        // Midnight doesn't exist on this day in this zone.
        assert_eq!(hours("2026-04-24", Tz::Africa__Cairo), 23);
    }
}
