//! The socket: whose it is, and what it takes.

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    process::Command,
};

use super::{admin, command, output};
use crate::support::{World, hobnob};

#[test]
fn without_a_server_the_exit_code_is_3() {
    let mut world = World::new();
    world.stop();
    assert!(!world.path("server/admin.sock").exists(), "a server takes its socket along");
    assert_eq!(admin(&world, &["status"]).0, 3);
    let json = admin(&world, &["--json", "kick", "hans"]);
    assert!(json.0 == 3 && json.1.starts_with("{\"refused\":\"no-server\""), "{json:?}");
    let mut nowhere = hobnob(&world.path("home"));
    nowhere.args(["admin", "--data"]).arg(world.path("nothing-here")).arg("users");
    assert_eq!(output(nowhere, "").status.code(), Some(3));
    // Nobody is asked for a password in vain.
    assert_eq!(admin(&world, &["add", "hans"]).0, 3);
    world.start();
    world.crash();
    assert!(world.path("server/admin.sock").exists());
    assert_eq!(admin(&world, &["status"]).0, 3, "what a crash left behind answers nobody");
    world.start();
    assert_eq!(admin(&world, &["status"]).0, 0);
}

#[test]
fn the_folder_is_found_as_serve_finds_it() {
    let world = World::new();
    let config = world.path("hobnob.toml");
    fs::write(&config, format!("data = {:?}\nlisten = \"127.0.0.1:1\"\n", world.path("server")))
        .expect("written");
    let mut by_file = hobnob(&world.path("home"));
    by_file.args(["admin", "users", "--config"]).arg(&config);
    assert_eq!(output(by_file, "").status.code(), Some(0));
    let mut by_variable = hobnob(&world.path("home"));
    by_variable.args(["admin", "users"]).env("HOBNOB_DATA", world.path("server"));
    assert_eq!(output(by_variable, "").status.code(), Some(0));
    let mut by_default = hobnob(&world.path("home"));
    by_default.args(["admin", "users"]);
    assert_eq!(output(by_default, "").status.code(), Some(3));
}

#[test]
fn misuse_exits_2() {
    let world = World::new();
    for wrong in [&["dance"][..], &[], &["kick"], &["add", "hans", "secret"], &["users", "x"]] {
        assert_eq!(admin(&world, wrong).0, 2, "{wrong:?}");
    }
}

#[test]
fn the_socket_is_for_its_owner_only() {
    let world = World::new();
    let mode = |name| fs::metadata(world.path(name)).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode("server"), mode("server/admin.sock")), (0o700, 0o600));
    let is_root = rustix::process::geteuid().is_root();
    let has_setpriv =
        Command::new("setpriv").arg("--version").output().is_ok_and(|tried| tried.status.success());
    if !is_root || !has_setpriv {
        return eprintln!("SKIPPED: that other users are refused takes root and setpriv (util-linux)");
    }
    let as_nobody = |arguments: &[&str]| {
        let own = command(&world, arguments);
        let mut other = Command::new("setpriv");
        other
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .arg("--")
            .arg(own.get_program());
        other.args(own.get_args());
        output(other, "")
    };
    let open =
        |path: &std::path::Path| fs::set_permissions(path, Permissions::from_mode(0o755)).expect("opened");
    // The program itself has to be within reach of that user, or nothing is tested.
    let program = env!("CARGO_BIN_EXE_hobnob");
    let mut version = Command::new("setpriv");
    version.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--", program, "--version"]);
    if !version.output().is_ok_and(|tried| tried.status.success()) {
        return eprintln!("SKIPPED: another user cannot run {program}");
    }
    assert_eq!(as_nobody(&["users"]).status.code(), Some(1), "the permissions refuse");
    // Even where somebody has opened folder and socket to all.
    let folder = world.path("server");
    open(folder.parent().expect("a folder"));
    open(&folder);
    fs::set_permissions(world.path("server/admin.sock"), Permissions::from_mode(0o777)).expect("opened");
    let refused = as_nobody(&["--json", "users"]);
    let printed = String::from_utf8_lossy(&refused.stdout);
    assert_eq!(refused.status.code(), Some(1), "{printed}");
    assert!(
        printed.starts_with("{\"refused\":\"not-allowed\",\"text\":\"Only the server's own user"),
        "{printed}"
    );
    let told = || super::log(&world).matches("another user was refused at the admin socket").count();
    assert_eq!(told(), 1, "a call is told once");
    let refused = as_nobody(&["--json", "reset", "hans"]);
    assert!(refused.stdout.starts_with(b"{\"refused\":\"not-allowed\""), "{refused:?}");
    assert_eq!(told(), 2, "one that would read a password, too");
    assert_eq!(admin(&world, &["users"]).0, 0);
}

#[test]
fn requests_are_bounded_and_versions_told() {
    let world = World::new();
    let talk = |request: &[u8]| -> Vec<String> {
        let mut stream = UnixStream::connect(world.path("server/admin.sock")).expect("connected");
        // The server may have answered, and gone, before all is written.
        let _ = stream.write_all(request);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        BufReader::new(stream).lines().map_while(Result::ok).collect()
    };
    let two = b"{\"version\":1,\"command\":\"users\"}\n{\"version\":1,\"command\":\"status\"}\n";
    let answers = talk(two);
    assert_eq!((answers[0].as_str(), answers.len()), ("{\"done\":{}}", 3), "{answers:?}");
    assert!(talk(b"{\"version\":9,\"command\":\"users\"}\n")[0].contains("unsupported-version"));
    assert!(talk(b"\xff\xfe\n")[0].contains("bad-request"));
    assert!(talk(b"{\"version\":1,\"command\":\"users\"}").is_empty(), "a request that is cut off is none");
    assert!(talk(&vec![b'x'; 400 * 1024])[0].contains("too long"));
    let many: Vec<_> = (0..40).map(|_| UnixStream::connect(world.path("server/admin.sock"))).collect();
    drop(many);
    assert_eq!(admin(&world, &["status"]).0, 0);
}

#[test]
fn a_deep_folder_has_a_socket_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("x".repeat(120)).join("y".repeat(60));
    let server = crate::server_process::Server::start("127.0.0.1:0", &data, [""; 0]);
    let mut status = hobnob(folder.path());
    status.args(["admin", "status", "--data"]).arg(&data);
    assert_eq!(output(status, "").status.code(), Some(0));
    assert!(server.stop().success());
}
