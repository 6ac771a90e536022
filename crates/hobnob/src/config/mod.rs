//! Settings as they are given: flag beats environment beats file beats default. What is wrong is collected, so
//! that one run reports every mistake.

mod admin;
mod example;
mod serve;
mod table;
mod talk;
mod value;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

pub(crate) use self::{
    admin::AdminSettings,
    example::example,
    serve::{ServeSettings, TlsSource},
    table::{ADMIN, CHAT, DOCTOR, FILES, GET, SEND, SERVE, SHARE, Setting, Shape, TAIL},
    talk::{ChatSettings, Destination, OneShotSettings},
};

/// Where a value was given; says so in a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Argument(&'static str),
    /// A word of the command line that follows no flag.
    Word,
    Environment(String),
    File(PathBuf),
    Default,
}

/// One value as given.
#[derive(Clone, Debug)]
struct Given {
    value: OsString,
    origin: Origin,
}

/// All that is wrong, for a person.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mistakes(Vec<String>);

impl Mistakes {
    /// One by one, each on a line. Of what a parser draws over several lines, the first says where and the last what.
    pub(crate) fn into_list(self) -> Vec<String> {
        let on_a_line = |mistake: String| match mistake.split_once('\n') {
            Some((place, rest)) => {
                let what = rest.lines().last().unwrap_or_default().trim_start_matches([' ', '|', '^']);
                format!("{place}: {what}")
            }
            None => mistake,
        };
        self.0.into_iter().map(on_a_line).collect()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "hobnob: this needs to be put right first:")?;
        self.0.iter().try_for_each(|mistake| writeln!(f, "  {mistake}"))
    }
}

/// Where values come from besides the arguments; tests give their own.
pub(crate) trait Surroundings {
    /// A variable of the environment.
    fn variable(&self, name: &str) -> Option<OsString>;
    /// The text of a file.
    fn file(&self, path: &Path) -> std::io::Result<String> {
        std::fs::read_to_string(path)
    }
}

/// The process's own.
pub(crate) struct Process;

impl Surroundings for Process {
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }
}

/// The values of one command's table, and what was wrong so far.
#[derive(Debug)]
pub(crate) struct Layers {
    given: BTreeMap<&'static str, Given>,
    /// The file that was read, if there is one.
    file: Option<PathBuf>,
    mistakes: Vec<String>,
}

impl Layers {
    /// Reads all layers. `argument` gives what the command line says of a setting.
    pub(crate) fn read(
        table: &'static [Setting],
        argument: impl Fn(&str) -> Option<OsString>,
        surroundings: &dyn Surroundings,
    ) -> Self {
        let mut layers = Self { given: BTreeMap::new(), file: None, mistakes: Vec::new() };
        for setting in table {
            if let Some(default) = setting.default {
                layers.put(setting, default.into(), Origin::Default);
            }
        }
        if let Some(path) = argument("config").or_else(|| surroundings.variable("HOBNOB_CONFIG")) {
            layers.read_file(table, Path::new(&path), surroundings);
            layers.file = Some(path.into());
        }
        for setting in table {
            let name = setting.variable();
            // An empty variable is how many tools say that it is not set.
            if let Some(value) = surroundings.variable(&name).filter(|value| !value.is_empty()) {
                layers.put(setting, value, Origin::Environment(name));
            }
            if let Some(value) = argument(setting.name) {
                let origin = match setting.shape {
                    Shape::Word => Origin::Word,
                    Shape::Value(_) | Shape::Switch => Origin::Argument(setting.name),
                };
                layers.put(setting, value, origin);
            }
        }
        layers
    }

