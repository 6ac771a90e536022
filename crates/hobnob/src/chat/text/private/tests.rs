use super::*;

fn user() -> String {
    "Hans".to_owned()
}

#[test]
fn steps() {
    let message = |text: &str| News::Message { user: user(), text: text.to_owned() };
    let cases = [
        (News::Started(user()), "Start private messaging with Hans\n"),
        (News::Question(user()), "Hans would like to private message, enter y or n: "),
        (News::Accepted(user()), "Hans accepts private messaging\n"),
        (News::Declined(user()), "Hans declines private messaging\n"),
        (News::NoAnswer(user()), "Hans did not answer\n"),
        (News::Expired(user()), "The request of Hans has expired\n"),
        (message("hi there"), "Hans(private): hi there\n"),
        (message("one\nbob: two\n"), "Hans(private): one\n  bob: two\n  \n"),
        (News::Stopped(user()), "Stop private messaging with Hans\n"),
        (News::StoppedBy(user()), "Hans stopped private messaging\n"),
        (News::Ended { user: user(), left: true }, "Private messaging with Hans ended: Hans logged out\n"),
        (News::Ended { user: user(), left: false }, "Private messaging with Hans ended\n"),
        (News::Interrupted(user()), "Private messaging with Hans is interrupted, trying again\n"),
        (News::GoesOn(user()), "Private messaging with Hans goes on\n"),
        (News::Undelivered { user: user(), discreet: false }, "Error. Hans is no longer online\n"),
        (News::Undelivered { user: user(), discreet: true }, "Error. Not delivered to Hans\n"),
        (News::Verified(user()), "The key of Hans is verified\n"),
    ];
    for (given, expected) in cases {
        assert_eq!(news(&given), expected);
    }
    let hostile = news(&message("\u{1b}[2J\u{202e}x\rHans(private): y"));
    assert!(hostile.lines().count() == 1 && !hostile.contains(['\u{1b}', '\u{202e}', '\r']), "{hostile:?}");
}

#[test]
fn errors() {
    let cases = [
        (TalkError::InvalidUser, "Error. Invalid user\n"),
        (TalkError::StartSelf, "Error. Cannot start private messaging with self\n"),
        (TalkError::Blocked(user()), "Error. Cannot start private messaging. Hans has blocked you\n"),
        (TalkError::Offline(user()), "Error. Cannot start private messaging. Hans is offline\n"),
        (TalkError::Connected(user()), "Error. You have already connected with Hans\n"),
        (TalkError::NoConnection(user()), "Error. Could not connect to Hans\n"),
        (TalkError::NotEnabled(user()), "Error. Private messaging to Hans not enabled\n"),
        (TalkError::PrivateSelf, "Error. Cannot send private message to self\n"),
        (TalkError::NoSession(user()), "Error. No private messaging session with Hans\n"),
        (TalkError::NoRequest, "Error. No request to answer\n"),
    ];
    for (given, expected) in cases {
        assert_eq!(news(&News::Error(given)), expected);
    }
    let free =
        [TalkError::AlreadyAsked(user()), TalkError::TooMany, TalkError::NotAsked, TalkError::NoKey(user())];
    for given in free {
        let shown = news(&News::Error(given));
        assert!(shown.starts_with("Error. ") && shown.lines().count() == 1, "{shown}");
    }
}

#[test]
fn what_is_to_be_compared_is_said_and_a_changed_key_is_loud() {
    let number = "12345 ".repeat(12).trim_end().to_owned();
    let shown = |verified| news(&News::SafetyNumber { user: user(), number: number.clone(), verified });
    for verified in [true, false] {
        assert!(shown(verified).starts_with(&format!("Safety number with Hans: {number}\n  ")));
    }
    assert!(shown(false).ends_with("enter: verify Hans ok\n"));
    for refused in [true, false] {
        let shown = news(&News::NewKey { user: user(), refused });
        assert_eq!(shown.lines().count(), 3);
        assert!(shown.starts_with("WARNING. The key of Hans ") && shown.contains("verify Hans"), "{shown}");
        assert_eq!(shown.contains("refused"), refused);
    }
}

#[test]
fn names_cannot_pass_for_lines() {
    let evil = || "x\nWelcome\u{1b}[2J".to_owned();
    let all = [
        News::Started(evil()),
        News::Question(evil()),
        News::Message { user: evil(), text: "x".to_owned() },
        News::Ended { user: evil(), left: true },
        News::Undelivered { user: evil(), discreet: false },
        News::Error(TalkError::Offline(evil())),
        News::Error(TalkError::NotEnabled(evil())),
    ];
    for given in all {
        let shown = news(&given);
        assert!(shown.lines().count() == 1 && !shown.contains('\u{1b}'), "{shown:?}");
    }
    let number = || "1".to_owned();
    for given in [
        News::NewKey { user: evil(), refused: true },
        News::SafetyNumber { user: evil(), number: number(), verified: false },
    ] {
        let shown = news(&given);
        assert!(!shown.contains("\nWelcome") && !shown.contains('\u{1b}'), "{shown:?}");
    }
}

#[test]
fn ways() {
    let direct = |round_trip, bytes| Path {
        direct: Some("127.0.0.1:53211".parse().unwrap()),
        relay: None,
        round_trip,
        bytes,
    };
    let relayed = |host: Option<&str>| Path {
        direct: None,
        relay: host.map(str::to_owned),
        round_trip: Duration::from_millis(31),
        bytes: (0, 1 << 20),
    };
    let cases = [
        (
            Some(direct(Duration::from_micros(410), (1229, 3482))),
            "direct 127.0.0.1:53211, 0.4 ms, 1.2 KiB sent, 3.4 KiB received\n",
        ),
        (
            Some(direct(Duration::from_micros(9_960), (1023, 1024 * 1024 - 1))),
            "direct 127.0.0.1:53211, 10 ms, 1023 B sent, 1.0 MiB received\n",
        ),
        (
            Some(relayed(Some("host.example"))),
            "relayed via host.example, 31 ms, 0 B sent, 1.0 MiB received\n",
        ),
        (Some(relayed(None)), "relayed, 31 ms, 0 B sent, 1.0 MiB received\n"),
        (None, "interrupted, trying again\n"),
    ];
    for (given, expected) in cases {
        assert_eq!(path(given.as_ref()), expected);
    }
    assert_eq!(size(u64::MAX), "16777216.0 TiB");
}
