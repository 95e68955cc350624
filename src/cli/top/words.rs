//! Numbers as people read them at a glance.

use crate::telemetry::live::Flow;
use std::net::IpAddr;
use std::time::Duration;

/// Three digits and a unit: `999`, `12.3 k`, `4.56 G`.
pub(super) fn short(number: f64) -> String {
    if number < 999.5 {
        return if number > 0.0 && number < 9.95 && number.fract() != 0.0 {
            format!("{number:.1}")
        } else {
            format!("{number:.0}")
        };
    }
    let mut scaled = number;
    for unit in ["k", "M", "G", "T", "P", "E"] {
        scaled /= 1000.0;
        if scaled < 999.5 {
            let digits = if scaled < 9.995 {
                2
            } else if scaled < 99.95 {
                1
            } else {
                0
            };
            return format!("{scaled:.digits$} {unit}");
        }
    }
    format!("{number:.2e}")
}

/// Of a count.
pub(super) fn count(number: u64) -> String {
    short(number as f64)
}

/// A part of a whole: `12 %`, `0.3 %`, `-` of nothing.
pub(super) fn share(part: u64, all: u64) -> String {
    if all == 0 {
        return "-".to_owned();
    }
    let percent = 100.0 * part as f64 / all as f64;
    if part == 0 || percent >= 9.95 { format!("{percent:.0} %") } else { format!("{percent:.1} %") }
}

/// A time span: `59 s`, `3:04 min`, `5:00 h`, `2 d 3 h`.
pub(super) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{}:{:02} min", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}:{:02} h", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// Source and destination of a flow.
pub(super) fn endpoints(flow: &Flow) -> (String, String) {
    if matches!(flow.protocol, 1 | 58) && !flow.ports_unknown {
        let kind = format!(
            "{} {}/{}",
            flow.destination,
            flow.destination_port >> 8,
            flow.destination_port & 255
        );
        return (flow.source.to_string(), kind);
    }
    let ports = flow.source_port != 0 || flow.destination_port != 0;
    let endpoint = |address: IpAddr, port: u16| match (ports, address) {
        (false, _) => address.to_string(),
        (true, IpAddr::V6(address)) => format!("[{address}]:{port}"),
        (true, IpAddr::V4(address)) => format!("{address}:{port}"),
    };
    (endpoint(flow.source, flow.source_port), endpoint(flow.destination, flow.destination_port))
}

/// `text` in exactly `width` columns; a longer one loses its middle.
pub(super) fn fit(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return format!("{text:<width$}");
    }
    if width < 3 {
        return text.chars().take(width).collect();
    }
    let front = (width - 1).div_ceil(2);
    let back = width - 1 - front;
    let head: String = text.chars().take(front).collect();
    let tail: String = text.chars().skip(length - back).collect();
    format!("{head}…{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits() {
        for (number, words) in [
            (0.0, "0"),
            (0.26, "0.3"),
            (7.0, "7"),
            (999.4, "999"),
            (999.6, "1.00 k"),
            (12_345.0, "12.3 k"),
            (999_499.0, "999 k"),
            (999_500.0, "1.00 M"),
            (4.56e9, "4.56 G"),
            (u64::MAX as f64, "18.4 E"),
        ] {
            assert_eq!(short(number), words);
            assert!(short(number).len() <= 7);
        }
    }

    #[test]
    fn shares_and_spans_are_short() {
        assert_eq!(
            [share(0, 0), share(0, 9), share(1, 300), share(2, 3)],
            ["-", "0 %", "0.3 %", "67 %"]
        );
        let spans = [5, 184, 18_000, 183_600].map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(spans, ["5 s", "3:04 min", "5:00 h", "2 d 3 h"]);
    }

    #[test]
    fn what_is_too_long_loses_its_middle() {
        assert_eq!(fit("abc", 5), "abc  ");
        assert_eq!(fit("abcdefgh", 5), "ab…gh");
        assert_eq!(fit("abcdefgh", 2), "ab");
        assert_eq!(fit("ü…", 2), "ü…");
    }
}
