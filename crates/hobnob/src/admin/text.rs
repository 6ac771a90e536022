//! Every line that `hobnob admin` prints. All end in a newline, but for those that follow `hobnob: ` and prompts.

use std::{fmt::Write as _, path::Path};

use hobnob_server::admin::wire::{
    Command, Done, Invitation, Made, Reason, Session, SessionState, Status, User,
};
use serde::Serialize;
use serde_json::json;
use unicode_width::UnicodeWidthStr;

use super::call::Failure;
use crate::{chat::text::one_line, oneshot::json::line};

pub(super) const REPEAT: &str = "Repeat the password: ";
pub(super) const PASSWORDS_DIFFER: &str = "the passwords differ";
pub(super) const NO_PASSWORD: &str = "no password: type one, give it on standard input, or use --generate";

/// Columns of a name, of a state and of an address.
const NAME_COLUMNS: usize = 24;
const STATE_COLUMNS: usize = 12;
const FROM_COLUMNS: usize = 24;
/// Columns of a number, and of a time.
const ID_COLUMNS: usize = 8;
const TIME_COLUMNS: usize = 25;

/// The question for a new password.
pub(super) fn password_of(name: &str) -> String {
    format!("New password of {}: ", one_line(name))
}

/// Anything of an answer for a program.
pub(super) fn json(value: &impl Serialize) -> String {
    line(&serde_json::to_value(value).unwrap_or_default())
}

/// Why it was not done, for a program.
pub(crate) fn refusal(word: &str, why: &str, mistakes: &[String]) -> String {
    match mistakes {
        [] => json(&json!({ "refused": word, "text": why })),
        _ => json(&json!({ "refused": word, "text": why, "mistakes": mistakes })),
    }
}

/// Why it was not done, for a person.
pub(super) fn refused(why: &str, mistakes: &[String]) -> String {
    let mistakes = mistakes.iter().map(|mistake| format!("\n  {}", one_line(mistake)));
    format!("hobnob: {}{}\n", one_line(why), mistakes.collect::<String>())
}

/// What `reload` has done.
fn reloaded(done: &Done) -> String {
    let names = |names: &Option<Vec<String>>| {
        let names: Vec<_> = names.iter().flatten().map(|name| one_line(name).into_owned()).collect();
        names.join(", ")
    };
    let (changed, restart) = (names(&done.changed), names(&done.needs_restart));
    let mut text = match changed.is_empty() {
        true => "Nothing has changed\n".to_owned(),
        false => format!("Changed: {changed}\n"),
    };
    if !restart.is_empty() {
        text += &format!("Counts only after a restart: {restart}\n");
    }
    if done.file.is_none() {
        text += "The server was started without a file of settings (--config), so only certificate and log files were read\n";
    }
    text
}

/// The server's reason as a word.
pub(super) fn word(reason: Reason) -> &'static str {
    match reason {
        Reason::NoSuchUser => "no-such-user",
        Reason::NameTaken => "name-taken",
        Reason::NameRefused => "name-refused",
        Reason::PasswordRefused => "password-refused",
        Reason::TextRefused => "text-refused",
        Reason::NoSuchInvitation => "no-such-invitation",
        Reason::NotAllowed => "not-allowed",
        Reason::SettingsRefused => "settings-refused",
        Reason::NotPossible => "not-possible",
        Reason::BadRequest => "bad-request",
        Reason::UnsupportedVersion => "unsupported-version",
        Reason::Internal => "internal",
    }
}

/// Why there is no answer.
pub(super) fn failure(failure: &Failure, data: &Path) -> String {
    let data = data.display();
    match failure {
        Failure::NoServer => format!("no server runs in {data}; another folder is named by --data"),
        Failure::NotAllowed => format!("only the user whose server runs in {data}, and root, may do this"),
        Failure::Lost => "the server went away before it answered; see its log for what was done".to_owned(),
        Failure::Misuse(why) => why.clone(),
        Failure::Unread(error) => error.to_string(),
    }
}

/// What stands above a list.
pub(super) fn heading(command: &Command) -> &'static str {
    match command {
        Command::Users => "NAME                    STATE       LAST SEEN\n",
        Command::Sessions { .. } => "NAME                    STATE       FROM                    SINCE\n",
        Command::Invitations => {
            "ID      USES LEFT   EXPIRES                  MADE                     NOTE\n"
        }
        _ => "",
    }
}

/// A row of `users`.
pub(super) fn user(user: &User) -> String {
    let state = match (user.disabled, user.online) {
        (true, _) => "disabled",
        (false, true) => "online",
        (false, false) => "offline",
    };
    let seen = match user.last_seen_ms {
        _ if user.online => "now".to_owned(),
        Some(ms) => time(ms),
        None => "never".to_owned(),
    };
    let locked = user.locked_until_ms.map_or_else(String::new, |ms| format!(", locked until {}", time(ms)));
    format!("{}{}{seen}{locked}\n", padded(&user.name, NAME_COLUMNS), padded(state, STATE_COLUMNS))
}

