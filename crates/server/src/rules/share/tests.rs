//! The index of shared files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use hobnob_protocol::limits::FILE_BYTES_MAX;
use proptest::prelude::*;

use super::*;

const ALL: fn(AccountId) -> bool = |_| true;

fn content(byte: u8) -> Content {
    Content::new(&[byte; 32], 20 * FILE_CHUNK_BYTES_MIN).unwrap()
}

/// The session of this number, of the user of the same.
fn party(number: i64) -> Party {
    let (account, session) = (AccountId(number), SessionId(number));
    Party { account, session, name: format!("user{number}").into(), key: vec![number as u8; 32].into() }
}

fn share(name: &str, held: Held) -> Share {
    Share { name: name.to_owned(), held, folder: None, inner: false }
}

fn index(shares: &[(i64, u8, &str, Held)]) -> Shares {
    let mut index = Shares::default();
    for (who, byte, name, held) in shares {
        index.hold(&party(*who), content(*byte), share(name, held.clone())).unwrap();
    }
    index
}

fn some(chunks: &[u32]) -> Held {
    Held::Some(Chunks::of(chunks))
}

/// All pages of an answer, of two contents each.
fn all(index: &Shares, query: &Query, sees: impl Fn(AccountId) -> bool) -> Vec<Listed> {
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = index.page(query, after.as_ref(), 2, &sees);
        assert!(page.listed.len() <= 2);
        listed.extend(page.listed);
        after = page.next;
        if after.is_none() {
            return listed;
        }
    }
}

fn list(index: &Shares, pattern: &str, sees: impl Fn(AccountId) -> bool) -> Vec<(String, u32)> {
    let listed = all(index, &Query::Like(Pattern::new(pattern)), sees);
    listed.into_iter().map(|listed| (listed.name, listed.sources)).collect()
}

fn named(index: &Shares, name: &str, sees: impl Fn(AccountId) -> bool) -> Vec<Content> {
    let listed = all(index, &Query::Named(name.to_owned()), sees);
    listed.into_iter().map(|listed| listed.content).collect()
}

fn by_id(index: &Shares, digits: &str) -> Vec<Content> {
    let listed = all(index, &Query::Id(Prefix::new(digits).unwrap()), ALL);
    listed.into_iter().map(|listed| listed.content).collect()
}

fn who(index: &Shares, byte: u8, name: &str, chunks: Option<&[u32]>) -> Vec<i64> {
    let chunks = chunks.map(Chunks::of);
    let content = content(byte);
    index.who_has(ALL, &content, name, chunks.as_ref()).map(|one| one.account.0).collect()
}

#[test]
fn who_is_not_seen_is_not_there() {
    let index = index(&[(1, 7, "a", Held::All), (2, 7, "b", Held::All), (2, 8, "c", Held::All)]);
    let sees = |account| account != AccountId(2);
    assert_eq!(list(&index, "", ALL), [("a".into(), 2), ("c".into(), 1)]);
    assert_eq!(list(&index, "", sees), [("a".into(), 1)]);
    assert_eq!(list(&index, "b", ALL), [("b".into(), 2)], "by a name that was asked for");
    assert!(named(&index, "c", sees).is_empty() && named(&index, "b", sees).is_empty());
    let id = Query::Id(Prefix::new("080808080808").unwrap());
    assert_eq!((all(&index, &id, sees).len(), all(&index, &id, ALL).len()), (0, 1));
    let sources: Vec<_> = index.sources(sees, &content(7)).map(|(by, _)| by.clone()).collect();
    assert_eq!(sources, [party(1)]);
    assert_eq!(index.who_has(sees, &content(8), "c", None).count(), 0);
}

#[test]
fn a_file_is_meant_by_its_name_or_by_its_id() {
    let index = index(&[(1, 7, "a", Held::All), (2, 8, "a", Held::All), (3, 0x70, "b", Held::All)]);
    assert_eq!(named(&index, "a", ALL), [content(7), content(8)], "two contents of one name");
    assert!(named(&index, "A", ALL).is_empty());
    assert_eq!(by_id(&index, "0707070707"), [content(7)]);
    assert_eq!(by_id(&index, "070707070"), [content(7)], "an odd number of digits");
    assert_eq!(by_id(&index, &"08".repeat(32)), [content(8)]);
    assert!(by_id(&index, "070708").is_empty());
    for digits in ["07070", "07070g", "", "+70707", &"0".repeat(65), "０７０７０７"] {
        assert_eq!(Prefix::new(digits), None, "{digits}");
    }
    assert_eq!(Prefix::new("ABCDEF"), Prefix::new("abcdef"));
}

