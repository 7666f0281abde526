//! Formats numbers for people. Pure.

/// The units of large numbers.
const UNITS: [&str; 5] = ["", "k", "M", "G", "T"];

/// Formats a number with three or four significant digits: `0`, `0.3`, `12.5`, `640`, `1.2k`. `-` if it is not known.
pub fn short(value: Option<f64>) -> String {
    let Some(mut value) = value else { return "-".to_owned() };
    let mut units = UNITS.into_iter();
    let mut unit = units.next().unwrap_or_default();
    while value >= 999.5 {
        let Some(next) = units.next() else { break };
        value /= 1000.0;
        unit = next;
    }
    match value {
        _ if value == 0.0 => "0".to_owned(),
        // It has happened, if only once in a long interval.
        0.0..0.05 => "<0.1".to_owned(),
        0.0..99.95 => format!("{value:.1}{unit}"),
        _ => format!("{value:.0}{unit}"),
    }
}

/// Formats a part of a whole, from 0 to 1, in percent; `-` if it is not known.
pub fn percent(part: Option<f64>) -> String {
    part.map_or_else(|| "-".to_owned(), |part| format!("{:.1}%", part * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_few_digits() {
        let values = [0.0, 0.01, 0.25, 12.54, 99.96, 640.0, 999.4, 999.6, 1234.0, 99_990.0, 640_000.0, 2.5e6, 1e16];
        let texts = values.map(|value| short(Some(value)));
        let wanted =
            ["0", "<0.1", "0.2", "12.5", "100", "640", "999", "1.0k", "1.2k", "100k", "640k", "2.5M", "10000T"];
        assert_eq!(texts, wanted);
        assert_eq!(short(None), "-");
    }

    #[test]
    fn parts_are_in_percent() {
        assert_eq!([Some(1.0 / 3.0), Some(1.0), Some(0.0), None].map(percent), ["33.3%", "100.0%", "0.0%", "-"]);
    }
}
