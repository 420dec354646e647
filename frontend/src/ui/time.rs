//! Times of day in the reader's time zone.

use jiff::Timestamp;

/// `13:04:11`.
pub fn clock_seconds(time: Timestamp) -> String {
    let (hours, minutes, seconds) = parts(time);
    format!("{hours:02}:{minutes:02}:{seconds:02}")
}

/// `13:04`.
pub fn clock_minutes(time: Timestamp) -> String {
    let (hours, minutes, _) = parts(time);
    format!("{hours:02}:{minutes:02}")
}

fn parts(time: Timestamp) -> (u32, u32, u32) {
    let date = js_sys::Date::new(&(time.as_millisecond() as f64).into());
    (date.get_hours(), date.get_minutes(), date.get_seconds())
}
