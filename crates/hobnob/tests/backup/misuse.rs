//! What cannot be meant, and what cannot be done.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::{done, refused, run};
use crate::support::World;

#[test]
fn wrong_input_is_told_by_exit_code_and_word() {
    let mut world = World::new();
    world.user("hans").leaves();
    let folder = world.path("");
    let here = folder.as_path();
    done(here, &["backup", "--data", "server", "b"]);
    assert_eq!(fs::metadata(folder.join("b")).unwrap().permissions().mode() & 0o777, 0o600);
    fs::create_dir(folder.join("dir")).unwrap();
    fs::write(folder.join("text"), "no database".repeat(500)).unwrap();
    fs::write(folder.join("empty"), "").unwrap();
    let whole = fs::read(folder.join("b")).unwrap();
    fs::write(folder.join("cut"), &whole[..whole.len() / 2]).unwrap();
    let mut flipped = whole.clone();
    let at = flipped.windows(8).position(|window| window == b"argon2id").unwrap();
    flipped[at] ^= 1;
    fs::write(folder.join("flipped"), flipped).unwrap();
    let table: &[(&[&str], i32, &str)] = &[
        (&["backup", "--data", "server", "b"], 1, "exists"),
        (&["backup", "--data", "server", "dir"], 2, "misuse"),
        (&["backup", "--data", "server", "new/"], 2, "misuse"),
        (&["backup", "--data", "server", "server/b"], 2, "misuse"),
        (&["backup", "--data", "server", "--replace", "server/hobnob.db"], 2, "misuse"),
        (&["backup", "--data", "server", "--replace", "/dev/null"], 2, "misuse"),
        (&["backup", "--data", "server", "none/b"], 3, "file"),
        (&["backup", "--data", "server", "text/b"], 3, "file"),
        (&["backup", "--data", "dir", "c"], 3, "no-store"),
        (&["backup", "--data", "none", "c"], 3, "no-store"),
        (&["restore", "--data", "server", "b"], 1, "in-use"),
        (&["restore", "--data", "r", "none"], 3, "file"),
        (&["restore", "--data", "r", "dir"], 3, "unusable"),
        (&["restore", "--data", "r", "text"], 3, "unusable"),
        (&["restore", "--data", "r", "empty"], 3, "unusable"),
        (&["restore", "--data", "r", "server/hobnob.db"], 3, "unusable"),
        (&["restore", "--data", "r", "cut"], 1, "damaged"),
        (&["restore", "--data", "r", "flipped"], 1, "damaged"),
        (&["verify", "none"], 3, "file"),
        (&["verify", "dir"], 3, "unusable"),
        (&["verify", "text"], 3, "unusable"),
        (&["verify", "--data", "dir"], 3, "no-store"),
        (&["verify", "flipped"], 1, "damaged"),
    ];
    for (arguments, code, word) in table {
        assert_eq!(refused(here, arguments), (*code, (*word).to_owned()), "{arguments:?}");
    }
    assert_eq!(run(here, ["verify", "cut"]).0, 1);
    for wrong in [&["backup"][..], &["restore"], &["verify", "--data", "server", "b"], &["backup", "a", "b"]]
    {
        assert_eq!(run(here, wrong).0, 2, "{wrong:?}");
    }
    world.stop();
    assert_eq!(refused(here, &["restore", "--data", "server", "b"]), (1, "not-empty".to_owned()));
    assert_eq!(left_over(here), [""; 0]);
}

/// What no command may leave behind.
fn left_over(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.')).collect()
}

#[test]
fn nothing_is_overwritten_unasked_and_nothing_is_lost_where_it_is() {
    let world = World::new();
    let folder = world.path("");
    done(&folder, &["backup", "--data", "server", "b"]);
    let first = fs::read(folder.join("b")).unwrap();
    world.user("hans").leaves();
    assert_eq!(refused(&folder, &["backup", "--data", "server", "b"]).0, 1);
    assert_eq!(fs::read(folder.join("b")).unwrap(), first);
    done(&folder, &["backup", "--data", "server", "b", "--replace"]);
    assert_ne!(fs::read(folder.join("b")).unwrap(), first);
    // One that fails leaves the old one.
    let second = fs::read(folder.join("b")).unwrap();
    assert_eq!(refused(&folder, &["backup", "--data", "none", "b", "--replace"]).0, 3);
    assert_eq!(fs::read(folder.join("b")).unwrap(), second);
}

#[test]
fn every_file_of_a_data_folder_is_in_a_backup_or_made_anew() {
    let world = World::new();
    world.user("hans").leaves();
    let kept = hobnob_server::store::sqlite::backup::IDENTITY_FILES;
    let made_anew = ["hobnob.db", "hobnob.db-wal", "hobnob.db-shm", "server.lock", "admin.sock"];
    for entry in fs::read_dir(world.path("server")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(kept.iter().chain(&made_anew).any(|known| *known == name), "{name} would not be restored");
    }
}

#[test]
fn verify_looks_at_a_server_that_runs_and_finds_what_is_wrong() {
    let mut world = World::new();
    world.user("hans").leaves();
    let folder = world.path("");
    assert!(done(&folder, &["verify", "--data", "server"]).starts_with("server is whole: 1 account, "));
    let json: serde_json::Value =
        serde_json::from_str(&done(&folder, &["verify", "--data", "server", "--json"])).unwrap();
    assert_eq!((&json["whole"], &json["accounts"]), (&true.into(), &1.into()));
    world.stop();
    done(&folder, &["verify", "--data", "server"]);
    let database = folder.join("server/hobnob.db");
    let mut bytes = fs::read(&database).unwrap();
    // The pages behind the first hold the beginnings of tables.
    bytes[4096..7 * 4096].fill(0xff);
    fs::write(&database, bytes).unwrap();
    let (code, printed, why) = run(&folder, ["verify", "--data", "server"]);
    assert_eq!(code, 1, "{printed}{why}");
    assert!(why.starts_with("hobnob: damaged: ") && printed.contains("damaged in "), "{printed}{why}");
    assert_eq!(run(&folder, ["backup", "--data", "server", "b"]).0, 1, "nothing is made of what is damaged");
    assert!(!folder.join("b").exists());
    let (code, printed, why) = run(&folder, ["serve", "--listen", "127.0.0.1:0", "--data", "server"]);
    assert_eq!((code, printed.as_str()), (1, ""), "{why}");
    assert!(why.contains("server/hobnob.db is damaged (") && why.contains("`hobnob verify --data "), "{why}");
}
