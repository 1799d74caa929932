//! What ARM answers with when it refuses, read leniently.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use signalr_private_link_core::message::safe;

/// `{"error":{"code","message",…}}`; some services leave the envelope out, some capitalise.
#[derive(Deserialize, Default)]
struct Envelope {
    error: Option<ErrorBody>,
    #[serde(flatten)]
    bare: ErrorBody,
}

#[derive(Deserialize, Default, Clone)]
struct ErrorBody {
    #[serde(alias = "Code", default)]
    code: Option<String>,
    #[serde(alias = "Message", default)]
    message: Option<String>,
}

/// Code and message of an error body, fit for people.
pub(super) fn code_and_message(status: u16, body: &[u8]) -> (String, String) {
    let envelope: Envelope = serde_json::from_slice(body).unwrap_or_default();
    let error = envelope.error.unwrap_or(envelope.bare);
    let code = error.code.map(|code| safe(&code)).unwrap_or_default();
    let message = match error.message {
        Some(message) if !message.is_empty() => safe(&message),
        _ if body.is_empty() => format!("ARM answered {status} without a body"),
        _ => format!("ARM answered {status} without a readable error"),
    };
    (code, message)
}

/// What Microsoft's support asks for: the correlation id of the answer, or else its request id.
pub(super) fn correlation(headers: &HeaderMap) -> Option<Box<str>> {
    let id = ["x-ms-correlation-request-id", "x-ms-request-id"].iter().find_map(|name| headers.get(*name))?;
    Some(safe(id.to_str().ok()?).into())
}

/// `Retry-After`, in seconds or as a date; the date is measured against the answer's own `Date`. One that is
/// there and cannot be read, or has passed, is zero.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(reqwest::header::RETRY_AFTER)?.to_str().unwrap_or_default().trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let Some(until) = http_date(text) else { return Some(Duration::ZERO) };
    let now = date(headers).unwrap_or_else(Timestamp::now);
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}

/// How many calls of this kind ARM will take yet: the least of what the headers tell
/// (`x-ms-ratelimit-remaining-subscription-reads` and its like; some answers have a part of them).
pub(super) fn remaining(headers: &HeaderMap, kind: &str) -> Option<f64> {
    ["subscription", "subscription-global", "tenant"]
        .iter()
        .filter_map(|scope| {
            headers.get(format!("x-ms-ratelimit-remaining-{scope}-{kind}"))?.to_str().ok()?.parse().ok()
        })
        .filter(|left: &f64| left.is_finite() && *left >= 0.0)
        .reduce(f64::min)
}

/// The answer's `Date`.
pub(super) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(reqwest::header::DATE)?.to_str().ok()?)
}

fn http_date(text: &str) -> Option<Timestamp> {
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(date.timestamp())
}

/// An error with all its causes, each said once.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        next = cause.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_in_every_shape() {
        for (body, expected) in [
            (r#"{"error":{"code":"Conflict","message":"busy"}}"#, ("Conflict", "busy")),
            (r#"{"code":"PreconditionFailed","message":"etag"}"#, ("PreconditionFailed", "etag")),
            (r#"{"Code":"429","Message":"slow"}"#, ("429", "slow")),
            (r#"{"error":{"code":null,"message":"a\nb"}}"#, ("", "a\\nb")),
            ("<html>", ("", "ARM answered 500 without a readable error")),
            ("\0\0", ("", "ARM answered 500 without a readable error")),
            ("null", ("", "ARM answered 500 without a readable error")),
            ("", ("", "ARM answered 500 without a body")),
        ] {
            let (code, message) = code_and_message(500, body.as_bytes());
            assert_eq!((code.as_str(), message.as_str()), expected, "{body}");
        }
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let headers = |retry: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("date", "Mon, 23 Nov 2026 18:00:00 GMT".parse().unwrap());
            headers.insert("retry-after", retry.parse().unwrap());
            headers
        };
        assert_eq!(retry_after(&headers("17")), Some(Duration::from_secs(17)));
        assert_eq!(retry_after(&headers("Mon, 23 Nov 2026 18:01:00 GMT")), Some(Duration::from_secs(60)));
        assert_eq!(retry_after(&headers("Mon, 23 Nov 2026 17:00:00 GMT")), Some(Duration::ZERO));
        for unreadable in ["soon", "-5", ""] {
            assert_eq!(retry_after(&headers(unreadable)), Some(Duration::ZERO), "{unreadable}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
