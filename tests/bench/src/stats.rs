//! Robust statistics: by order only, so that a short disturbance changes nothing.

/// The quantile `q` (0 to 1) of values in any order, interpolated; NaN without values.
pub fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let position = q.clamp(0.0, 1.0) * last as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the last index")]
    let below = position.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * position.fract()
}

/// The middle value.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// Lower quartile, median and upper quartile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// A quarter of the values is lower.
    pub lower: f64,
    /// Half of the values are lower.
    pub median: f64,
    /// Three quarters of the values are lower.
    pub upper: f64,
}

impl Spread {
    /// The quartiles of values in any order.
    pub fn of(values: &[f64]) -> Self {
        Self { lower: quantile(values, 0.25), median: median(values), upper: quantile(values, 0.75) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate_between_neighbours() {
        assert_eq!(Spread::of(&[4.0, 1.0, 3.0, 2.0, 5.0]), Spread { lower: 2.0, median: 3.0, upper: 4.0 });
        assert!((median(&[1.0, 2.0]) - 1.5).abs() < 1e-12);
        assert!((quantile(&[7.0], 0.99) - 7.0).abs() < 1e-12);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn one_disturbed_value_moves_no_median() {
        let mut values = vec![10.0; 99];
        values.push(1e9);
        assert!((median(&values) - 10.0).abs() < 1e-12);
    }
}
