//! The command line, made of the tables of settings.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::{
    Arg, ArgAction, ArgMatches, Command,
    builder::{OsStringValueParser, StyledStr},
    error::ErrorKind,
};
use clap_complete::Shell;

use crate::admin::{self, Wish};
use crate::config::{
    ADMIN, AdminSettings, CHAT, ChatSettings, DOCTOR, FILES, GET, Layers, Mistakes, OneShotSettings, Process,
    SEND, SERVE, SHARE, ServeSettings, Setting, Shape, TAIL, example,
};
use crate::{man, notes};

/// What the process is to do.
pub(crate) enum Order {
    /// `serve`
    Serve(Box<ServeSettings>, Again),
    /// `chat`
    Chat(ChatSettings),
    /// `send USER [TEXT|-]`
    Send { settings: OneShotSettings, to: String, text: Option<OsString> },
    /// `tail`
    Tail(OneShotSettings),
    /// `share PATH…`
    Share { settings: OneShotSettings, paths: Vec<PathBuf> },
    /// `files [PATTERN]`
    Files { settings: OneShotSettings, pattern: String },
    /// `get NAME…`
    Get { settings: OneShotSettings, names: Vec<String> },
    /// `doctor [HOST]`
    Doctor(ChatSettings),
    /// `demo`
    Demo,
    /// `admin COMMAND`
    Admin { settings: AdminSettings, wish: Wish },
    /// Write the manual pages into this folder.
    Man(PathBuf),
    /// `backup FILE`
    Backup { settings: AdminSettings, file: PathBuf, replace: bool },
    /// `restore FILE`
    Restore { settings: AdminSettings, file: PathBuf },
    /// `verify [FILE]`
    Verify { settings: AdminSettings, file: Option<PathBuf> },
    /// Print this and be done.
    Print(String),
}

/// The command line of a server, to read its settings again from wherever they came.
pub(crate) struct Again(ArgMatches);

impl Again {
    /// Reads them; the file among their sources, if there is one.
    pub(crate) fn read(&self) -> (Option<PathBuf>, Result<ServeSettings, Mistakes>) {
        let layers = layers(SERVE, &self.0);
        (layers.file().map(Path::to_owned), ServeSettings::check_again(layers, &Process))
    }
}

/// Why there is nothing to do.
pub(crate) enum Misuse {
    /// Also `--help` and `--version`, which are no mistakes.
    Arguments(clap::Error),
    /// Settings.
    Settings(Mistakes),
}

impl From<Mistakes> for Misuse {
    fn from(mistakes: Mistakes) -> Self {
        Self::Settings(mistakes)
    }
}

