//! Names for files from strangers: what they called a file, made harmless for a folder here.

use std::collections::BTreeSet;
use std::path::PathBuf;

use hobnob_protocol::text::visible_line;

use hobnob_protocol::limits::FILE_NAME_BYTES_MAX;
/// Folders within each other, the file's own name included.
pub const DEPTH_MAX: usize = 16;
/// Bytes of a path below the folder that it is for.
pub const PATH_BYTES_MAX: usize = 2048;
/// Files of one folder.
pub const FILES_MAX: usize = 10_000;

/// What a file is called whose name has nothing that can be kept.
const UNNAMED: &str = "unnamed";
/// Bytes of an extension, its dot included; what is longer is a part of the name like any other.
const EXTENSION_BYTES_MAX: usize = 24;
/// Files that may want the same path.
const SAME_PATH_MAX: u32 = 100;

/// Why the names of a folder's files cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A name that is empty or steps out of the folder: `a//b`, `/a`, `../a`.
    #[error("a file's path leads nowhere or out of the folder")]
    Outside,
    /// More than [`DEPTH_MAX`] or [`PATH_BYTES_MAX`].
    #[error("a file's path is too long")]
    TooLong,
    /// More than [`FILES_MAX`], or too many of the same name.
    #[error("there are too many files")]
    TooMany,
}

/// A name for a file in some folder here: one component of a path, at most [`FILE_NAME_BYTES_MAX`] bytes.
///
/// Separators of paths become `_`, and so does a dot or a hyphen at the beginning, which would hide the file or look
/// like an option. Whatever steers a terminal or deceives a reader is made visible as in messages. White space at
/// either end and dots at the end go. A name that is too long loses the end of its stem and keeps its extension. A name
/// that is safe stays as it is.
#[must_use]
pub fn safe(name: &str) -> String {
    let ends = |c: char| c.is_whitespace() || c == '.';
    // Trimmed before it is shown: a mark must not lose the blank that it stands on.
    let shown = visible_line(name.trim_start().trim_end_matches(ends));
    let mut safe: String = shown.trim_end_matches(ends).replace(['/', '\\'], "_");
    if safe.starts_with(['.', '-']) {
        safe.replace_range(..1, "_");
    }
    if safe.is_empty() {
        safe.push_str(UNNAMED);
    }
    numbered(&safe, 0, "")
}

/// The `number`th name to try where others are taken: `name.ext`, `name (1).ext`, `name (2).ext`, and so on, each
/// followed by `suffix`. The stem is shortened so that all fits in [`FILE_NAME_BYTES_MAX`]. The name must be [`safe`], and
/// the suffix short.
#[must_use]
pub fn numbered(name: &str, number: u32, suffix: &str) -> String {
    let (stem, extension) = split(name);
    let counter = if number > 0 { format!(" ({number})") } else { String::new() };
    let room = FILE_NAME_BYTES_MAX.saturating_sub(counter.len() + extension.len() + suffix.len());
    let cut = &stem[..stem.floor_char_boundary(room)];
    let cut = if cut.len() < stem.len() {
        cut.trim_end_matches(|c: char| c.is_whitespace() || c == '.')
    } else {
        cut
    };
    format!("{cut}{counter}{extension}{suffix}")
}

/// Paths below a folder for all the files that somebody shares as one folder, in the same order. Each component is made
/// [`safe`]; files whose paths become the same are numbered.
///
/// # Errors
/// One of the names, or their number, is beyond what an honest folder has.
pub fn paths<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Vec<PathBuf>, PathError> {
    let mut files = Vec::new();
    for name in names {
        if files.len() == FILES_MAX {
            return Err(PathError::TooMany);
        }
        files.push(components(name)?);
    }
    let folders: BTreeSet<PathBuf> =
        files.iter().flat_map(|file| (1..file.len()).map(|depth| file[..depth].iter().collect())).collect();
    let mut taken = BTreeSet::new();
    let mut in_order = Vec::with_capacity(files.len());
    for file in &files {
        let free = |path: &PathBuf| !folders.contains(path) && !taken.contains(path);
        let path = (0..SAME_PATH_MAX).map(|number| numbered_path(file, number)).find(free);
        let path = path.ok_or(PathError::TooMany)?;
        taken.insert(path.clone());
        in_order.push(path);
    }
    Ok(in_order)
}

