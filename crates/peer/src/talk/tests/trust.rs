//! Keys that change, and `verify`.

use super::super::Effect;
use super::SECOND;
use super::world::{ANN, BOB, World};
use crate::keys::safety_number;

#[test]
fn a_first_key_is_noted_silently() {
    let mut world = World::talking();
    assert!(world.effects[ANN].contains(&Effect::SaveKeys));
    assert_eq!(world.talks[ANN].keys().last("bob"), Some(([2; 32], false)));
    world.effects[ANN].clear();
    world.stop(ANN, "bob");
    world.start(ANN, "bob");
    world.answer(BOB, true);
    assert!(!world.effects[ANN].contains(&Effect::SaveKeys), "the same");
    assert_eq!(world.told(ANN).last().unwrap(), "Bob accepts private messaging");
}

#[test]
fn both_see_the_same_safety_number() {
    let mut world = World::talking();
    let number = safety_number(&[1; 32], &[2; 32]);
    world.verify(ANN, "BOB", false);
    assert_eq!(world.told(ANN), [format!("Bob {number} false")]);
    world.effects[ANN].clear();
    world.verify(ANN, "bob", true);
    world.verify(ANN, "bob", false);
    assert_eq!(world.told(ANN), ["Bob is verified".to_owned(), format!("Bob {number} true")]);
    assert!(world.effects[ANN].contains(&Effect::SaveKeys));
    world.verify(BOB, "ann", false);
    assert_eq!(world.told(BOB), [format!("Ann {number} false")]);
    for user in ["cyn", "ann", "no one"] {
        world.verify(ANN, user, true);
        assert_eq!(world.told(ANN), [format!("NoKey(\"{user}\")")]);
    }
}

#[test]
fn another_key_is_told() {
    let mut world = World::talking();
    world.stop(ANN, "bob");
    world.told(ANN);
    world.keys[BOB] = [9; 32];
    world.start(ANN, "bob");
    world.answer(BOB, true);
    let told = [
        "Start private messaging with Bob",
        "Bob has a new key, refused: false",
        "Bob accepts private messaging",
    ];
    assert_eq!(world.told(ANN), told);
}

#[test]
fn a_key_that_is_not_the_verified_one_is_refused() {
    let mut world = World::talking();
    world.verify(ANN, "bob", true);
    world.stop(ANN, "bob");
    world.told(ANN);
    world.keys[BOB] = [9; 32];
    world.start(ANN, "bob");
    world.effects[ANN].clear();
    world.answer(BOB, true);
    assert_eq!(world.told(ANN), ["Start private messaging with Bob", "Bob has a new key, refused: true"]);
    assert!(world.effects[ANN].iter().any(|effect| matches!(effect, Effect::Cancel(_))));
    assert!(!world.effects[ANN].iter().any(|effect| matches!(effect, Effect::Dial { .. })));
    assert!(world.talks[ANN].is_idle());
    world.pass(SECOND * 40);
    assert!(world.told(ANN).is_empty(), "nothing in addition");
    assert_eq!(world.told(BOB).last().unwrap(), "Error. Could not connect to Ann");
    // Asked, the same; compared, believed.
    world.start(BOB, "ann");
    world.answer(ANN, true);
    assert_eq!(world.told(ANN).last().unwrap(), "Bob has a new key, refused: true");
    world.pass(SECOND * 40);
    world.verify(ANN, "bob", false);
    assert_eq!(world.told(ANN), [format!("bob {} false", safety_number(&[1; 32], &[9; 32]))]);
    world.verify(ANN, "bob", true);
    world.start(ANN, "bob");
    world.answer(BOB, true);
    assert_eq!(world.told(ANN).last().unwrap(), "Bob accepts private messaging");
}

#[test]
fn only_the_key_that_was_compared_is_confirmed() {
    let mut world = World::talking();
    world.verify(ANN, "bob", false);
    world.stop(ANN, "bob");
    world.keys[BOB] = [9; 32];
    world.start(ANN, "bob");
    world.answer(BOB, true);
    world.told(ANN);
    world.verify(ANN, "bob", true);
    let number = safety_number(&[1; 32], &[9; 32]);
    assert_eq!(world.told(ANN), [format!("Bob {number} false")], "it is another one, to be compared first");
    world.verify(ANN, "bob", true);
    assert_eq!(world.told(ANN), ["Bob is verified"]);
}
