//! The transcript: a column for each, side by side. Pure.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What stands between two columns.
const GAP: &str = " │ ";
/// The least width of a column.
const COLUMN_MIN: usize = 20;

/// How the transcript looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns {
    width: usize,
    colour: bool,
}

/// A line in somebody's column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    /// Typed by that person.
    Typed(String),
    /// Shown to that person.
    Shown(String),
    /// Nothing yet: what follows stands below what somebody else typed.
    Blank,
}

impl Columns {
    /// For so many columns on a terminal, or file, of this width.
    pub(super) fn new(count: usize, width: usize, colour: bool) -> Self {
        let gaps = GAP.width() * count.saturating_sub(1);
        Self { width: (width.saturating_sub(gaps) / count.max(1)).max(COLUMN_MIN), colour }
    }

    /// The names above the columns, and a rule.
    pub(super) fn head(self, names: &[&str]) -> String {
        let cells: Vec<_> = names.iter().map(|name| vec![Cell::Typed((*name).to_owned())]).collect();
        let rule: Vec<_> = names.iter().map(|_| "─".repeat(self.width)).collect();
        format!("{}{}\n", self.rows(&cells), rule.join("─┼─"))
    }

    /// What begins.
    pub(super) fn caption(self, caption: &str) -> String {
        let caption = format!("── {caption} ──");
        if self.colour { format!("\n\x1b[2m{caption}\x1b[0m\n") } else { format!("\n{caption}\n") }
    }

    /// What happened in each column, from the same row on.
    pub(super) fn rows(self, columns: &[Vec<Cell>]) -> String {
        let wrapped: Vec<Vec<(String, bool)>> = columns.iter().map(|cells| self.wrapped(cells)).collect();
        let rows = wrapped.iter().map(Vec::len).max().unwrap_or(0);
        let mut text = String::new();
        for row in 0..rows {
            let cells: Vec<_> = wrapped.iter().map(|column| self.cell(column.get(row))).collect();
            text += cells.join(GAP).trim_end();
            text.push('\n');
        }
        text
    }

    /// One row of a column, filled up to its width.
    fn cell(self, row: Option<&(String, bool)>) -> String {
        let Some((text, typed)) = row else { return " ".repeat(self.width) };
        let fill = " ".repeat(self.width.saturating_sub(text.width()));
        if *typed && self.colour { format!("\x1b[1m{text}\x1b[0m{fill}") } else { format!("{text}{fill}") }
    }

    /// The rows of a column, and whether each is typed.
    fn wrapped(self, cells: &[Cell]) -> Vec<(String, bool)> {
        let rows = |text: &str, typed| {
            wrap(text, self.width).into_iter().map(move |row| (row, typed)).collect::<Vec<_>>()
        };
        let cells = cells.iter().map(|cell| match cell {
            Cell::Typed(text) => rows(text, true),
            Cell::Shown(text) => rows(text, false),
            Cell::Blank => vec![(String::new(), false)],
        });
        cells.flatten().collect()
    }
}

/// Cuts a line at spaces, and words that are too long anywhere.
fn wrap(line: &str, width: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    for word in line.split(' ') {
        let row = rows.last_mut().expect("there is always one");
        let gap = usize::from(!row.is_empty());
        if row.width() + gap + word.width() <= width {
            if gap == 1 {
                row.push(' ');
            }
            row.push_str(word);
            continue;
        }
        if !row.is_empty() {
            rows.push(String::new());
        }
        for c in word.chars() {
            let row = rows.last_mut().expect("there is always one");
            if row.width() + c.width().unwrap_or(0) > width {
                rows.push(c.to_string());
            } else {
                row.push(c);
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_spaces() {
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(wrap("a bc def", 5), ["a bc", "def"]);
        assert_eq!(wrap("abcdefgh ij", 5), ["abcde", "fgh", "ij"]);
        assert_eq!(wrap("a abcdefgh", 5), ["a", "abcde", "fgh"]);
        assert_eq!(wrap("日本語", 5), ["日本", "語"]);
    }

    #[test]
    fn columns_stand_side_by_side() {
        let columns = Columns::new(2, 43, false);
        let cells = [
            vec![Cell::Typed("> one two three four five".to_owned()), Cell::Shown("six".to_owned())],
            vec![Cell::Blank, Cell::Shown("seven".to_owned())],
        ];
        let rows = ["> one two three four │", "five                 │ seven", "six                  │", ""];
        assert_eq!(columns.rows(&cells), rows.join("\n"));
        assert!(columns.head(&["a", "b"]).ends_with(&format!("{0}─┼─{0}\n", "─".repeat(20))));
    }

    #[test]
    fn colour_takes_no_room() {
        let cells = [vec![Cell::Typed("> a".to_owned())], vec![Cell::Shown("b".to_owned())]];
        let plain = Columns::new(2, 43, false).rows(&cells);
        let colour = Columns::new(2, 43, true).rows(&cells);
        assert!(!plain.contains('\x1b') && colour.contains('\x1b'));
        assert_eq!(colour.replace("\x1b[1m", "").replace("\x1b[0m", ""), plain);
    }
}
