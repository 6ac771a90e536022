//! The index of shared files.

use super::*;

const ALL: fn(AccountId) -> bool = |_| true;

fn content(byte: u8) -> Content {
    Content { id: vec![byte; 32].into(), size: 10 }
}

fn session(number: i64) -> (SessionId, AccountId) {
    (SessionId(number), AccountId(number))
}

fn share(account: AccountId, name: &str, held: Held) -> Share {
    Share { account, name: name.to_owned(), held, folder: None }
}

fn index(shares: &[(i64, u8, &str, Held)]) -> Shares {
    let mut index = Shares::default();
    for (who, byte, name, held) in shares {
        let (session, account) = session(*who);
        index.hold(session, &content(*byte), share(account, name, held.clone())).unwrap();
    }
    index
}

fn some(chunks: &[u32]) -> Held {
    let mut bits = vec![0; 8];
    chunks.iter().for_each(|chunk| bits[*chunk as usize / 8] |= 1 << (chunk % 8));
    Held::Some(Chunks::new(&bits))
}

fn names(listed: &[Listed]) -> Vec<(&str, u32)> {
    listed.iter().map(|listed| (listed.name.as_str(), listed.sources)).collect()
}

#[test]
fn whoever_blocks_the_asker_is_not_there() {
    let index = index(&[(1, 7, "a", Held::All), (2, 7, "b", Held::All), (2, 8, "c", Held::All)]);
    let sees = |account| account != AccountId(2);
    assert_eq!(names(&index.list(ALL, |_| true, 9)), [("a", 2), ("c", 1)]);
    assert_eq!(names(&index.list(sees, |_| true, 9)), [("a", 1)]);
    assert!(index.find(sees, "c").is_empty() && index.find(sees, "b").is_empty());
    assert!(index.find(sees, "080808080808").is_empty());
    assert_eq!(index.holders(sees, &content(7)).len(), 1);
    assert!(index.who_has(sees, "c", None).is_empty());
}

#[test]
fn a_file_is_meant_by_its_name_or_by_its_id() {
    let index = index(&[(1, 7, "a", Held::All), (2, 8, "a", Held::All), (3, 9, "070707", Held::All)]);
    assert_eq!(index.find(ALL, "a").len(), 2, "two contents of one name");
    assert_eq!(index.find(ALL, "0707070707")[0].content, content(7));
    assert_eq!(index.find(ALL, "070707")[0].content, content(9), "a name comes before an id");
    assert!(index.find(ALL, "07070").is_empty(), "too short");
    assert!(index.find(ALL, "070708").is_empty());
    assert_eq!(index.find(ALL, &"08".repeat(32))[0].content, content(8));
}

#[test]
fn holders_of_chunks_are_found_and_grow() {
    let mut index = index(&[(1, 7, "a", some(&[])), (2, 7, "a", some(&[3])), (3, 7, "a", Held::All)]);
    let who = |index: &Shares, chunks: Option<&[u32]>| -> Vec<i64> {
        index.who_has(ALL, "a", chunks).into_iter().map(|account| account.0).collect()
    };
    assert_eq!(who(&index, None), [2, 3], "who has nothing of it is no source");
    assert_eq!(who(&index, Some(&[3])), [2, 3]);
    assert_eq!(who(&index, Some(&[4])), [3]);
    let Held::Some(more) = some(&[4, 20]) else { unreachable!() };
    index.extend(SessionId(1), &content(7), &more);
    assert_eq!(who(&index, Some(&[4, 5])), [1, 3]);
    index.hold(SessionId(1), &content(7), share(AccountId(1), "a", Held::All)).unwrap();
    assert_eq!(who(&index, Some(&[5])), [1, 3]);
}

#[test]
fn nothing_is_left_of_a_session_that_left() {
    let mut index = index(&[(1, 7, "a", Held::All), (1, 8, "b", some(&[1])), (2, 7, "x", Held::All)]);
    index.release(SessionId(2), &content(7));
    index.left(SessionId(1));
    index.left(SessionId(1));
    assert!(index.files.is_empty() && index.names.is_empty() && index.held.is_empty());
}

#[test]
fn a_name_may_change_and_the_index_with_it() {
    let mut index = index(&[(1, 7, "a", Held::All)]);
    index.hold(SessionId(1), &content(7), share(AccountId(1), "b", Held::All)).unwrap();
    assert!(index.find(ALL, "a").is_empty());
    assert_eq!(index.find(ALL, "b").len(), 1);
}

#[test]
fn a_session_holds_only_so_much_and_only_files() {
    let mut index = Shares::default();
    let (session, account) = session(1);
    let hold = |index: &mut Shares, number: usize, name: &str| {
        let mut id = vec![0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        index.hold(session, &Content { id: id.into(), size: 1 }, share(account, name, Held::All))
    };
    for number in 0..HELD_MAX {
        hold(&mut index, number, "a").unwrap();
    }
    assert_eq!(hold(&mut index, HELD_MAX, "a"), Err(ShareError::TooMany));
    assert_eq!(hold(&mut index, 0, "b"), Ok(()), "the same again");
    assert_eq!(hold(&mut index, 0, ""), Err(ShareError::Invalid));
    assert_eq!(hold(&mut index, 0, &"x".repeat(256)), Err(ShareError::Invalid));
    let short = Content { id: vec![1; 31].into(), size: 1 };
    assert_eq!(index.hold(session, &short, share(account, "a", Held::All)), Err(ShareError::Invalid));
    assert_eq!(Chunks::new(&[0xff; 1 << 16]).bits().len(), 2048);
}
