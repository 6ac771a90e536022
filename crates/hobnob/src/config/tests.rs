use std::{collections::HashMap, io, time::Duration};

use hobnob_server::config::Registration;

use super::*;

/// An environment and one file, `hobnob.toml`.
#[derive(Default)]
struct Given<'a> {
    arguments: &'a [(&'a str, &'a str)],
    variables: &'a [(&'a str, &'a str)],
    file: Option<&'a str>,
}

struct World(HashMap<String, OsString>, Option<String>);

impl Surroundings for World {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.0.get(name).cloned()
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        assert_eq!(path, Path::new("hobnob.toml"));
        self.1.clone().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn world(given: &Given<'_>) -> World {
    let mut variables: HashMap<_, _> =
        given.variables.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
    variables.entry("HOME".to_owned()).or_insert_with(|| "/home/hans".into());
    World(variables, given.file.map(str::to_owned))
}

fn layers(table: &'static [Setting], given: &Given<'_>, world: &World) -> Layers {
    let argument = |name: &str| {
        let found = given.arguments.iter().find(|(argument, _)| *argument == name);
        found
            .map(|(_, value)| value.into())
            .or_else(|| (name == "config" && given.file.is_some()).then(|| OsString::from("hobnob.toml")))
    };
    Layers::read(table, argument, world)
}

fn serve(given: &Given<'_>) -> Result<ServeSettings, Mistakes> {
    let world = world(given);
    ServeSettings::check(layers(SERVE, given, &world), &world)
}

fn mistakes(given: &Given<'_>) -> String {
    serve(given).expect_err("this is wrong").to_string()
}

#[test]
fn defaults_are_what_is_promised() {
    let settings = serve(&Given::default()).expect("defaults are right");
    assert_eq!(settings.listen, "127.0.0.1:4000");
    assert_eq!(settings.data, Path::new("/home/hans/.local/share/hobnob/server"));
    assert_eq!(settings.block_duration, Duration::from_secs(60));
    assert_eq!(settings.idle_timeout, None);
    assert_eq!(settings.welcome, "Welcome to the greatest messaging application ever!");
    assert_eq!(settings.tls, TlsSource::SelfSigned);
    assert_eq!((settings.registration, settings.relay), (Registration::Open, true));
    assert_eq!((settings.history, settings.sessions_per_user, settings.send_rate), (None, 1, Some(50)));
    assert_eq!(
        (settings.inbox_messages, settings.inbox_bytes, settings.inbox_per_sender),
        (10_000, 64 << 20, 1000)
    );
}

#[test]
fn flag_beats_environment_beats_file() {
    let file = Some("block-duration = 1\nidle_timeout = \"1m\"\nlisten = \"[::1]:1\"\nrelay = false\n");
    let variables: &[_] =
        &[("HOBNOB_BLOCK_DURATION", "2"), ("HOBNOB_IDLE_TIMEOUT", "2m"), ("HOBNOB_WELCOME", "")];
    let arguments: &[_] = &[("block-duration", "3")];
    let settings = serve(&Given { arguments, variables, file }).expect("right");
    assert_eq!(settings.block_duration, Duration::from_secs(3));
    assert_eq!(settings.idle_timeout, Some(Duration::from_secs(120)));
    assert_eq!(settings.listen, "[::1]:1");
    assert!(!settings.relay);
    assert!(settings.welcome.starts_with("Welcome"), "an empty variable is not set");
}

#[test]
fn the_file_may_be_named_by_the_environment() {
    let given = Given { variables: &[("HOBNOB_CONFIG", "hobnob.toml")], ..Given::default() };
    let world = World(world(&given).0, Some("sessions-per-user = 4".to_owned()));
    let settings = ServeSettings::check(layers(SERVE, &given, &world), &world).expect("right");
    assert_eq!(settings.sessions_per_user, 4);
}

#[test]
fn every_mistake_is_reported_at_once() {
    let report = mistakes(&Given {
        arguments: &[("listen", "nowhere"), ("credentials", "/does/not/exist")],
        variables: &[("HOBNOB_BLOCK_DURATION", "soon")],
        file: Some("colour = \"red\"\nsend-rate = 0\nhistory = [1]\nsecret-key = 1\n"),
    });
    for expected in [
        "--listen: `nowhere` is not an address",
        "--credentials: `/does/not/exist` cannot be read",
        "HOBNOB_BLOCK_DURATION: `soon` is not a duration",
        "hobnob.toml: send-rate: `0` is not a rate",
        "hobnob.toml: `history` takes one value, not a TOML array",
        "hobnob.toml: unknown key `colour`",
        "hobnob.toml: unknown key `secret-key`",
    ] {
        assert!(report.contains(expected), "{expected} is missing in:\n{report}");
    }
    assert_eq!(report.lines().count(), 8, "{report}");
}

#[test]
fn one_file_may_serve_several_commands() {
    let file = Some("listen = \"127.0.0.1:1\"\nserver = \"chat.example.org\"\njson = \"what\"\n");
    assert_eq!(serve(&Given { file, ..Given::default() }).expect("right").listen, "127.0.0.1:1");
}

#[test]
fn credentials_are_read_before_anything_is_bound() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "hans secret\nnonsense\nHANS x\n").expect("written");
    let path = file.path().to_str().expect("UTF-8");
    let report = mistakes(&Given { arguments: &[("credentials", path), ("data", "")], ..Given::default() });
    for expected in ["line 2: ", "line 3: ", "--data: `` is empty"] {
        assert!(report.contains(expected), "{expected} is missing in:\n{report}");
    }
    assert!(!report.contains("secret") && !report.contains("nonsense"), "{report}");
}

