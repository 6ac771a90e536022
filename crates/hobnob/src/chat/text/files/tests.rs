use super::*;

#[test]
fn a_row_fits_every_terminal() {
    let progress = Progress {
        name: "\u{6587}\u{4ef6}\u{1b}[2J.pdf".to_owned(),
        id: hobnob_peer::file::ContentId::of(b""),
        done: 1,
        size: 2,
        rate: 1 << 20,
        direct: 3,
        relayed: 1,
        left: Some(Duration::from_secs(7)),
        stalled: false,
    };
    let download = Row::Download { progress, others: 12 };
    let reading = Row::Reading { path: "/a/\u{6587}\n".into(), done: 1, size: 2, others: 1 };
    for row in [download, reading] {
        for columns in 0..200 {
            let text = row.text(columns);
            assert!(text.width() <= columns && !text.contains(['\n', '\u{1b}']), "{columns}: {text:?}");
        }
    }
}

#[test]
fn a_folder_is_listed_with_the_size_of_all_that_is_in_it() {
    let content = v1::Content { id: vec![7; 32].into(), size: 300 };
    let entry = |files| v1::FileEntry {
        content: Some(content.clone()),
        name: "x\ny".to_owned(),
        sources: 2,
        folder: Some(v1::Folder { bytes: 5 << 30, files }),
    };
    assert_eq!(list(&[entry(1)], false), "070707070707  5.0 GiB  2 sources  x␊y/ (1 file)\n");
    assert_eq!(list(&[entry(30)], false), "070707070707  5.0 GiB  2 sources  x␊y/ (30 files)\n");
    assert_eq!(list(&[v1::FileEntry { content: None, ..entry(1) }], true), NO_FILES);
}
