//! Sentences for people: in conditions, Events and errors.

/// The most bytes that the note of an Event may have: Kubernetes refuses a longer one
/// (kubernetes/kubernetes#98175). What ARM answers and what strangers wrote is cut to the same.
pub const MAX_BYTES: usize = 1024;
/// The most bytes of a condition's message: what ARM says, and beside it what to do about it.
pub const MAX_REPORT_BYTES: usize = 2 * MAX_BYTES;

/// Makes any text fit for people: control characters escaped, at most [`MAX_BYTES`] bytes, cut between
/// two characters.
#[must_use]
pub fn safe(text: &str) -> String {
    safe_within(text, MAX_BYTES)
}

/// The same for a whole condition's message: at most [`MAX_REPORT_BYTES`] bytes.
#[must_use]
pub fn safe_report(text: &str) -> String {
    safe_within(text, MAX_REPORT_BYTES)
}

fn safe_within(text: &str, most: usize) -> String {
    const CUT: char = '…';
    let mut out = String::with_capacity(text.len().min(most));
    for c in text.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        if out.len() > most {
            let end = out.floor_char_boundary(most - CUT.len_utf8());
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
        assert_eq!(safe_report(&"é".repeat(5000)).len(), MAX_REPORT_BYTES - 1);
        assert_eq!(safe(&"x".repeat(100)), "x".repeat(100));
        assert_eq!(safe_report(&"x".repeat(2048)), "x".repeat(2048), "as docs/security.md has it");
    }

    #[test]
    fn a_sentence_ends_once() {
        for (text, expected) in
            [("gone", "gone."), (" gone \n", "gone."), ("Gone.", "Gone."), ("Gone?", "Gone?"), ("", ""), (" ", "")]
        {
            assert_eq!(sentence(text), expected, "{text:?}");
        }
    }

    /// Parentheses are legal in the name of a resource group.
    #[test]
    fn a_command_can_be_pasted_whatever_the_resource_group_is_called() {
        assert_eq!(shell("/subscriptions/1"), "/subscriptions/1");
        for id in ["/a(b", "/a)b"] {
            assert_eq!(shell(id), format!("'{id}'"));
        }
    }

    #[test]
    fn durations_read_as_they_are_written() {
        for (seconds, text) in [(90, "90s"), (900, "15m"), (86_400, "24h")] {
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
        assert_eq!(duration(Duration::from_millis(300)), "300ms");
    }
}
