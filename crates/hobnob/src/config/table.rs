//! The one table of settings for each command: flags, variables, keys of the file and the example come from here.

/// What is written after a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One value; the word stands for it in the help.
    Value(&'static str),
    /// Nothing: it is on when it is there.
    Switch,
    /// No flag but a word of its own on the command line.
    Word,
}

/// One thing that can be set.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The flag without dashes, and the key in a file.
    pub(crate) name: &'static str,
    /// What is written after it.
    pub(crate) shape: Shape,
    /// As one would type it; `None` where nothing is the default.
    pub(crate) default: Option<&'static str>,
    /// One line.
    pub(crate) help: &'static str,
}

impl Setting {
    /// The name of its variable in the environment.
    pub(crate) fn variable(&self) -> String {
        format!("HOBNOB_{}", self.name.to_uppercase().replace('-', "_"))
    }
}

const fn value(
    name: &'static str,
    shown: &'static str,
    default: Option<&'static str>,
    help: &'static str,
) -> Setting {
    Setting { name, shape: Shape::Value(shown), default, help }
}

const fn switch(name: &'static str, help: &'static str) -> Setting {
    Setting { name, shape: Shape::Switch, default: None, help }
}

/// `hobnob serve`.
pub(crate) const SERVE: &[Setting] = &[
    value("listen", "HOST:PORT", Some("127.0.0.1:4000"), "Where to listen; port 0 picks a free one"),
    value("data", "DIR", None, "Folder of the database and the key [default: the user's data folder]"),
    value("credentials", "FILE", None, "Accounts to import: lines of `username password`"),
    value("block-duration", "TIME", Some("60s"), "How long three wrong passwords in a row block a name"),
    value("idle-timeout", "off|TIME", Some("off"), "Log out who does nothing for this long"),
    value("registration", "open|closed", Some("open"), "Whether a new name makes an account"),
    value(
        "welcome",
        "TEXT",
        Some("Welcome to the greatest messaging application ever!"),
        "What everyone reads after logging in",
    ),
    value(
        "tls",
        "self-signed|off|CERT,KEY",
        Some("self-signed"),
        "The certificate: made at first start, none, or two PEM files",
    ),
    switch("insecure", "Allow --tls off on an address that others can reach"),
    value("relay", "on|off", Some("on"), "Relay private talk where no direct path exists"),
    value("relay-rate", "SIZE/s|off", Some("16M/s"), "How fast one user may send over the relay"),
    value("history", "off|TIME", Some("off"), "How long messages are kept after delivery"),
    value("sessions-per-user", "N", Some("1"), "How often one user may be logged in at once"),
    value("send-rate", "N/s|off", Some("50/s"), "How fast one session may send in the long run"),
    value("inbox-messages", "N", Some("10000"), "Most messages that wait for one user"),
    value("inbox-bytes", "SIZE", Some("64MiB"), "Most text that waits for one user"),
    value("inbox-per-sender", "N", Some("1000"), "Most messages of one sender that wait for one user"),
    value("log", "LEVEL", Some("info"), "What to log: error, warn, info, debug, trace, off"),
    value("log-format", "text|json", Some("text"), "How: lines of words, or one JSON object a line"),
    value(
        "security-log",
        "FILE",
        None,
        "Logins, lock-outs and acts of the keeper go there [default: to the log]",
    ),
];

const DATA: Setting =
    value("data", "DIR", None, "Folder of keys and sessions [default: the user's data folder]");
const PIN: Setting = value("pin", "SHA256:…", None, "Accept only a server with this key");
const SERVER: Setting =
    value("server", "[USER@]HOST[:PORT]", Some("localhost:4000"), "The server to talk to");
const USER: Setting = value("user", "NAME", None, "The user to log in as");
const PASSWORD_FILE: Setting =
    value("password-file", "FILE", None, "File whose first line is the password (or set HOBNOB_PASSWORD)");

const JSON: Setting = switch("json", "One JSON object a line");
const DOWNLOADS: Setting =
    value("downloads", "DIR", None, "Folder for downloaded files [default: the current one]");
const RELAY_ONLY: Setting =
    switch("relay-only", "Hide addresses: private talk and files go through the relay");

/// `hobnob chat`.
pub(crate) const CHAT: &[Setting] = &[
    Setting {
        name: "server",
        shape: Shape::Word,
        default: Some("localhost:4000"),
        help: "The server, and who to log in as: [USER@]HOST[:PORT]",
    },
    switch("plain", "Lines instead of a full screen"),
    DATA,
    DOWNLOADS,
    RELAY_ONLY,
    PIN,
];

/// `hobnob send`.
pub(crate) const SEND: &[Setting] = &[SERVER, USER, PASSWORD_FILE, DATA, PIN];

/// `hobnob tail`.
pub(crate) const TAIL: &[Setting] = &[JSON, SERVER, USER, PASSWORD_FILE, DATA, PIN];

/// `hobnob share`.
pub(crate) const SHARE: &[Setting] = &[JSON, RELAY_ONLY, SERVER, USER, PASSWORD_FILE, DATA, PIN];

/// `hobnob files`.
pub(crate) const FILES: &[Setting] = TAIL;

/// `hobnob get`.
pub(crate) const GET: &[Setting] = &[JSON, DOWNLOADS, RELAY_ONLY, SERVER, USER, PASSWORD_FILE, DATA, PIN];

/// `hobnob doctor`.
pub(crate) const DOCTOR: &[Setting] = &[
    Setting {
        name: "server",
        shape: Shape::Word,
        default: Some("localhost:4000"),
        help: "The server: HOST[:PORT]",
    },
    DATA,
    PIN,
];

/// `hobnob admin`.
pub(crate) const ADMIN: &[Setting] = &[
    value("data", "DIR", None, "The folder of the server [default: the user's data folder]"),
    switch("json", "JSON objects, one a line, instead of words"),
];

/// Every table.
pub(super) const ALL: &[&[Setting]] = &[SERVE, CHAT, SEND, TAIL, SHARE, GET, DOCTOR, ADMIN];
