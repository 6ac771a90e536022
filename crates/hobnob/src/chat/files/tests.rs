use bytes::Bytes;
use hobnob_client::event::{Answer, Command, Event as Told};
use hobnob_peer::{
    file::ContentId,
    files::{Ended, Progress, Request, Shared},
};

use super::{super::line::tests::World, *};

fn id(number: u8) -> ContentId {
    ContentId::from_bytes([number; 32])
}

fn content(number: u8, size: u64) -> Content {
    Content { id: id(number), size }
}

fn offered(number: u8, name: &str, size: u64) -> v1::FileEntry {
    let content = Some(v1::Content { id: Bytes::from(vec![number; 32]), size });
    v1::FileEntry { content, name: name.to_owned(), sources: u32::from(number), folder: None }
}

fn files(files: Vec<v1::FileEntry>) -> Answer {
    Answer::Files(v1::Files { files, more: false })
}

fn names(names: &[&str]) -> Answer {
    Answer::Names(names.iter().map(|name| (*name).to_owned()).collect())
}

fn progress(number: u8, done: u64) -> Progress {
    Progress {
        name: format!("{number}.bin"),
        id: id(number),
        done,
        size: 1 << 20,
        rate: 1 << 10,
        direct: 1,
        relayed: 0,
        left: Some(Duration::from_secs(90)),
        stalled: false,
    }
}

impl World {
    fn tells(&mut self, event: Event) -> String {
        let effects = self.session.files(event, self.now);
        self.shown(effects)
    }

    /// A session in which files have begun.
    fn begun(place: Place) -> Self {
        let mut world = Self::at(Place { offers: true, ..place });
        let effects = world.session.begin();
        assert_eq!(world.shown(effects), "");
        assert_eq!(world.answer(names(&[])), "[begin []]");
        world
    }

    /// A download of this under way.
    fn downloads(&mut self, number: u8) {
        let name = format!("{number}.bin");
        assert_eq!(self.typed(&format!("download {name}")), "");
        assert_eq!(self.answer(files(vec![offered(number, &name, 1 << 20)])), "");
        assert!(matches!(self.wishes.pop(), Some(Wish::Download(entry)) if entry.content.id == id(number)));
    }
}

#[test]
fn files_begin_once_it_is_known_who_is_blocked() {
    let mut world = World::default();
    let effects = world.session.begin();
    assert!(effects.is_empty(), "nothing is to be offered");
    assert_eq!(world.typed("share a"), "[active]");
    assert_eq!(world.typed("share b"), "[active]");
    assert!(world.given.len() == 1 && world.given[0] == Command::Blocks);
    assert_eq!(world.wishes, []);
    assert_eq!(world.answer(names(&["Luke"])), "[begin [\"Luke\"]]");
    assert_eq!(world.wishes, [Wish::Share("a".into()), Wish::Share("b".into())]);
    assert_eq!(world.typed("share c"), "[active]");
    assert_eq!(world.wishes.len(), 3);

    // Rather nothing than something to somebody who is blocked.
    let mut world = World::default();
    world.typed("share a");
    let busy = Answer::Refused { reason: v1::refused::Reason::Internal, text: "It broke".to_owned() };
    assert_eq!(world.answer(busy), "Error. It broke\n");
    assert_eq!(world.wishes, []);
    world.typed("share a");
    assert_eq!(world.answer(names(&[])), "[begin []]");
    assert_eq!(world.wishes, [Wish::Share("a".into())]);
}

#[test]
fn before_the_beginning_there_is_nothing() {
    let mut world = World::default();
    assert_eq!(world.typed("shares"), "[active]You share nothing\n");
    assert_eq!(world.typed("downloads"), "[active]Nothing is being downloaded\n");
    assert_eq!(world.typed("unshare x"), "[active]Error. You neither share nor download x\n");
    assert_eq!(world.typed("cancel x"), "[active]Error. You neither share nor download x\n");
    assert!(world.given.is_empty() && world.wishes.is_empty());
}

