//! Calls to ARM with tokens that are late, old or refused.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};

use super::*;
use crate::azure::cloud::{CloudSettings, CredentialKind};

#[test]
fn tokens_go_to_the_configured_host_only() {
    let endpoint = Url::parse("https://management.azure.com/").unwrap();
    let settings = CloudSettings {
        arm: endpoint.clone(),
        authority: Url::parse("https://login.microsoftonline.com/").unwrap(),
        scope: "https://management.azure.com/.default".into(),
        ca_file: None,
        credential: CredentialKind::ManagedIdentity,
    };
    let http = crate::azure::http_client(&settings).unwrap();
    let tokens = crate::azure::token_source(&settings, &http).unwrap();
    let client = ArmClient::new(http, endpoint, tokens, Arc::default());
    let about = About {
        doing: String::new(),
        action: "",
        scope: String::new(),
        subscription: String::new(),
        call: CallKind::GetLink,
    };
    for good in ["https://management.azure.com/x", "https://westeurope.management.azure.com/x?y=z"] {
        assert!(client.pinned(good, &about).is_ok(), "{good}");
    }
    for bad in [
        "http://management.azure.com/x",
        "https://management.azure.com:8443/x",
        "https://management.azure.com.attacker.example/x",
        "https://attackermanagement.azure.com/x",
        "https://attacker.example/management.azure.com",
        "https://management.azure.com@attacker.example/x",
        "https://attacker.example#.management.azure.com",
        "//attacker.example/x",
        "/relative",
        "",
    ] {
        assert!(client.pinned(bad, &about).is_err(), "{bad}");
    }
}

/// Tokens that take their time, each another one.
#[derive(Debug)]
struct Numbered {
    takes: Duration,
    issued: Arc<AtomicUsize>,
}

#[async_trait::async_trait]
impl TokenCredential for Numbered {
    async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        tokio::time::sleep(self.takes).await;
        let expires = std::time::SystemTime::now() + Duration::from_secs(86_400);
        let number = self.issued.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(AccessToken::new(number.to_string(), expires.into()))
    }
}

/// An ARM that counts, and answers as a function of the token's number.
struct Arm {
    sent: Arc<AtomicUsize>,
    answer: fn(&str) -> http::response::Builder,
}

#[async_trait::async_trait]
impl Transport for Arm {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, Lost> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let token = request.headers()[AUTHORIZATION].to_str().unwrap().trim_start_matches("Bearer ");
        Ok((self.answer)(token).body(Bytes::new()).unwrap())
    }
}

struct Bench {
    client: ArmClient,
    sent: Arc<AtomicUsize>,
    url: Url,
    about: About,
}

impl Bench {
    fn new(takes: Duration, answer: fn(&str) -> http::response::Builder) -> Self {
        let (sent, issued) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let make = move || -> anyhow::Result<Arc<dyn TokenCredential>> {
            Ok(Arc::new(Numbered { takes, issued: issued.clone() }))
        };
        let tokens = TokenSource::new(Box::new(make), "Numbered".into(), String::new(), Arc::new(Mutex::new(None)));
        let url = Url::parse("https://azure.test").unwrap();
        let client = ArmClient::new(Arm { sent: sent.clone(), answer }, url.clone(), tokens, Arc::default());
        let about = About {
            doing: String::new(),
            action: "",
            scope: String::new(),
            subscription: "s".into(),
            call: CallKind::GetLink,
        };
        Self { client, sent, url, about }
    }

    async fn read(&self) -> Result<Answer, CallError> {
        self.client.read(self.url.clone(), &self.about).await
    }

    async fn write(&self) -> Result<Answer, CallError> {
        let by = Instant::now() + Duration::from_secs(5);
        self.client.write(Method::PUT, self.url.clone(), None, &self.about, by).await
    }

    fn sent(&self) -> usize {
        self.sent.swap(0, Ordering::Relaxed)
    }
}

fn asks_to_wait(_: &str) -> http::response::Builder {
    http::Response::builder().status(429).header("retry-after", "100")
}

fn takes_the_second_token(token: &str) -> http::response::Builder {
    http::Response::builder().status(if token == "2" { 200 } else { 401 })
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_through_a_gate_that_closed_while_the_token_took_its_time() {
    let bench = Bench::new(Duration::from_secs(3), asks_to_wait);
    let (first, second) = futures::future::join(bench.read(), bench.read()).await;
    for answer in [first, second] {
        assert_eq!(answer.unwrap_err().error.failure, Failure::Throttled(Some(Duration::from_secs(100))));
    }
    assert_eq!(bench.sent(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_when_the_token_took_longer_than_the_reads_are_good_for() {
    let bench = Bench::new(Duration::from_secs(6), asks_to_wait);
    assert_eq!(bench.write().await.unwrap_err().fate, Fate::Anew);
    assert_eq!(bench.sent(), 0);
    // The token is there by now.
    assert_eq!(bench.write().await.unwrap_err().fate, Fate::NotApplied);
    assert_eq!(bench.sent(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_refused_for_its_age_is_replaced_without_a_word() {
    let aged = async || {
        let bench = Bench::new(Duration::ZERO, takes_the_second_token);
        bench.client.tokens.token().await.unwrap();
        tokio::time::advance(Duration::from_secs(120)).await;
        bench
    };
    let bench = aged().await;
    assert!(bench.read().await.is_ok());
    assert_eq!(bench.sent(), 2);
    // A write is not repeated, but decided on anew.
    let bench = aged().await;
    assert_eq!(bench.write().await.unwrap_err().fate, Fate::Anew);
    assert_eq!(bench.sent(), 1);
    assert!(bench.write().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_refused_when_it_is_new_is_told() {
    let bench = Bench::new(Duration::ZERO, takes_the_second_token);
    let refused = bench.read().await.unwrap_err();
    assert_eq!((refused.error.failure, refused.fate), (Failure::Unauthorized, Fate::NotApplied));
    assert_eq!(bench.sent(), 1);
}
