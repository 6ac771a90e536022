//! What `--help` and the manual pages say below the options.

pub(crate) const HOBNOB: &str = "\
Every option but those of `admin` acts can stand in the environment as HOBNOB_ and its name (HOBNOB_LISTEN), and in a TOML \
file that --config or HOBNOB_CONFIG names. An option beats the environment, which beats the file.

Exit codes: 0 done, 1 refused or failed, 2 misuse. `hobnob COMMAND --help` explains a command.";

pub(crate) const SERVE: &str = "\
It prints `hobnob is listening on ADDRESS, key SHA256:...` when it is ready, and logs to standard error. Clients pin the key at \
first contact; with a certificate of their system's trust they check that instead.

SIGTERM and SIGINT stop it within 8 seconds: clients are told, and all that was accepted is on disk. A second one stops it \
at once. SIGHUP, as `hobnob admin reload`, has it read its settings and certificate again and open the security log anew.

Exit codes: 0 stopped, 1 it cannot start or go on, 2 misuse; nothing is bound before all settings are right.

docs/OPERATING.md of hobnob's source is the whole story of keeping a server.";

pub(crate) const CHAT: &str = "\
`help` lists the commands, `help COMMAND` explains one. The connection comes back by itself; what you type meanwhile is kept \
on disk and sent then, once.

Exit codes: 0 logged out, 1 refused, replaced or no server, 2 misuse.";

pub(crate) const SEND: &str = "\
The password is asked for on a terminal, or is HOBNOB_PASSWORD or the first line of --password-file; a saved session makes \
the next call need none. Nobody is told that you were there.

Exit codes: 0 the message was accepted and is on the server's disk, 1 it was not, 2 misuse.";

pub(crate) const TAIL: &str = "\
You are online meanwhile: others see you come and go. The password is found as by `hobnob send`.

Exit codes: 0 after Ctrl-C or a log-out, 1 refused, replaced or no server, 2 misuse.";

pub(crate) const DOCTOR: &str = "\
It logs in nowhere and notes nothing. A way that does not work is named with what to do about it.

Exit codes: 0 private talk is possible, 1 it is not, or there is no server, 2 misuse.";