#[test]
fn holders_of_chunks_are_found_and_grow() {
    let mut index = index(&[(1, 7, "a", some(&[])), (2, 7, "a", some(&[3])), (3, 7, "a", Held::All)]);
    assert_eq!(who(&index, 7, "a", None), [2, 3], "who has nothing of it is no source");
    assert_eq!(who(&index, 7, "a", Some(&[3])), [2, 3]);
    assert_eq!(who(&index, 7, "a", Some(&[4])), [3]);
    assert!(who(&index, 7, "b", None).is_empty());
    let party = party(1);
    index.extend(party.session, &content(7), &Chunks::of(&[4, 19, 20]));
    assert_eq!(who(&index, 7, "a", Some(&[4, 5])), [1, 3]);
    assert_eq!(who(&index, 7, "a", Some(&[19])), [1, 3]);
    assert!(who(&index, 7, "a", Some(&[20])).is_empty(), "the file has twenty chunks");
    index.extend(party.session, &content(8), &Chunks::of(&[4]));
    assert!(who(&index, 8, "a", None).is_empty(), "it said nothing of this one");
    index.hold(&party, content(7), share("a", Held::All)).unwrap();
    assert_eq!(who(&index, 7, "a", Some(&[5])), [1, 3]);
    index.extend(party.session, &content(7), &Chunks::of(&[4]));
    assert_eq!(who(&index, 7, "a", Some(&[5])), [1, 3], "all of it is all of it");
}

#[test]
fn chunks_follow_from_the_size() {
    const KIB: u64 = 1024;
    const GIB: u64 = 1 << 30;
    for (size, chunks) in [
        (0, 0),
        (1, 1),
        (256 * KIB, 1),
        (256 * KIB + 1, 2),
        (4 * GIB, 16_384),
        (4 * GIB + 1, 8193),
        (FILE_BYTES_MAX, 16_384),
    ] {
        assert_eq!(Content::new(&[1; 32], size).unwrap().chunks(), chunks, "{size}");
    }
    assert_eq!(Content::new(&[1; 32], FILE_BYTES_MAX + 1), None);
    assert_eq!(Content::new(&[1; 31], 1), None);
    assert_eq!(Content::new(&[1; 33], 1), None);
    let mut index = Shares::default();
    let empty = Content::new(&[1; 32], 0).unwrap();
    index.hold(&party(1), empty, share("a", Held::All)).unwrap();
    assert_eq!(index.sources(ALL, &empty).count(), 1, "there is all of an empty file");
    index.hold(&party(1), empty, share("a", Held::Some(Chunks::new(&[0xff; 9])))).unwrap();
    assert_eq!(index.sources(ALL, &empty).count(), 0, "there is no chunk of it");
}

#[test]
fn nothing_is_left_of_a_session_that_left() {
    let mut index = index(&[(1, 7, "a", Held::All), (1, 8, "b", some(&[1])), (2, 7, "x", Held::All)]);
    index.release(SessionId(2), &content(7));
    index.release(SessionId(2), &content(7));
    index.left(SessionId(1));
    index.left(SessionId(1));
    assert!(index.files.is_empty() && index.names.is_empty() && index.holders.is_empty());
}

#[test]
fn a_session_on_another_device_holds_nothing_of_what_the_first_did() {
    let mut index = index(&[(1, 7, "a", Held::All), (2, 7, "a", Held::All)]);
    let moved = Party { key: vec![99; 32].into(), ..party(1) };
    index.hold(&moved, content(8), share("b", Held::All)).unwrap();
    assert_eq!(who(&index, 7, "a", None), [2]);
    assert_eq!(index.sources(ALL, &content(8)).next().unwrap().0.key, moved.key);
}

#[test]
fn a_name_may_change_and_the_index_with_it() {
    let mut index = index(&[(1, 7, "a", Held::All)]);
    index.hold(&party(1), content(7), share("b", Held::All)).unwrap();
    assert!(named(&index, "a", ALL).is_empty());
    assert_eq!(named(&index, "b", ALL), [content(7)]);
    for name in ["", &"x".repeat(256), "a\n", "\t", "\u{1b}[2J", "\u{7f}", "\u{85}"] {
        assert_eq!(
            index.hold(&party(1), content(7), share(name, Held::All)),
            Err(ShareError::Name),
            "{name:?}"
        );
    }
    assert_eq!(index.hold(&party(1), content(7), share(&"ä".repeat(127), Held::All)), Ok(()));
}

