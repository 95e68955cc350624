//! What stands behind the `?` of a collector: `KEY=VALUE&KEY=VALUE`.
//!
//! Values are taken as they stand, without `%`-escapes: file names may hold `%` for the time. A value cannot hold `&`.

use std::time::Duration;

/// Parameters not yet asked for. Each is taken once; what is left at the end is a mistake.
#[derive(Debug, Default)]
pub(super) struct Parameters<'a> {
    left: Vec<(&'a str, &'a str)>,
    asked: Vec<&'static str>,
}

impl<'a> Parameters<'a> {
    /// What stands before the parameters, and the parameters. A `?` that no `KEY=` follows is part of the former.
    pub(super) fn split(text: &'a str) -> Result<(&'a str, Self), String> {
        let Some((before, behind)) = text.rsplit_once('?').filter(|(_, behind)| is_list(behind))
        else {
            return Ok((text, Self::default()));
        };
        let mut left: Vec<(&str, &str)> = Vec::new();
        for word in behind.split('&') {
            let (key, value) =
                word.split_once('=').ok_or_else(|| format!("\"{word}\" is no KEY=VALUE"))?;
            if value.is_empty() {
                return Err(format!("{key} has no value"));
            }
            if left.iter().any(|(known, _)| *known == key) {
                return Err(format!("{key} is given twice"));
            }
            left.push((key, value));
        }
        Ok((before, Self { left, asked: Vec::new() }))
    }

    /// The value of `key`, if it is there.
    pub(super) fn text(&mut self, key: &'static str) -> Option<&'a str> {
        self.asked.push(key);
        let place = self.left.iter().position(|(known, _)| *known == key)?;
        Some(self.left.swap_remove(place).1)
    }

    /// The value of `key` as `read` understands it.
    pub(super) fn value<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Option<T>,
        meant: &str,
    ) -> Result<Option<T>, String> {
        self.text(key)
            .map(|text| read(text).ok_or_else(|| format!("{key}={text}: write {meant}")))
            .transpose()
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), String> {
        let Some((key, _)) = self.left.first() else { return Ok(()) };
        if self.asked.is_empty() {
            return Err(format!("it takes no parameters, and here is {key}"));
        }
        Err(format!("{key} is not one of its parameters {}", self.asked.join(", ")))
    }
}

fn is_list(text: &str) -> bool {
    text.split_once('=').is_some_and(|(key, _)| {
        !key.is_empty() && key.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')
    })
}

/// `300`, `300s`, `5m`, `1h`, `1d`, `500ms`; not 0.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: u64 = number.parse().ok().filter(|number| *number > 0)?;
    let milliseconds = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    // Longer than a century is a slip of the finger, and would overflow sums of times.
    number
        .checked_mul(milliseconds)
        .filter(|milliseconds| *milliseconds <= 3_200_000_000_000)
        .map(Duration::from_millis)
}

/// `1000000`, `1000k`, `1M`, `1G`, in thousands; not 0.
pub(super) fn amount(text: &str) -> Option<u64> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: u64 = number.parse().ok().filter(|number| *number > 0)?;
    let factor = match unit {
        "" => 1,
        "k" | "K" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// A Differentiated Services Code Point by number or name (RFC 2474, RFC 2597, RFC 3246, RFC 8622).
pub(super) fn dscp(text: &str) -> Option<u8> {
    if let Ok(number) = text.parse::<u8>() {
        return Some(number).filter(|number| *number < 64);
    }
    let upper = text.to_ascii_uppercase();
    match upper.as_str() {
        "EF" => return Some(46),
        "LE" => return Some(1),
        _ => {}
    }
    let digit = |letter: Option<char>, most: u32| {
        letter.and_then(|letter| letter.to_digit(10)).filter(|digit| *digit <= most)
    };
    let mut letters = upper.chars();
    let (first, second) = (letters.next()?, letters.next()?);
    let code = match (first, second) {
        ('C', 'S') => digit(letters.next(), 7)? * 8,
        ('A', 'F') => {
            let class = digit(letters.next(), 4).filter(|class| *class > 0)?;
            let drop = digit(letters.next(), 3).filter(|drop| *drop > 0)?;
            class * 8 + drop * 2
        }
        _ => return None,
    };
    letters.next().is_none().then_some(code as u8)
}

/// `1`, `0`, `yes`, `no`, `true`, `false`, `on`, `off`.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "yes" | "true" | "on" => Some(true),
        "0" | "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_times_and_code_points() {
        assert_eq!(duration("5m"), Some(Duration::from_secs(300)));
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("90"), Some(Duration::from_secs(90)));
        for wrong in ["", "0", "m", "5w", "-1s", "1.5h", "99999999999999999999", "9999999999d"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
        assert_eq!(amount("100M"), Some(100_000_000));
        assert_eq!(amount("512"), Some(512));
        for wrong in ["", "0", "M", "1.5M", "1X", "99999999999T"] {
            assert_eq!(amount(wrong), None, "{wrong}");
        }
        for (text, code) in
            [("EF", 46), ("cs6", 48), ("AF41", 34), ("af11", 10), ("0", 0), ("63", 63)]
        {
            assert_eq!(dscp(text), Some(code), "{text}");
        }
        for wrong in ["64", "CS8", "AF44", "AF51", "AF01", "AF4", "EFF", "", "CS"] {
            assert_eq!(dscp(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_question_mark_may_be_part_of_a_name() {
        let (path, mut parameters) = Parameters::split("/tmp/what?.ipfix?size=5&zstd=1").unwrap();
        assert_eq!(path, "/tmp/what?.ipfix");
        assert_eq!(parameters.text("size"), Some("5"));
        assert_eq!(parameters.text("other"), None);
        assert!(parameters.end().unwrap_err().contains("zstd is not one of"));
        assert_eq!(Parameters::split("/tmp/what?").unwrap().0, "/tmp/what?");
    }
}