/// Reads the command line and everything it leads to.
///
/// # Errors
/// All mistakes.
pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Order, Misuse> {
    let matches = command().try_get_matches_from(arguments).map_err(Misuse::Arguments)?;
    match matches.subcommand() {
        Some(("serve", matches)) => serve(matches),
        Some(("chat", matches)) => {
            Ok(Order::Chat(ChatSettings::check(layers(CHAT, matches), &Process).map_err(Misuse::Settings)?))
        }
        Some(("send", matches)) => {
            let settings = OneShotSettings::check(layers(SEND, matches), &Process)?;
            let to = matches.get_one::<String>("to").cloned().unwrap_or_default();
            Ok(Order::Send { settings, to, text: matches.get_one::<OsString>("text").cloned() })
        }
        Some(("tail", matches)) => Ok(Order::Tail(OneShotSettings::check(layers(TAIL, matches), &Process)?)),
        Some(("share", matches)) => {
            let settings = OneShotSettings::check(layers(SHARE, matches), &Process)?;
            Ok(Order::Share { settings, paths: all(matches, "path") })
        }
        Some(("files", matches)) => {
            let settings = OneShotSettings::check(layers(FILES, matches), &Process)?;
            let pattern = matches.get_one::<String>("pattern").cloned().unwrap_or_default();
            Ok(Order::Files { settings, pattern })
        }
        Some(("get", matches)) => {
            let settings = OneShotSettings::check(layers(GET, matches), &Process)?;
            Ok(Order::Get { settings, names: all(matches, "name") })
        }
        Some(("doctor", matches)) => {
            Ok(Order::Doctor(ChatSettings::check(layers(DOCTOR, matches), &Process)?))
        }
        Some(("demo", _)) => Ok(Order::Demo),
        Some(("admin", matches)) => keep(matches),
        Some(("man", matches)) => manual(matches),
        Some(("backup", matches)) => {
            let settings = AdminSettings::check(layers(ADMIN, matches), &Process)?;
            let replace = matches.get_flag("replace");
            Ok(Order::Backup { settings, file: file(matches).unwrap_or_default(), replace })
        }
        Some(("restore", matches)) => {
            let settings = AdminSettings::check(layers(ADMIN, matches), &Process)?;
            Ok(Order::Restore { settings, file: file(matches).unwrap_or_default() })
        }
        Some(("verify", matches)) => {
            let settings = AdminSettings::check(layers(ADMIN, matches), &Process)?;
            Ok(Order::Verify { settings, file: file(matches) })
        }
        Some(("completions", matches)) => Ok(Order::Print(completions(matches))),
        _ => Err(Misuse::Arguments(command().error(ErrorKind::MissingSubcommand, "no command was given"))),
    }
}

/// All words of an argument that may have several.
fn all<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> Vec<T> {
    matches.get_many(name).into_iter().flatten().cloned().collect()
}

fn file(matches: &ArgMatches) -> Option<PathBuf> {
    matches.get_one::<PathBuf>("file").cloned()
}

fn serve(matches: &ArgMatches) -> Result<Order, Misuse> {
    let layers = layers(SERVE, matches);
    let printed = matches.get_flag("print-config").then(|| example(SERVE, &layers));
    let settings = ServeSettings::check(layers, &Process)?;
    let again = Again(matches.clone());
    Ok(printed.map_or_else(|| Order::Serve(Box::new(settings), again), Order::Print))
}

fn keep(matches: &ArgMatches) -> Result<Order, Misuse> {
    let missing = || command().error(ErrorKind::MissingSubcommand, "no command was given");
    // What may stand anywhere is told to the innermost command.
    let (_, innermost) = matches.subcommand().ok_or_else(missing).map_err(Misuse::Arguments)?;
    let settings = AdminSettings::check(layers(ADMIN, innermost), &Process)?;
    let wish = Wish::read(matches).ok_or_else(missing).map_err(Misuse::Arguments)?;
    Ok(Order::Admin { settings, wish })
}

fn completions(matches: &ArgMatches) -> String {
    let mut script = Vec::new();
    if let Some(shell) = matches.get_one::<Shell>("shell") {
        clap_complete::generate(*shell, &mut command(), "hobnob", &mut script);
    }
    String::from_utf8_lossy(&script).into_owned()
}

fn manual(matches: &ArgMatches) -> Result<Order, Misuse> {
    if let Some(folder) = matches.get_one::<PathBuf>("out") {
        return Ok(Order::Man(folder.clone()));
    }
    let pages = man::pages(command()).map_err(|error| Misuse::Arguments(error.into()))?;
    let first = pages.into_iter().next().map(|(_, page)| page).unwrap_or_default();
    Ok(Order::Print(String::from_utf8_lossy(&first).into_owned()))
}

/// The values of a table, with what was typed on top.
fn layers(table: &'static [Setting], matches: &ArgMatches) -> Layers {
    let argument = |name: &str| {
        let setting = table.iter().find(|setting| setting.name == name);
        match setting.map(|setting| setting.shape) {
            Some(Shape::Switch) => matches.get_flag(name).then(|| "true".into()),
            Some(Shape::Word) => word(matches),
            Some(Shape::Value(_)) | None => matches.get_one::<OsString>(name).cloned(),
        }
    };
    Layers::read(table, argument, &Process)
}

