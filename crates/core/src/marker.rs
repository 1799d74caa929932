//! The two texts that carry the operator's memory in Azure itself.
//!
//! A link has neither tags nor an ETag; the one free field is its request message. The operator
//! ends it with a [`Marker`], and that is what ownership means. Approving a connection overwrites
//! its description, the only trace of the request, so what must survive goes into an
//! [`ApprovalRecord`] there.

use std::fmt;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::resource_id::EndpointId;

/// The longest message that a private endpoint takes, in characters
/// (`Microsoft.Network/privateEndpoints`: "Restricted to 140 chars").
pub const MAX_MESSAGE: usize = 140;
/// Random characters in a nonce: 16 of 32 symbols are 80 bits.
pub const NONCE_LENGTH: usize = 16;
/// The alphabet of a nonce: base32 of RFC 4648 in lower case.
pub const NONCE_ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// What stands in the place of [`endpoint_hash`] where a connection has no endpoint that can be
/// read; only a revocation can.
pub const NO_ENDPOINT: &str = "00000000";
/// The tag of a link that was created without a `recreate-requested-at` annotation.
pub const NO_TAG: &str = "000000";

/// Lower-case hexadecimal of sha256, shortened.
fn hash(text: &str, digits: usize) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        hex.push_str(&format!("{byte:02x}"));
    }
    hex.truncate(digits);
    hex
}

/// The tag of a `recreate-requested-at` value: the first 6 hex digits of its sha256.
#[must_use]
pub fn tag(recreate_requested_at: Option<&str>) -> String {
    recreate_requested_at.map_or_else(|| NO_TAG.to_owned(), |value| hash(value, 6))
}

/// The first 8 hex digits of sha256 over an endpoint's id in lower case.
#[must_use]
pub fn endpoint_hash(endpoint: &EndpointId) -> String {
    hash(endpoint.key(), 8)
}

/// 16 characters that nobody knows before the request carrying them was sent.
///
/// It has neither `Debug` output nor `Display`: a nonce stands in no log, status or Event
/// before the vault shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Nonce([u8; NONCE_LENGTH]);

impl Nonce {
    /// Makes a nonce of random bytes: five bits of each are used.
    #[must_use]
    pub fn from_random(bytes: [u8; NONCE_LENGTH]) -> Self {
        Self(bytes.map(|byte| NONCE_ALPHABET.get(usize::from(byte & 31)).copied().unwrap_or_default()))
    }

    fn parse(text: &str) -> Option<Self> {
        let symbols = text.as_bytes().try_into().ok()?;
        text.bytes().all(|symbol| NONCE_ALPHABET.contains(&symbol)).then_some(Self(symbols))
    }

    /// The characters, for the texts that carry them.
    fn symbols(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce(..)")
    }
}

/// Whether a text can be the uid of a Kubernetes object, as the marker writes it.
fn is_uid(text: &str) -> bool {
    crate::resource_id::is_guid(text)
}

/// `[k8s:<uid>:<nonce>:<tag>]`, the end of a request message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// The uid of the object that made the link.
    pub uid: String,
    /// Fresh for each creation.
    pub nonce: Nonce,
    /// Which `recreate-requested-at` the creation answered; see [`tag`].
    pub tag: String,
}

impl Marker {
    /// Reads the marker at the end of a message. A message without a well-formed one is foreign.
    #[must_use]
    pub fn parse(message: &str) -> Option<Self> {
        let (before, inside) = message.strip_suffix(']')?.rsplit_once("[k8s:")?;
        if !(before.is_empty() || before.ends_with(' ')) {
            return None;
        }
        let mut fields = inside.split(':');
        let (uid, nonce, tag) = (fields.next()?, fields.next()?, fields.next()?);
        let hexadecimal = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if fields.next().is_some() || !is_uid(uid) || tag.len() != 6 || !tag.bytes().all(hexadecimal) {
            return None;
        }
        Some(Self { uid: uid.to_owned(), nonce: Nonce::parse(nonce)?, tag: tag.to_owned() })
    }

