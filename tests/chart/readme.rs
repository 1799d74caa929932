//! The table of values in the chart's README, made of the comments in values.yaml.

use testkit::tools;

use crate::helm;

/// A value: where it is, what it is without being set, and what it means.
struct Row {
    place: String,
    default: String,
    words: String,
}

/// The values with a comment of their own. A comment is the lines above a key; a map whose keys have comments is
/// told by these.
fn rows(text: &str) -> Vec<Row> {
    let defaults = helm::read("values.yaml");
    let (mut rows, mut path, mut comment) = (Vec::new(), Vec::<(usize, String)>::new(), Vec::new());
    for line in text.lines() {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        if let Some(words) = trimmed.strip_prefix("# ") {
            comment.push(words.to_owned());
        } else if let Some((key, _)) = trimmed.split_once(':').filter(|(key, _)| !key.starts_with(['-', '{', '['])) {
            path.retain(|(outer, _)| *outer < indent);
            path.push((indent, key.to_owned()));
            if !comment.is_empty() {
                let keys: Vec<&str> = path.iter().map(|(_, key)| key.as_str()).collect();
                let default = defaults.pointer(&format!("/{}", keys.join("/"))).unwrap();
                let (place, words) = (keys.join("."), comment.join(" "));
                rows.push(Row { place, default: default.to_string(), words });
            }
            comment.clear();
        } else {
            comment.clear();
        }
    }
    rows
}

/// Where the values are that the README tells of.
pub fn places() -> impl Iterator<Item = String> {
    rows(&std::fs::read_to_string(testkit::chart::directory().join("values.yaml")).unwrap())
        .into_iter()
        .map(|row| row.place)
}

/// `UPDATE=1 cargo test --test chart readme` writes the table.
#[test]
fn the_readme_holds_the_values() {
    let text = std::fs::read_to_string(testkit::chart::directory().join("values.yaml")).unwrap();
    let rows = rows(&text);
    assert!(rows.len() > 60, "{} values have a comment", rows.len());
    let mut table = String::from("| Value | Default | What it is |\n|---|---|---|\n");
    for Row { place, default, words } in rows {
        table += &format!("| `{place}` | `{}` | {} |\n", default.replace('|', "\\|"), words.replace('|', "\\|"));
    }
    let file = testkit::chart::directory().join("README.md");
    let readme = std::fs::read_to_string(&file).unwrap();
    let (head, _) = readme.split_once("| Value | Default |").expect("the README has a table of values");
    let made = format!("{head}{table}");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    let path = file.strip_prefix(tools::root()).unwrap().display().to_string();
    assert!(
        readme == made || std::env::var_os("UPDATE").is_some(),
        "{path} is not what values.yaml says: UPDATE=1 writes it"
    );
}