#[test]
fn the_name_that_most_use_is_shown() {
    let mut index = index(&[
        (1, 7, "b", Held::All),
        (2, 7, "a", Held::All),
        (3, 7, "c", Held::All),
        (4, 7, "c", some(&[1])),
        (5, 7, "b", some(&[])),
        (6, 7, "b", some(&[])),
    ]);
    assert_eq!(list(&index, "", ALL), [("c".into(), 4)]);
    index.left(SessionId(4));
    assert_eq!(list(&index, "", ALL), [("a".into(), 3)], "the first among equals");
    let folder = Some(Folder { bytes: 5, files: 2 });
    index.hold(&party(2), content(7), Share { folder, ..share("a", Held::All) }).unwrap();
    assert_eq!(all(&index, &Query::Named("a".into()), ALL)[0].folder, folder);
}

#[test]
fn a_file_of_a_folder_has_sources_and_an_id_but_no_name() {
    let mut index = Shares::default();
    let inner = |name: &str| Share { inner: true, ..share(name, Held::All) };
    index.hold(&party(1), content(7), inner("a")).unwrap();
    assert_eq!(list(&index, "", ALL), []);
    assert_eq!(all(&index, &Query::Named("a".into()), ALL), []);
    assert_eq!(index.who_has(|_| true, &content(7), "a", None).count(), 0);
    let by_id = |index: &Shares| all(index, &Query::Id(Prefix::new("070707").unwrap()), ALL);
    assert_eq!(by_id(&index).len(), 1);
    assert_eq!(index.sources(|_| true, &content(7)).count(), 1);
    // Somebody else offers it for itself.
    index.hold(&party(2), content(7), share("b", Held::All)).unwrap();
    assert_eq!(list(&index, "", ALL), [("b".into(), 2)]);
    // It changes what it is, and back.
    index.hold(&party(1), content(7), share("a", Held::All)).unwrap();
    assert_eq!(all(&index, &Query::Named("a".into()), ALL).len(), 1);
    index.hold(&party(1), content(7), inner("a")).unwrap();
    assert_eq!(all(&index, &Query::Named("a".into()), ALL), []);
    index.left(SessionId(1));
    index.left(SessionId(2));
    assert!(index.names.is_empty() && index.files.is_empty());
}

#[test]
fn a_session_holds_only_so_much() {
    let mut index = Shares::default();
    let hold = |index: &mut Shares, number: usize, name: &str| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        index.hold(&party(1), Content::new(&id, 1).unwrap(), share(name, Held::All))
    };
    for number in 0..FILES_HELD_MAX {
        hold(&mut index, number, "a").unwrap();
    }
    assert_eq!(hold(&mut index, FILES_HELD_MAX, "a"), Err(ShareError::TooMany));
    assert_eq!(hold(&mut index, 0, "b"), Ok(()), "the same again");
    assert_eq!(all(&index, &Query::Named("a".into()), ALL).len(), FILES_HELD_MAX - 1);
    assert_eq!(Chunks::new(&[0xff; 1 << 16]).bits().len(), 2048);
    assert_eq!(Chunks::of(&[u32::MAX, 16_384]).bits().len(), 0);
}

#[test]
fn patterns() {
    for (pattern, name, is_meant) in [
        ("", "anything", true),
        ("THE", "other.txt", true),
        ("oh", "other.txt", false),
        ("ÄR", "Bär", true),
        ("*", "", true),
        ("?", "", false),
        ("*.txt", "Other.TXT", true),
        ("*.txt", "other.txt.gz", false),
        ("o*r.*", "other.txt", true),
        ("o?her.txt", "other.txt", true),
        ("?", "ä", true),
        ("a*b*c", "a_b_b_cc", true),
        ("a*b*c", "a_c_b", false),
        ("**a**", "a", true),
        ("a*", "b", false),
        ("[a]", "a", false),
    ] {
        assert_eq!(Pattern::new(pattern).matches(name), is_meant, "{pattern} {name}");
    }
    // As bad as it gets.
    assert!(!Pattern::new(&"*a".repeat(127)).matches(&format!("{}b", "a".repeat(254))));
}

