//! Rows that no server of this version would have written: of a damaged disk, of a hand that edited the database, of a
//! bug. Each costs at most what it belongs to. The server starts, others talk on, and what can be delivered is.

use std::path::Path;

use hobnob_protocol::{
    close::Close,
    limits::{ANSWER_BYTES_MAX, TEXT_BYTES_MAX},
    v1::{
        Block, Broadcast, Entry, ListBlocks, Login, Truncated, WhoElse, WhoElseSince,
        client_frame::Body as Request, login::Proof, reply::Body as Reply, server_frame::Body as Event,
        submit::Op, submitted::Outcome,
    },
};
use rusqlite::{Connection, params};

use crate::{
    client::{Client, message},
    pair::Pair,
    server::Server,
};

fn database(data: &Path) -> Connection {
    Connection::open(data.join("hobnob.db")).expect("it is no more in use")
}

/// The number of an account.
fn account(conn: &Connection, name: &str) -> i64 {
    conn.query_row("SELECT id FROM account WHERE key = ?1", [name], |row| row.get(0)).expect("an account")
}

fn accounts(conn: &Connection) -> i64 {
    conn.query_row("SELECT count(*) FROM account", [], |row| row.get(0)).expect("a number")
}

/// A server with Leia, who has sent Luke so many messages while he was away.
async fn begin(messages: u64) -> Server {
    let server = Server::start(&[]);
    let (luke, _) = Client::registered(server.address, "luke").await;
    leave(luke).await;
    let (mut leia, _) = Client::registered(server.address, "leia").await;
    for number in 1..=messages {
        let sent = leia.submit(number, message("luke", &format!("text {number}"))).await;
        assert_eq!(sent.outcome(), Outcome::Accepted);
    }
    leave(leia).await;
    server
}

async fn leave(mut client: Client) {
    let _ = client.ask(Request::Logout(hobnob_protocol::v1::Logout {})).await;
    let closed = client.closed().await;
    assert_eq!(closed.and_then(Close::from_code), Some(Close::LoggedOut));
}

async fn logged_in(server: &Server, name: &str) -> Client {
    let mut client = Client::greeted(server.address).await;
    client.log_in(name, "secret", false).await.expect("the name and the password are right");
    client
}

/// What comes of the inbox, up to this number.
async fn inbox(client: &mut Client, upto: u64) -> Vec<Event> {
    let mut came = Vec::new();
    loop {
        let event = client.event().await.expect("the session goes on");
        let at = match &event {
            Event::Entry(entry) => entry.seq,
            Event::Truncated(truncated) => truncated.to,
            Event::Skip(skip) => skip.upto,
            _ => continue,
        };
        came.push(event);
        if at >= upto {
            return came;
        }
    }
}

fn text_of(event: &Event) -> &str {
    match event {
        Event::Entry(Entry { text, .. }) => text,
        other => panic!("no entry: {other:?}"),
    }
}

/// Texts that are no text, or that no frame holds.
#[tokio::test]
async fn a_text_that_cannot_be_shown_is_told_as_lost_and_the_next_comes() {
    let server = begin(6).await.restarted(|data| {
        let conn = database(data);
        let luke = account(&conn, "luke");
        let set = |seq: u64, text: &[u8]| {
            let changed = conn.execute(
                "UPDATE entry SET text = ?3 WHERE stream = ?1 AND seq = ?2",
                params![luke, seq as i64, text],
            );
            assert_eq!(changed.expect("a row"), 1);
        };
        set(2, b"\xff\xfe\xc3");
        set(3, &vec![b'x'; ANSWER_BYTES_MAX + 1]);
        set(5, &vec![b'x'; TEXT_BYTES_MAX + 1]);
    });
    let mut pair = Pair::open(server.address).await;
    let mut luke = logged_in(&server, "luke").await;
    let came = inbox(&mut luke, 6).await;
    let lost = |from, to| Event::Truncated(Truncated { stream: 1, from, to });
    assert_eq!(text_of(&came[0]), "text 1");
    assert_eq!(came[1..=2], [lost(2, 2), lost(3, 3)]);
    assert_eq!(text_of(&came[3]), "text 4");
    assert_eq!(came[4], lost(5, 5));
    assert_eq!(text_of(&came[5]), "text 6");
    // The session is whole: it talks, and is talked to.
    assert_eq!(luke.submit(1, message("hans", "hi")).await.outcome(), Outcome::Accepted);
    pair.talk().await;
    drop((pair, luke));
    server.stop_whatever_it_logged();
}

