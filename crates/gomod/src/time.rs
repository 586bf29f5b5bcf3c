//! Times as the go command writes them: fourteen digits in a pseudo-version, RFC 3339 elsewhere.
//!
//! A time is a number here, and reading the clock is left to the caller. Leap seconds do not
//! exist for Go, so second 60 is refused.

/// The digits of `YYYYMMDDhhmmss`.
pub const TIMESTAMP_LEN: usize = 14;

/// A point in time, to the nanosecond. Ordered by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    /// Since 1970-01-01T00:00:00Z.
    pub unix_seconds: i64,
    /// Within the second.
    pub nanoseconds: u32,
}

/// Seconds since 1970 as the fourteen digits of a pseudo-version, in UTC.
///
/// `None` outside the years 0 to 9999, which four digits cannot hold.
pub fn format_timestamp(unix_seconds: i64) -> Option<String> {
    let days = unix_seconds.div_euclid(86_400);
    let second = unix_seconds.rem_euclid(86_400);
    let (year, month, day) = civil_from_days(days)?;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    Some(format!(
        "{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}"
    ))
}

/// Fourteen digits as seconds since 1970, or `None` when they name no time.
pub fn parse_timestamp(timestamp: &str) -> Option<i64> {
    if timestamp.len() != TIMESTAMP_LEN || !timestamp.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| timestamp[from..to].parse::<i64>().ok();
    let date = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let clock = (number(8, 10)?, number(10, 12)?, number(12, 14)?);
    unix_seconds(date, clock)
}

/// Seconds since 1970 as RFC 3339 in UTC, the form of a `.info` file's `Time`.
///
/// `None` outside the years 0 to 9999.
pub fn format_rfc3339(unix_seconds: i64) -> Option<String> {
    let digits = format_timestamp(unix_seconds)?;
    let (date, clock) = digits.split_at(8);
    let (year, month, day) = (&date[..4], &date[4..6], &date[6..]);
    let (hour, minute, second) = (&clock[..2], &clock[2..4], &clock[4..]);
    Some(format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"))
}

/// Reads RFC 3339 as the go command reads it, which is not quite as the standard writes it: the
/// hour may have one digit, a comma may begin the fraction, and an offset may reach 24:60.
/// Digits beyond the nanosecond are dropped.
pub fn parse_rfc3339(text: &str) -> Option<Instant> {
    let (date, rest) = text.split_once('T')?;
    let (hour, rest) = rest.split_once(':')?;
    let (minute, rest) = rest.split_once(':')?;
    let (second, rest) = rest.split_at_checked(2)?;
    let (year, month_and_day) = date.split_once('-')?;
    let (month, day) = month_and_day.split_once('-')?;
    let date = (digits(year, 4)?, digits(month, 2)?, digits(day, 2)?);
    let hour = digits(hour, 1).or_else(|| digits(hour, 2))?;
    let clock = (hour, digits(minute, 2)?, digits(second, 2)?);
    let (nanoseconds, zone) = take_fraction(rest)?;
    let unix_seconds = unix_seconds(date, clock)?.checked_sub(offset_seconds(zone)?)?;
    Some(Instant {
        unix_seconds,
        nanoseconds,
    })
}

/// Nanoseconds of an optional fraction, and the text behind it.
fn take_fraction(text: &str) -> Option<(u32, &str)> {
    let Some(rest) = text.strip_prefix(['.', ',']) else {
        return Some((0, text));
    };
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    let (fraction, zone) = rest.split_at(end);
    let kept: String = format!("{fraction:0<9}").chars().take(9).collect();
    let nanoseconds = kept.parse().ok().filter(|_| !fraction.is_empty())?;
    Some((nanoseconds, zone))
}

/// The offset from UTC that a zone names, positive to the east.
fn offset_seconds(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    (hours <= 24 && minutes <= 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// A number of exactly `width` digits.
fn digits(text: &str, width: usize) -> Option<i64> {
    let plain = text.len() == width && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

/// Seconds since 1970 of a date `(year, month, day)` and a clock `(hour, minute, second)` in UTC,
/// or `None` when there is no such day or time of day.
fn unix_seconds(date: (i64, i64, i64), clock: (i64, i64, i64)) -> Option<i64> {
    let (year, month, day) = date;
    let (hour, minute, second) = clock;
    let real = (0..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..60).contains(&second);
    let days = days_from_civil(year, month, day);
    real.then_some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a day in the proleptic Gregorian calendar. Years are counted from
/// March, so that the leap day is the last one and 153 days make five months.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    // 146,097 days make 400 years; 719,468 days lie between 0000-03-01 and 1970-01-01.
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> Option<(i64, i64, i64)> {
    let shifted = days.checked_add(719_468)?;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = (shifted_month + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (0..=9999).contains(&year).then_some((year, month, day))
}