#[test]
fn a_path_may_begin_at_home() {
    let mut world = World::begun(Place { home: Some("/home/yoda".into()), ..Place::default() });
    for (typed, path) in
        [("~/a b", "/home/yoda/a b"), ("~", "/home/yoda"), ("~x", "~x"), ("a/~/b", "a/~/b"), ("/a", "/a")]
    {
        world.typed(&format!("share {typed}"));
        assert_eq!(world.wishes.pop(), Some(Wish::Share(path.into())));
    }
    let mut homeless = World::begun(Place::default());
    homeless.typed("share ~/a");
    assert_eq!(homeless.wishes, [Wish::Share("~/a".into())]);
}

#[test]
fn what_is_typed_becomes_a_wish_or_a_question() {
    let mut world = World::begun(Place::default());
    for line in ["unshare a b", "shares", "downloads", "cancel a b"] {
        assert_eq!(world.typed(line), "[active]");
    }
    let meant = || "a b".to_owned();
    assert_eq!(world.wishes, [Wish::Unshare(meant()), Wish::Shares, Wish::Downloads, Wish::Cancel(meant())]);
    for line in ["files *.txt", "searchFile a b", "searchChunk a b 1 2", "download a b"] {
        assert_eq!(world.typed(line), "", "the server sees it");
    }
    let holders = |chunks: &[u32]| Command::FindHolders { name: meant(), chunks: chunks.into() };
    let asked =
        [Command::ListFiles("*.txt".to_owned()), holders(&[]), holders(&[1, 2]), Command::FindFile(meant())];
    assert!(world.given.make_contiguous() == asked);
}

#[test]
fn questions_are_answered_in_their_turn() {
    let mut world = World::default();
    for line in ["message bob hi", "files", "files", "searchFile a", "searchChunk a 1"] {
        assert_eq!(world.typed(line), "");
    }
    let accepted = Answer::Submitted { outcome: Outcome::Accepted, user: "Bob".to_owned() };
    assert_eq!(world.answer(accepted), "");
    assert_eq!(world.answer(files(vec![])), "No files are shared now.\n");
    let more =
        v1::Files { files: vec![offered(1, "a\n\u{1b}[2J", 3), offered(12, "b", 5 << 20)], more: true };
    assert_eq!(
        world.answer(Answer::Files(more)),
        "010101010101  3 bytes  1 source    a␊^[[2J\n\
         0c0c0c0c0c0c  5.0 MiB  12 sources  b\n\
         There are more. Narrow it down: files <pattern>\n"
    );
    assert_eq!(world.answer(names(&["Han", "Luke"])), "Available\nHan\nLuke\n");
    assert_eq!(world.answer(names(&[])), "Not available\n");
}

#[test]
fn a_download_is_looked_for_first() {
    let mut world = World::begun(Place::default());
    world.typed("download a");
    assert_eq!(world.answer(files(vec![])), "Error. No one shares a\n");
    world.typed("download a");
    let two = vec![offered(1, "a", 2048), offered(2, "a", 3)];
    assert_eq!(
        world.answer(files(two)),
        "Error. a is ambiguous:\n  010101010101  2.0 KiB  a\n  020202020202  3 bytes  a\n"
    );
    assert_eq!(world.wishes, []);
    world.typed("download 0101010101");
    assert_eq!(world.answer(files(vec![offered(1, "a", 7)])), "");
    let entry = Entry { content: content(1, 7), name: "a".to_owned(), folder: None, sources: None };
    assert_eq!(world.wishes, [Wish::Download(entry)]);
    // A server without sense.
    world.typed("download a");
    let nonsense = v1::FileEntry { content: None, ..offered(1, "a", 7) };
    assert_eq!(world.answer(files(vec![nonsense])), "Error. No one shares a\n");
}