    /// The whole request message: the user's words, a space, the marker.
    #[must_use]
    pub fn message(&self, words: &str) -> String {
        let marker = format!("[k8s:{}:{}:{}]", self.uid, self.nonce.symbols(), self.tag);
        if words.is_empty() { marker } else { format!("{words} {marker}") }
    }

    /// Whether a message is exactly these words and a well-formed marker.
    #[must_use]
    pub fn follows(message: &str, words: &str) -> bool {
        Self::parse(message).is_some_and(|marker| marker.message(words) == message)
    }
}

/// What the operator did to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Verdict {
    /// It was set `Approved`.
    Approved,
    /// An unconfirmed approval was taken back: it was set `Rejected`.
    Revoked,
}

/// The description that the operator writes on a connection:
/// `<RFC 3339, UTC, seconds> approved for <ns>/<name> <hash of the endpoint> [k8s:<uid>:<nonce>]`.
///
/// It is read back after a restart, or when `status` was wiped or forged: the time, the author,
/// the endpoint and a revocation are known from here alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalRecord {
    /// The `Date` of ARM's last answer before the write; never the operator's own clock.
    pub at: Timestamp,
    /// Approved or revoked.
    pub verdict: Verdict,
    /// `<namespace>/<name>` of the object; shortened where the limit demands it.
    pub object: String,
    /// See [`endpoint_hash`].
    pub endpoint_hash: String,
    /// The uid of the object.
    pub uid: String,
    /// The nonce of the request that was approved.
    pub nonce: Nonce,
}

impl ApprovalRecord {
    /// The text, at most [`MAX_MESSAGE`] characters: `ns/name` is shortened, never the rest.
    #[must_use]
    pub fn to_description(&self) -> String {
        let seconds = Timestamp::from_second(self.at.as_second()).unwrap_or(self.at);
        let verb = match self.verdict {
            Verdict::Approved => "approved",
            Verdict::Revoked => "revoked",
        };
        let begin = format!("{seconds} {verb} for ");
        let end = format!(" {} [k8s:{}:{}]", self.endpoint_hash, self.uid, self.nonce.symbols());
        let room = MAX_MESSAGE.saturating_sub(begin.len() + end.len());
        let object: String = self.object.chars().take(room).collect();
        format!("{begin}{object}{end}")
    }

    /// Reads a description back; `None` when it is not one of the operator's.
    #[must_use]
    pub fn parse(description: &str) -> Option<Self> {
        let (begin, inside) = description.strip_suffix(']')?.rsplit_once(" [k8s:")?;
        let (uid, nonce) = inside.split_once(':')?;
        let mut words = begin.splitn(4, ' ');
        let at = words.next()?.parse().ok()?;
        let verdict = match words.next()? {
            "approved" => Verdict::Approved,
            "revoked" => Verdict::Revoked,
            _ => return None,
        };
        let (object, endpoint_hash) = words.nth(1)?.rsplit_once(' ')?;
        (is_uid(uid) && endpoint_hash.len() == 8).then_some(())?;
        Some(Self {
            at,
            verdict,
            object: object.to_owned(),
            endpoint_hash: endpoint_hash.to_owned(),
            uid: uid.to_owned(),
            nonce: Nonce::parse(nonce)?,
        })
    }

