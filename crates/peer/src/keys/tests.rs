use super::*;

fn key(byte: u8) -> [u8; 32] {
    [byte; 32]
}

#[test]
fn safety_numbers_are_these() {
    let up = std::array::from_fn(|at| at as u8);
    let further = std::array::from_fn(|at| at as u8 + 32);
    for (one, other, number) in [
        (key(0), key(1), "47258 21148 73599 40241 12460 13472 13042 57417 16856 94346 47468 71610"),
        (up, further, "03980 72110 08288 79381 13393 58099 73264 50164 07267 85429 14576 53574"),
        (key(255), key(255), "84948 80760 48068 58654 45446 02341 26267 31896 03149 20265 45212 40638"),
    ] {
        assert_eq!(safety_number(&one, &other), number);
        assert_eq!(safety_number(&other, &one), number, "both see the same");
    }
}

#[test]
fn what_is_thought_of_a_key() {
    let mut keys = Keys::default();
    assert_eq!(keys.last("ann"), None);
    assert!(!keys.verify("ann"), "there is none");
    assert_eq!(keys.introduce("ann", key(1)), Trust::First);
    assert_eq!(keys.introduce("ann", key(1)), Trust::Known);
    assert_eq!(keys.introduce("ann", key(2)), Trust::New);
    assert_eq!(keys.introduce("ann", key(1)), Trust::Known, "back at the first device");
    assert_eq!(keys.introduce("bob", key(3)), Trust::First);
    assert!(keys.verify("ann"));
    assert_eq!(keys.last("ann"), Some((key(1), true)));
    assert_eq!(keys.introduce("ann", key(1)), Trust::Known);
    assert_eq!(keys.introduce("ann", key(2)), Trust::Refused, "seen, but not verified");
    assert_eq!(keys.introduce("ann", key(4)), Trust::Refused);
    assert_eq!(keys.last("ann"), Some((key(4), false)), "that is the one to be compared");
    assert!(keys.verify("ann"));
    assert_eq!(keys.introduce("ann", key(4)), Trust::Known);
    assert_eq!(keys.introduce("ann", key(1)), Trust::Known);
}

#[test]
fn what_is_written_is_read() {
    let mut keys = Keys::default();
    assert_eq!(keys.to_text(), "");
    keys.introduce("jürgen", key(0xab));
    keys.introduce("ann", key(1));
    keys.introduce("ann", key(2));
    keys.verify("ann");
    keys.introduce("ann", key(1));
    let text = keys.to_text();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], format!("jürgen {} seen", "ab".repeat(32)));
    assert_eq!(lines[1], format!("ann {} verified", "02".repeat(32)));
    assert_eq!(lines[2], format!("ann {} seen", "01".repeat(32)));
    let mut again = Keys::from_text(&text);
    assert_eq!(again.to_text(), text);
    assert_eq!(again.introduce("ann", key(1)), Trust::Refused);
}

#[test]
fn lines_without_sense_are_passed_over() {
    let hex = "01".repeat(32);
    let text = format!(
        "\n# ann\nann {hex}\nann {hex} maybe\nann {hex} seen twice\nann 01 seen\nann {hex}00 seen\n\
         ann {} seen\n{} {hex} seen\nbob {hex} seen\r\nbob {hex} verified",
        "é1".repeat(32),
        "x".repeat(200),
    );
    let keys = Keys::from_text(&text);
    assert_eq!(keys.to_text(), format!("bob {hex} verified\n"));
}

#[test]
fn a_user_has_sixteen_keys_and_verified_ones_stay() {
    let mut keys = Keys::default();
    keys.introduce("ann", key(1));
    keys.verify("ann");
    (2..=200).for_each(|byte| assert_eq!(keys.introduce("ann", key(byte)), Trust::Refused));
    assert_eq!(keys.to_text().lines().count(), KEYS_OF_A_USER_MAX);
    assert_eq!(keys.introduce("ann", key(1)), Trust::Known);
    assert_eq!(keys.introduce("ann", key(200)), Trust::Refused);
    for byte in 100..130 {
        keys.introduce("bob", key(byte));
        keys.verify("bob");
    }
    assert_eq!(keys.users["bob"].keys.len(), KEYS_OF_A_USER_MAX);
}

#[test]
fn ten_thousand_users_are_remembered() {
    let mut keys = Keys::default();
    keys.introduce("first", key(1));
    keys.verify("first");
    keys.introduce("second", key(2));
    (0..USERS_MAX - 2)
        .for_each(|number| assert_eq!(keys.introduce(&format!("u{number}"), key(3)), Trust::First));
    keys.introduce("one more", key(4));
    assert_eq!(keys.users.len(), USERS_MAX);
    assert_eq!(keys.last("first"), Some((key(1), true)), "verified");
    assert_eq!(keys.last("second"), None, "the oldest that is not");
    assert!(keys.last("u0").is_some());
}