#[test]
fn a_download_that_is_looked_for_can_be_cancelled() {
    let mut world = World::begun(Place::default());
    world.typed("download a");
    assert_eq!(world.typed("cancel a"), "[active]Cancelled a, what came is kept\n");
    assert_eq!(world.answer(files(vec![offered(1, "a", 7)])), "");
    assert_eq!(world.wishes, []);
}

#[test]
fn without_the_server_questions_are_refused_and_the_rest_goes_on() {
    const NOT_ASKED: &str = "Error. The server could not be asked. Please try again later\n";
    let mut world = World::begun(Place::default());
    world.typed("message bob hi");
    world.typed("download a");
    let lost = world.event(Told::Disconnected);
    assert_eq!(lost, format!("Lost the connection to the server, trying again\n{NOT_ASKED}"));
    for line in ["files", "searchFile a", "searchChunk a 1", "download a"] {
        assert_eq!(world.typed(line), NOT_ASKED);
    }
    assert_eq!(world.typed("downloads"), "[active]");
    assert_eq!(world.wishes, [Wish::Downloads]);
    assert_eq!(world.event(Told::Reconnected), "Connected again\n");
    assert_eq!(world.wishes[1..], [Wish::Announce]);
    let accepted = Answer::Submitted { outcome: Outcome::Accepted, user: "Bob".to_owned() };
    assert_eq!(world.answer(accepted), "");
    assert_eq!(world.answer(Answer::Lost), "", "it was said already");
    // The connection may be lost without a word between.
    world.typed("files");
    assert_eq!(world.answer(Answer::Lost), NOT_ASKED);
}

#[test]
fn what_files_say_to_the_server_is_passed_on() {
    let mut world = World::begun(Place::default());
    let request = Request::Release(v1::Release::default());
    assert_eq!(world.tells(Event::Server { id: RequestId(7), request }), "[pass 7]");
    assert_eq!(world.event(Told::Aside { id: 7, answer: Answer::Done }), "");
    assert_eq!(world.event(Told::Aside { id: 8, answer: Answer::Lost }), "");
    let answered = |id, reply| Wish::Answered(RequestId(id), reply);
    assert_eq!(world.wishes, [answered(7, Reply::Done), answered(8, Reply::Away)]);
    assert_eq!(world.tells(Event::Listening { port: 4001 }), "[listening 4001]");
}

#[test]
fn it_is_said_to_be_shared_no_more_when_the_server_knows() {
    let mut world = World::begun(Place::default());
    for id in [7, 8] {
        let request = Request::Release(v1::Release::default());
        assert_eq!(world.tells(Event::Server { id: RequestId(id), request }), format!("[pass {id}]"));
    }
    assert_eq!(world.tells(Event::Unshared { name: "a".to_owned() }), "");
    assert_eq!(world.event(Told::Aside { id: 7, answer: Answer::Done }), "");
    assert_eq!(world.event(Told::Aside { id: 8, answer: Answer::Lost }), "Stopped sharing a\n");
    assert_eq!(world.tells(Event::Unshared { name: "b".to_owned() }), "Stopped sharing b\n");
}

#[test]
fn a_block_counts_at_once() {
    let mut world = World::begun(Place::default());
    let luke = || "Luke".to_owned();
    let table = [
        ("block luke", Outcome::Accepted, Some(Wish::Block(luke()))),
        ("block luke", Outcome::AlreadyBlocked, Some(Wish::Block(luke()))),
        ("block luke", Outcome::InvalidUser, None),
        ("unblock luke", Outcome::Accepted, Some(Wish::Unblock(luke()))),
        ("unblock luke", Outcome::InvalidUser, None),
    ];
    for (line, outcome, expected) in table {
        world.typed(line);
        world.answer(Answer::Submitted { outcome, user: luke() });
        assert_eq!(world.wishes.pop(), expected, "{line}");
    }
    // Before the beginning, the list of who is blocked says it.
    let mut world = World::default();
    world.typed("block luke");
    world.answer(Answer::Submitted { outcome: Outcome::Accepted, user: luke() });
    assert_eq!(world.wishes, []);
}