/// The components of one path, each made safe.
fn components(path: &str) -> Result<Vec<String>, PathError> {
    let mut components = Vec::new();
    let mut bytes = 0;
    for component in path.split('/') {
        if matches!(component, "" | "." | "..") {
            return Err(PathError::Outside);
        }
        let component = safe(component);
        bytes += component.len() + 1;
        if components.len() == DEPTH_MAX || bytes > PATH_BYTES_MAX {
            return Err(PathError::TooLong);
        }
        components.push(component);
    }
    Ok(components)
}

fn numbered_path(components: &[String], number: u32) -> PathBuf {
    let (name, folders) = components.split_last().expect("splitting a text yields at least one part");
    folders.iter().cloned().chain([numbered(name, number, "")]).collect()
}

/// Stem and extension, the latter with its dot or empty.
fn split(name: &str) -> (&str, &str) {
    let dot = match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= EXTENSION_BYTES_MAX => dot,
        _ => return (name, ""),
    };
    let dot = match name[..dot].strip_suffix(".tar") {
        Some(stem) if !stem.is_empty() => stem.len(),
        _ => dot,
    };
    name.split_at(dot)
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_become_safe() {
        for (name, result) in [
            ("report.pdf", "report.pdf"),
            ("Jürgen's  Übung (1).tar.gz", "Jürgen's  Übung (1).tar.gz"),
            ("日本語.txt", "日本語.txt"),
            ("", "unnamed"),
            (".", "unnamed"),
            ("..", "unnamed"),
            (" . . ", "unnamed"),
            ("/", "_"),
            ("../../etc/passwd", "_._.._etc_passwd"),
            ("/etc/passwd", "_etc_passwd"),
            ("C:\\x\\y.exe", "C:_x_y.exe"),
            (".bashrc", "_bashrc"),
            ("...x", "_..x"),
            ("-rf", "_rf"),
            ("--", "_-"),
            ("a.", "a"),
            ("a. . .", "a"),
            ("  a b \t\n", "a b"),
            ("\u{3000}a\u{a0}", "a"),
            ("a\nb", "a^Jb"),
            ("a\0b\u{1b}[2J", "a^@b^[[2J"),
            ("evil\u{202e}gpj.exe", "evil<U+202E>gpj.exe"),
            (" \u{301}x", "<U+0301>x"),
            ("\u{200b}", "<U+200B>"),
        ] {
            assert_eq!(safe(name), result, "{name:?}");
        }
    }

    #[test]
    fn long_names_keep_their_extension() {
        let long = "é".repeat(300);
        for (name, end) in [
            (long.clone(), "é"),
            (format!("{long}.txt"), "é.txt"),
            (format!("{long}.tar.gz"), "é.tar.gz"),
            (format!("{}.{}", "a".repeat(300), "b".repeat(30)), "a"),
            (format!("a.{}", "b".repeat(300)), "b"),
        ] {
            let safe = safe(&name);
            assert!(safe.ends_with(end) && (253..=255).contains(&safe.len()), "{safe}");
            let part = numbered(&safe, 17, ".part");
            assert!(
                part.ends_with(".part") && part.contains(" (17)") && (253..=255).contains(&part.len()),
                "{part}"
            );
        }
        assert_eq!(safe(&format!("{} {}", "a".repeat(254), "b".repeat(9))), "a".repeat(254));
    }

    #[test]
    fn numbers_stand_before_the_extension() {
        for (name, number, suffix, result) in [
            ("a.txt", 0, "", "a.txt"),
            ("a.txt", 1, "", "a (1).txt"),
            ("a.txt", 12, ".part", "a (12).txt.part"),
            ("a.tar.gz", 1, "", "a (1).tar.gz"),
            (".tar.gz", 1, "", ".tar (1).gz"),
            ("a", 1, "", "a (1)"),
            ("a", 0, ".part", "a.part"),
            ("_bashrc", 2, "", "_bashrc (2)"),
        ] {
            assert_eq!(numbered(name, number, suffix), result);
        }
    }

    #[test]
    fn the_paths_of_a_folder() {
        let found = paths(["a/b.txt", "a/c/.d", "a/c/_d", "a/c", "e", "e", "a/c"]).unwrap();
        let expected = ["a/b.txt", "a/c/_d", "a/c/_d (1)", "a/c (1)", "e", "e (1)", "a/c (2)"];
        assert_eq!(found, expected.map(PathBuf::from));
        for path in ["", "/a", "a/", "a//b", "a/./b", "../a", "a/../../b", ".."] {
            assert_eq!(paths(["ok", path]), Err(PathError::Outside), "{path:?}");
        }
        let deep = |depth: usize| vec!["d"; depth].join("/");
        assert!(paths([deep(DEPTH_MAX).as_str()]).is_ok());
        assert_eq!(paths([deep(DEPTH_MAX + 1).as_str()]), Err(PathError::TooLong));
        assert_eq!(paths([vec!["d".repeat(250); 9].join("/").as_str()]), Err(PathError::TooLong));
        let many: Vec<_> = (0..=FILES_MAX).map(|n| n.to_string()).collect();
        assert_eq!(paths(many[1..].iter().map(String::as_str)).unwrap().len(), FILES_MAX);
        assert_eq!(paths(many.iter().map(String::as_str)), Err(PathError::TooMany));
        assert_eq!(paths(std::iter::repeat_n("same", FILES_MAX)), Err(PathError::TooMany));
    }

    fn nasty() -> impl Strategy<Value = String> {
        let pieces = prop_oneof![
            any::<char>().prop_map(String::from),
            proptest::sample::select(vec![
                "/", "\\", ".", "..", " ", "\n", "\0", "~", "-", ".tar", ".gz", "(1)"
            ])
            .prop_map(String::from),
            proptest::sample::select(vec![
                '\u{202e}',
                '\u{200d}',
                '\u{301}',
                '\u{feff}',
                '\u{7f}',
                '\u{e0041}'
            ])
            .prop_map(String::from),
            (1..300usize).prop_map(|n| "x".repeat(n)),
            (1..100usize).prop_map(|n| "田".repeat(n)),
        ];
        proptest::collection::vec(pieces, 0..16).prop_map(|pieces| pieces.concat())
    }

    fn is_safe(name: &str) -> bool {
        let one = PathBuf::from(name);
        let mut components = one.components();
        matches!((components.next(), components.next()), (Some(Component::Normal(only)), None) if only == name)
            && !name.starts_with(['.', '-'])
            && !name.ends_with(['.', ' '])
            && !name.contains(['/', '\\'])
            && !name.chars().any(char::is_control)
            && name.len() <= FILE_NAME_BYTES_MAX
            && visible_line(name) == name
    }

    proptest! {
        #[test]
        fn no_name_escapes(name in nasty(), number in 1..20_000u32) {
            let safe = safe(&name);
            prop_assert!(is_safe(&safe), "{safe:?}");
            prop_assert_eq!(&super::safe(&safe), &safe);
            for suffix in ["", ".part"] {
                let numbered = numbered(&safe, number, suffix);
                prop_assert!(is_safe(&numbered), "{numbered:?}");
                prop_assert!(numbered.ends_with(suffix));
            }
        }

        #[test]
        fn no_path_escapes(names in proptest::collection::vec(nasty(), 0..6)) {
            if let Ok(paths) = paths(names.iter().map(String::as_str)) {
                prop_assert_eq!(paths.len(), names.len());
                prop_assert_eq!(paths.iter().collect::<BTreeSet<_>>().len(), names.len());
                for path in paths {
                    prop_assert!(path.components().all(|c| matches!(c, Component::Normal(c) if is_safe(c.to_str().unwrap()))));
                }
            }
        }
    }
}
