//! Calls to ARM with tokens that are late, old or refused.

use std::sync::atomic::{AtomicUsize, Ordering};

use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};

use super::*;
use crate::azure::call::CallKind;
use crate::azure::cloud::{CloudSettings, CredentialKind};

#[test]
fn tokens_go_to_the_configured_host_only() {
    let endpoint = Url::parse("https://management.azure.com/").unwrap();
    let settings = CloudSettings {
        arm: endpoint.clone(),
        authority: Url::parse("https://login.microsoftonline.com/").unwrap(),
        scope: "https://management.azure.com/.default".into(),
        ca_file: None,
        client_secret_file: None,
        client_certificate_file: None,
        credential: CredentialKind::ManagedIdentity,
    };
    let http = crate::azure::http_client(&settings).unwrap();
    let tokens = crate::azure::token_source(&settings, &http, &Arc::default()).unwrap();
    let client = ArmClient::new(ArmSetup::new(http, endpoint, tokens, Arc::default()));
    let about = About {
        doing: String::new(),
        action: "",
        scope: String::new(),
        subscription: String::new(),
        call: Some(CallKind::GetLink),
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
    issued: Arc<AtomicUsize>,
    url: Url,
    about: About,
}

impl Bench {
    fn new(takes: Duration, answer: fn(&str) -> http::response::Builder) -> Self {
        let (sent, issued) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let count = issued.clone();
        let make = move || -> anyhow::Result<Arc<dyn TokenCredential>> {
            Ok(Arc::new(Numbered { takes, issued: count.clone() }))
        };
        let tokens = TokenSource::new(Box::new(make), "Numbered".into(), String::new(), Arc::default(), Arc::default());
        let url = Url::parse("https://azure.test").unwrap();
        let client =
            ArmClient::new(ArmSetup::new(Arm { sent: sent.clone(), answer }, url.clone(), tokens, Arc::default()));
        let about = About {
            doing: String::new(),
            action: "",
            scope: String::new(),
            subscription: "s".into(),
            call: Some(CallKind::GetLink),
        };
        Self { client, sent, issued, url, about }
    }

    async fn read(&self) -> Result<Answer, ArmError> {
        self.client.read(self.url.clone(), &self.about).await
    }

    async fn write(&self) -> Result<Answer, Outcome> {
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
        assert_eq!(answer.unwrap_err().failure, Failure::Throttled(Some(Duration::from_secs(100))));
    }
    assert_eq!(bench.sent(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_when_the_token_took_longer_than_the_reads_are_good_for() {
    let bench = Bench::new(Duration::from_secs(6), asks_to_wait);
    assert!(matches!(bench.write().await, Err(Outcome::Changed(_))));
    assert_eq!(bench.sent(), 0);
    // The token is there by now.
    assert!(matches!(bench.write().await, Err(Outcome::NotApplied(_))));
    assert_eq!(bench.sent(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_refused_for_its_age_is_replaced_without_a_word() {
    let aged = async || {
        let bench = Bench::new(Duration::ZERO, takes_the_second_token);
        bench.client.shared.setup.tokens.token().await.unwrap();
        tokio::time::advance(Duration::from_secs(120)).await;
        bench
    };
    let bench = aged().await;
    assert!(bench.read().await.is_ok());
    assert_eq!(bench.sent(), 2);
    // A write is not repeated, but decided on anew.
    let bench = aged().await;
    assert!(matches!(bench.write().await, Err(Outcome::Changed(_))));
    assert_eq!(bench.sent(), 1);
    assert!(bench.write().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_refused_when_it_is_new_is_told() {
    let bench = Bench::new(Duration::ZERO, takes_the_second_token);
    let refused = bench.read().await.unwrap_err();
    assert_eq!(refused.failure, Failure::Unauthorized);
    assert_eq!(bench.sent(), 1);
}

/// Another token would be refused alike.
#[tokio::test(start_paused = true)]
async fn an_arm_that_refuses_every_token_is_not_asked_with_one_after_the_other() {
    let bench = Bench::new(Duration::ZERO, |_| http::Response::builder().status(401));
    for _ in 0..100 {
        assert!(bench.read().await.is_err());
        tokio::time::advance(Duration::from_millis(500)).await;
    }
    assert!(bench.issued.load(Ordering::Relaxed) <= 2, "{:?}", bench.issued);
}

/// One vault of another tenant, whose 401 must not cost all others their token.
#[tokio::test(start_paused = true)]
async fn a_refusal_by_another_tenant_costs_nobody_the_token() {
    struct OtherTenant;
    #[async_trait::async_trait]
    impl Transport for OtherTenant {
        async fn send(&self, _: http::Request<Bytes>) -> Result<http::Response<Bytes>, Lost> {
            let body = r#"{"error":{"code":"InvalidAuthenticationTokenTenant","message":"wrong issuer"}}"#;
            Ok(http::Response::builder().status(401).body(Bytes::from_static(body.as_bytes())).unwrap())
        }
    }
    let mut bench = Bench::new(Duration::ZERO, asks_to_wait);
    Arc::get_mut(&mut bench.client.shared).unwrap().setup.transport = Box::new(OtherTenant);
    for _ in 0..10 {
        assert_eq!(bench.read().await.unwrap_err().failure, Failure::Unauthorized);
        tokio::time::advance(Duration::from_secs(120)).await;
    }
    assert_eq!(bench.issued.load(Ordering::Relaxed), 1);
}

/// S13: `Retry-After` counts on every answer, and zero is no licence to try at once.
#[tokio::test(start_paused = true)]
async fn whatever_asks_to_wait_is_waited_for_and_zero_counts_as_the_default() {
    type Answers = fn(&str) -> http::response::Builder;
    let asks: [(Answers, u64); 6] = [
        (|_| http::Response::builder().status(429).header("retry-after", "0"), 10),
        (|_| http::Response::builder().status(429), 10),
        (
            |_| {
                let past = http::Response::builder().status(429).header("date", "Mon, 23 Nov 2026 18:00:00 GMT");
                past.header("retry-after", "Mon, 23 Nov 2026 17:59:59 GMT")
            },
            10,
        ),
        (|_| http::Response::builder().status(503).header("retry-after", "60"), 60),
        (|_| http::Response::builder().status(500).header("retry-after", "-1"), 10),
        (|_| http::Response::builder().status(409).header("retry-after", "30"), 30),
    ];
    for (answer, seconds) in asks {
        let bench = Bench::new(Duration::ZERO, answer);
        let error = bench.read().await.unwrap_err();
        assert_eq!(error.failure.retry_after(), Some(Duration::from_secs(seconds)), "{error}");
        assert_eq!(bench.sent(), 1);
        tokio::time::advance(Duration::from_secs(seconds - 1)).await;
        let closed = bench.read().await.unwrap_err();
        assert_eq!((closed.failure, bench.sent()), (Failure::Throttled(Some(Duration::from_secs(1))), 0));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(bench.read().await.is_err());
        assert_eq!(bench.sent(), 1);
    }
}

/// S17: what one resource asks for slows no other.
#[tokio::test(start_paused = true)]
async fn a_503_of_one_resource_slows_no_other() {
    let mut bench = Bench::new(Duration::ZERO, |_| http::Response::builder().status(503).header("retry-after", "60"));
    assert!(bench.read().await.is_err());
    bench.about.scope = "another".into();
    assert!(bench.read().await.is_err());
    assert_eq!(bench.sent(), 2);
    assert!(bench.read().await.is_err());
    assert_eq!(bench.sent(), 0);
}

/// A refusal had no effect, whatever its code says.
#[tokio::test(start_paused = true)]
async fn a_write_that_was_refused_had_no_effect_and_one_that_failed_may_have() {
    for (status, had_no_effect) in [(400, true), (404, true), (418, true), (408, false), (500, false), (302, false)] {
        static STATUS: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
        STATUS.store(status, Ordering::Relaxed);
        let bench = Bench::new(Duration::ZERO, |_| http::Response::builder().status(STATUS.load(Ordering::Relaxed)));
        let expected = match bench.write().await.unwrap_err() {
            Outcome::NotApplied(_) => had_no_effect,
            Outcome::Unknown(_) => !had_no_effect,
            _ => false,
        };
        assert!(expected, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_microsofts_support_asks_for_stands_in_the_error() {
    let bench = Bench::new(Duration::ZERO, |_| {
        http::Response::builder()
            .status(500)
            .header("x-ms-request-id", "r")
            .header("x-ms-correlation-request-id", "c-1")
    });
    let error = bench.read().await.unwrap_err();
    assert!(error.to_string().ends_with("(correlation id c-1)"), "{error}");
}

/// Tokens that last some minutes only, from an endpoint that stops answering after the first.
#[derive(Debug)]
struct OnlyOnce(Arc<AtomicUsize>);

#[async_trait::async_trait]
impl TokenCredential for OnlyOnce {
    async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        if self.0.fetch_add(1, Ordering::Relaxed) > 0 {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
        let expires = std::time::SystemTime::now() + Duration::from_secs(200);
        Ok(AccessToken::new("short".to_owned(), expires.into()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_still_good_is_used_while_another_one_is_asked_for() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let make = move || -> anyhow::Result<Arc<dyn TokenCredential>> { Ok(Arc::new(OnlyOnce(count.clone()))) };
    let tokens = TokenSource::new(Box::new(make), "Test".into(), String::new(), Arc::default(), Arc::default());
    for _ in 0..100 {
        let begun = Instant::now();
        assert!(tokens.token().await.is_ok());
        assert_eq!(begun.elapsed(), Duration::ZERO, "nobody waits for the endpoint");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!((2..10).contains(&asked.load(Ordering::Relaxed)), "{asked:?}");
}

/// A cache gives tokens that are soon to be renewed, or the machine's clock is ahead.
#[tokio::test(start_paused = true)]
async fn tokens_that_are_soon_to_be_renewed_are_not_asked_for_one_after_the_other() {
    #[derive(Debug)]
    struct Short(u64, Arc<AtomicUsize>);
    #[async_trait::async_trait]
    impl TokenCredential for Short {
        async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
            self.1.fetch_add(1, Ordering::Relaxed);
            let expires = std::time::SystemTime::now() + Duration::from_secs(self.0);
            Ok(AccessToken::new("short".to_owned(), expires.into()))
        }
    }
    for left in [0, 10, 200] {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let make = move || -> anyhow::Result<Arc<dyn TokenCredential>> { Ok(Arc::new(Short(left, count.clone()))) };
        let tokens = TokenSource::new(Box::new(make), "Test".into(), String::new(), Arc::default(), Arc::default());
        for _ in 0..200 {
            assert!(tokens.token().await.is_ok());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!((3..6).contains(&asked.load(Ordering::Relaxed)), "{left} s left: {asked:?} in 20 s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_endpoint_that_fails_is_left_alone_for_some_seconds_growing() {
    #[derive(Debug)]
    struct Fails(Arc<AtomicUsize>);
    #[async_trait::async_trait]
    impl TokenCredential for Fails {
        async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Err(azure_core::Error::with_message(azure_core::error::ErrorKind::Credential, "AADSTS50196"))
        }
    }
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let make = move || -> anyhow::Result<Arc<dyn TokenCredential>> { Ok(Arc::new(Fails(count.clone()))) };
    let tokens = TokenSource::new(Box::new(make), "Test".into(), String::new(), Arc::default(), Arc::default());
    for _ in 0..600 {
        let why = tokens.token().await.unwrap_err();
        assert!(why.starts_with("credential Test: AADSTS50196"), "{why}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!((8..20).contains(&asked.load(Ordering::Relaxed)), "{asked:?} in ten minutes");
}

/// A right that comes through a group is in the token: an old one is replaced, and used until then.
#[tokio::test(start_paused = true)]
async fn a_missing_right_renews_an_old_token_and_costs_nobody_the_one_that_is_held() {
    let bench = Bench::new(Duration::from_secs(3), |_| http::Response::builder().status(403));
    assert!(bench.read().await.is_err());
    assert!(bench.read().await.is_err());
    assert_eq!(bench.issued.load(Ordering::Relaxed), 1, "a young one is not");
    tokio::time::advance(Duration::from_secs(16 * 60)).await;
    for _ in 0..10 {
        let begun = Instant::now();
        assert!(bench.read().await.is_err());
        assert_eq!(begun.elapsed(), Duration::ZERO);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(bench.issued.load(Ordering::Relaxed), 2);
}

/// An ARM that keeps the headers it is sent.
#[cfg(feature = "otlp")]
struct Keeps(Arc<std::sync::Mutex<Vec<HeaderMap>>>);

#[cfg(feature = "otlp")]
#[async_trait::async_trait]
impl Transport for Keeps {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, Lost> {
        self.0.lock().unwrap().push(request.headers().clone());
        Ok(http::Response::new(Bytes::from_static(b"{}")))
    }
}

#[cfg(feature = "otlp")]
#[tokio::test]
async fn azure_is_told_of_a_trace_only_where_that_is_asked_for() {
    use opentelemetry::trace::TracerProvider as _;
    use tracing_subscriber::layer::SubscriberExt as _;

    let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder().build();
    let layer = tracing_opentelemetry::layer::<tracing_subscriber::Registry>()
        .with_tracer(provider.tracer("test"))
        .with_context_activation(false);
    let _collected = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    // As long as there is only one, tracing asks the thread that makes a span first whether anybody wants it, and keeps the
    // answer for all: another test's thread, where nobody collects, would say no.
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    for propagates in [false, true] {
        let make = || -> anyhow::Result<Arc<dyn TokenCredential>> {
            Ok(Arc::new(Numbered { takes: Duration::ZERO, issued: Arc::default() }))
        };
        let tokens = TokenSource::new(Box::new(make), "Numbered".into(), String::new(), Arc::default(), Arc::default());
        let (sent, url) = (Arc::default(), Url::parse("https://azure.test").unwrap());
        let setup = ArmSetup::new(Keeps(Arc::clone(&sent)), url.clone(), tokens, Arc::default());
        let client = ArmClient::new(ArmSetup { propagates, ..setup });
        let about = About {
            doing: String::new(),
            action: "",
            scope: String::new(),
            subscription: "s".into(),
            call: Some(CallKind::GetLink),
        };
        client.read(url, &about).await.unwrap();
        let sent = sent.lock().unwrap();
        let parent = sent[0].get("traceparent").map(|value| value.to_str().unwrap());
        assert_eq!(parent.is_some(), propagates, "{parent:?}");
        if let Some(parent) = parent {
            let parts: Vec<usize> = parent.split('-').map(str::len).collect();
            assert_eq!(parts, [2, 32, 16, 2], "{parent}");
        }
    }
}