#[test]
fn what_happens_is_said() {
    let (name, id, path) = (|| "a\u{1b}b".to_owned(), id(1), || PathBuf::from("/x/a\u{1b}b"));
    let time = Duration::from_millis(1234);
    let sharing = |again| Event::Sharing { name: name(), size: 1_258_291, chunks: 5, id, again };
    let failed =
        |resumable| Event::DownloadFailed { name: name(), id, why: "no\u{1b}".to_owned(), resumable };
    let ended = |why| Event::ShareEnded { name: name(), id, why };
    let meant = name;
    let are = vec![("b".to_owned(), content(1, 1)), ("c".to_owned(), content(2, 1 << 20))];
    let shared = |number: u8, path, files| {
        let (name, content) = (format!("{number}.bin"), content(number, 10));
        Shared { name, content, path, files, takers: 0 }
    };
    let own = vec![shared(1, Some(path()), None), shared(2, None, Some(3))];
    let table = [
        (sharing(false), "Sharing a^[b: 1.2 MiB, 5 chunks, 010101010101\n"),
        (sharing(true), ""),
        (
            Event::ShareFailed { path: path(), why: "no\u{1b}".to_owned() },
            "Error. Cannot share /x/a^[b: no^[\n",
        ),
        (ended(Ended::Changed), "a^[b is not shared any more: it has changed\n"),
        (ended(Ended::Gone), "a^[b is not shared any more: it is gone, or cannot be read\n"),
        (Event::Unshared { name: name() }, "Stopped sharing a^[b\n"),
        (Event::Unknown { meant: meant() }, "Error. You neither share nor download a^[b\n"),
        (
            Event::Ambiguous { meant: meant(), are },
            "Error. a^[b is ambiguous:\n  010101010101   1 byte  b\n  020202020202  1.0 MiB  c\n",
        ),
        (Event::Shares(vec![]), "You share nothing\n"),
        (
            Event::Shares(own),
            "010101010101  10 bytes  1.bin  /x/a^[b\n020202020202   3 files  2.bin  (being downloaded)\n",
        ),
        (Event::Downloads(vec![]), "Nothing is being downloaded\n"),
        (
            Event::Downloads(vec![progress(1, 1 << 19)]),
            "1.bin: 50 %, 512.0 KiB of 1.0 MiB, 1.0 KiB/s, 1 min 30 s left, 1 source, direct\n",
        ),
        (
            Event::Downloaded { name: name(), id, path: path(), size: 3 << 30, peers: 2, time },
            "Downloaded a^[b: 3.0 GiB from 2 peers in 1.2 s, verified\n",
        ),
        (Event::AlreadyThere { name: name(), id, path: path() }, "a^[b is already there: /x/a^[b\n"),
        (Event::AlreadyComing { name: name() }, "a^[b is being downloaded already\n"),
        (failed(false), "Error. a^[b could not be downloaded: no^[\n"),
        (
            failed(true),
            "Error. a^[b could not be downloaded: no^[\n  What came is kept, the same command goes on where it stopped\n",
        ),
        (Event::Cancelled { name: name(), id }, "Cancelled a^[b, what came is kept\n"),
        (Event::Stalled { name: name() }, "a^[b waits: nobody who is online has what is missing\n"),
        (Event::GoesOn { name: name() }, "a^[b goes on\n"),
    ];
    let mut world = World::begun(Place::default());
    for (event, expected) in table {
        assert_eq!(world.tells(event.clone()), expected, "{event:?}");
    }
}

