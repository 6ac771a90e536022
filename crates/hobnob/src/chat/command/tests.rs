use super::*;

fn check(line: &str, expected: Typed) {
    assert_eq!(read(line), Some(Ok(expected)), "{line:?}");
}

fn wrong(line: &str, expected: &str) {
    let wrong = read(line).expect("not empty").expect_err(line);
    assert_eq!(wrong.text(), format!("{expected}\n"), "{line:?}");
}

fn message(to: &str, text: &str) -> Typed {
    Typed::Message { to: to.to_owned(), text: text.to_owned() }
}

#[test]
fn lines_are_read_by_the_table() {
    check("message bob hi", message("bob", "hi"));
    check("/message bob hi", message("bob", "hi"));
    check("  message \t bob   a  b\tc  \r", message("bob", "a  b\tc"));
    check("message bob /logout", message("bob", "/logout"));
    check("message bob \u{1f600} \\ \" '", message("bob", "\u{1f600} \\ \" '"));
    check("broadcast  to all  of you ", Typed::Broadcast { text: "to all  of you".to_owned() });
    check("whoelse", Typed::WhoElse);
    check("whoelse ", Typed::WhoElse);
    check("whoelsesince 0", Typed::WhoElseSince { seconds: 0, typed: "0".to_owned() });
    check("whoelsesince 007", Typed::WhoElseSince { seconds: 7, typed: "007".to_owned() });
    let huge = "9".repeat(30);
    check(&format!("whoelsesince {huge}"), Typed::WhoElseSince { seconds: u64::MAX, typed: huge });
    check("block bob", Typed::Block("bob".to_owned()));
    check("unblock bob", Typed::Unblock("bob".to_owned()));
    check("blocks", Typed::Blocks);
    let luke = || "luke".to_owned();
    check("startprivate luke", Typed::StartPrivate(luke()));
    check("y", Typed::Answer { user: None, accept: true });
    check(" /n ", Typed::Answer { user: None, accept: false });
    check("accept luke", Typed::Answer { user: Some(luke()), accept: true });
    check("decline luke", Typed::Answer { user: Some(luke()), accept: false });
    check("private luke  a  b ", Typed::Private { to: luke(), text: "a  b".to_owned() });
    check("stopprivate luke", Typed::StopPrivate(luke()));
    check("verify luke", Typed::Verify { user: luke(), confirm: false });
    check("verify luke  ok", Typed::Verify { user: luke(), confirm: true });
    check("path luke", Typed::Path(luke()));
    check("share  /a  path/with spaces ", Typed::Share("/a  path/with spaces".to_owned()));
    check("register a", Typed::Share("a".to_owned()));
    check("unshare a b", Typed::Unshare("a b".to_owned()));
    check("shares", Typed::Shares);
    check("files", Typed::ListFiles(String::new()));
    check("files *.txt and more", Typed::ListFiles("*.txt and more".to_owned()));
    check("searchFile a b", Typed::SearchFile("a b".to_owned()));
    for word in ["download", "p2pDownload", "get", "/get"] {
        check(&format!("{word} a b"), Typed::Download("a b".to_owned()));
    }
    check("downloads", Typed::Downloads);
    check("cancel a b", Typed::Cancel("a b".to_owned()));
    check("passwd", Typed::Passwd);
    check("help", Typed::Help(None));
    check("help /block", Typed::Help(find("block")));
    check("/logout", Typed::Logout);
}

#[test]
fn the_numbers_at_the_end_are_chunks() {
    let chunks =
        |name: &str, chunks: &[u32]| Typed::SearchChunk { name: name.to_owned(), chunks: chunks.into() };
    check("searchChunk a 0", chunks("a", &[0]));
    check("searchChunk a b 2  007 1", chunks("a b", &[2, 7, 1]));
    check("searchChunk part 7 x 3", chunks("part 7 x", &[3]));
    check("searchChunk 7 3", chunks("7", &[3]));
    check("searchChunk a -1 4", chunks("a -1", &[4]));
    check("searchChunk a 99999999999", chunks("a", &[u32::MAX]));
    for line in ["searchChunk", "searchChunk a", "searchChunk 1", "searchChunk a b", "searchChunk a 1 b"] {
        wrong(line, "Error. Usage: searchChunk <name> <chunk>…");
    }
}

