//! Another certificate while people talk.

use std::{fs, path::Path};

use super::{admin, admin_with, hang_up, world_with};
use crate::support::World;

/// Writes a certificate and its key.
fn certificate(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(folder.join("c.pem"), made.cert.pem()).unwrap();
    fs::write(folder.join("k.pem"), made.signing_key.serialize_pem()).unwrap();
}

/// By which clients know the server.
fn key(world: &World) -> String {
    let (_, status, _) = admin(world, &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    status["fingerprint"].as_str().unwrap().to_owned()
}

/// Whether whoever connects now is shown this key.
fn is_shown(world: &World, place: &str, pin: &str) -> bool {
    let arguments = ["send", "hans", "hello", "--user", "bob", "--pin", pin];
    world.run(place, &arguments, Some("secret"), "").0 == 0
}

#[test]
fn who_comes_sees_the_new_one_and_who_is_there_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let world = world_with(&format!("tls = \"{},{}\"\n", path("c.pem"), path("k.pem")), &[], &[]);
    let hans = world.user("hans");
    assert_eq!(admin_with(&world, &["add", "bob"], "secret\n").0, 0);
    let first = key(&world);
    assert!(is_shown(&world, "one", &first));
    hans.sees("bob: hello");

    let (certificate_before, key_before) =
        (fs::read(path("c.pem")).unwrap(), fs::read(path("k.pem")).unwrap());
    certificate(folder.path());
    let certificate_after = fs::read(path("c.pem")).unwrap();
    fs::write(path("c.pem"), &certificate_before).unwrap();
    hang_up(&world, "the TLS certificate cannot be used");
    fs::write(path("c.pem"), "nothing").unwrap();
    hang_up(&world, "c.pem: no certificate in it");
    fs::remove_file(path("k.pem")).unwrap();
    hang_up(&world, "k.pem: No such file");
    assert_eq!(key(&world), first);
    assert!(is_shown(&world, "two", &first));
    hans.sees("bob: hello");

    fs::write(path("c.pem"), &certificate_before).unwrap();
    fs::write(path("k.pem"), &key_before).unwrap();
    hang_up(&world, "reloaded, nothing has changed");
    certificate(folder.path());
    assert_ne!(fs::read(path("c.pem")).unwrap(), certificate_after);
    hang_up(&world, "changed=certificate");
    let second = key(&world);
    assert_ne!(second, first);
    assert!(is_shown(&world, "three", &second));
    assert!(!is_shown(&world, "four", &first));
    hans.sees("bob: hello");
    hans.types("message bob still here");
    hans.asks("whoelse", &["No one else is online now."]);
    assert!(!hans.everything().contains("Lost the connection"));
}
