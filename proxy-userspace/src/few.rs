//! Few lines for much news: forty thousand bad objects must not bury everything else that the agent says, nor fill a disk. News
//! of one topic are told one by one as long as they are few, else by their number and some examples. Pure: callers write.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

/// The most lines of a topic in any [`PERIOD`].
const LINES: usize = 10;
const PERIOD: Duration = Duration::from_mins(1);
/// How many examples a number comes with.
const EXAMPLES: usize = 3;
/// More topics than this share the one without a name.
const TOPICS: usize = 100;

/// What is to be said of a topic now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told<T> {
    /// These, a line each.
    Each(Vec<T>),
    /// One line for so many, of which these are some.
    Sum(usize, Vec<T>),
}

/// News by topic, and when lines have been written.
#[derive(Debug)]
pub(crate) struct Few<T> {
    topics: BTreeMap<String, Topic<T>>,
}

#[derive(Debug)]
struct Topic<T> {
    /// The first of what is to be told.
    first: Vec<T>,
    count: usize,
    lines: VecDeque<Instant>,
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self { topics: BTreeMap::new() }
    }
}

impl<T> Few<T> {
    /// Some news. Numbers in the topic's name don't count: `ports[0]` is `ports[7]`.
    pub(crate) fn add(&mut self, topic: &str, news: T) {
        let mut name: String = topic.chars().filter(|letter| !letter.is_ascii_digit()).collect();
        if self.topics.len() >= TOPICS && !self.topics.contains_key(&name) {
            name = String::new();
        }
        let topic =
            self.topics.entry(name).or_insert_with(|| Topic { first: Vec::new(), count: 0, lines: VecDeque::new() });
        topic.count += 1;
        if topic.first.len() < LINES {
            topic.first.push(news);
        }
    }

    /// Takes what is to be said now. What finds no room waits.
    pub(crate) fn tell(&mut self, now: Instant) -> Vec<(String, Told<T>)> {
        let mut told = Vec::new();
        self.topics.retain(|name, topic| {
            topic.lines.retain(|line| now.saturating_duration_since(*line) < PERIOD);
            told.extend(topic.tell(now).map(|news| (name.clone(), news)));
            !topic.lines.is_empty() || topic.count != 0
        });
        told
    }

    /// Whether something waits to be told.
    pub(crate) fn is_waiting(&self) -> bool {
        self.topics.values().any(|topic| topic.count != 0)
    }
}

impl<T> Topic<T> {
    fn tell(&mut self, now: Instant) -> Option<Told<T>> {
        let room = LINES - self.lines.len();
        if self.count == 0 || room == 0 {
            return None;
        }
        let (count, mut first) = (std::mem::take(&mut self.count), std::mem::take(&mut self.first));
        let lines = if count <= room { count } else { 1 };
        self.lines.extend(std::iter::repeat_n(now, lines));
        if count <= room {
            return Some(Told::Each(first));
        }
        first.truncate(EXAMPLES);
        Some(Told::Sum(count, first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_s07_few_are_told_one_by_one_and_many_by_their_number() {
        let (mut few, now) = (Few::default(), Instant::now());
        few.add("spec.ports[0].port", 1);
        few.add("spec.ports[17].port", 2);
        few.add("spec.type", 3);
        let ports = ("spec.ports[].port".to_owned(), Told::Each(vec![1, 2]));
        assert_eq!(few.tell(now), [ports, ("spec.type".to_owned(), Told::Each(vec![3]))]);
        (0..40_000).for_each(|number| few.add("spec.type", number));
        assert_eq!(few.tell(now), [("spec.type".to_owned(), Told::Sum(40_000, vec![0, 1, 2]))]);
        assert!(few.tell(now).is_empty() && !few.is_waiting());
    }

    #[test]
    fn field_s07_a_stream_makes_ten_lines_a_minute_and_loses_none() {
        let (mut few, start) = (Few::default(), Instant::now());
        let mut told = Vec::new();
        for number in 0..6000_u32 {
            let now = start + Duration::from_millis(100) * number;
            few.add("spec.type", number);
            told.extend(few.tell(now).into_iter().map(|(_, news)| (now, news)));
        }
        let lines = |news: &Told<u32>| if let Told::Each(each) = news { each.len() } else { 1 };
        for (from, _) in &told {
            let minute = told.iter().filter(|(now, _)| now >= from && *now - *from < PERIOD);
            assert!(minute.map(|(_, news)| lines(news)).sum::<usize>() <= LINES);
        }
        let counted = |news: &Told<u32>| if let Told::Sum(count, _) = news { *count } else { lines(news) };
        let counted: usize = told.iter().map(|(_, news)| counted(news)).sum();
        assert!(few.is_waiting());
        let rest = few.tell(start + Duration::from_secs(700));
        let [(_, Told::Sum(rest, _))] = &rest[..] else { panic!("{rest:?}") };
        assert_eq!(counted + rest, 6000);
    }

    #[test]
    fn field_s07_topics_are_bounded_and_forgotten() {
        let (mut few, now) = (Few::default(), Instant::now());
        let name = |number: u32| char::from_u32(0x4e00 + number).unwrap().to_string();
        (0..5000).for_each(|number| few.add(&name(number), number));
        assert_eq!(few.topics.len(), TOPICS + 1);
        let told = few.tell(now);
        assert_eq!(told[0], (String::new(), Told::Sum(4900, vec![100, 101, 102])));
        few.tell(now + PERIOD);
        assert!(few.topics.is_empty());
    }
}