#[test]
fn progress_is_a_line_from_time_to_time() {
    let mut world = World::begun(Place::default());
    world.downloads(1);
    world.downloads(2);
    let tells = |world: &mut World, seconds, number, done| {
        world.now = Duration::from_secs(seconds);
        world.tells(Event::Progress(progress(number, done)))
    };
    // Something comes: that is a sign of life, but not all the time.
    assert_eq!(tells(&mut world, 1, 1, 1), "[active]");
    assert_eq!(tells(&mut world, 4, 1, 2), "");
    let half = |number: u8| {
        format!("{number}.bin: 50 %, 512.0 KiB of 1.0 MiB, 1.0 KiB/s, 1 min 30 s left, 1 source, direct\n")
    };
    assert_eq!(tells(&mut world, 5, 1, 1 << 19), half(1));
    assert_eq!(tells(&mut world, 6, 2, 1 << 19), format!("[active]{}", half(2)));
    assert_eq!(tells(&mut world, 9, 1, 1 << 19), "");
    // Nothing comes: that is none.
    assert_eq!(tells(&mut world, 11, 1, 1 << 19), half(1));
    // A word that was on its way when it ended.
    world.tells(Event::Cancelled { name: "1.bin".to_owned(), id: id(1) });
    assert_eq!(tells(&mut world, 60, 1, 1 << 20), "");

    let mut reads = |seconds, done| {
        world.now = Duration::from_secs(seconds);
        world.tells(Event::Reading { path: "/a".into(), done, size: 1 << 30 })
    };
    assert_eq!(reads(70, 1), "");
    assert_eq!(reads(74, 1), "");
    assert_eq!(reads(75, 1 << 29), "Reading /a: 512.0 MiB of 1.0 GiB\n");
    assert_eq!(reads(79, 1 << 29), "");
}

#[test]
fn on_a_screen_progress_has_a_row() {
    let mut world = World::begun(Place { row: true, ..Place::default() });
    let reading = Event::Reading { path: "/a".into(), done: 1, size: 1 << 30 };
    assert_eq!(world.tells(reading), "[row Reading /a: 1 byte of 1.0 GiB]");
    world.downloads(1);
    let row = world.tells(Event::Progress(progress(1, 1 << 19)));
    assert_eq!(row, "[active][row 1.bin   50 % 1.0 KiB/s, 1 min 30 s left, 1 source  +1]");
    world.tells(Event::Sharing { name: "a".to_owned(), size: 1, chunks: 1, id: id(9), again: false });
    world.downloads(2);
    // The newest of which something is known.
    assert!(world.tells(Event::Progress(progress(1, 1 << 19))).contains("[row 1.bin "));
    assert!(world.tells(Event::Progress(progress(2, 1 << 19))).contains("[row 2.bin "));
    assert!(world.tells(Event::Progress(progress(1, 1 << 19))).contains("[row 2.bin "));
    let path = || PathBuf::from("/x");
    let there = world.tells(Event::AlreadyThere { name: "2.bin".to_owned(), id: id(2), path: path() });
    assert_eq!(
        there,
        "[row 1.bin   50 % 1.0 KiB/s, 1 min 30 s left, 1 source, direct]2.bin is already there: /x\n"
    );
    let time = Duration::from_secs(3);
    let done =
        Event::Downloaded { name: "1.bin".to_owned(), id: id(1), path: path(), size: 1, peers: 1, time };
    assert_eq!(world.tells(done), "[row ]Downloaded 1.bin: 1 byte from 1 peers in 3.0 s, verified\n");
}

#[test]
fn who_leaves_is_told_what_is_not_finished() {
    let mut world = World::begun(Place::default());
    world.downloads(1);
    world.downloads(2);
    world.tells(Event::Cancelled { name: "2.bin".to_owned(), id: id(2) });
    assert_eq!(
        world.typed("logout"),
        "1 download is not finished; the same command goes on where it stopped\n[log out][left]"
    );
    let mut world = World::begun(Place::default());
    for number in 1..=3 {
        world.downloads(number);
    }
    let lines = world.typed("logout");
    assert!(lines.starts_with("3 downloads are not finished; the same command goes on where it stopped\n"));
}
