//! The identity of the machine: its endpoint speaks plain http, is never reached through a proxy, and
//! what goes wrong there is told.

use testkit::azure;
use testkit::operator::{Operator, Settings};
use testkit::scene::{LinkOptions, Scene, message};

use crate::{LIMIT, run, scene, settings};

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