    /// Whether this is about the very request that carries `marker`.
    #[must_use]
    pub fn is_of(&self, marker: &Marker) -> bool {
        self.uid == marker.uid && self.nonce == marker.nonce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0d9c1f6e-4a52-4a0e-9a3f-1c2b3a4d5e6f";

    fn marker() -> Marker {
        Marker { uid: UID.into(), nonce: Nonce::from_random([7; 16]), tag: tag(None) }
    }

    #[test]
    fn the_longest_message_fits() {
        let message = marker().message(&"x".repeat(72));
        assert_eq!(message.len(), 139);
        assert_eq!(Marker::parse(&message), Some(marker()));
        assert!(Marker::follows(&message, &"x".repeat(72)));
        assert!(!Marker::follows(&message, "x"));
        assert_eq!(Marker::parse(&marker().message("")), Some(marker()));
    }

    #[test]
    fn only_a_well_formed_marker_at_the_end_counts() {
        let good = marker().message("please approve");
        for bad in [
            "please approve".to_owned(),
            good.to_uppercase(),
            format!("{good} "),
            format!("{good}]"),
            good.replace(":000000]", "]"),
            good.replace(":000000]", ":00000g]"),
            good.replace(":000000]", ":00000]"),
            good.replace(":000000]", ":0000000]"),
            good.replace("hhhh", "hhh"),
            good.replace("hhhh", "hhh1"),
            good.replace("hhhh", "hhhH"),
            good.replace(":000000]", ":000000:1]"),
            good.replace(" [k8s", "[k8s"),
            good.replace(UID, "uid"),
        ] {
            assert_eq!(Marker::parse(&bad), None, "{bad}");
        }
    }

    #[test]
    fn an_approval_can_be_read_back() {
        let record = ApprovalRecord {
            at: "2026-11-23T18:00:00Z".parse().unwrap(),
            verdict: Verdict::Approved,
            object: "contoso/kv-pe".into(),
            endpoint_hash: "0123abcd".into(),
            uid: UID.into(),
            nonce: Nonce::from_random([9; 16]),
        };
        let text = record.to_description();
        assert!(text.starts_with("2026-11-23T18:00:00Z approved for contoso/kv-pe 0123abcd [k8s:"), "{text}");
        assert_eq!(ApprovalRecord::parse(&text), Some(record.clone()));

        let long = ApprovalRecord { object: format!("{}/x", "n".repeat(200)), ..record.clone() };
        assert_eq!(long.to_description().len(), MAX_MESSAGE);
        let back = ApprovalRecord::parse(&long.to_description()).unwrap();
        assert_eq!((back.at, back.endpoint_hash), (record.at, record.endpoint_hash));
        assert_eq!(ApprovalRecord::parse("You are approved!"), None);
    }

    /// Whatever else stands on a connection is somebody else's text.
    #[test]
    fn only_a_well_formed_record_counts() {
        let good = format!("2026-11-23T18:00:00Z revoked for contoso/kv-pe 0123abcd [k8s:{UID}:{}]", "j".repeat(16));
        assert_eq!(ApprovalRecord::parse(&good).unwrap().to_description(), good);
        for bad in [
            good.replace("2026-11-23T18:00:00Z", "yesterday"),
            good.replace("revoked", "refused"),
            good.replace("0123abcd", "0123abc"),
            good.replace("0123abcd", "0123abcde"),
            good.replace(UID, "uid"),
            good.replace("jjjj", "jjj"),
            good.replace(" [k8s", "[k8s"),
            format!("{good}!"),
        ] {
            assert_eq!(ApprovalRecord::parse(&bad), None, "{bad}");
        }
    }

    #[test]
    fn a_record_is_of_one_request_of_one_object() {
        let record = ApprovalRecord {
            at: Timestamp::UNIX_EPOCH,
            verdict: Verdict::Approved,
            object: "contoso/kv-pe".into(),
            endpoint_hash: NO_ENDPOINT.into(),
            uid: UID.into(),
            nonce: marker().nonce,
        };
        assert!(record.is_of(&marker()));
        assert!(!record.is_of(&Marker { nonce: Nonce::from_random([8; 16]), ..marker() }));
        assert!(!record.is_of(&Marker { uid: UID.replace('0', "1"), ..marker() }));
    }

    #[test]
    fn a_nonce_has_five_bits_of_each_byte() {
        let bytes = [0, 1, 2, 25, 26, 31, 32, 33, 63, 64, 127, 128, 224, 254, 255, 7];
        assert_eq!(Nonce::from_random(bytes).symbols(), "abcz27ab7a7aa67h");
    }

    /// As `sha256sum` has it, so that a person can compare.
    #[test]
    fn a_tag_is_the_beginning_of_the_hash_of_the_annotation() {
        assert_eq!((tag(None).as_str(), tag(Some("abc")).as_str()), ("000000", "ba7816"));
    }

    #[test]
    fn a_nonce_is_never_shown() {
        assert_eq!(format!("{:?}", Nonce::from_random([1; 16])), "Nonce(..)");
    }
}
