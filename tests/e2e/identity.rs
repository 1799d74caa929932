//! The identity of the machine: its endpoint speaks plain http, is never reached through a proxy, and
//! what goes wrong there is told.

use std::fs;

use testkit::azure;
use testkit::operator::{Operator, Settings};
use testkit::scene::{LinkOptions, Scene, message};

use crate::{LIMIT, run, scene, settings, settings_for};

/// Settings of an operator that has nothing but the machine's identity, as these variables show it.
fn with_identity(scene: &Scene, namespace: &str, variables: &[(&str, &str)]) -> Settings<'static> {
    let mut settings = settings(scene, namespace);
    settings.environment.retain(|(name, _)| name != "AZURE_CLIENT_SECRET");
    // Whoever asks the identity endpoint through this one gets no answer.
    let proxy = [("HTTP_PROXY", "http://127.0.0.1:1"), ("ALL_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", "localhost")];
    let all = variables.iter().chain(&proxy).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    settings.environment.extend(all);
    settings
}

async fn one_link(scene: &Scene, namespace: &str) {
    let (signalr, vault) = (format!("{namespace}-signalr"), format!("{namespace}-kv"));
    scene.namespace(namespace).unwrap();
    scene.azure.add(&signalr, &vault).await.unwrap();
    let manifest = Scene::manifest(namespace, "kv-pe", &signalr, &vault, &LinkOptions::default());
    scene.cluster.apply(&manifest.to_string()).unwrap();
}

#[test]
fn the_identity_of_a_virtual_machine_gets_a_token() {
    run(async {
        let (scene, ns) = (scene().await, "on-a-machine");
        one_link(scene, ns).await;
        // Nothing else is set: this is what auto falls back to.
        let imds = scene.azure.control_url();
        let settings = with_identity(scene, ns, &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", &imds)]);
        let _operator = Operator::start(&settings).unwrap();
        scene.until_reason(ns, "kv-pe", "PendingApproval", LIMIT).await.unwrap();
    });
}

#[test]
fn the_identity_of_an_app_service_gets_a_token() {
    run(async {
        let (scene, ns) = (scene().await, "in-an-app-service");
        one_link(scene, ns).await;
        let endpoint = format!("{}/msi/token", scene.azure.control_url());
        let variables = [
            ("AZURE_CREDENTIAL", "ManagedIdentity"),
            ("IDENTITY_ENDPOINT", endpoint.as_str()),
            ("IDENTITY_HEADER", azure::IDENTITY_HEADER),
        ];
        let _operator = Operator::start(&with_identity(scene, ns, &variables)).unwrap();
        scene.until_reason(ns, "kv-pe", "PendingApproval", LIMIT).await.unwrap();
    });
}

#[test]
fn an_identity_endpoint_that_refuses_or_is_elsewhere_is_told_in_its_words() {
    run(async {
        let (scene, ns) = (scene().await, "no-identity");
        one_link(scene, ns).await;
        let endpoint = format!("{}/msi/token", scene.azure.control_url());
        let told = async |endpoint: &str, header: &str, words: &[&str]| {
            let variables =
                [("AZURE_CREDENTIAL", "ManagedIdentity"), ("IDENTITY_ENDPOINT", endpoint), ("IDENTITY_HEADER", header)];
            let _operator = Operator::start(&with_identity(scene, ns, &variables)).unwrap();
            testkit::eventually("the cause to be told", LIMIT, || async {
                let said = scene.link(ns, "kv-pe")?.as_ref().map(message).unwrap_or_default();
                Ok(if words.iter().all(|word| said.contains(word)) { Ok(()) } else { Err(said) })
            })
            .await
            .unwrap();
        };
        told(&endpoint, "wrong", &["credential ManagedIdentity", "invalid_request (400)", "metadata header"]).await;
        told("http://127.0.0.1:1/msi/token", "any", &["127.0.0.1 did not answer", "Connection refused"]).await;
        told("http://10.0.0.1/msi/token", "any", &["10.0.0.1", "neither https nor an address of this machine"]).await;
    });
}

#[test]
fn a_client_certificate_gets_a_token_and_can_be_replaced_without_a_restart() {
    run(async {
        let (scene, ns) = (scene().await, "certified");
        let directory = tempfile::tempdir().unwrap();
        let (registered, own) = (directory.path().join("registered.pem"), directory.path().join("own.pem"));
        let (old, new) = (azure::client_certificate().unwrap(), azure::client_certificate().unwrap());
        fs::write(&registered, &new.0).unwrap();
        fs::write(&own, format!("{}{}", old.0, old.1)).unwrap();
        let config = azure_sim::Config { client_certificate: Some(registered), ..crate::config() };
        let sim = testkit::Azure::start(config, directory.path()).await.unwrap();
        sim.add("certified", "certified-kv").await.unwrap();
        let mut settings = settings_for(scene, &sim, ns);
        settings.environment.retain(|(name, _)| name != "AZURE_CLIENT_SECRET");
        settings.flags.push(format!("--client-certificate-file={}", own.display()));
        scene.namespace(ns).unwrap();
        let manifest = Scene::manifest(ns, "kv-pe", "certified", "certified-kv", &LinkOptions::default());
        scene.cluster.apply(&manifest.to_string()).unwrap();
        let operator = Operator::start(&settings).unwrap();
        let refused = scene.until_reason(ns, "kv-pe", "CredentialUnavailable", LIMIT).await.unwrap();
        let said = message(&refused);
        for words in ["ClientCertificate, which auto chose", "AADSTS700027"] {
            assert!(said.contains(words), "{words:?} is missing in {said}");
        }
        fs::write(&own, format!("{}{}", new.1, new.0)).unwrap();
        scene.until_reason(ns, "kv-pe", "PendingApproval", LIMIT).await.unwrap();
        operator.kill().unwrap();
        // What cannot be used is told at the start, with the file.
        for (text, words) in [
            (String::new(), "holds no certificate"),
            (new.0.clone(), "holds no private key"),
            (new.1.clone(), "holds no certificate"),
        ] {
            fs::write(&own, text).unwrap();
            let output = settings.command().unwrap().output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && told.contains(words) && told.contains("own.pem"), "{words}: {told}");
        }
    });
}