fn is_like_plainly(name: &[char], pattern: &[char]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some(('*', rest)) => (0..=name.len()).any(|from| is_like_plainly(&name[from..], rest)),
        Some((one, rest)) => name
            .split_first()
            .is_some_and(|(first, name)| (*one == '?' || one == first) && is_like_plainly(name, rest)),
    }
}

/// What sessions hold, by session and content: under which name, and which chunks (`None`: all).
type Model = BTreeMap<(i64, u8), (&'static str, Option<BTreeSet<u32>>)>;

const NAMES: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
enum Act {
    Hold(&'static str, Option<u32>),
    Extend(u32),
    Release,
    Left,
}

fn act() -> impl Strategy<Value = Act> {
    let hold = (proptest::sample::select(&NAMES[..]), proptest::option::of(0..24u32));
    prop_oneof![
        3 => hold.prop_map(|(name, chunk)| Act::Hold(name, chunk)),
        2 => (0..24u32).prop_map(Act::Extend),
        1 => Just(Act::Release),
        1 => Just(Act::Left),
    ]
}

fn apply(index: &mut Shares, model: &mut Model, who: i64, byte: u8, act: Act) {
    let (session, file) = (party(who).session, content(byte));
    match act {
        Act::Hold(name, chunk) => {
            let held = chunk.map_or(Held::All, |chunk| some(&[chunk]));
            index.hold(&party(who), file, share(name, held)).unwrap();
            model.insert((who, byte), (name, chunk.map(|chunk| BTreeSet::from([chunk]))));
        }
        Act::Extend(chunk) => {
            index.extend(session, &file, &Chunks::of(&[chunk]));
            if let Some((_, Some(held))) = model.get_mut(&(who, byte)) {
                held.insert(chunk);
            }
        }
        Act::Release => {
            index.release(session, &file);
            model.remove(&(who, byte));
        }
        Act::Left => {
            index.left(session);
            model.retain(|(one, _), _| *one != who);
        }
    }
}

/// Who has this chunk, or any, of the twenty that there are.
fn expected(model: &Model, byte: u8, name: &str, asked: Option<u32>) -> Vec<i64> {
    let has = |held: &Option<BTreeSet<u32>>| match (held, asked) {
        (None, None) => true,
        (Some(held), None) => held.iter().any(|chunk| *chunk < 20),
        (None, Some(asked)) => asked < 20,
        (Some(held), Some(asked)) => asked < 20 && held.contains(&asked),
    };
    let having = model.iter().filter(|((_, of), (named, held))| *of == byte && *named == name && has(held));
    having.map(|((who, _), _)| *who).collect()
}

proptest! {
    #[test]
    fn patterns_mean_what_they_say(pattern in "[ab?*]{0,8}", name in "[ab]{0,10}") {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        let plainly = is_like_plainly(&chars(&name), &chars(&pattern));
        prop_assert_eq!(Pattern::Whole(chars(&pattern)).matches(&name), plainly);
    }

    /// However it came about, the index says what the sessions hold, and nothing else is in it.
    #[test]
    fn the_index_is_what_sessions_hold(
        acts in proptest::collection::vec((1..4i64, 0..3u8, act()), 0..60),
    ) {
        let (mut index, mut model) = (Shares::default(), Model::new());
        for (who, byte, act) in acts {
            apply(&mut index, &mut model, who, byte, act);
        }
        for byte in 0..3 {
            for name in NAMES {
                for asked in [None, Some(7), Some(19), Some(20)] {
                    let chunks = asked.map(|chunk| [chunk]);
                    let having = who(&index, byte, name, chunks.as_ref().map(|one| &one[..]));
                    prop_assert_eq!(having, expected(&model, byte, name, asked));
                }
            }
        }
        let holders = index.holders.iter();
        let held = holders.flat_map(|(who, holder)| holder.files.iter().map(|file| (who.0, file.id()[0])));
        let held: BTreeSet<_> = held.collect();
        prop_assert_eq!(held, model.keys().copied().collect());
        prop_assert_eq!(index.names.values().flat_map(BTreeMap::values).sum::<usize>(), model.len());
        prop_assert_eq!(index.files.values().map(BTreeMap::len).sum::<usize>(), model.len());
    }
}