/// A row of `sessions`.
pub(super) fn session(session: &Session) -> String {
    let state = match session.state {
        SessionState::Connected => "connected",
        SessionState::Broken => "broken",
        SessionState::Background => "background",
        SessionState::Offline => "offline",
    };
    let from = session.from.as_deref().unwrap_or("-");
    format!(
        "{}{}{}{}\n",
        padded(&session.user, NAME_COLUMNS),
        padded(state, STATE_COLUMNS),
        padded(from, FROM_COLUMNS),
        time(session.since_ms.unwrap_or(session.used_ms)),
    )
}

/// A row of `invites`.
pub(super) fn invitation(one: &Invitation) -> String {
    let expires = one.expires_ms.map_or_else(|| "never".to_owned(), time);
    let (id, uses) = (one.id.to_string(), one.uses_left.to_string());
    let row = format!(
        "{}{}{}{}{}",
        padded(&id, ID_COLUMNS),
        padded(&uses, STATE_COLUMNS),
        padded(&expires, TIME_COLUMNS),
        padded(&time(one.made_ms), TIME_COLUMNS),
        one_line(&one.note)
    );
    format!("{}\n", row.trim_end())
}

/// What to hand on of an invitation. The code on a line of its own is for reading aloud, the link for pasting.
fn made(made: &Made) -> String {
    let Made { id, code, link, uses, expires_ms, registration } = made;
    let times = if *uses == 1 { "one account".to_owned() } else { format!("{uses} accounts") };
    let until =
        expires_ms.map_or_else(|| ", without an end".to_owned(), |ms| format!(", until {}", time(ms)));
    let mut lines = format!("Invitation {id}, for {times}{until}. It is shown only now\n\n");
    let _ = writeln!(lines, "Code  {}", one_line(&code.0));
    let _ = writeln!(lines, "Link  {}\n", one_line(&link.0));
    lines +=
        "A newcomer runs `hobnob chat HOST`, leaves the password empty, and gives the link or the code.\n";
    lines += "The link also proves the server's key at the first contact.\n";
    if registration != "invite" {
        let _ = writeln!(
            lines,
            "Nobody asks for it yet: this server runs with --registration {}",
            one_line(registration)
        );
    }
    lines
}

/// The answer to `status`.
pub(super) fn status(status: &Status) -> String {
    let mut lines = String::new();
    let mut line = |head: &str, text: String| {
        let _ = writeln!(lines, "{head:<13}{text}");
    };
    line("version", one_line(&status.version).into_owned());
    line("key", one_line(&status.fingerprint).into_owned());
    line("process", format!("{}, up {}", status.pid, duration(status.uptime_s)));
    line("connections", format!("{}, {} logged in", status.connections, status.sessions));
    line("users", format!("{} online", status.users_online));
    if let Some(trouble) = &status.trouble {
        let words = match trouble.as_str() {
            "disk-full" => "the disk is full, messages wait at their senders".to_owned(),
            "not-writable" => "the data folder cannot be written, messages wait at their senders".to_owned(),
            other => one_line(other).into_owned(),
        };
        line("trouble", words);
    }
    line("queue", format!("{} requests, {}", status.queue_requests, bytes(status.queue_bytes)));
    let (median, longest) = (ms(status.commit_median_us), ms(status.commit_longest_us));
    line("commits", format!("{}, lately {median}, {longest} at most", status.commits));
    line("store", format!("{}, and {} of log", bytes(status.store_bytes), bytes(status.store_log_bytes)));
    let relay = status.relay.as_ref().map_or_else(
        || "off".to_owned(),
        |relay| {
            let (sent, received) = (bytes(relay.sent_bytes), bytes(relay.received_bytes));
            format!("{} devices, {received} in, {sent} out", relay.devices)
        },
    );
    line("relay", relay);
    lines
}

/// What an act has done.
pub(super) fn done(command: &Command, done: &Done) -> String {
    let name = done.name.as_deref().map(one_line).unwrap_or_default();
    let ended = match done.sessions_ended {
        Some(1) => ", 1 session ended".to_owned(),
        Some(count @ 2..) => format!(", {count} sessions ended"),
        _ => String::new(),
    };
    let password = done.password.as_ref().map_or_else(String::new, |password| {
        format!("Password, shown only now: {}\n", one_line(&password.0))
    });
    match command {
        Command::Add { .. } => format!("{name} is added\n{password}"),
        Command::Reset { .. } => format!("{name} has a new password{ended}\n{password}"),
        Command::Unlock { .. } => format!("{name} is unlocked\n"),
        Command::Disable { .. } => format!("{name} is disabled{ended}\n"),
        Command::Enable { .. } => format!("{name} is enabled\n"),
        Command::Kick { .. } => format!("{name} is kicked{ended}\n"),
        Command::Rename { .. } => {
            let formerly = done.formerly.as_deref().map(one_line).unwrap_or_default();
            format!("{formerly} is {name} now{ended}\n")
        }
        Command::Delete { .. } => format!("{name} is deleted{ended}\n"),
        Command::Announce { .. } => match done.users_online {
            Some(0) => "Announced, but no one is online\n".to_owned(),
            count => format!("Announced to {} online\n", count.unwrap_or_default()),
        },
        Command::Reload => reloaded(done),
        Command::Drain => "The server has stopped, everything it accepted is on disk\n".to_owned(),
        Command::Invite { .. } => done.invitation.as_deref().map(made).unwrap_or_default(),
        Command::Uninvite { id } => format!("Invitation {id} is taken back\n"),
        Command::Users | Command::Sessions { .. } | Command::Invitations | Command::Status => String::new(),
    }
}