/// `HOST PORT` is the same as `HOST:PORT`.
fn word(matches: &ArgMatches) -> Option<OsString> {
    let host = matches.get_one::<OsString>("server")?.clone();
    let Some(port) = matches.get_one::<u16>("port") else { return Some(host) };
    let (user, bare) = match host.to_str() {
        Some(text) => text.rsplit_once('@').map_or(("", text), |(user, _)| text.split_at(user.len() + 1)),
        None => return Some(host),
    };
    let bare = if bare.parse::<std::net::Ipv6Addr>().is_ok() { format!("[{bare}]") } else { bare.to_owned() };
    Some(format!("{user}{bare}:{port}").into())
}

const BACKUP_ABOUT: &str = "\
Copy a server's store and keys to one file, while it runs or not

The file is of one moment, and checked before it gets its name. It holds everything: messages, hashes of passwords, the \
server's private key. Only its owner may read it. What is there is not overwritten without --replace.";

const RESTORE_ABOUT: &str = "\
Make a server's folder from a backup

The folder must not hold a store, and no server may run in it. Afterwards `hobnob serve` goes on as of the backup, with \
the same key. What clients have not had an answer to, they send again.";

const VERIFY_ABOUT: &str = "\
Look whether a server's store, or a backup, is whole

Changes nothing, and may be done while the server runs.";

const KEPT_CODES: &str =
    "Exit codes: 0 done, 1 refused or damaged, 2 misuse, 3 something cannot be opened or written";

const SHARE_ABOUT: &str = "\
Offer files and folders to others, until Ctrl-C

They are read where they lie, not copied. Meanwhile you are online: others see you come and go, and what they say to \
you is printed. Only what is named here is offered. Exits 1 if nothing of it can be.";

const GET_ABOUT: &str = "\
Download what others offer, without coming online

Pieces come from all who have them, and each is verified. Nothing is overwritten. What came is kept when a download is \
interrupted or fails, and the same command goes on from there. A file of which nobody has had what is missing for a \
minute fails. Exits 0 only if everything is complete, 130 after Ctrl-C.";