    /// The file that was read, if there is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    fn put(&mut self, setting: &Setting, value: OsString, origin: Origin) {
        self.given.insert(setting.name, Given { value, origin });
    }

    fn read_file(&mut self, table: &'static [Setting], path: &Path, surroundings: &dyn Surroundings) {
        let text = match surroundings.file(path) {
            Ok(text) => text,
            Err(error) => return self.mistake(format!("{}: {error}", path.display())),
        };
        let entries = match text.parse::<toml::Table>() {
            Ok(entries) => entries,
            Err(error) => {
                return self.mistake(format!("{}: {}", path.display(), error.to_string().trim_end()));
            }
        };
        for (key, value) in entries {
            let name = key.replace('_', "-");
            let Some(setting) = table.iter().find(|setting| setting.name == name) else {
                // One file may serve several commands.
                if !table::ALL.iter().any(|table| table.iter().any(|setting| setting.name == name)) {
                    self.mistake(format!("{}: unknown key `{key}`", path.display()));
                }
                continue;
            };
            match plain(&value) {
                Some(text) => self.put(setting, text.into(), Origin::File(path.to_owned())),
                None => {
                    let kind = value.type_str();
                    self.mistake(format!("{}: `{key}` takes one value, not a TOML {kind}", path.display()));
                }
            }
        }
    }

    /// Notes something that is wrong.
    fn mistake(&mut self, mistake: String) {
        self.mistakes.push(mistake);
    }

    /// A value read by `parse`; `None` when it is not given, or wrong, which is noted.
    fn check<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let given = self.given.get(name)?;
        let read = match given.value.to_str() {
            Some(text) => parse(text),
            None => Err("is not UTF-8".to_owned()),
        };
        read.map_err(|error| self.blame(name, &error)).ok()
    }

    /// Notes an empty variable, unless a flag beats it: for what a script must not leave out by mistake.
    fn refuse_empty(&mut self, name: &str, variable: &str, surroundings: &dyn Surroundings) {
        let beaten = self.given.get(name).is_some_and(|given| matches!(given.origin, Origin::Argument(_)));
        if !beaten && surroundings.variable(variable).is_some_and(|value| value.is_empty()) {
            self.mistake(format!("{variable}: is empty"));
        }
    }

    /// A path; any but the empty one will do.
    fn path(&mut self, name: &str) -> Option<PathBuf> {
        let path = PathBuf::from(&self.given.get(name)?.value);
        if path.as_os_str().is_empty() {
            self.blame(name, "is empty");
            return None;
        }
        Some(path)
    }

    /// Whether a switch is on.
    fn switch(&mut self, name: &str) -> bool {
        self.check(name, value::switch).unwrap_or(false)
    }

    /// Notes that the value given for `name` is wrong.
    fn blame(&mut self, name: &str, error: &str) {
        let Some(given) = self.given.get(name) else { return self.mistake(format!("{name}: {error}")) };
        let place = match &given.origin {
            Origin::Argument(name) => format!("--{name}"),
            Origin::Environment(variable) => variable.clone(),
            Origin::File(path) => format!("{}: {name}", path.display()),
            Origin::Word | Origin::Default => name.to_owned(),
        };
        let value = given.value.to_string_lossy();
        let mistake = format!("{place}: `{}` {error}", hobnob_protocol::text::visible(&value));
        self.mistake(mistake);
    }

    /// What was read, if nothing was wrong.
    fn finish<T>(self, read: Option<T>) -> Result<T, Mistakes> {
        match read {
            Some(read) if self.mistakes.is_empty() => Ok(read),
            _ => Err(Mistakes(self.mistakes)),
        }
    }

    /// The folder for data: as given, or the user's own with `role` below it.
    fn data(&mut self, role: &str, surroundings: &dyn Surroundings) -> Option<PathBuf> {
        let data =
            self.path("data").or_else(|| data_home(surroundings).map(|home| home.join("hobnob").join(role)));
        match &data {
            None if self.given.contains_key("data") => {}
            None => self.mistake("--data: there is no home directory, so say where the data goes".to_owned()),
            Some(path) if path.exists() && !path.is_dir() => self.blame("data", "is not a folder"),
            Some(_) => {}
        }
        data
    }
}

/// `$XDG_DATA_HOME`, or what stands for it.
fn data_home(surroundings: &dyn Surroundings) -> Option<PathBuf> {
    let absolute = |name| surroundings.variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
}

/// A TOML value as one would type it after a flag.
fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(yes) => Some(yes.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
