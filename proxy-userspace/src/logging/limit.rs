//! Limits log lines by topic: forty thousand bad objects must neither hide the agent's other log lines nor fill a disk.
//! A few items of a topic get a line each; many get one line with their number and some examples. Pure: callers write the
//! lines.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

/// The most lines of a topic in any [`PERIOD`].
const LINES: usize = 10;
const PERIOD: Duration = Duration::from_mins(1);
/// How many examples a summary has.
const EXAMPLES: usize = 3;
/// Topics beyond this number share one topic without a name.
const TOPICS: usize = 100;

/// What to log about a topic now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lines<T> {
    /// A line for each item.
    Each(Vec<T>),
    /// One line for this number of items, with some of them as examples.
    Summary(usize, Vec<T>),
}

/// Items that wait to be logged, by topic, with the times of past lines.
#[derive(Debug)]
pub(crate) struct LogLimit<T> {
    topics: BTreeMap<String, Topic<T>>,
}

#[derive(Debug)]
struct Topic<T> {
    /// The first waiting items.
    first: Vec<T>,
    count: usize,
    lines: VecDeque<Instant>,
}

impl<T> Default for LogLimit<T> {
    fn default() -> Self {
        Self { topics: BTreeMap::new() }
    }
}

impl<T> LogLimit<T> {
    /// Adds an item. Digits in the topic's name are ignored: `ports[0]` and `ports[7]` are one topic.
    pub(crate) fn add(&mut self, topic: &str, item: T) {
        let mut name: String = topic.chars().filter(|letter| !letter.is_ascii_digit()).collect();
        if self.topics.len() >= TOPICS && !self.topics.contains_key(&name) {
            name = String::new();
        }
        let topic =
            self.topics.entry(name).or_insert_with(|| Topic { first: Vec::new(), count: 0, lines: VecDeque::new() });
        topic.count += 1;
        if topic.first.len() < LINES {
            topic.first.push(item);
        }
    }

    /// Takes the items that may be logged now. The rest waits.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<(String, Lines<T>)> {
        let mut due = Vec::new();
        self.topics.retain(|name, topic| {
            topic.lines.retain(|line| now.saturating_duration_since(*line) < PERIOD);
            due.extend(topic.due(now).map(|items| (name.clone(), items)));
            !topic.lines.is_empty() || topic.count != 0
        });
        due
    }

    /// True if items wait to be logged.
    pub(crate) fn is_waiting(&self) -> bool {
        self.topics.values().any(|topic| topic.count != 0)
    }
}

impl<T> Topic<T> {
    fn due(&mut self, now: Instant) -> Option<Lines<T>> {
        let room = LINES - self.lines.len();
        if self.count == 0 || room == 0 {
            return None;
        }
        let (count, mut first) = (std::mem::take(&mut self.count), std::mem::take(&mut self.first));
        let lines = if count <= room { count } else { 1 };
        self.lines.extend(std::iter::repeat_n(now, lines));
        if count <= room {
            return Some(Lines::Each(first));
        }
        first.truncate(EXAMPLES);
        Some(Lines::Summary(count, first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_s07_few_are_logged_one_by_one_and_many_by_their_number() {
        let (mut log, now) = (LogLimit::default(), Instant::now());
        log.add("spec.ports[0].port", 1);
        log.add("spec.ports[17].port", 2);
        log.add("spec.type", 3);
        let ports = ("spec.ports[].port".to_owned(), Lines::Each(vec![1, 2]));
        assert_eq!(log.due(now), [ports, ("spec.type".to_owned(), Lines::Each(vec![3]))]);
        (0..40_000).for_each(|number| log.add("spec.type", number));
        assert_eq!(log.due(now), [("spec.type".to_owned(), Lines::Summary(40_000, vec![0, 1, 2]))]);
        assert!(log.due(now).is_empty() && !log.is_waiting());
    }

    #[test]
    fn field_s07_a_stream_makes_ten_lines_a_minute_and_loses_none() {
        let (mut log, start) = (LogLimit::default(), Instant::now());
        let mut due = Vec::new();
        for number in 0..6000_u32 {
            let now = start + Duration::from_millis(100) * number;
            log.add("spec.type", number);
            due.extend(log.due(now).into_iter().map(|(_, items)| (now, items)));
        }
        let lines = |items: &Lines<u32>| if let Lines::Each(each) = items { each.len() } else { 1 };
        for (from, _) in &due {
            let minute = due.iter().filter(|(now, _)| now >= from && *now - *from < PERIOD);
            assert!(minute.map(|(_, items)| lines(items)).sum::<usize>() <= LINES);
        }
        let counted = |items: &Lines<u32>| if let Lines::Summary(count, _) = items { *count } else { lines(items) };
        let counted: usize = due.iter().map(|(_, items)| counted(items)).sum();
        assert!(log.is_waiting());
        let rest = log.due(start + Duration::from_secs(700));
        let [(_, Lines::Summary(rest, _))] = &rest[..] else { panic!("{rest:?}") };
        assert_eq!(counted + rest, 6000);
    }

    #[test]
    fn field_s07_topics_are_bounded_and_forgotten() {
        let (mut log, now) = (LogLimit::default(), Instant::now());
        let name = |number: u32| char::from_u32(0x4e00 + number).unwrap().to_string();
        (0..5000).for_each(|number| log.add(&name(number), number));
        assert_eq!(log.topics.len(), TOPICS + 1);
        let due = log.due(now);
        assert_eq!(due[0], (String::new(), Lines::Summary(4900, vec![100, 101, 102])));
        log.due(now + PERIOD);
        assert!(log.topics.is_empty());
    }
}
