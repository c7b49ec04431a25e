//! Medians and percentiles, exact: every value is kept.

/// The middle value; between the two middle ones if there are two. 0 of nothing.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = |back: usize| values.get(values.len().saturating_sub(back) / 2).copied().unwrap_or_default();
    f64::midpoint(middle(1), middle(0))
}

/// The smallest value that `per_mille` of a thousand in `sorted` do not exceed. 0 of nothing.
pub(crate) fn percentile(sorted: &[u64], per_mille: usize) -> u64 {
    let rank = (sorted.len() * per_mille).div_ceil(1000);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
    }

    #[test]
    fn the_median_lies_in_the_middle_or_between_the_middle_ones() {
        assert_close(median([3.0, 1.0, 2.0]), 2.0);
        assert_close(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_close(median([]), 0.0);
    }

    #[test]
    fn a_percentile_is_a_value_that_occurred() {
        let values: Vec<u64> = (1..=1000).collect();
        assert_eq!((percentile(&values, 500), percentile(&values, 990), percentile(&values, 999)), (500, 990, 999));
        assert_eq!(percentile(&[7], 999), 7);
        assert_eq!(percentile(&[], 990), 0);
    }
}
