//! `SECURITY.md` names tests: they are there, and each class of bugs has tests of its name.

use std::{collections::BTreeSet, fs, path::Path};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// What stands in backticks and could be the name of a test: words joined by underscores.
fn named(page: &str) -> Vec<&str> {
    let is_name = |word: &&str| {
        word.contains('_') && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    page.split('`').skip(1).step_by(2).filter(is_name).collect()
}

/// Functions and modules of all sources.
fn sources(folder: &Path, functions: &mut BTreeSet<String>, modules: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, functions, modules);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source");
            for line in text.lines() {
                let word = |after: &str| {
                    let rest = line.split_once(after)?.1;
                    Some(rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()?.to_owned())
                };
                functions.extend(word("fn "));
                modules.extend(
                    line.trim()
                        .strip_prefix("mod ")
                        .and_then(|rest| rest.strip_suffix(';'))
                        .map(str::to_owned),
                );
            }
        }
    }
}

#[test]
fn every_test_that_the_page_names_is_there() {
    let page = fs::read_to_string(root().join("SECURITY.md")).expect("the page");
    let (mut functions, mut modules) = (BTreeSet::new(), BTreeSet::new());
    sources(&root().join("crates"), &mut functions, &mut modules);
    let names = named(&page);
    assert!(names.len() > 40, "{names:?}");
    let others = ["known_servers", "unsafe_code"];
    for name in names {
        let there = functions.contains(name) || modules.contains(name) || others.contains(&name);
        assert!(there, "SECURITY.md names `{name}`, which is nowhere");
    }
    let rows: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).collect();
    assert_eq!(rows.len(), 9, "the classes");
    for (class, _) in rows {
        assert!(modules.contains(class), "no module of tests is named after the class {class}");
    }
}
