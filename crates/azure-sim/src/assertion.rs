//! Assertions in place of a client secret: a federated token of somebody else's, or one that the client's own
//! certificate signs.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;

use crate::clock;
use crate::entra::refuse;
use crate::reply::Reply;
use crate::sim::Sim;

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    sub: String,
    #[serde(default)]
    iss: String,
    /// A text, or a list of them.
    #[serde(default)]
    aud: serde_json::Value,
    #[serde(default)]
    exp: i64,
}

/// Whether an assertion proves this client at this token endpoint.
pub(crate) fn check(sim: &Sim, client: &str, endpoint: &str, assertion: &str) -> Result<(), Reply> {
    let header = jsonwebtoken::decode_header(assertion).map_err(|error| unmatched(&error.to_string()))?;
    match &header.x5t_s256 {
        Some(thumbprint) => by_certificate(sim, client, endpoint, assertion, &header, thumbprint),
        None => federated(sim, assertion),
    }
}

fn unmatched(why: &str) -> Reply {
    let text = format!("No matching federated identity record found for presented assertion: {why}.");
    refuse(401, "invalid_client", 700_211, &text)
}

fn out_of_time(claims: &Claims) -> Result<(), Reply> {
    if claims.exp > clock::now().as_second() {
        return Ok(());
    }
    Err(refuse(401, "invalid_client", 700_024, "Client assertion is not within its valid time range."))
}

/// What is said in an assertion that this key signed.
fn claims(assertion: &str, algorithm: Algorithm, key: &DecodingKey) -> Result<Claims, String> {
    let mut validation = Validation::new(algorithm);
    validation.validate_aud = false;
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    let decoded = jsonwebtoken::decode::<Claims>(assertion, key, &validation);
    decoded.map(|token| token.claims).map_err(|error| error.to_string())
}

/// Signed by the configured key, for the configured subject, not expired.
fn federated(sim: &Sim, assertion: &str) -> Result<(), Reply> {
    let claims = match &sim.issuer_key {
        Some(pem) => {
            let (algorithm, key) = match (DecodingKey::from_ec_pem(pem), DecodingKey::from_rsa_pem(pem)) {
                (Ok(key), _) => (Algorithm::ES256, key),
                (_, Ok(key)) => (Algorithm::RS256, key),
                _ => return Err(unmatched("the issuer's key cannot be used")),
            };
            claims(assertion, algorithm, &key).map_err(|error| unmatched(&error))?
        }
        None => {
            let decoded = jsonwebtoken::dangerous::insecure_decode::<Claims>(assertion);
            decoded.map_err(|error| unmatched(&error.to_string()))?.claims
        }
    };
    out_of_time(&claims)?;
    match &sim.config.federated_subject {
        Some(subject) if *subject != claims.sub => Err(unmatched(&format!("the subject is '{}'", claims.sub))),
        _ => Ok(()),
    }
}

/// Signed by a registered certificate, which the thumbprint names; from this client, for this endpoint, not expired.
fn by_certificate(
    sim: &Sim,
    client: &str,
    endpoint: &str,
    assertion: &str,
    header: &Header,
    thumbprint: &str,
) -> Result<(), Reply> {
    let refused = |code: u32, text: &str| refuse(401, "invalid_client", code, text);
    // Read each time, as somebody may register another one.
    let registered = sim.config.client_certificate.as_ref().and_then(|file| std::fs::read(file).ok());
    let registered = registered.unwrap_or_default();
    let thumbprint_of = |certificate: &CertificateDer<'_>| {
        BASE64_URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate))
    };
    let mut certificates = CertificateDer::pem_slice_iter(&registered).filter_map(Result::ok);
    let Some(certificate) = certificates.find(|certificate| thumbprint_of(certificate) == thumbprint) else {
        let text = format!(
            "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - 'The key was not found.', Thumbprint of key used by client: '{thumbprint}']"
        );
        return Err(refused(700_027, &text));
    };
    let unusable = |why: &str| refused(700_027, &format!("Client assertion failed signature validation: {why}."));
    let encoded = base64::prelude::BASE64_STANDARD.encode(&certificate);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n");
    let key = DecodingKey::from_rsa_pem(pem.as_bytes()).map_err(|error| unusable(&error.to_string()))?;
    if !matches!(header.alg, Algorithm::PS256 | Algorithm::RS256) {
        return Err(unusable("the algorithm is neither PS256 nor RS256"));
    }
    let claims = claims(assertion, header.alg, &key).map_err(|error| unusable(&error))?;
    if claims.iss != client || claims.sub != client {
        return Err(refused(700_021, "Client assertion application identifier doesn't match 'client_id' parameter."));
    }
    if claims.aud != endpoint {
        return Err(refused(700_023, &format!("Client assertion audience claim does not match {endpoint}.")));
    }
    out_of_time(&claims)
}
