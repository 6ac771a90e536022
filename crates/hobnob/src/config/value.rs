//! How single values are typed. An error reads on after the value: `x` is not …

use std::{net::SocketAddr, time::Duration};

/// `60`, `60s`, `5m`, `2h`, `90d`; at least a second.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "is not a duration, write 60, 60s, 5m, 2h or 90d".to_owned();
    let (digits, unit) = split_unit(text);
    let seconds: u64 = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err(wrong()),
    };
    let count = number(digits).ok_or_else(wrong)?;
    match count.checked_mul(seconds) {
        None | Some(0) => Err("is out of range, a duration is from 1s to 36500d".to_owned()),
        // A century is for ever, and times so far off still fit in every clock.
        Some(total) if total > 36_500 * 24 * 3600 => {
            Err("is out of range, a duration is from 1s to 36500d".to_owned())
        }
        Some(total) => Ok(Duration::from_secs(total)),
    }
}

/// `off`, or what `parse` reads.
pub(crate) fn off_or<T>(
    parse: impl Fn(&str) -> Result<T, String>,
) -> impl Fn(&str) -> Result<Option<T>, String> {
    move |text| match text {
        "off" | "false" => Ok(None),
        _ => parse(text).map(Some).map_err(|error| format!("{error}, or off")),
    }
}

/// `50/s` or `50`.
pub(super) fn rate(text: &str) -> Result<u32, String> {
    let digits = text.strip_suffix("/s").unwrap_or(text);
    count(digits).map_err(|_| "is not a rate, write 50/s".to_owned())
}

/// A whole number from 1 on.
pub(crate) fn count(text: &str) -> Result<u32, String> {
    number(text)
        .and_then(|count| u32::try_from(count).ok())
        .filter(|count| *count > 0)
        .ok_or_else(|| format!("is not a whole number from 1 to {}", u32::MAX))
}

/// `1000`, `64KiB`, `64MiB`, `2GiB`.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let (digits, unit) = split_unit(text);
    let shift = match unit {
        "" | "B" => Some(0),
        "KiB" => Some(10),
        "MiB" => Some(20),
        "GiB" => Some(30),
        _ => None,
    };
    let size = shift.and_then(|shift| number(digits)?.checked_mul(1 << shift));
    size.filter(|size| *size > 0).ok_or_else(|| "is not a size, write 1000, 64KiB, 64MiB or 2GiB".to_owned())
}

/// `16M/s`, `16M`, `64KiB/s`: bytes a second, at least what carries a few of the largest packets.
pub(super) fn byte_rate(text: &str) -> Result<u32, String> {
    const LEAST: u64 = 64 << 10;
    let (digits, unit) = split_unit(text.strip_suffix("/s").unwrap_or(text));
    let shift = match unit {
        "" | "B" => Some(0),
        "K" | "KiB" => Some(10),
        "M" | "MiB" => Some(20),
        "G" | "GiB" => Some(30),
        _ => None,
    };
    let rate = shift.and_then(|shift| number(digits)?.checked_mul(1 << shift));
    match rate {
        None => Err("is not a rate, write 64K/s, 16M/s or 1G/s".to_owned()),
        Some(rate) => u32::try_from(rate)
            .ok()
            .filter(|_| rate >= LEAST)
            .ok_or_else(|| "is out of range, a rate is from 64K/s to 3G/s".to_owned()),
    }
}

/// One of two words.
pub(super) fn either(yes: &'static str, no: &'static str) -> impl Fn(&str) -> Result<bool, String> {
    move |text| match text {
        _ if text == yes => Ok(true),
        _ if text == no => Ok(false),
        _ => Err(format!("is neither {yes} nor {no}")),
    }
}

/// A switch, as a file or a variable says it.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" | "on" | "yes" => Ok(true),
        "false" | "0" | "off" | "no" => Ok(false),
        _ => Err("is neither true nor false".to_owned()),
    }
}

/// `HOST:PORT` to listen on.
pub(super) fn listen(text: &str) -> Result<String, String> {
    let wrong = || "is not an address, write HOST:PORT, e.g. 127.0.0.1:4000".to_owned();
    if text.parse::<SocketAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let host_is_name =
        !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
    port.parse::<u16>().ok().filter(|_| host_is_name && is_digits(port)).ok_or_else(wrong)?;
    Ok(text.to_owned())
}

