//! How an event becomes a line: words, or one JSON object. Whatever an event carries, it stays on its line and does nothing to
//! a terminal.

use std::fmt;

use hobnob_protocol::text::visible_line;
use serde_json::{Map, Value};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

use crate::oneshot::json;

/// What a line of the log looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// `TIME LEVEL MESSAGE key=value …`
    Text,
    /// `{"time":…,"level":…,"target":…,"message":…,"key":…}`, the keys in alphabetical order.
    Json,
}

/// Writes events as lines. Spans, which only libraries have, are left out.
pub(super) struct Lines(pub(super) Format);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let (time, colours) = (now(), to.has_ansi_escapes());
        to.write_str(&said.line(self.0, &time, event.metadata(), colours))
    }
}

/// The time of day, in UTC.
fn now() -> String {
    let mut time = String::new();
    // Writing to a String cannot fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    time
}

/// A line of this module's own, for what happens within the log.
pub(super) fn of_the_log(format: Format, message: &str, error: &impl ToString) -> String {
    let said =
        Said { message: message.to_owned(), fields: vec![("error", Value::String(error.to_string()))] };
    said.lay_out(format, &now(), Level::ERROR, module_path!(), false)
}

/// What an event says.
#[derive(Default)]
struct Said {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Said {
    fn line(&self, format: Format, time: &str, about: &Metadata<'_>, colours: bool) -> String {
        self.lay_out(format, time, *about.level(), about.target(), colours)
    }

    fn lay_out(&self, format: Format, time: &str, level: Level, target: &str, colours: bool) -> String {
        match format {
            Format::Text => self.text(time, level, target, colours),
            Format::Json => self.json(time, level, target),
        }
    }

    fn text(&self, time: &str, level: Level, target: &str, colours: bool) -> String {
        let level = match (colours, level) {
            (true, Level::ERROR) => format!("\x1b[31m{level:>5}\x1b[0m"),
            (true, Level::WARN) => format!("\x1b[33m{level:>5}\x1b[0m"),
            _ => format!("{level:>5}"),
        };
        // What is hobnob's own says enough of itself.
        let of = if target.starts_with("hobnob") { String::new() } else { format!("{target}: ") };
        let mut line = format!("{time} {level} {of}{}", visible_line(&self.message));
        for (key, value) in &self.fields {
            let value = value.as_str().map_or_else(|| value.to_string(), word);
            line += &format!(" {key}={value}");
        }
        line + "\n"
    }

    fn json(&self, time: &str, level: Level, target: &str) -> String {
        let mut object: Map<_, _> =
            self.fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let level = level.as_str().to_ascii_lowercase();
        for (key, value) in
            [("time", time), ("level", &level), ("target", target), ("message", &self.message)]
        {
            object.insert(key.to_owned(), value.into());
        }
        json::line(&Value::Object(object))
    }
}

/// A value that is one word, in quotes where it would not be.
fn word(value: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "._:/@#+-[]".contains(c);
    let shown = visible_line(value);
    if !shown.is_empty() && shown.chars().all(plain) {
        return shown.into_owned();
    }
    format!("\"{}\"", shown.replace('\\', "\\\\").replace('"', "\\\""))
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => self.fields.push((name, format!("{value:?}").into())),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name => self.fields.push((name, value.into())),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.fields.push((field.name(), value.to_string().into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.push((field.name(), value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.push((field.name(), value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push((field.name(), value.into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.push((field.name(), value.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(message: &str, fields: &[(&'static str, Value)]) -> Said {
        Said { message: message.to_owned(), fields: fields.to_vec() }
    }

    fn text(said: &Said) -> String {
        said.lay_out(Format::Text, "T", Level::WARN, "hobnob_server::x", false)
    }

    #[test]
    fn words() {
        let one = said("refused", &[("user", "hans".into()), ("count", 3.into()), ("from", "::1".into())]);
        assert_eq!(text(&one), "T  WARN refused user=hans count=3 from=::1\n");
        let other = said("refused", &[]).lay_out(Format::Text, "T", Level::INFO, "iroh::socket", false);
        assert_eq!(other, "T  INFO iroh::socket: refused\n");
    }

    #[test]
    fn nothing_leaves_its_line_or_its_field() {
        let hostile = "x\" y=z\n2026-01-01 INFO forged\u{1b}[2J\u{202e}\u{9b}\u{2028}\\";
        let line = text(&said("a\nb", &[("user", hostile.into())]));
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(!line.contains(['\u{1b}', '\u{202e}', '\u{9b}', '\u{2028}', '\r']), "{line}");
        let value = line.split_once("user=").expect("a field").1;
        // It ends with the first quote that is not escaped, which is the last of the line.
        let mut escaped = false;
        let end = value.char_indices().skip(1).find(|(_, c)| match c {
            '\\' => {
                escaped = !escaped;
                false
            }
            '"' if !escaped => true,
            _ => {
                escaped = false;
                false
            }
        });
        assert_eq!(end.map(|(at, _)| at), Some(value.trim_end().len() - 1), "{line}");
    }

    #[test]
    fn objects() {
        let hostile = "x\"\n\u{1b}[2J\u{9b}\u{2028}";
        let one =
            said("refused", &[("user", hostile.into()), ("sessions", 3.into()), ("known", true.into())]);
        let line = one.lay_out(Format::Json, "T", Level::WARN, "hobnob_server::x", false);
        assert_eq!(
            line,
            "{\"known\":true,\"level\":\"warn\",\"message\":\"refused\",\"sessions\":3,\
             \"target\":\"hobnob_server::x\",\"time\":\"T\",\"user\":\"x\\\"\\n\\u001b[2J\\u009b\\u2028\"}\n"
        );
        assert!(serde_json::from_str::<Value>(&line).expect("JSON")["user"] == hostile);
    }
}