fn padded(text: &str, columns: usize) -> String {
    let text = one_line(text);
    // A long one moves the rest of its line, but never touches it.
    let blanks = columns.saturating_sub(text.width()).max(2);
    format!("{text}{:blanks$}", "")
}

fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

fn ms(micros: u64) -> String {
    format!("{:.1} ms", micros as f64 / 1000.0)
}

fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min"),
        3600..86_400 => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A time as UTC. The date is Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>).
pub(crate) fn time(ms: i64) -> String {
    let (days, second) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000) / 1000);
    let z = days + 719_468;
    let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use hobnob_server::admin::wire::Password;

    use super::*;

    #[test]
    fn times() {
        for (ms, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00 UTC"),
            (1_735_689_599_999, "2024-12-31 23:59:59 UTC"),
            (4_107_542_400_000, "2100-03-01 00:00:00 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(time(ms), expected);
        }
    }

    #[test]
    fn sizes_and_durations() {
        for (count, expected) in [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 30, "5.0 GiB")] {
            assert_eq!(bytes(count), expected);
        }
        for (seconds, expected) in [(59, "59 s"), (60, "1 min"), (3_660, "1 h 1 min"), (90_000, "1 d 1 h")] {
            assert_eq!(duration(seconds), expected);
        }
    }

    #[test]
    fn rows_of_invitations_stand_under_their_heading() {
        let one =
            Invitation { id: 7, uses_left: 30, expires_ms: Some(0), made_ms: 0, note: "class 6b".to_owned() };
        let (heading, row) = (heading(&Command::Invitations), invitation(&one));
        for (word, value) in [("USES", "30"), ("EXPIRES", "1970"), ("NOTE", "class")] {
            assert_eq!(heading.find(word), row.find(value), "{heading}{row}");
        }
        let never = invitation(&Invitation { expires_ms: None, ..one });
        assert_eq!(heading.find("MADE"), never.find("1970"), "{never}");
    }

    #[test]
    fn rows_of_users() {
        let row = |online, disabled, locked_until_ms, last_seen_ms| {
            let name = "hans".to_owned();
            user(&User { name, online, disabled, locked_until_ms, last_seen_ms, created_ms: 0 })
        };
        let head = format!("{:24}", "hans");
        assert_eq!(row(true, false, None, Some(9)), format!("{head}online      now\n"));
        assert_eq!(row(false, true, None, None), format!("{head}disabled    never\n"));
        let locked = row(false, false, Some(1000), Some(0));
        let times = "1970-01-01 00:00:00 UTC, locked until 1970-01-01 00:00:01 UTC";
        assert_eq!(locked, format!("{head}offline     {times}\n"));
        assert_eq!(heading(&Command::Users).find("LAST"), Some(NAME_COLUMNS + STATE_COLUMNS));
        let heading = heading(&Command::Sessions { all: false });
        assert_eq!(heading.find("SINCE"), Some(NAME_COLUMNS + STATE_COLUMNS + FROM_COLUMNS));
    }

    #[test]
    fn acts() {
        let (name, to) = ("hans".to_owned(), "yoda".to_owned());
        let ended =
            |count| Done { name: Some("Hans".to_owned()), sessions_ended: Some(count), ..Done::default() };
        let kick = Command::Kick { name: name.clone() };
        assert_eq!(done(&kick, &ended(0)), "Hans is kicked\n");
        assert_eq!(done(&kick, &ended(1)), "Hans is kicked, 1 session ended\n");
        assert_eq!(done(&kick, &ended(2)), "Hans is kicked, 2 sessions ended\n");
        let made = Done { password: Some(Password("abc".to_owned())), ..ended(1) };
        let reset = Command::Reset { name: name.clone(), password: None };
        assert_eq!(
            done(&reset, &made),
            "Hans has a new password, 1 session ended\nPassword, shown only now: abc\n"
        );
        let renamed = Done { formerly: Some("ha\u{202e}ns".to_owned()), ..ended(0) };
        assert_eq!(done(&Command::Rename { name, to }, &renamed), "ha<U+202E>ns is Hans now\n");
        assert_eq!(json(&made), "{\"name\":\"Hans\",\"password\":\"abc\",\"sessions_ended\":1}\n");
        assert_eq!(
            refusal("no-such-user", "x\u{9b}", &[]),
            "{\"refused\":\"no-such-user\",\"text\":\"x\\u009b\"}\n"
        );
    }
}
