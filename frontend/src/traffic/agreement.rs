//! Does what was seen agree with what was expected? Shares with an interval of confidence (Wilson's), and a verdict that
//! does not cry wolf.

/// With fewer connections than this, nothing is judged.
pub const MIN_SAMPLES: u64 = 100;
/// For the interval that is shown: 95 %.
const SHOWN: f64 = 1.96;
/// For a verdict: it is looked at every second and for every endpoint, so it has to be wrong next to never.
const JUDGED: f64 = 4.0;

/// A share that was seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    pub count: u64,
    pub of: u64,
    pub share: f64,
    /// Half of the interval in which the true share is in 95 of 100 cases.
    pub margin: f64,
}

/// `None` without any connection.
pub fn seen(count: u64, of: u64) -> Option<Seen> {
    let (low, high) = interval(count, of, SHOWN)?;
    Some(Seen { count, of, share: count as f64 / of as f64, margin: (high - low) / 2.0 })
}

impl Seen {
    /// `0.33 ± 0.02`.
    pub fn text(&self) -> String {
        format!("{:.2} ± {:.2}", self.share, self.margin.max(0.01))
    }
}

/// Wilson's interval around `count / of`, `z` standard deviations wide to each side.
fn interval(count: u64, of: u64, z: f64) -> Option<(f64, f64)> {
    if of == 0 {
        return None;
    }
    let (n, p) = (of as f64, (count.min(of)) as f64 / of as f64);
    let scale = 1.0 + z * z / n;
    let middle = (p + z * z / (2.0 * n)) / scale;
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt() / scale;
    Some(((middle - half).max(0.0), (middle + half).min(1.0)))
}

/// What the rules let expect of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Expected {
    /// This share of independent choices.
    Share(f64),
    /// Choices depend on earlier ones (affinity), or on what is not known: nothing to compare with.
    Unknown,
}

/// Whether an endpoint gets what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Too few connections, or nothing to compare with.
    Open,
    Agrees,
    TooMuch,
    TooLittle,
    /// Traffic, where there should be none.
    Unexpected,
    /// No traffic, where there should be some.
    Missing,
}

impl Judgement {
    /// For people; `None` if there is nothing to say.
    pub fn words(self) -> Option<&'static str> {
        match self {
            Judgement::Open | Judgement::Agrees => None,
            Judgement::TooMuch => Some("gets more than predicted"),
            Judgement::TooLittle => Some("gets less than predicted"),
            Judgement::Unexpected => Some("gets traffic, though none is predicted"),
            Judgement::Missing => Some("gets no traffic, though it should"),
        }
    }
}

/// Judges `count` of `of` connections.
pub fn judge(expected: Expected, count: u64, of: u64) -> Judgement {
    let Expected::Share(share) = expected else { return Judgement::Open };
    let Some((low, high)) = interval(count, of, JUDGED).filter(|_| of >= MIN_SAMPLES) else {
        return Judgement::Open;
    };
    match count {
        // A connection or two may be older than the rules.
        0..=2 if share == 0.0 => Judgement::Agrees,
        _ if share == 0.0 => Judgement::Unexpected,
        0 if share > high => Judgement::Missing,
        _ if share > high => Judgement::TooLittle,
        _ if share < low => Judgement::TooMuch,
        _ => Judgement::Agrees,
    }
}
