//! The table of log lines in docs/observability.md, held against every line that the sources write.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use testkit::tools;

/// Keys by message and level.
type Lines = BTreeMap<(String, String), BTreeSet<String>>;

fn sources(directory: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            into.push(path);
        }
    }
}

/// What stands between the parenthesis that `text` begins after and its end, split at commas. A string with a comma or
/// a parenthesis in it is one.
fn arguments(text: &str) -> Vec<String> {
    let (mut arguments, mut depth, mut letters) = (vec![String::new()], 0, text.chars());
    while let Some(letter) = letters.next() {
        let current = arguments.last_mut().unwrap();
        match letter {
            '"' => {
                current.push(letter);
                while let Some(inner) = letters.next() {
                    current.push(inner);
                    match inner {
                        '\\' => current.extend(letters.next()),
                        '"' => break,
                        _ => {}
                    }
                }
                continue;
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(String::new());
                continue;
            }
            _ => {}
        }
        current.push(letter);
    }
    let trimmed = arguments.iter().map(|argument| argument.trim().to_owned());
    trimmed.filter(|argument| !argument.is_empty()).collect()
}

/// The key of an argument: its name, or what stands for name and value in one.
fn key(argument: &str) -> String {
    argument.split('=').next().unwrap().trim().trim_start_matches(['%', '?']).to_owned()
}

fn written() -> Lines {
    let (mut files, mut lines) = (Vec::new(), Lines::new());
    sources(&tools::root().join("src"), &mut files);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        // What is in tests is written by nobody else.
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for level in ["error", "warn", "info", "debug", "trace"] {
            for (place, begin) in text.match_indices(&format!("tracing::{level}!(")) {
                let mut arguments = arguments(&text[place + begin.len()..]);
                let message = arguments.pop().unwrap();
                let words = message.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
                let words = words.unwrap_or_else(|| panic!("{}: {message} is no message", file.display()));
                let keys = arguments.iter().map(|argument| key(argument));
                lines.entry((words.to_owned(), level.to_owned())).or_default().extend(keys);
            }
        }
    }
    lines
}

/// The names in backquotes.
fn quoted(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The rows of a table of docs/observability.md, each as its cells.
fn table(header: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(tools::root().join("docs/observability.md")).unwrap();
    let (_, rest) = text.split_once(&format!("{header}\n")).unwrap_or_else(|| panic!("no table {header}"));
    let rows = rest.lines().skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn the_documentation_lists_every_line_and_its_keys() {
    let rows = table("| Message | Level | Keys | When |");
    let told: Lines = rows.into_iter().map(|row| ((row[0].clone(), row[1].clone()), quoted(&row[2]))).collect();
    let written = written();
    assert!(written.len() > 12, "{written:?}");
    assert_eq!(told, written, "left: docs/observability.md, right: what src writes");
}

/// The keys that lines share are explained, and none is that no line has.
#[test]
fn the_documentation_explains_the_keys_of_passes() {
    let explained: BTreeSet<String> = table("| Key | What it is |").iter().flat_map(|row| quoted(&row[0])).collect();
    let written = written();
    let all: BTreeSet<String> = written.values().flatten().cloned().collect();
    let unknown: Vec<_> = explained.difference(&all).collect();
    assert!(unknown.is_empty(), "no line has {unknown:?}");
    // What only names the subject of a line about something else.
    let plain = ["version", "cloud", "arm", "authority", "lease", "holder", "kind", "policy", "address", "connection"];
    let plain: BTreeSet<String> = plain.into_iter().chain(["endpoint"]).map(str::to_owned).collect();
    let open: Vec<_> = all.difference(&explained).filter(|key| !plain.contains(*key)).collect();
    assert!(open.is_empty(), "the documentation does not explain {open:?}");
    // What is said of an object tells which one, and in which pass.
    for ((message, _), keys) in written.iter().filter(|(_, keys)| keys.contains("object")) {
        assert!(keys.contains("pass"), "{message} has no pass: {keys:?}");
    }
}
