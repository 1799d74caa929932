//! Sentences for people: in conditions, Events and errors.

/// The most bytes that a message may have: Kubernetes refuses the note of a longer Event
/// (kubernetes/kubernetes#98175).
pub const MAX_BYTES: usize = 1024;

/// Makes any text fit for a message: control characters escaped, at most [`MAX_BYTES`] bytes, cut between
/// two characters. What ARM answers and what strangers wrote goes through here.
#[must_use]
pub fn safe(text: &str) -> String {
    const CUT: char = '…';
    let mut out = String::with_capacity(text.len().min(MAX_BYTES));
    for c in text.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        if out.len() > MAX_BYTES {
            let end = out.floor_char_boundary(MAX_BYTES - CUT.len_utf8());
            out.truncate(end);
            out.push(CUT);
            break;
        }
    }
    out
}

/// A sentence: without white space around it, and with a full stop.
#[must_use]
pub fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

/// A resource id as an argument for a shell: parentheses are legal in the name of a resource
/// group, and mean something there.
#[must_use]
pub fn shell(id: &str) -> String {
    if id.contains(['(', ')']) { format!("'{id}'") } else { id.to_owned() }
}

/// A duration as a person writes it: `90s`, `15m`, `24h`.
#[must_use]
pub fn duration(d: std::time::Duration) -> String {
    match d.as_secs() {
        0 => format!("{}ms", d.as_millis()),
        s if s % 3600 == 0 => format!("{}h", s / 3600),
        s if s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn control_characters_and_length_are_tamed() {
        assert_eq!(safe("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
        for long in ["é", "x", "\n", "x€", "😀"] {
            let cut = safe(&long.repeat(5000));
            assert!((MAX_BYTES - 4..=MAX_BYTES).contains(&cut.len()), "{long}: {}", cut.len());
            assert!(cut.ends_with('…'), "{long}");
        }
        assert_eq!(safe(&"x".repeat(MAX_BYTES)), "x".repeat(MAX_BYTES));
        assert_eq!(safe(&"x".repeat(100)), "x".repeat(100));
    }

    #[test]
    fn durations_read_as_they_are_written() {
        for (seconds, text) in [(90, "90s"), (900, "15m"), (86_400, "24h")] {
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
        assert_eq!(duration(Duration::from_millis(300)), "300ms");
    }
}