#[test]
fn a_file_that_is_no_toml_is_a_mistake_beside_others() {
    let report = mistakes(&Given { arguments: &[("tls", "maybe")], file: Some("= ="), ..Given::default() });
    assert!(report.contains("hobnob.toml: ") && report.contains("--tls: `maybe`"), "{report}");
}

#[test]
fn plain_text_for_others_needs_insecure() {
    let open: &[_] = &[("listen", "0.0.0.0:4000"), ("tls", "off")];
    assert!(mistakes(&Given { arguments: open, ..Given::default() }).contains("--insecure"));
    let allowed: &[_] = &[("listen", "0.0.0.0:4000"), ("tls", "off"), ("insecure", "true")];
    assert_eq!(serve(&Given { arguments: allowed, ..Given::default() }).expect("right").tls, TlsSource::Off);
    let local: &[_] = &[("listen", "localhost:0"), ("tls", "off")];
    assert!(serve(&Given { arguments: local, ..Given::default() }).is_ok());
}

#[test]
fn no_home_asks_for_a_folder() {
    let report = mistakes(&Given { variables: &[("HOME", "")], ..Given::default() });
    assert!(report.contains("--data"), "{report}");
    let given = Given { variables: &[("XDG_DATA_HOME", "/srv")], ..Given::default() };
    assert_eq!(serve(&given).expect("right").data, Path::new("/srv/hobnob/server"));
}

#[test]
fn the_example_parses_back() {
    let arguments: &[_] = &[("block-duration", "5m"), ("welcome", "Hi \"you\"\nthere"), ("insecure", "true")];
    let given = Given { arguments, ..Given::default() };
    let expected = serve(&given).expect("right");
    let printed = example(SERVE, &layers(SERVE, &given, &world(&given)));
    let file = Some(printed.as_str());
    assert_eq!(serve(&Given { file, ..Given::default() }).expect("as printed"), expected);

    // Every setting stands there, and its default is a value that it takes.
    let all: String =
        printed.lines().map(|line| format!("{}\n", line.strip_prefix('#').unwrap_or(line))).collect();
    let all: String =
        all.lines().filter(|line| !line.starts_with(' ')).map(|line| format!("{line}\n")).collect();
    let entries: toml::Table = all.parse().expect("TOML without the comments, too");
    assert_eq!(entries.len(), SERVE.len());
    // These have no default that could be written down: what stands for it is commented out.
    let unset = |key: &str| matches!(key, "data" | "credentials" | "security-log");
    let commented = |key: &str| printed.contains(&format!("\n#{key} = "));
    assert!(["data", "credentials", "security-log"].into_iter().all(commented), "{printed}");
    let given: String = entries
        .into_iter()
        .filter(|(key, _)| !unset(key))
        .map(|(key, value)| format!("{key} = {value}\n"))
        .collect();
    assert_eq!(serve(&Given { file: Some(&given), ..Given::default() }).expect("all"), expected);
}

#[test]
fn destinations() {
    let user = |text| talk::destination(text).map(|d| (d.user, d.address.to_string())).ok();
    let named = |user: &str, address: &str| Some((Some(user.to_owned()), address.to_owned()));
    assert_eq!(user("localhost"), Some((None, "localhost:4000".to_owned())));
    assert_eq!(user("hans@localhost"), named("hans", "localhost:4000"));
    assert_eq!(user("hans@chat.example.org:443"), named("hans", "chat.example.org:443"));
    assert_eq!(user("ws://hans@localhost:1"), named("hans", "localhost:1"));
    assert_eq!(user(""), None);
    assert_eq!(user("hans@"), None);
}

#[test]
fn an_empty_name_is_a_mistake() {
    let check = |arguments, variables| {
        let given = Given { arguments, variables, file: Some("user = \"bob\"") };
        let world = world(&given);
        OneShotSettings::check(layers(SEND, &given, &world), &world).map(|settings| settings.destination.user)
    };
    assert_eq!(check(&[], &[]), Ok(Some("bob".to_owned())));
    assert_eq!(check(&[("user", "hans")], &[("HOBNOB_USER", "")]), Ok(Some("hans".to_owned())));
    assert!(check(&[("user", "")], &[]).is_err());
    assert!(check(&[], &[("HOBNOB_USER", "")]).is_err());
}
