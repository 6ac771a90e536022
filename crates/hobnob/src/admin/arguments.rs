//! The command line of `hobnob admin`. A password is no argument: others could read it.

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command as Clap};
use hobnob_server::admin::wire::Command;

use crate::config::value;

/// What is wanted.
pub(crate) struct Wish {
    /// The request, still without a password.
    pub(super) command: Command,
    /// Whether a password is to be read for it.
    pub(super) ask: bool,
    /// Whether the text is to be read from standard input.
    pub(super) read_text: bool,
}

/// `hobnob admin`; `flags` may stand anywhere on its line.
pub(crate) fn command(flags: impl Iterator<Item = Arg>) -> Clap {
    let name = |help: &'static str| Arg::new("name").value_name("NAME").required(true).help(help);
    let generate = || {
        Arg::new("generate")
            .long("generate")
            .action(ArgAction::SetTrue)
            .help("Let the server make a password, and print it once; otherwise it is asked for, or read from standard input")
    };
    let uses = Arg::new("uses").long("uses").value_name("N").default_value("1").value_parser(value::count);
    let uses = uses.help("How many accounts may be made with it");
    let expires = Arg::new("expires").long("expires").value_name("TIME|off").default_value("7d");
    let expires = expires.value_parser(lifetime).help("How long it is good");
    let of = |command: &'static str, about: &'static str| Clap::new(command).about(about);
    Clap::new("admin")
        .about("Keep the server of this machine: accounts, sessions, state")
        .after_help("Exit codes: 0 done, 1 refused or no such user, 2 misuse, 3 no server is running")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .args(flags.map(|flag| flag.global(true)))
        .subcommand(of("users", "List all accounts"))
        .subcommand(of("add", "Make an account").arg(name("Its name")).arg(generate()))
        .subcommand(
            of("reset", "Set another password; ends all sessions and a lock-out")
                .arg(name("Whose"))
                .arg(generate()),
        )
        .subcommand(of("unlock", "End a lock-out").arg(name("Whose")))
        .subcommand(of("disable", "End all sessions, and let nobody log in").arg(name("To whose account")))
        .subcommand(of("enable", "Let its owner log in again").arg(name("To whose account")))
        .subcommand(of("kick", "End all sessions").arg(name("Whose")))
        .subcommand(
            of("rename", "Give an account another name; ends all sessions")
                .arg(name("The name until now"))
                .arg(Arg::new("to").value_name("NEW").required(true).help("The name from now on")),
        )
        .subcommand(
            of("delete", "Remove an account with all that is its own; asks nothing").arg(name("Whose")),
        )
        .subcommand(
            of("sessions", "List who is connected")
                .arg(Arg::new("all").long("all").action(ArgAction::SetTrue).help("Also what can be resumed")),
        )
        .subcommand(of("status", "Tell how the server is"))
        .subcommand(
            of("announce", "Say something to everyone online")
                .arg(Arg::new("text").value_name("TEXT").required(true).help("`-`: all of standard input")),
        )
        .subcommand(of(
            "reload",
            "Read settings, certificate and log files again; what is wrong changes nothing",
        ))
        .subcommand(
            of("invite", "Make an invitation to register, for a server with --registration invite")
                .arg(uses)
                .arg(expires)
                .arg(
                    Arg::new("note")
                        .long("note")
                        .value_name("TEXT")
                        .default_value("")
                        .help("For the list; whom it is for"),
                ),
        )
        .subcommand(of("invites", "List the invitations that are good, without their codes"))
        .subcommand(
            of("uninvite", "Take an invitation back").arg(
                Arg::new("id")
                    .value_name("ID")
                    .required(true)
                    .value_parser(invitation)
                    .help("Its number in the list"),
            ),
        )
        .subcommand(of("drain", "Stop the server, and wait until all is on disk"))
}

fn lifetime(text: &str) -> Result<Option<Duration>, String> {
    value::off_or(value::duration)(text)
}

fn invitation(text: &str) -> Result<i64, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number
        .ok_or_else(|| "an invitation is named by its number, which `hobnob admin invites` lists".to_owned())
}

impl Wish {
    /// Whether something is to be read before it can be asked for.
    pub(super) fn reads(&self) -> bool {
        self.ask || self.read_text
    }

    /// What was typed; `None`: no command.
    pub(crate) fn read(matches: &ArgMatches) -> Option<Self> {
        let (command, matches) = matches.subcommand()?;
        let word = |id: &str| matches.get_one::<String>(id).cloned().unwrap_or_default();
        let name = || word("name");
        let asked = || !matches.get_flag("generate");
        let plain = |command| Self { command, ask: false, read_text: false };
        Some(match command {
            "users" => plain(Command::Users),
            "add" => Self { ask: asked(), ..plain(Command::Add { name: name(), password: None }) },
            "reset" => Self { ask: asked(), ..plain(Command::Reset { name: name(), password: None }) },
            "unlock" => plain(Command::Unlock { name: name() }),
            "disable" => plain(Command::Disable { name: name() }),
            "enable" => plain(Command::Enable { name: name() }),
            "kick" => plain(Command::Kick { name: name() }),
            "rename" => plain(Command::Rename { name: name(), to: word("to") }),
            "delete" => plain(Command::Delete { name: name() }),
            "sessions" => plain(Command::Sessions { all: matches.get_flag("all") }),
            "status" => plain(Command::Status),
            "announce" => {
                let text = word("text");
                Self { read_text: text == "-", ..plain(Command::Announce { text }) }
            }
            "reload" => plain(Command::Reload),
            "invite" => plain(Command::Invite {
                uses: matches.get_one("uses").copied().unwrap_or(1),
                lifetime_s: matches
                    .get_one::<Option<Duration>>("expires")
                    .and_then(|lifetime| lifetime.map(|lifetime| lifetime.as_secs())),
                note: word("note"),
            }),
            "invites" => plain(Command::Invitations),
            "uninvite" => plain(Command::Uninvite { id: matches.get_one("id").copied().unwrap_or(0) }),
            "drain" => plain(Command::Drain),
            _ => return None,
        })
    }
}
