//! The example file of `--print-config`.

use std::fmt::Write;

use super::{Layers, Origin, Setting, Shape};

/// A file that says of every setting what it does. What is at its default is commented out, what was given
/// stands as a line that counts.
pub(crate) fn example(table: &[Setting], layers: &Layers) -> String {
    let mut text = "# Settings of hobnob. A flag beats the environment, which beats this file.\n".to_owned();
    for setting in table {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n# {}\n# --{} · {}\n", setting.help, setting.name, setting.variable());
        let given = layers.given.get(setting.name);
        let count = given.is_some_and(|given| given.origin != Origin::Default);
        let text_of = |given: &super::Given| given.value.to_string_lossy().into_owned();
        let value = match setting.shape {
            Shape::Switch => toml::Value::Boolean(
                given.is_some_and(|given| super::value::switch(&text_of(given)) == Ok(true)),
            ),
            Shape::Value(shown) => toml::Value::String(given.map_or(shown.to_owned(), text_of)),
            Shape::Word => continue,
        };
        let _ = writeln!(text, "{}{} = {value}", if count { "" } else { "#" }, setting.name);
    }
    text
}
