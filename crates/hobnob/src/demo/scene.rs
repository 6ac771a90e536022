//! The scene that the demo plays, as a table: who does what, and who sees what of it.

use crate::chat::text;

/// Who plays.
pub(super) const CAST: [&str; 3] = ["hans", "yoda", "luke"];
const HANS: usize = 0;
const YODA: usize = 1;
const LUKE: usize = 2;

/// What somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Starts `hobnob chat`.
    Enters,
    /// Types a line.
    Types(&'static str),
    /// Types a line that is not shown.
    TypesSecretly(&'static str),
    /// Types a command with the path of the film.
    TypesPath(&'static str),
    /// Prints what `b3sum` does of the film, in every column. It is the same for all.
    Compares,
    /// Types `logout`; the program ends well.
    Leaves,
}

/// What is shared.
pub(super) const FILM: &str = "film.mp4";
/// In bytes.
pub(super) const FILM_BYTES: usize = 8 << 20;
/// Bytes a second that one may send over the relay. Hans shows no address, so this is how fast he gives; the others
/// have found each other before either could have everything from him.
pub(super) const RELAY_RATE: u32 = 3 << 19;
/// Whose addresses nobody sees.
pub(super) const HIDDEN: usize = HANS;

/// One step: exactly these lines appear, for each in this order, and for nobody else any. In a line `…` stands for
/// anything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// What it begins, if anything.
    pub(super) caption: Option<&'static str>,
    pub(super) who: usize,
    pub(super) act: Act,
    pub(super) sees: &'static [(usize, &'static str)],
}

const fn step(who: usize, act: Act, sees: &'static [(usize, &'static str)]) -> Step {
    Step { caption: None, who, act, sees }
}

const fn begin(caption: &'static str, step: Step) -> Step {
    Step { caption: Some(caption), ..step }
}

const WELCOME: &str = "Welcome to the greatest messaging application ever!";
const DOWNLOADED: &str = "Downloaded film.mp4: 8.0 MiB from 2 peers in …, verified";
const SECRET: Act = Act::TypesSecretly("far, far away");

/// The scene.
pub(super) const SCENE: &[Step] = &[
    begin("Three people register", step(HANS, Act::Enters, &[(HANS, text::USERNAME)])),
    step(HANS, Act::Types("hans"), &[(HANS, text::NEW_USER)]),
    step(HANS, SECRET, &[(HANS, WELCOME)]),
    step(YODA, Act::Enters, &[(YODA, text::USERNAME)]),
    step(YODA, Act::Types("yoda"), &[(YODA, text::NEW_USER)]),
    step(YODA, SECRET, &[(YODA, WELCOME), (HANS, "yoda logged in")]),
    step(LUKE, Act::Enters, &[(LUKE, text::USERNAME)]),
    step(LUKE, Act::Types("luke"), &[(LUKE, text::NEW_USER)]),
    step(LUKE, SECRET, &[(LUKE, WELCOME), (HANS, "luke logged in"), (YODA, "luke logged in")]),
    begin("They talk", step(LUKE, Act::Types("whoelse"), &[(LUKE, "hans"), (LUKE, "yoda")])),
    step(HANS, Act::Types("message yoda Are you there?"), &[(YODA, "hans: Are you there?")]),
    step(YODA, Act::Types("message hans There I am."), &[(HANS, "yoda: There I am.")]),
    step(
        LUKE,
        Act::Types("broadcast Hello, everyone"),
        &[(HANS, "luke: Hello, everyone"), (YODA, "luke: Hello, everyone")],
    ),
    begin(
        "A message waits for who is away",
        step(LUKE, Act::Leaves, &[(LUKE, "Goodbye."), (HANS, "luke logged out"), (YODA, "luke logged out")]),
    ),
    step(HANS, Act::Types("message luke For when you are back"), &[]),
    step(LUKE, Act::Enters, &[(LUKE, text::USERNAME)]),
    step(LUKE, Act::Types("luke"), &[(LUKE, text::PASSWORD)]),
    step(
        LUKE,
        SECRET,
        &[
            (LUKE, WELCOME),
            (LUKE, "hans: For when you are back"),
            (HANS, "luke logged in"),
            (YODA, "luke logged in"),
        ],
    ),
    begin("A block", step(YODA, Act::Types("block luke"), &[(YODA, "luke is blocked")])),
    step(
        LUKE,
        Act::Types("message yoda Teach me"),
        &[(LUKE, "Your message could not be delivered as the recipient has blocked you")],
    ),
    step(LUKE, Act::Types("whoelse"), &[(LUKE, "hans")]),
    step(YODA, Act::Types("unblock luke"), &[(YODA, "luke is unblocked")]),
    begin(
        "Private talk, which the server cannot read",
        step(
            HANS,
            Act::Types("startprivate yoda"),
            &[
                (HANS, "Start private messaging with yoda"),
                (YODA, "hans would like to private message, enter y or n: "),
            ],
        ),
    ),
    step(
        YODA,
        Act::Types("y"),
        &[(YODA, "Start private messaging with hans"), (HANS, "yoda accepts private messaging")],
    ),
    step(HANS, Act::Types("private yoda Between us"), &[(YODA, "hans(private): Between us")]),
    step(YODA, Act::Types("private hans It stays so"), &[(HANS, "yoda(private): It stays so")]),
    step(
        HANS,
        Act::Types("stopprivate yoda"),
        &[(HANS, "Stop private messaging with yoda"), (YODA, "hans stopped private messaging")],
    ),
    begin("A file, fetched by two at once: from who has it, and from each other", {
        let sees = &[(HANS, "Sharing film.mp4: 8.0 MiB, 32 chunks, …")];
        step(HANS, Act::TypesPath("share "), sees)
    }),
    step(YODA, Act::Types("download film.mp4"), &[]),
    step(LUKE, Act::Types("download film.mp4"), &[(YODA, DOWNLOADED), (LUKE, DOWNLOADED)]),
    step(HANS, Act::Compares, &[]),
    step(HANS, Act::Types("unshare film.mp4"), &[(HANS, "Stopped sharing film.mp4")]),
    begin(
        "They leave",
        step(YODA, Act::Leaves, &[(YODA, "Goodbye."), (HANS, "yoda logged out"), (LUKE, "yoda logged out")]),
    ),
    step(HANS, Act::Types("whoelse"), &[(HANS, "luke")]),
    step(HANS, Act::Leaves, &[(HANS, "Goodbye."), (LUKE, "hans logged out")]),
    step(LUKE, Act::Types("whoelse"), &[(LUKE, "No one else is online now.")]),
    step(LUKE, Act::Leaves, &[(LUKE, "Goodbye.")]),
];
