//! A date and a time as the standard writes them, in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

/// When something was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// `YYYYMMDD`.
    pub date: String,
    /// `HHMMSS`.
    pub time: String,
}

impl Moment {
    /// This second.
    pub fn now() -> Self {
        let seconds =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self::of_unix(seconds)
    }

    /// Seconds since the beginning of 1970.
    pub fn of_unix(seconds: u64) -> Self {
        let (year, month, day) = civil(seconds / 86_400);
        let of_day = seconds % 86_400;
        let [hour, minute, second] = [of_day / 3600, of_day / 60 % 60, of_day % 60];
        Self {
            date: format!("{year:04}{month:02}{day:02}"),
            time: format!("{hour:02}{minute:02}{second:02}"),
        }
    }
}

/// Year, month and day of a day of the Gregorian calendar, counted from 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut year, mut left) = (1970, days);
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        // Years of four digits are all that can be written.
        if left < length || year == 9999 {
            break;
        }
        left -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    (year, month, left.min(30) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        let of = |seconds| {
            let Moment { date, time } = Moment::of_unix(seconds);
            format!("{date} {time}")
        };
        // From `date -u -d @SECONDS`.
        assert_eq!(of(0), "19700101 000000");
        assert_eq!(of(951_827_696), "20000229 123456");
        assert_eq!(of(1_704_067_199), "20231231 235959");
        assert_eq!(of(4_107_542_399), "21000228 235959");
        assert_eq!(of(4_107_542_400), "21000301 000000");
    }
}
