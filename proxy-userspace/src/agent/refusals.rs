//! Logs which parts of a plan are not in force, in few lines: with 40,000 Services and a map for 30,000, a line for each at every
//! retry would bury all other lines.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Display,
    time::{Duration, Instant},
};

use tracing::{error, info};

/// The most lines in any [`PERIOD`]. The last one is reserved for the news that all is well again.
const LINES: usize = 10;
const PERIOD: Duration = Duration::from_mins(1);
/// The most lines at once.
const AT_ONCE: usize = 3;

/// The parts of a plan that are not in force because of one error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// How many parts are not in force.
    pub parts: usize,
    /// The first of them.
    pub first: String,
    /// Whether the first of them is a Service.
    pub is_service: bool,
}

/// The parts that are not in force at present, by the text of the error.
pub type Errors = BTreeMap<String, Refused>;

/// Collects what one try refuses, and remembers what has been logged about earlier tries.
#[derive(Debug, Default)]
pub struct Refusals {
    current: Errors,
    /// The parts that were logged last; empty once all is in force again.
    logged: Errors,
    /// When the lines of the last [`PERIOD`] were written.
    lines: VecDeque<Instant>,
}

impl Refusals {
    /// Adds a Service that is not in force because of `error`.
    pub fn add_service(&mut self, service: impl Display, error: impl Display) {
        self.add_part(service, true, error);
    }

    /// Adds another part of the data plane, such as a prefix, that is not in force because of `error`.
    pub fn add(&mut self, part: impl Display, error: impl Display) {
        self.add_part(part, false, error);
    }

    fn add_part(&mut self, part: impl Display, is_service: bool, error: impl Display) {
        let refused = || Refused { parts: 0, first: part.to_string(), is_service };
        self.current.entry(error.to_string()).or_insert_with(refused).parts += 1;
    }

    /// Begins another try: forgets what the last one refused.
    pub fn begin(&mut self) {
        self.current.clear();
    }

    /// Returns what the last try has not brought into force.
    pub fn current(&self) -> &Errors {
        &self.current
    }

    /// Logs what is new about the last try: now, or at a later call if there have been too many lines.
    pub fn log(&mut self, now: Instant) {
        let Some(unlogged) = self.take_unlogged(now) else { return };
        if unlogged.is_empty() {
            info!("no longer degraded: everything is in force");
        }
        for (error, Refused { parts, first, is_service }) in unlogged.iter().take(AT_ONCE) {
            let (service, first) = if *is_service { (Some(first), None) } else { (None, Some(first)) };
            error!(service, first, parts, error, "degraded: not fully in force, trying again");
        }
    }

    /// Returns what to log now: what is not in force, empty if all is in force again. `None` if there is nothing new, or no line
    /// left.
    fn take_unlogged(&mut self, now: Instant) -> Option<&Errors> {
        let current = &self.current;
        if *current == self.logged {
            return None;
        }
        while self.lines.front().is_some_and(|line| now.duration_since(*line) >= PERIOD) {
            self.lines.pop_front();
        }
        let (wanted, room) = if current.is_empty() { (1, LINES) } else { (current.len().min(AT_ONCE), LINES - 1) };
        if self.lines.len() + wanted > room {
            return None;
        }
        self.lines.extend(std::iter::repeat_n(now, wanted));
        self.logged.clone_from(current);
        Some(&self.logged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = "SERVICES is full; start waggle with a larger --max-services";

    /// Returns how many lines a try logs whose errors each refuse the given number of Services.
    fn lines(refusals: &mut Refusals, now: Instant, errors: &[(&str, usize)]) -> usize {
        refusals.begin();
        for (error, count) in errors {
            (0..*count).for_each(|number| refusals.add_service(format_args!("default/web-{number}"), error));
        }
        refusals.take_unlogged(now).map_or(0, |errors| errors.len().clamp(1, AT_ONCE))
    }

    #[test]
    fn field_s07_forty_thousand_refusals_are_one_line() {
        let mut refusals = Refusals::default();
        let start = Instant::now();
        (0..11_357).for_each(|number| refusals.add_service(format_args!("default/web-{number}"), FULL));
        let expected = Errors::from([(
            FULL.to_owned(),
            Refused { parts: 11_357, first: "default/web-0".to_owned(), is_service: true },
        )]);
        assert_eq!(refusals.take_unlogged(start), Some(&expected));
        // As long as nothing changes, never again.
        for second in 1..1000 {
            assert_eq!(lines(&mut refusals, start + Duration::from_secs(second), &[(FULL, 11_357)]), 0);
        }
        assert_eq!(lines(&mut refusals, start + Duration::from_secs(1000), &[]), 1, "all is well again");
        assert_eq!(lines(&mut refusals, start + Duration::from_secs(1001), &[]), 0);
        assert_eq!(lines(&mut refusals, start + Duration::from_secs(1002), &[(FULL, 1)]), 1, "and bad again at once");
    }

    #[test]
    fn what_there_was_no_line_for_is_reported_later() {
        let start = Instant::now();
        let mut refusals = Refusals::default();
        let mut logged = 0;
        for n in 1..=12 {
            logged += lines(&mut refusals, start, &[(FULL, n)]);
        }
        assert_eq!(logged, LINES - 1);
        assert_eq!(lines(&mut refusals, start, &[]), 1);
        assert_eq!(lines(&mut refusals, start, &[(FULL, 1)]), 0);
        assert_eq!(refusals.take_unlogged(start + PERIOD).map(Errors::len), Some(1), "without another try");
        assert_eq!(refusals.take_unlogged(start + PERIOD), None);
    }

    #[test]
    fn field_s07_error_lines_are_at_most_ten_a_minute() {
        let start = Instant::now();
        let at = |tenth: u64| start + Duration::from_millis(100 * tenth);
        let many: Vec<_> = ["a", "b", "c", "d", "e", "f"].map(|error| (error, 2)).into();
        for flapping in [false, true] {
            let mut refusals = Refusals::default();
            let logged: Vec<usize> = (0..6000_usize)
                .map(|tenth| {
                    let count = if flapping && tenth % 2 == 1 { 0 } else { many.len() };
                    let errors: Vec<_> = many[..count].iter().map(|(error, n)| (*error, n + tenth % 7)).collect();
                    lines(&mut refusals, at(tenth as u64), &errors)
                })
                .collect();
            assert!(logged.windows(600).all(|minute| minute.iter().sum::<usize>() <= 10), "{flapping}");
            assert!(logged.iter().sum::<usize>() >= 20, "what changes is logged");
        }
    }
}