#[test]
fn empty_lines_are_nothing() {
    for line in ["", " ", "\t \u{3000}", "\r"] {
        assert_eq!(read(line), None, "{line:?}");
    }
}

#[test]
fn mistakes_are_told_apart() {
    for line in
        ["nonsense", "Message bob hi", "messages", "//help", "/", "help nonsense", "Y", "yes", "whoelse!"]
    {
        wrong(line, "Error. Invalid command");
    }
    for line in ["message", "message bob", "message bob  ", "/message"] {
        wrong(line, "Error. Usage: message <user> <message>");
    }
    wrong("broadcast", "Error. Usage: broadcast <message>");
    wrong("whoelse now", "Error. Usage: whoelse");
    wrong("register", "Error. Usage: share <path>");
    wrong("unshare ", "Error. Usage: unshare <name or id>");
    wrong("shares x", "Error. Usage: shares");
    wrong("searchFile", "Error. Usage: searchFile <name>");
    wrong("searchfile a", "Error. Invalid command");
    wrong("get", "Error. Usage: download <name or id>");
    wrong("downloads x", "Error. Usage: downloads");
    wrong("cancel", "Error. Usage: cancel <name>");
    for seconds in ["", " -1", " +1", " 1.5", " one", " 1 2", " 0x10"] {
        wrong(&format!("whoelsesince{seconds}"), "Error. Usage: whoelsesince <seconds>");
    }
    wrong("block", "Error. Usage: block <user>");
    wrong("block a b", "Error. Usage: block <user>");
    wrong("unblock", "Error. Usage: unblock <user>");
    wrong("blocks bob", "Error. Usage: blocks");
    for (word, usage) in [
        ("startprivate", "startprivate <user>"),
        ("startprivate a b", "startprivate <user>"),
        ("y luke", "y"),
        ("n luke", "n"),
        ("accept", "accept <user>"),
        ("decline a b", "decline <user>"),
        ("private", "private <user> <message>"),
        ("private luke ", "private <user> <message>"),
        ("stopprivate", "stopprivate <user>"),
        ("verify", "verify <user> [ok]"),
        ("verify luke yes", "verify <user> [ok]"),
        ("verify luke ok ok", "verify <user> [ok]"),
        ("path", "path <user>"),
    ] {
        wrong(word, &format!("Error. Usage: {usage}"));
    }
    wrong("passwd secret", "Error. Usage: passwd");
    wrong("help a b", "Error. Usage: help [<command>]");
    wrong("logout now", "Error. Usage: logout");
}

#[test]
fn what_the_server_would_refuse_is_not_sent() {
    let long = "x".repeat(64 * 1024);
    check(&format!("message bob {long}"), message("bob", &long));
    wrong(&format!("message bob {long}x"), "Error. The message is too long, 64 KiB at most");
    wrong(&format!("broadcast {long}x"), "Error. The message is too long, 64 KiB at most");
    wrong("message bob a\x1b[2Jb", "Error. The message contains control characters");
    wrong("private luke a\x1b[2Jb", "Error. The message contains control characters");
    wrong(&format!("private luke {long}x"), "Error. The message is too long, 64 KiB at most");
    wrong("broadcast a\u{9b}b", "Error. The message contains control characters");
    wrong(&format!("block {long}"), "Error. Invalid user");
    wrong(&format!("message {long} hi"), "Error. Invalid user");
}

#[test]
fn help_names_every_command() {
    let help = help_text(None);
    assert_eq!(help.lines().count(), TABLE.len());
    assert!(TABLE.iter().all(|entry| help.contains(entry.usage)));
    assert_eq!(
        help_text(find("block")),
        "block <user>: receive nothing from <user>, and be hidden from them\n"
    );
}
