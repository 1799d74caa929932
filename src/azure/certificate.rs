//! A client certificate as the proof of who asks for a token: an assertion that its key signs, in the form that
//! [Entra documents](https://learn.microsoft.com/entra/identity-platform/certificate-credentials#assertion-format).
//! (The credential of azure_identity for this needs OpenSSL, which a static binary has not.)

use std::path::PathBuf;

use anyhow::Context as _;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PSS_SHA256, RsaKeyPair};
use azure_core::error::{Error, ErrorKind};
use azure_core::http::ClientMethodOptions;
use azure_identity::ClientAssertion;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

/// For how long an assertion can be used, in seconds; it is sent at once.
const LIFETIME: i64 = 300;

/// The certificate in a file, which is read again for each assertion: it can be replaced while the operator runs.
#[derive(Debug)]
pub(super) struct Certificate {
    file: PathBuf,
    expires: i64,
    client: String,
    /// The token endpoint.
    audience: String,
}

impl Certificate {
    /// A certificate with its key in this file of PEM blocks.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold both.
    pub(super) fn new(file: PathBuf, client: String, audience: String) -> anyhow::Result<Self> {
        let mut certificate = Self { file, expires: 0, client, audience };
        certificate.assertion(Timestamp::now())?;
        certificate.expires = certificate.not_after().unwrap_or_default();
        Ok(certificate)
    }

    /// When it expires, in seconds of Unix time; 0 where that cannot be read.
    pub(super) const fn expires(&self) -> i64 {
        self.expires
    }

    fn not_after(&self) -> Option<i64> {
        let der = CertificateDer::from_pem_slice(&std::fs::read(&self.file).ok()?).ok()?;
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
        Some(certificate.validity().not_after.timestamp())
    }

    fn assertion(&self, now: Timestamp) -> anyhow::Result<String> {
        let sign = || {
            let pem = std::fs::read(&self.file).context("it cannot be read")?;
            let certificate = CertificateDer::from_pem_slice(&pem)
                .map_err(|error| anyhow::anyhow!("it holds no certificate as a PEM block: {error}"))?;
            let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
                anyhow::anyhow!("it holds no private key as a PEM block without a password: {error}")
            })?;
            let key = match &key {
                PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
                PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
                _ => anyhow::bail!("its key is not of RSA, which is all that Entra takes"),
            };
            let key = key.map_err(|error| anyhow::anyhow!("its key cannot be used: {error}"))?;
            let header = json!({
                "alg": "PS256", "typ": "JWT", "x5t#S256": BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, &certificate)),
            });
            let second = now.as_second();
            let claims = json!({
                "aud": self.audience, "iss": self.client, "sub": self.client, "jti": uuid::Uuid::new_v4().to_string(),
                "iat": second, "nbf": second, "exp": second + LIFETIME,
            });
            let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
            let signed = format!("{}.{}", part(header), part(claims));
            let mut signature = vec![0; key.public_modulus_len()];
            key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
                .map_err(|error| anyhow::anyhow!("its key cannot sign: {error}"))?;
            Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
        };
        sign().with_context(|| format!("--client-certificate-file {}", self.file.display()))
    }
}

#[async_trait::async_trait]
impl ClientAssertion for Certificate {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        self.assertion(Timestamp::now())
            .map_err(|error| Error::with_message(ErrorKind::Credential, format!("{error:#}")))
    }
}