/// An account whose name is no text, and one that is not there: of both, messages, blocks and presence.
#[tokio::test]
async fn a_sender_without_a_name_keeps_nobody_from_anything() {
    let server = Server::start(&[]);
    let (luke, _) = Client::registered(server.address, "luke").await;
    let (mut leia, _) = Client::registered(server.address, "leia").await;
    let (mut ben, _) = Client::registered(server.address, "ben").await;
    leave(luke).await;
    for (number, who) in [(1, &mut leia), (1, &mut ben)] {
        assert_eq!(who.submit(number, message("luke", "hi")).await.outcome(), Outcome::Accepted);
        let blocks = who.submit(number + 1, Op::Block(Block { user: "luke".to_owned() })).await;
        assert_eq!(blocks.outcome(), Outcome::Accepted);
    }
    // Both are online when the server stops: it starts with them.
    let server = server.restarted(|data| {
        let conn = database(data);
        let (leia, ben) = (account(&conn, "leia"), account(&conn, "ben"));
        let online = "SELECT count(*) FROM session WHERE online = 1";
        assert_eq!(conn.query_row(online, [], |row| row.get::<_, i64>(0)).expect("a number"), 2);
        conn.execute("UPDATE account SET name = CAST(x'6cff1b5b' AS TEXT) WHERE id = ?1", [leia])
            .expect("a row");
        conn.execute("DELETE FROM account WHERE id = ?1", [ben]).expect("a row");
        conn.execute("INSERT INTO block VALUES (?1, 4711), (4711, ?1)", [account(&conn, "luke")])
            .expect("rows");
    });
    drop((leia, ben));
    let mut pair = Pair::open(server.address).await;
    let mut luke = logged_in(&server, "luke").await;
    let came = inbox(&mut luke, 2).await;
    assert_eq!((text_of(&came[0]), text_of(&came[1])), ("hi", "hi"));
    for question in [
        Request::WhoElse(WhoElse {}),
        Request::WhoElseSince(WhoElseSince { seconds: 3600 }),
        Request::ListBlocks(ListBlocks {}),
    ] {
        let reply = luke.request(question).await;
        let Ok(Reply::Names(names)) = reply else { panic!("{reply:?}") };
        assert!(!names.names.iter().any(String::is_empty), "{names:?}");
    }
    let hello = Op::Broadcast(Broadcast { text: "hello".to_owned() });
    let outcome = luke.submit(1, hello).await.outcome();
    assert!([Outcome::Accepted, Outcome::AcceptedForSome].contains(&outcome), "{outcome:?}");
    pair.talk().await;
    drop((pair, luke));
    server.stop_whatever_it_logged();
}

/// The keeper still sees who there is.
#[tokio::test]
async fn a_row_that_cannot_be_read_does_not_hide_the_others_from_the_keeper() {
    let server = begin(0).await.restarted(|data| {
        let conn = database(data);
        conn.execute("UPDATE account SET name = CAST(x'6cff1b5b41' AS TEXT) WHERE key = 'leia'", [])
            .expect("a row");
        conn.execute(
            "INSERT INTO account (key, name, skeleton, password, created_ms, last_seen_ms)
             VALUES (CAST(x'c3' AS TEXT), 'x', 'x', 'x', ?1, ?2), (CAST(x'ff' AS TEXT), 'y', 'y', 'y', ?2, ?1)",
            [i64::MAX, i64::MIN],
        )
        .expect("rows");
        assert_eq!(accounts(&conn), 4);
    });
    let (code, listed, _) = server.command(&["admin", "users"]);
    assert_eq!(code, 0, "{listed}");
    assert!(listed.contains("luke"), "{listed}");
    assert!(!listed.contains('\u{1b}'), "{listed:?}");
    server.stop_whatever_it_logged();
}

