//! Counts of what passed, failed and was skipped, added up from what cargo's test harness prints. A check that is
//! not a test counts as one.

use std::fmt;
use std::ops::AddAssign;

/// How many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) skipped: u32,
}

impl Tally {
    pub(crate) const PASSED: Self = Self { passed: 1, failed: 0, skipped: 0 };
    pub(crate) const FAILED: Self = Self { passed: 0, failed: 1, skipped: 0 };
    pub(crate) const SKIPPED: Self = Self { passed: 0, failed: 0, skipped: 1 };

    /// For a step that failed before or beside its tests.
    pub(crate) fn at_least_one_failure(self) -> Self {
        Self { failed: self.failed.max(1), ..self }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Adds up every `test result: ok. 3 passed; 0 failed; 1 ignored; …` of a log.
pub(crate) fn tests_in(log: &str) -> Tally {
    let mut tally = Tally::default();
    for line in log.lines().filter_map(|line| line.trim().strip_prefix("test result: ")) {
        tally += Tally {
            passed: count(line, "passed"),
            failed: count(line, "failed"),
            skipped: count(line, "ignored"),
        };
    }
    tally
}

fn count(line: &str, what: &str) -> u32 {
    let words: Vec<&str> = line.split([' ', ';']).filter(|word| !word.is_empty()).collect();
    words.windows(2).find(|pair| pair[1] == what).and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_a_log_are_added_up() {
        let rows = [
            ("", Tally::default()),
            (
                "running 2 tests\ntest result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.10s",
                Tally { passed: 2, failed: 0, skipped: 1 },
            ),
            (
                "test result: ok. 2 passed; 0 failed; 0 ignored; 0 filtered out\n\ntest result: FAILED. 1 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out",
                Tally { passed: 3, failed: 3, skipped: 0 },
            ),
        ];
        for (log, expected) in rows {
            assert_eq!(tests_in(log), expected, "{log}");
        }
    }
}