/// Whether only this machine reaches a checked listen address.
pub(super) fn is_loopback(listen: &str) -> bool {
    match listen.parse::<SocketAddr>() {
        Ok(address) => address.ip().to_canonical().is_loopback(),
        Err(_) => listen.rsplit_once(':').is_some_and(|(host, _)| host.eq_ignore_ascii_case("localhost")),
    }
}

/// Text that may be shown.
pub(super) fn shown(text: &str) -> Result<String, String> {
    match hobnob_protocol::text::check(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(hobnob_protocol::text::TextError::TooLong) => Err("is too long, 64 KiB at most".to_owned()),
        Err(_) => Err("contains control characters".to_owned()),
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn number(digits: &str) -> Option<u64> {
    is_digits(digits).then(|| digits.parse().ok()).flatten()
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: PartialEq + std::fmt::Debug>(
        parse: impl Fn(&str) -> Result<T, String>,
        good: &[(&str, T)],
        bad: &[&str],
    ) {
        for (text, expected) in good {
            assert_eq!(parse(text).as_ref(), Ok(expected), "{text}");
        }
        for text in bad {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        let seconds = |text: &str| duration(text).map(|duration| duration.as_secs());
        check(
            seconds,
            &[
                ("60", 60),
                ("60s", 60),
                ("5m", 300),
                ("2h", 7200),
                ("90d", 7_776_000),
                ("36500d", 3_153_600_000),
            ],
            &[
                "",
                "s",
                "-1",
                "+1",
                "1.5",
                "60 s",
                "1w",
                "1ms",
                "0",
                "0s",
                "36501d",
                "18446744073709551615d",
                "off",
            ],
        );
        check(off_or(duration), &[("off", None), ("1m", Some(Duration::from_secs(60)))], &["never", "0"]);
    }

    #[test]
    fn numbers() {
        check(rate, &[("50/s", 50), ("7", 7)], &["", "0", "/s", "50/m", "-1/s", "off", "5000000000/s"]);
        check(count, &[("1", 1), ("4294967295", u32::MAX)], &["0", "4294967296", "1.0", "one", ""]);
        check(
            bytes,
            &[("1000", 1000), ("64KiB", 65536), ("64MiB", 64 << 20), ("2GiB", 2 << 30), ("5B", 5)],
            &["", "0", "64MB", "MiB", "99999999999GiB", "1 KiB"],
        );
    }

    #[test]
    fn byte_rates() {
        check(
            byte_rate,
            &[
                ("16M/s", 16 << 20),
                ("64K/s", 64 << 10),
                ("64KiB/s", 64 << 10),
                ("2MiB", 2 << 20),
                ("3G/s", 3 << 30),
                ("100000", 100_000),
            ],
            &["", "0", "63K/s", "4G/s", "16M/m", "16m/s", "-1M/s", "fast", "99999999999G/s"],
        );
        check(off_or(byte_rate), &[("off", None), ("1M/s", Some(1 << 20))], &["0"]);
        let default = super::super::table::SERVE.iter().find(|setting| setting.name == "relay-rate");
        let default = default.and_then(|setting| setting.default).expect("a default");
        assert_eq!(byte_rate(default), Ok(hobnob_protocol::limits::RELAY_RATE));
    }

    #[test]
    fn words() {
        check(switch, &[("true", true), ("1", true), ("false", false), ("off", false)], &["maybe", ""]);
        check(shown, &[("hi\nthere", "hi\nthere".to_owned()), ("", String::new())], &["\x1b[2J", "\x07"]);
    }

    #[test]
    fn listen_addresses() {
        let good = ["127.0.0.1:4000", "0.0.0.0:0", "[::1]:4000", "localhost:4000", "chat.example.org:443"];
        let bad =
            ["", "4000", ":4000", "localhost", "localhost:", "localhost:70000", "::1:4000", "a b:1", "h:+1"];
        check(listen, &good.map(|text| (text, text.to_owned())), &bad);
        let loopback = ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "[::ffff:127.0.0.1]:1"];
        assert!(loopback.iter().all(|text| is_loopback(text)));
        assert!(
            ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "localhost.example.org:1"].iter().all(|t| !is_loopback(t))
        );
    }
}