/// What is remembered of an outbox is damaged: its numbers go on, and what was judged is not judged again.
#[tokio::test]
async fn an_outbox_that_is_damaged_goes_on_and_repeats_nothing() {
    for blob in ["x'0102'", "x'01020304050607'", "randomblob(4711)", "randomblob(650)", "x''"] {
        let server = begin(3).await.restarted(|data| {
            let conn = database(data);
            let changed =
                conn.execute(&format!("UPDATE outbox SET outcomes = {blob} WHERE last_number = 3"), []);
            assert_eq!(changed.expect("a row"), 1);
        });
        let mut leia = logged_in(&server, "leia").await;
        let repeated = leia.submit(3, message("luke", "text 3")).await;
        assert_eq!(repeated.outcome(), Outcome::Stale, "{blob}");
        let next = leia.submit(4, message("luke", "text 4")).await;
        assert_eq!(next.outcome(), Outcome::Accepted, "{blob}");
        let mut luke = logged_in(&server, "luke").await;
        let came = inbox(&mut luke, 4).await;
        assert_eq!(came.iter().map(text_of).collect::<Vec<_>>(), ["text 1", "text 2", "text 3", "text 4"]);
        drop((leia, luke));
        server.stop_whatever_it_logged();
    }
}

/// What was to follow into other rows is damaged: it is passed over, and everything is written on.
#[tokio::test]
async fn a_damaged_journal_keeps_nothing_from_being_written() {
    let server = begin(2).await.restarted(|data| {
        let conn = database(data);
        let luke = account(&conn, "luke").to_le_bytes();
        let outbox: i64 = conn
            .query_row("SELECT id FROM outbox WHERE last_number = 2", [], |row| row.get(0))
            .expect("the outbox of leia");
        let change = |kind: u8, id: &[u8], number: u64| [&[kind], id, &number.to_le_bytes()].concat();
        let add = |id: Option<i64>, changes: &[u8]| {
            let added =
                conn.execute("INSERT INTO journal (id, changes) VALUES (?1, ?2)", params![id, changes]);
            assert_eq!(added.expect("a row"), 1);
        };
        add(None, b"nonsense");
        add(None, &change(2, &luke, u64::MAX));
        add(None, &[change(1, &outbox.to_le_bytes(), u64::MAX), vec![0; 4]].concat());
        add(None, &[change(1, &outbox.to_le_bytes(), 2), vec![0xff; 4]].concat());
        add(None, &change(2, &4711_i64.to_le_bytes(), 7));
        add(Some(i64::MAX), &change(2, &luke, 0));
        add(Some(-1), &[]);
    });
    let mut pair = Pair::open(server.address).await;
    let mut leia = logged_in(&server, "leia").await;
    assert_eq!(leia.submit(2, message("luke", "text 2")).await.outcome(), Outcome::Accepted, "again");
    assert_eq!(leia.submit(3, message("luke", "text 3")).await.outcome(), Outcome::Accepted);
    let mut luke = logged_in(&server, "luke").await;
    let came = inbox(&mut luke, 3).await;
    assert_eq!(came.iter().map(text_of).collect::<Vec<_>>(), ["text 1", "text 2", "text 3"]);
    pair.talk().await;
    drop((pair, leia, luke));
    server.stop_whatever_it_logged();
}

/// Numbers at the end of all numbers, which leave no room for a next one: they stand for nothing.
#[tokio::test]
async fn an_entry_with_a_number_out_of_this_world_does_not_end_its_stream() {
    let server = begin(2).await.restarted(|data| {
        let conn = database(data);
        let luke = account(&conn, "luke");
        for (stream, seq) in [(luke, i64::MAX), (luke, -5), (luke, i64::MIN), (0, i64::MAX), (4711, 1)] {
            let insert =
                "INSERT INTO entry (stream, seq, sender, sent_ms, text) VALUES (?1, ?2, ?1, ?3, x'78')";
            conn.execute(insert, [stream, seq, i64::MAX]).expect("a row");
        }
    });
    let mut pair = Pair::open(server.address).await;
    let mut leia = logged_in(&server, "leia").await;
    let sent = leia.submit(3, message("luke", "text 3")).await;
    assert_eq!(sent.outcome(), Outcome::Accepted);
    let mut luke = logged_in(&server, "luke").await;
    let came = inbox(&mut luke, 3).await;
    assert_eq!(came.iter().map(text_of).collect::<Vec<_>>(), ["text 1", "text 2", "text 3"]);
    let hello = Op::Broadcast(Broadcast { text: "hello".to_owned() });
    assert_eq!(leia.submit(4, hello).await.outcome(), Outcome::Accepted);
    loop {
        match luke.event().await.expect("the session goes on") {
            Event::Entry(entry) if entry.text == "hello" => break,
            _ => {}
        }
    }
    pair.talk().await;
    drop((pair, leia, luke));
    server.stop_whatever_it_logged();
}

