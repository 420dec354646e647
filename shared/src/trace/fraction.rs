//! Exact probabilities.

use std::cmp::Ordering;
use std::fmt;

/// A probability as a reduced fraction: `numerator / denominator`, with `denominator > 0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fraction {
    numerator: u64,
    denominator: u64,
}

impl Fraction {
    pub const ONE: Fraction = Fraction { numerator: 1, denominator: 1 };
    pub const ZERO: Fraction = Fraction { numerator: 0, denominator: 1 };

    /// `None` if the denominator is 0.
    pub fn new(numerator: u64, denominator: u64) -> Option<Fraction> {
        (denominator > 0).then(|| reduced(u128::from(numerator), u128::from(denominator)))?
    }

    pub fn numerator(self) -> u64 {
        self.numerator
    }

    pub fn denominator(self) -> u64 {
        self.denominator
    }

    /// `self × part / whole`; `None` if the result has no exact form in 64 bits, or `whole` is 0.
    pub fn times(self, part: u64, whole: u64) -> Option<Fraction> {
        if part == whole && whole > 0 {
            return Some(self);
        }
        if whole == 0 {
            return None;
        }
        reduced(
            u128::from(self.numerator) * u128::from(part),
            u128::from(self.denominator) * u128::from(whole),
        )
    }

    /// `None` if the sum has no exact form in 64 bits.
    pub fn plus(self, other: Fraction) -> Option<Fraction> {
        if self.denominator == other.denominator {
            let sum = u128::from(self.numerator) + u128::from(other.numerator);
            return reduced(sum, u128::from(self.denominator));
        }
        let (a, b) = (u128::from(self.denominator), u128::from(other.denominator));
        let left = u128::from(self.numerator).checked_mul(b)?;
        let right = u128::from(other.numerator).checked_mul(a)?;
        reduced(left.checked_add(right)?, a.checked_mul(b)?)
    }

    pub fn as_f64(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }
}

fn reduced(numerator: u128, denominator: u128) -> Option<Fraction> {
    // Nearly always small enough for the faster arithmetic.
    let divisor = match (u64::try_from(numerator), u64::try_from(denominator)) {
        (Ok(a), Ok(b)) => u128::from(greatest_common_divisor(a, b)),
        _ => greatest_common_divisor_128(numerator, denominator),
    };
    let divisor = divisor.max(1);
    Some(Fraction {
        numerator: u64::try_from(numerator / divisor).ok()?,
        denominator: u64::try_from(denominator / divisor).ok()?,
    })
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn greatest_common_divisor_128(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl PartialOrd for Fraction {
    fn partial_cmp(&self, other: &Fraction) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Fraction {
    fn cmp(&self, other: &Fraction) -> Ordering {
        let left = u128::from(self.numerator) * u128::from(other.denominator);
        left.cmp(&(u128::from(other.numerator) * u128::from(self.denominator)))
    }
}

/// `1/3`, or `1` and `0` for whole numbers.
impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.denominator {
            1 => write!(f, "{}", self.numerator),
            denominator => write!(f, "{}/{denominator}", self.numerator),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cascade_of_one_in_n_is_one_each() {
        let (mut left, mut sum) = (Fraction::ONE, Fraction::ZERO);
        for n in (1..=1000_u64).rev() {
            let one = left.times(1, n).unwrap();
            assert_eq!(one, Fraction::new(1, 1000).unwrap());
            left = left.times(n - 1, n).unwrap();
            sum = sum.plus(one).unwrap();
        }
        assert_eq!((left, sum), (Fraction::ZERO, Fraction::ONE));
    }

    #[test]
    fn what_has_no_exact_form_is_nothing() {
        let tiny = Fraction::new(1, u64::MAX).unwrap();
        assert_eq!(tiny.times(1, 3), None);
        assert_eq!(Fraction::new(1, 0), None);
        assert_eq!(Fraction::ONE.times(1, 0), None);
        assert!(Fraction::new(1, 3) < Fraction::new(1, 2));
    }

    #[test]
    fn fractions_print_reduced() {
        let rows = [((2, 6), "1/3"), ((4, 4), "1"), ((0, 9), "0"), ((5, 2), "5/2")];
        for ((a, b), expected) in rows {
            assert_eq!(Fraction::new(a, b).unwrap().to_string(), expected);
        }
    }
}