/// The whole command line.
pub(crate) fn command() -> Command {
    let port = Arg::new("port").value_name("PORT").value_parser(clap::value_parser!(u16).range(1..));
    let shell =
        Arg::new("shell").required(true).value_name("SHELL").help("bash, zsh, fish, elvish or powershell");
    let out =
        Arg::new("out").long("out").value_name("DIR").help("Write a page for each command into this folder");
    let print = Arg::new("print-config").long("print-config").action(ArgAction::SetTrue);
    let file = Arg::new("config").long("config").value_name("FILE").value_parser(OsStringValueParser::new());
    let file = file.help("TOML file that may hold all of these [env: HOBNOB_CONFIG]");
    let to = Arg::new("to").value_name("USER").required(true).help("Who it is for");
    let text = Arg::new("text").value_name("TEXT").value_parser(OsStringValueParser::new());
    let paths = Arg::new("path").value_name("PATH").required(true).num_args(1..);
    let paths = paths.value_parser(clap::value_parser!(PathBuf));
    let pattern = Arg::new("pattern").value_name("PATTERN");
    let names = Arg::new("name").value_name("NAME").required(true).num_args(1..);
    Command::new("hobnob")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Instant messenger for people who run their own server")
        .after_long_help(notes::HOBNOB)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("serve")
                .about("Run a server")
                .after_long_help(notes::SERVE)
                .args(SERVE.iter().map(flag))
                .arg(file.clone())
                .arg(print.help("Print an example of that file, with what was given, and leave")),
        )
        .subcommand(
            Command::new("chat")
                .about("Talk to others")
                .after_long_help(notes::CHAT)
                .args(CHAT.iter().map(flag))
                .arg(port.clone())
                .arg(file.clone()),
        )
        .subcommand(
            Command::new("send")
                .about("Send one message, without coming online")
                .after_long_help(notes::SEND)
                .arg(to)
                .arg(text.help("The message; `-` or nothing: all of standard input"))
                .args(SEND.iter().map(flag))
                .arg(file.clone()),
        )
        .subcommand(
            Command::new("tail")
                .about("Print what is said, until Ctrl-C")
                .after_long_help(notes::TAIL)
                .args(TAIL.iter().map(flag))
                .arg(file.clone()),
        )
        .subcommand(
            Command::new("share")
                .about("Offer files and folders to others, until Ctrl-C")
                .long_about(SHARE_ABOUT)
                .arg(paths.help("A file, or a folder that is offered as a whole"))
                .args(SHARE.iter().map(flag))
                .arg(file.clone()),
        )
        .subcommand(
            Command::new("files")
                .about("List what others offer, without coming online")
                .arg(pattern.help("Only names with this in them, or, with `*` or `?`, names like this"))
                .args(FILES.iter().map(flag))
                .arg(file.clone()),
        )
        .subcommand(
            Command::new("get")
                .about("Download what others offer, without coming online")
                .long_about(GET_ABOUT)
                .arg(names.help("A name, or the first digits of an id"))
                .args(GET.iter().map(flag))
                .arg(file.clone()),
        )
        .subcommand(
            Command::new("doctor")
                .about("Tell what stands between here and a server, and what that means for private talk")
                .after_long_help(notes::DOCTOR)
                .args(DOCTOR.iter().map(flag))
                .arg(port)
                .arg(file.clone()),
        )
        .subcommand(admin::command(ADMIN.iter().map(flag).chain([file.clone()])))
        .subcommand(
            Command::new("backup")
                .about("Copy a server's store and keys to one file, while it runs or not")
                .long_about(BACKUP_ABOUT)
                .after_help(KEPT_CODES)
                .arg(kept_file().required(true).help("Where to; it must not be there yet"))
                .arg(
                    Arg::new("replace")
                        .long("replace")
                        .action(ArgAction::SetTrue)
                        .help("Replace a file that is there, once the new one is whole"),
                )
                .args(ADMIN.iter().map(flag))
                .arg(file.clone()),
        )
        .subcommand(
            Command::new("restore")
                .about("Make a server's folder from a backup")
                .long_about(RESTORE_ABOUT)
                .after_help(KEPT_CODES)
                .arg(kept_file().required(true).help("What `hobnob backup` has made"))
                .args(ADMIN.iter().map(flag))
                .arg(file.clone()),
        )
        .subcommand(
            Command::new("verify")
                .about("Look whether a server's store, or a backup, is whole")
                .long_about(VERIFY_ABOUT)
                .after_help("Exit codes: 0 whole, 1 damaged, 2 misuse, 3 it cannot be opened")
                .arg(
                    kept_file()
                        .conflicts_with("data")
                        .help("A backup [default: the store in the server's folder]"),
                )
                .args(ADMIN.iter().map(flag))
                .arg(file.clone()),
        )
        .subcommand(
            Command::new("demo").about("Show how it works: a server and three people, for a few seconds"),
        )
        .subcommand(
            Command::new("completions")
                .about("Print completions for a shell")
                .arg(shell.value_parser(clap::value_parser!(Shell)).hide_possible_values(true)),
        )
        .subcommand(
            Command::new("man")
                .about("Print the manual page of hobnob, or write those of all commands")
                .arg(out.value_parser(clap::value_parser!(PathBuf))),
        )
}

/// A backup's place.
fn kept_file() -> Arg {
    Arg::new("file").value_name("FILE").value_parser(clap::value_parser!(PathBuf))
}

/// A setting as an argument.
fn flag(setting: &Setting) -> Arg {
    let argument = Arg::new(setting.name).help(help(setting));
    match setting.shape {
        Shape::Value(shown) => {
            argument.long(setting.name).value_name(shown).value_parser(OsStringValueParser::new())
        }
        Shape::Word => argument.value_name("[USER@]HOST[:PORT]").value_parser(OsStringValueParser::new()),
        Shape::Switch => argument.long(setting.name).action(ArgAction::SetTrue),
    }
}

