use super::*;

fn typed(editor: &mut Editor, text: &str) {
    for c in text.chars() {
        assert_eq!(editor.press(Key::Char(c)), Done::Nothing);
    }
}

fn line(editor: &mut Editor) -> String {
    match editor.press(Key::Enter) {
        Done::Line(line) => line,
        other => panic!("{other:?}"),
    }
}

fn check(keys: &[Key], expected: &str) {
    let mut editor = Editor::default();
    typed(&mut editor, "one two three");
    for key in keys {
        editor.press(*key);
    }
    assert_eq!(line(&mut editor), expected, "{keys:?}");
}

#[test]
fn lines_are_edited() {
    check(&[], "one two three");
    check(&[Key::Left, Key::Backspace], "one two thre");
    check(&[Key::Home, Key::Delete, Key::EndOfInput], "e two three");
    check(&[Key::Home, Key::Backspace, Key::Left, Key::Char('x')], "xone two three");
    check(&[Key::CutWord], "one two ");
    check(&[Key::WordLeft, Key::WordLeft, Key::CutToEnd], "one ");
    check(&[Key::WordLeft, Key::CutToStart], "three");
    check(&[Key::Home, Key::WordRight, Key::Char('x')], "onex two three");
    check(&[Key::End, Key::Right, Key::Delete, Key::Redraw], "one two three");
}

#[test]
fn the_end_of_input_needs_an_empty_line() {
    let mut editor = Editor::default();
    typed(&mut editor, "x");
    assert_eq!(editor.press(Key::EndOfInput), Done::Nothing);
    editor.press(Key::Backspace);
    assert_eq!(editor.press(Key::EndOfInput), Done::End);
}

#[test]
fn history_holds_commands_and_nothing_else() {
    let mut editor = Editor::default();
    editor.ask("Username: ", false);
    typed(&mut editor, "hans");
    line(&mut editor);
    editor.ask("Password: ", true);
    typed(&mut editor, "secret");
    line(&mut editor);
    editor.ask("> ", false);
    editor.press(Key::Up);
    assert_eq!(line(&mut editor), "");
    for command in ["whoelse", "blocks", "blocks"] {
        typed(&mut editor, command);
        line(&mut editor);
    }
    typed(&mut editor, "draft");
    let seen: Vec<String> = [Key::Up, Key::Up, Key::Up, Key::Down, Key::Down, Key::Down]
        .map(|key| {
            editor.press(key);
            editor.line.iter().collect()
        })
        .to_vec();
    assert_eq!(seen, ["blocks", "whoelse", "whoelse", "blocks", "draft", "draft"]);
}

#[test]
fn a_hidden_line_is_never_shown_nor_left_over() {
    let mut editor = Editor::default();
    editor.ask("Password: ", true);
    typed(&mut editor, "secret");
    assert_eq!(editor.picture(80), "\r\x1b[KPassword: ");
    editor.ask("> ", false);
    assert!(!editor.picture(80).contains("secret"));
    assert_eq!(line(&mut editor), "");
}

#[test]
fn words_are_completed() {
    let mut editor = Editor::default();
    editor.ask("> ", false);
    for name in ["hans", "hanna", "bob"] {
        editor.know(name);
    }
    let cases = [
        ("mess", "message "),
        ("/mess", "/message "),
        ("w", "whoelse"),
        ("message b", "message bob "),
        ("message h", "message han"),
        ("message x", "message x"),
        ("zzz", "zzz"),
    ];
    for (given, expected) in cases {
        typed(&mut editor, given);
        editor.press(Key::Tab);
        assert_eq!(line(&mut editor), expected, "{given}");
    }
}

#[test]
fn a_long_line_is_shown_around_the_cursor() {
    let mut editor = Editor::default();
    editor.ask("> ", false);
    typed(&mut editor, "0123456789abcdefghij");
    assert_eq!(editor.picture(40), "\r\x1b[K> 0123456789abcdefghij\r\x1b[22C");
    for width in 1..40 {
        for _ in 0..=20 {
            editor.press(Key::Left);
            let shown = editor.picture(width);
            let row = shown.trim_start_matches("\r\x1b[K").split('\r').next().unwrap_or_default();
            assert!(row.chars().count() <= width.max(4), "{width}: {row}");
        }
        editor.press(Key::End);
    }
    editor.ask("> ", true);
    editor.ask("> ", false);
    typed(&mut editor, "日本");
    editor.press(Key::Left);
    assert_eq!(editor.picture(40), "\r\x1b[K> 日本\r\x1b[4C");
}

#[test]
fn too_much_is_said_to_be_too_much() {
    let mut editor = Editor::default();
    typed(&mut editor, &"x".repeat(LINE_MAX + 1));
    assert_eq!(editor.press(Key::Enter), Done::TooLong);
    assert_eq!(line(&mut editor), "");
}
