//! Whatever happens, and at whatever level: no text, password or token is in a log.

use std::{fs, path::Path};

use super::{admin, admin_with, log, read, wait_for, world_with};
use crate::support::World;

/// What must be in no log.
const TEXTS: [&str; 6] = [
    "text-for-bob",
    "text-for-all",
    "text-in-private",
    "bytes-of-a-file",
    "said-by-the-keeper",
    "piped-text",
];
const PASSWORDS: [&str; 7] = [
    "hans-secret",
    "bob-secret",
    "wrong-password-typed",
    "typed-where-a-name-is-asked",
    "given-by-the-keeper",
    "reset-by-the-keeper",
    "next-password-of-hans",
];

/// All saved tokens below a folder, in hexadecimal digits.
fn tokens(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_name() == "token" {
            true => found.push(fs::read_to_string(entry.path()).unwrap().trim().to_owned()),
            false if entry.path().is_dir() => tokens(&entry.path(), found),
            false => {}
        }
    }
}

/// The ways in which bytes are usually written.
fn written(hex: &str) -> Vec<String> {
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let escaped = format!("{:?}", bytes::Bytes::copy_from_slice(&bytes[8..]));
    let escaped = escaped.trim_start_matches("b\"").trim_end_matches('"').to_owned();
    let list = format!("{:?}", &bytes[8..16]);
    vec![
        hex[16..32].to_owned(),
        hex[16..32].to_uppercase(),
        escaped,
        list.trim_matches(['[', ']']).to_owned(),
    ]
}

fn scene(world: &World) -> Vec<String> {
    let (hans, bob) = (
        world.user("hans"),
        world.user_with("bob", &["--downloads", world.path("downloads").to_str().unwrap()]),
    );
    hans.sees("bob logged in");
    hans.types("message bob text-for-bob");
    bob.sees("hans: text-for-bob");
    hans.types("broadcast text-for-all");
    bob.sees("hans: text-for-all");
    hans.types("startprivate bob");
    bob.is_asked("\nhans would like to private message, enter y or n: ");
    bob.types("y");
    hans.sees("bob accepts private messaging");
    hans.types("private bob text-in-private");
    bob.sees("hans(private): text-in-private");
    let file = world.path("a.txt");
    fs::write(&file, "bytes-of-a-file").unwrap();
    hans.types(&format!("share {}", file.display()));
    hans.finds("Sharing a.txt: ");
    bob.types("download a.txt");
    bob.finds("Downloaded a.txt: ");

    let mut stranger = world.chat("elsewhere");
    stranger.logs_in("hans", "wrong-password-typed");
    stranger.sees("Invalid Password. Please try again");
    stranger.end_input();
    stranger.ends();
    let refused = ["send", "bob", "x", "--user", "typed-where-a-name-is-asked"];
    assert_ne!(world.run("mistaken", &refused, Some("wrong-password-typed"), "").0, 0);

    assert_eq!(admin_with(world, &["add", "eva"], "given-by-the-keeper\n").0, 0);
    let sent = ["send", "bob", "--user", "eva"];
    assert_eq!(world.run("eva", &sent, Some("given-by-the-keeper"), "piped-text").0, 0);
    bob.sees("eva: piped-text");
    assert_eq!(admin_with(world, &["announce", "said-by-the-keeper"], "").0, 0);
    bob.sees("server: said-by-the-keeper");
    hans.types("passwd");
    hans.is_asked("Old password: ");
    hans.types("hans-secret");
    hans.is_asked("New password: ");
    hans.types("next-password-of-hans");
    hans.is_asked("Repeat the new password: ");
    hans.types("next-password-of-hans");
    hans.sees("Password changed");
    let mut secrets = Vec::new();
    for place in ["hans", "bob", "eva"] {
        tokens(&world.path(place), &mut secrets);
    }
    assert!(secrets.len() >= 3, "{secrets:?}");
    assert_eq!(admin_with(world, &["reset", "eva"], "reset-by-the-keeper\n").0, 0);
    let (_, generated, _) = admin(world, &["reset", "eva", "--generate", "--json"]);
    let generated: serde_json::Value = serde_json::from_str(&generated).unwrap();
    hans.leaves();
    bob.leaves();
    let mut secrets: Vec<String> = secrets.iter().flat_map(|token| written(token)).collect();
    secrets.push(generated["password"].as_str().unwrap().to_owned());
    secrets
}

#[test]
fn no_log_tells_what_was_said_or_proven() {
    let apart = "security-log = \"FOLDER/security.log\"\n";
    let mut world = world_with(apart, &["--log", "trace,hobnob=trace"], &[]);
    let secrets = scene(&world);
    world.stop();
    let (log, security) = (log(&world), read(&world.path("security.log")));
    wait_for("logs that say much", || log.len() > 1000 && security.lines().count() > 10);
    for secret in TEXTS.iter().chain(&PASSWORDS).map(|secret| (*secret).to_owned()).chain(secrets) {
        assert!(!log.contains(&secret), "{secret} is in the log");
        assert!(!security.contains(&secret), "{secret} is in the security log");
    }
    assert!(!log.contains("TRACE"), "of libraries nothing is shown that finely");
    assert!(security.contains("user=unknown#"), "{security}");
}