/// What the database says of itself is gone: it gets a new history, as after a restore of an older copy.
#[tokio::test]
async fn without_its_epoch_the_server_starts_with_a_new_one() {
    for lost in ["'epoch'", "'broadcast_floor'", "'epoch', 'broadcast_floor'"] {
        let server = begin(2).await.restarted(|data| {
            let conn = database(data);
            conn.execute(&format!("DELETE FROM meta WHERE name IN ({lost})"), []).expect("rows");
        });
        let mut pair = Pair::open(server.address).await;
        let mut luke = logged_in(&server, "luke").await;
        assert_eq!(inbox(&mut luke, 2).await.iter().map(text_of).collect::<Vec<_>>(), ["text 1", "text 2"]);
        pair.talk().await;
        drop((pair, luke));
        server.stop_whatever_it_logged();
    }
}

/// Numbers that mean nothing in every other table.
#[tokio::test]
async fn rows_of_sessions_failures_and_accounts_that_make_no_sense_concern_nobody_else() {
    let server = begin(1).await;
    let (ben, of_ben) = Client::registered(server.address, "ben").await;
    let server = server.restarted(|data| {
        let conn = database(data);
        let (luke, ben) = (account(&conn, "luke"), account(&conn, "ben"));
        let set = |sql: &str| conn.execute(sql, []).expect("rows");
        set("INSERT INTO failure VALUES ('luke', x'', -7, 0, 0, 1), ('ben', x'01', 99999999999, 0, 0, 1)");
        set(&format!("INSERT INTO failed_login VALUES ({luke}, x'', {})", i64::MIN));
        set(&format!("UPDATE account SET password = '$argon2id$v=19$m=4294967295,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8', cursor = -3 WHERE id = {ben}"));
        set(&format!("UPDATE session SET generation = {}, ended = 77 WHERE account = {luke}", i64::MAX));
        set(&format!("UPDATE session SET generation = -1, used_ms = {0}, hole_from = {0}, hole_to = -1, \
             broadcast_floor = {0} WHERE account = {ben}", i64::MAX));
        set("INSERT INTO session (account, background, token_hash, generation, online, used_ms, broadcast_floor)
             VALUES (4711, 7, x'00', 1, 1, 0, 0), (0, 0, x'', 1, 1, 0, 0)");
        set(&format!("INSERT INTO device VALUES ({luke}, x'', 0), ({luke}, zeroblob(100000), {})", i64::MAX));
        set(&format!("INSERT INTO outbox (account, name) VALUES ({luke}, x''), (4711, zeroblob(100000))"));
    });
    drop(ben);
    let mut pair = Pair::open(server.address).await;
    let mut luke = logged_in(&server, "luke").await;
    assert_eq!(text_of(&inbox(&mut luke, 1).await[0]), "text 1");
    let Ok(Reply::Names(names)) = luke.request(Request::WhoElse(WhoElse {})).await else { panic!() };
    assert!(!names.names.iter().any(String::is_empty), "{names:?}");
    // A password that nobody can have is wrong, and costs no more than any.
    let mut guess = Client::greeted(server.address).await;
    let refused = guess.log_in("ben", "secret", false).await;
    assert!(refused.is_err());
    let login = Login {
        name: "ben".to_owned(),
        proof: Some(Proof::Token(of_ben.token.clone())),
        device: Some(guess.device("ben")),
        ..Login::default()
    };
    let answer = guess.request(Request::Login(login)).await;
    assert!(matches!(answer, Ok(Reply::Opened(_) | Reply::LoginRefused(_)) | Err(_)), "{answer:?}");
    pair.talk().await;
    drop((pair, luke, guess));
    server.stop_whatever_it_logged();
}
