use std::cell::RefCell;

use super::{
    scene::{Act, SCENE, Step},
    *,
};

/// The outcome, and how many steps were shown.
async fn outcome(scene: &[Step]) -> (Outcome, usize) {
    let shown = RefCell::new(0);
    let outcome = in_a_folder(scene, &|_, _| *shown.borrow_mut() += 1).await.expect("a server");
    (outcome, shown.into_inner())
}

fn differs(outcome: (Outcome, usize)) -> (String, usize) {
    match outcome {
        (Outcome::Differs(words), shown) => (words, shown),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_line_is_told_with_its_step() {
    let mut scene = SCENE[..3].to_vec();
    scene[2].sees = &[(0, "Welcome!")];
    let (words, shown) = differs(outcome(&scene).await);
    assert_eq!(
        words,
        "step 3 differs: hans was to see “Welcome!”, and there came “Welcome to the greatest messaging application ever!”"
    );
    assert_eq!(shown, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_nobody_expected_is_told() {
    // A second prompt is one line more than expected.
    let mut scene = SCENE[..2].to_vec();
    scene.push(Step { caption: None, who: 0, act: Act::TypesSecretly("secret"), sees: &[] });
    scene.push(Step { caption: None, who: 0, act: Act::Types("help logout"), sees: &[(0, "logout: leave")] });
    let (words, _) = differs(outcome(&scene).await);
    assert!(words.contains("and there came “Welcome"), "{words}");
}

#[test]
fn the_cast_has_a_column_each() {
    assert!(SCENE.iter().all(|step| step.who < CAST.len()));
    assert!(SCENE.iter().flat_map(|step| step.sees).all(|(who, _)| *who < CAST.len()));
}

#[test]
fn a_line_may_be_written_with_a_gap() {
    use super::stage::is_like;
    for (line, written) in [("a", "a"), ("in 2 s, ok", "in …, ok"), ("", "…"), ("ab", "a…b")] {
        assert!(is_like(line, written), "{line} {written}");
    }
    for (line, written) in [("a", "b"), ("in 2 s, no", "in …, ok"), ("a", "a…a"), ("ab", "a")] {
        assert!(!is_like(line, written), "{line} {written}");
    }
}
