//! Formats an age as kubectl does in the column `AGE`: in one or two units, with fewer digits the older it is. Pure.

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;

/// Formats an age: `5s`, `3m12s`, `45m`, `5h30m`, `30h`, `4d`.
pub fn age(seconds: u64) -> String {
    let one = |unit, name: &str| format!("{}{name}", seconds / unit);
    let two = |unit, name: &str, smaller, smaller_name: &str| match seconds % unit / smaller {
        0 => one(unit, name),
        rest => format!("{}{rest}{smaller_name}", one(unit, name)),
    };
    match seconds {
        _ if seconds < 2 * MINUTE => one(1, "s"),
        _ if seconds < 10 * MINUTE => two(MINUTE, "m", 1, "s"),
        _ if seconds < 3 * HOUR => one(MINUTE, "m"),
        _ if seconds < 8 * HOUR => two(HOUR, "h", MINUTE, "m"),
        _ if seconds < 2 * DAY => one(HOUR, "h"),
        _ if seconds < 8 * DAY => two(DAY, "d", HOUR, "h"),
        _ if seconds < 2 * YEAR => one(DAY, "d"),
        _ => two(YEAR, "y", DAY, "d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_like_kubectls() {
        let seconds = [0, 5, 119, 120, 192, 600, 2 * HOUR, 3 * HOUR, 5 * HOUR + 30 * MINUTE, 30 * HOUR + 59];
        assert_eq!(seconds.map(age), ["0s", "5s", "119s", "2m", "3m12s", "10m", "120m", "3h", "5h30m", "30h"]);
        let days = [(2, 0), (4, 0), (5, 7), (8, 23), (729, 0), (800, 0)].map(|(days, hours)| days * DAY + hours * HOUR);
        assert_eq!(days.map(age), ["2d", "4d", "5d7h", "8d", "729d", "2y70d"]);
    }
}