fn help(setting: &Setting) -> StyledStr {
    let mut help = setting.help.to_owned();
    if let Some(default) = setting.default {
        help += &format!(" [default: {default}]");
    }
    format!("{help} [env: {}]", setting.variable()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat_server(arguments: &[&str]) -> Option<String> {
        let arguments = ["hobnob", "chat"].iter().chain(arguments);
        let matches = command().try_get_matches_from(arguments).expect("right");
        word(matches.subcommand_matches("chat").expect("chat")).and_then(|word| word.into_string().ok())
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn host_and_port_may_be_two_words() {
        assert_eq!(chat_server(&[]), None);
        assert_eq!(chat_server(&["hans@localhost:1"]).as_deref(), Some("hans@localhost:1"));
        assert_eq!(chat_server(&["hans@localhost", "1"]).as_deref(), Some("hans@localhost:1"));
        assert_eq!(chat_server(&["::1", "1"]).as_deref(), Some("[::1]:1"));
    }

    #[test]
    fn misuse_is_told_from_help() {
        let kind = |arguments: &[&str]| {
            let arguments = ["hobnob"].iter().chain(arguments);
            command().try_get_matches_from(arguments).map(|_| ()).map_err(|error| error.exit_code())
        };
        for right in [&["--help"][..], &["--version"], &["serve", "--help"]] {
            assert_eq!(kind(right), Err(0), "{right:?}");
        }
        for wrong in [
            &["nonsense"][..],
            &[],
            &["serve", "--nonsense"],
            &["send"],
            &["chat", "a", "b"],
            &["doctor", "--relay-only"],
            &["demo", "localhost"],
            &["admin"],
            &["admin", "dance"],
            &["admin", "kick"],
            &["admin", "add", "hans", "secret"],
            &["admin", "add", "hans", "--password", "secret"],
            &["admin", "invite", "--uses", "0"],
            &["admin", "invite", "--expires", "never"],
            &["admin", "uninvite", "-1"],
            &["backup"],
            &["backup", "a", "b"],
            &["restore"],
            &["restore", "--replace", "a"],
            &["verify", "a", "b"],
            &["verify", "--data", "a", "b"],
            &["completions", "x"],
            &["man", "serve"],
            &["share"],
            &["get"],
            &["files", "a", "b"],
            &["files", "--relay-only"],
            &["share", "a", "--downloads", "b"],
        ] {
            assert_eq!(kind(wrong), Err(2), "{wrong:?}");
        }
        for right in [
            &["chat", "localhost", "4000"][..],
            &["send", "bob", "-"],
            &["send", "bob", "--user", "hans", "--", "-x"],
            &["tail"],
            &["doctor"],
            &["man"],
            &["man", "--out", "x"],
            &["doctor", "localhost", "4000"],
            &["demo"],
            &["share", "a", "b", "--json"],
            &["share", "--relay-only", "--", "-x"],
            &["files"],
            &["files", "*.pdf", "--json"],
            &["get", "a", "b", "--downloads", "c"],
            &["backup", "--data", "x", "--json", "--replace", "a"],
            &["restore", "--data", "x", "--json", "--", "-x"],
            &["verify"],
            &["verify", "--json", "a"],
            &["verify", "--data", "x"],
            &["admin", "users"],
            &["admin", "--data", "x", "add", "hans", "--generate", "--json"],
            &["admin", "--json", "rename", "hans", "yoda"],
            &["admin", "announce", "--", "-x"],
            &["admin", "invite", "--uses", "30", "--expires", "off", "--note", "6b", "--json"],
            &["admin", "uninvite", "4"],
        ] {
            assert_eq!(kind(right), Ok(()), "{right:?}");
        }
    }
}
