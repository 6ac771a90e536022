//! How far a download is, as a person reads it: the bar of a terminal, and the line for whoever has none. Pure.

use std::time::Duration;

use hobnob_peer::files::Progress;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::chat::text::one_line;

/// Columns of the shortest bar that says anything, and of the longest.
const BAR_MIN: usize = 10;
const BAR_MAX: usize = 40;
/// Columns that a name may always have, unless the whole line has not many more.
const NAME_MIN: usize = 12;

/// `report.pdf  42 % [####------] 12.3 MiB/s, 5 s left, 3 sources, 1 relayed`, in `columns` at most, without an end of
/// line. Where there is no room for all of it, the bar goes first, then the last words, then the end of the name.
pub(crate) fn bar(progress: &Progress, columns: usize) -> String {
    let name = one_line(&progress.name);
    let percent = format!("{:>3} %", percent(progress.done, progress.size));
    let name_least = name.width().min(NAME_MIN);
    let mut words = words(progress);
    let fixed = |words: &[String]| {
        let words = words.join(", ");
        let space = if words.is_empty() { 0 } else { 1 };
        2 + percent.width() + space + words.width()
    };
    while !words.is_empty() && name_least + fixed(&words) > columns {
        words.pop();
    }
    let name = clip(&name, columns.saturating_sub(fixed(&words)));
    // Between brackets and behind a space.
    let room = columns.saturating_sub(name.width() + fixed(&words) + 3).min(BAR_MAX);
    let bar = if room < BAR_MIN { String::new() } else { format!(" [{}]", cells(progress, room)) };
    let words = if words.is_empty() { String::new() } else { format!(" {}", words.join(", ")) };
    let line = if name.is_empty() { percent } else { format!("{name}  {percent}") };
    clip(&(line + &bar + &words), columns)
}

/// `report.pdf: 42 %, 12.6 MiB of 30.0 MiB, 12.3 MiB/s, 5 s left, 3 sources, 1 relayed`, without an end of line.
pub(crate) fn plain(progress: &Progress) -> String {
    let Progress { name, done, size: all, .. } = progress;
    let mut parts = vec![format!("{} %", percent(*done, *all)), format!("{} of {}", size(*done), size(*all))];
    parts.extend(words(progress));
    format!("{}: {}", one_line(name), parts.join(", "))
}

/// `Reading report.pdf  42 %`, in `columns` at most, without an end of line.
pub(crate) fn reading(name: &str, done: u64, size: u64, columns: usize) -> String {
    let percent = format!("  {:>3} %", percent(done, size));
    let name = clip(&format!("Reading {}", one_line(name)), columns.saturating_sub(percent.width()));
    clip(&(name + &percent), columns)
}

/// The most important first.
fn words(progress: &Progress) -> Vec<String> {
    let Progress { rate, direct, relayed, left, .. } = progress;
    let sources = direct + relayed;
    if progress.stalled {
        return vec!["nobody has what is missing".to_owned()];
    }
    if sources == 0 {
        return vec!["looking for sources".to_owned()];
    }
    let mut words = Vec::new();
    words.push(format!("{}/s", size(*rate)));
    words.extend(left.map(|left| format!("{} left", rest(left))));
    words.push(if sources == 1 { "1 source".to_owned() } else { format!("{sources} sources") });
    words.push(match (direct, relayed) {
        (_, 0) => "direct".to_owned(),
        (0, _) => "relayed".to_owned(),
        (_, relayed) => format!("{relayed} relayed"),
    });
    words
}

/// As [`time`], but nobody knows the future to tenths of a second.
fn rest(left: Duration) -> String {
    if left < Duration::from_secs(10) { format!("{} s", left.as_secs()) } else { time(left) }
}

/// All of it only when all is here.
fn percent(done: u64, size: u64) -> u64 {
    if done >= size { 100 } else { u64::try_from(u128::from(done) * 100 / u128::from(size)).unwrap_or(0) }
}

fn cells(progress: &Progress, room: usize) -> String {
    let full = match progress.size {
        0 => room,
        size => (u128::from(progress.done.min(size)) * room as u128 / u128::from(size)) as usize,
    };
    "#".repeat(full) + &"-".repeat(room - full)
}

/// What fits, with a sign that there was more.
fn clip(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let (mut clipped, mut used) = (String::new(), 1);
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > columns {
            break;
        }
        clipped.push(c);
    }
    if columns > 0 {
        clipped.push('…');
    }
    clipped
}

