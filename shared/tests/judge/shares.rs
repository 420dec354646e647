//! Whether counts are as likely as they should be: Pearson's chi-squared test.

/// How likely counts that deviate this much or more from the expected shares are, if the shares are right.
///
/// With `2m` degrees of freedom (an odd number of shares, all above 0), the tail of the chi-squared distribution is a
/// Poisson sum: `P(X > x) = e^(-x/2) · Σ (x/2)^i / i!` for `i < m`.
pub fn likelihood(counts: &[usize], shares: &[f64]) -> f64 {
    assert!(counts.len() == shares.len() && counts.len() % 2 == 1, "an odd number of shares");
    let all: usize = counts.iter().sum();
    let deviation = |(count, share): (&usize, &f64)| {
        let expected = share * all as f64;
        (*count as f64 - expected).powi(2) / expected
    };
    let half = counts.iter().zip(shares).map(deviation).sum::<f64>() / 2.0;
    let terms = (1..counts.len() / 2).scan(1.0, |term, i| {
        *term *= half / i as f64;
        Some(*term)
    });
    (-half).exp() * (1.0 + terms.sum::<f64>())
}
