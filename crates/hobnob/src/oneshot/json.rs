//! One JSON object a line, for programs.

use hobnob_protocol::text::visible;
use serde_json::Value;

/// A line of this object.
pub(crate) fn line(object: &Value) -> String {
    escape(&object.to_string()) + "\n"
}

/// Writes everything as `\u….` that could do something to a terminal: JSON may go to one, too.
fn escape(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii_graphic()
            || c == ' '
            || visible(c.encode_utf8(&mut [0; 4])) == *c.encode_utf8(&mut [0; 4])
        {
            escaped.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            escaped += &format!("\\u{unit:04x}");
        }
    }
    escaped
}