/// `999 bytes`, `1.5 KiB`, `12.3 MiB`: rounded, as a person reads it.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes == 1 {
        return "1 byte".to_owned();
    }
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let (mut unit, mut scale) = (0, 1024_u128);
    let tenths = |scale: u128| (u128::from(bytes) * 10 + scale / 2) / scale;
    // By what is shown: nothing is `1024.0 KiB`.
    while tenths(scale) >= 10_240 && unit + 1 < UNITS.len() {
        (unit, scale) = (unit + 1, scale * 1024);
    }
    let tenths = tenths(scale);
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`.
pub(crate) fn time(time: Duration) -> String {
    let tenths = (time.as_millis() + 50) / 100;
    if tenths < 100 {
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    let seconds = (time.as_millis() + 500) / 1000;
    let two = |large: u128, unit, small: u128, smaller| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {smaller}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use hobnob_peer::file::ContentId;

    use super::*;

    fn progress(name: &str, done: u64, size: u64) -> Progress {
        Progress {
            name: name.to_owned(),
            id: ContentId::of(b""),
            done,
            size,
            rate: 12_900_000,
            direct: 2,
            relayed: 1,
            left: Some(Duration::from_millis(12_400)),
            stalled: false,
        }
    }

    #[test]
    fn a_bar_fits_every_terminal() {
        let table = [
            (
                200,
                "report.pdf   42 % [################------------------------] 12.3 MiB/s, 12 s left, 3 sources, 1 relayed",
            ),
            (80, "report.pdf   42 % [######----------] 12.3 MiB/s, 12 s left, 3 sources, 1 relayed"),
            (70, "report.pdf   42 % 12.3 MiB/s, 12 s left, 3 sources, 1 relayed"),
            (60, "report.pdf   42 % 12.3 MiB/s, 12 s left, 3 sources"),
            (40, "report.pdf   42 % 12.3 MiB/s, 12 s left"),
            (38, "report.pdf   42 % 12.3 MiB/s"),
            (20, "report.pdf   42 %"),
            (12, "repo…   42 %"),
            (5, " 42 %"),
            (2, " …"),
            (0, ""),
        ];
        for (columns, expected) in table {
            assert_eq!(bar(&progress("report.pdf", 42, 100), columns), expected, "{columns}");
        }
        let wide = progress("\u{6587}\u{4ef6}\u{1b}[2J\n.pdf", u64::MAX - 1, u64::MAX);
        for columns in 0..300 {
            let line = bar(&wide, columns);
            assert!(line.width() <= columns && !line.contains(['\u{1b}', '\n']), "{columns}: {line:?}");
        }
        assert!(bar(&wide, 300).contains(" 99 % [#######"));
    }

    #[test]
    fn what_is_read_fits_too() {
        assert_eq!(reading("report.pdf", 42, 100, 80), "Reading report.pdf   42 %");
        assert_eq!(reading("report.pdf", 42, 100, 20), "Reading repo…   42 %");
        assert!((0..30).all(|columns| reading("\u{6587}\u{4ef6}", 1, 1, columns).width() <= columns));
    }

    #[test]
    fn a_plain_line_has_all_of_it() {
        let mut one = progress("a\nb", 3 << 20, 6 << 20);
        assert_eq!(plain(&one), "a␊b: 50 %, 3.0 MiB of 6.0 MiB, 12.3 MiB/s, 12 s left, 3 sources, 1 relayed");
        (one.direct, one.relayed, one.left) = (1, 0, Some(Duration::from_secs(4)));
        assert_eq!(plain(&one), "a␊b: 50 %, 3.0 MiB of 6.0 MiB, 12.3 MiB/s, 4 s left, 1 source, direct");
        (one.direct, one.relayed, one.left) = (0, 2, None);
        assert_eq!(plain(&one), "a␊b: 50 %, 3.0 MiB of 6.0 MiB, 12.3 MiB/s, 2 sources, relayed");
        one.stalled = true;
        assert_eq!(plain(&one), "a␊b: 50 %, 3.0 MiB of 6.0 MiB, nobody has what is missing");
        (one.stalled, one.relayed, one.size, one.done) = (false, 0, 0, 0);
        assert_eq!(plain(&one), "a␊b: 100 %, 0 bytes of 0 bytes, looking for sources");
    }

    #[test]
    fn sizes_and_times_are_short() {
        let sizes = [
            (0, "0 bytes"),
            (1, "1 byte"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (1_048_524, "1023.9 KiB"),
            (1_048_575, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (bytes, expected) in sizes {
            assert_eq!(size(bytes), expected);
        }
        let times = [
            (0, "0.0 s"),
            (449, "0.4 s"),
            (9_949, "9.9 s"),
            (9_950, "10 s"),
            (59_499, "59 s"),
            (59_500, "1 min"),
            (185_000, "3 min 5 s"),
            (7_800_000, "2 h 10 min"),
            (273_600_000, "3 d 4 h"),
        ];
        for (millis, expected) in times {
            assert_eq!(time(Duration::from_millis(millis)), expected);
        }
    }
}
