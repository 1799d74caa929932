//! Azure as a whole: a token, Azure Resource Manager, and the clock.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use signalr_private_link_core::{ArmError, Failure};

use super::{Check, Finding, Report};
use crate::azure::{ArmClient, ArmSetup, CloudSettings, Look, TokenSource, token_source};
use crate::config::RunArgs;

/// Where Azure is, and how it is reached.
pub(super) type Reach = (CloudSettings, reqwest::Client);

/// What is asked of ARM, and by whom.
pub(super) struct Azure {
    pub(super) arm: ArmClient,
    /// The object id of the identity, where its token tells.
    pub(super) caller: Option<String>,
}

/// So far away a clock is told of.
const CLOCK_WARNING: u64 = 30;
/// So far away tokens are refused: Entra and ARM allow for five minutes.
const CLOCK_FAILURE: u64 = 300;

/// Examines the way to ARM; or the check without which nothing can be asked there.
pub(super) async fn examine(args: &RunArgs, reach: Option<Reach>, report: &mut Report) -> Result<Azure, Check> {
    let Some((cloud, http)) = reach else {
        report.skip(&[Check::Token, Check::Arm, Check::Clock], "", Check::Settings);
        return Err(Check::Settings);
    };
    let Some((tokens, caller)) = token(&cloud, &http, report).await else {
        report.skip(&[Check::Arm, Check::Clock], "", Check::Token);
        return Err(Check::Token);
    };
    let arm = ArmClient::new(ArmSetup {
        versions: args.api_versions(),
        pace: args.pace,
        ..ArmSetup::new(http, cloud.arm.clone(), tokens, Arc::default())
    });
    // Everybody may ask for the subscriptions that it sees.
    let look = Look {
        doing: "listing subscriptions".to_owned(),
        path: "/subscriptions",
        api_version: "2022-12-01",
        action: "Microsoft.Resources/subscriptions/read",
        scope: "/",
    };
    let begun = Timestamp::now();
    let answer = arm.look_through(&look).await;
    let ended = Timestamp::now();
    match answer {
        Ok((subscriptions, date)) => {
            report.add(answered(cloud.arm.as_str(), &subscriptions));
            report.add(clock(begun, ended, date));
            Ok(Azure { arm, caller })
        }
        Err(error) => {
            let message = error.to_string();
            report.add(Finding::failed(Check::Arm, cloud.arm.as_str(), &message, &way_to_arm(&error)));
            report.skip(&[Check::Clock], "", Check::Arm);
            Err(Check::Arm)
        }
    }
}

/// Asks for a token; the source, and whose it is.
async fn token(
    cloud: &CloudSettings,
    http: &reqwest::Client,
    report: &mut Report,
) -> Option<(TokenSource, Option<String>)> {
    let (subject, found) = match token_source(cloud, http, &Arc::default()) {
        Ok(source) => {
            let token = source.token().await;
            (source.credential().to_owned(), token.map(|token| (source, token)))
        }
        Err(error) => (format!("{:?}", cloud.credential), Err(format!("{error:#}"))),
    };
    match found {
        Ok((source, token)) => {
            let claims = token.claims();
            let told = [("tenant", &claims.tid), ("object id", &claims.oid), ("application", &claims.appid)];
            let told = told.map(|(what, id)| format!("{what} {}", id.as_deref().unwrap_or("not told")));
            let until = Timestamp::try_from(token.expires()).map(|at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
            let message =
                format!("{}; valid until {}", told.join(", "), until.unwrap_or_else(|_| "no date".to_owned()));
            report.add(Finding::ok(Check::Token, &subject, &message));
            Some((source, claims.oid))
        }
        Err(why) => {
            report.add(Finding::failed(Check::Token, &subject, &why, &way_to_a_token(&why)));
            None
        }
    }
}

/// What helps where no token is to be had: by Entra's code, which is what its words are about.
fn way_to_a_token(why: &str) -> String {
    let known = [
        (
            "AADSTS70021",
            "the identity does not trust this service account: run az identity federated-credential create as helm get notes shows it",
        ),
        (
            "AADSTS7000215",
            "make another secret (az ad app credential reset --id CLIENT), and put it where AZURE_CLIENT_SECRET or --client-secret-file has the old one",
        ),
        (
            "AADSTS700027",
            "register the certificate in use with the application: az ad app credential reset --id CLIENT --cert @FILE --append",
        ),
        ("--client-certificate-file", "write certificate and key into that file as PEM blocks, readable for this user"),
        ("AADSTS7000222", "the secret has expired: make another one with az ad app credential reset --id CLIENT"),
        (
            "AADSTS700016",
            "AZURE_CLIENT_ID has to be the client id of an application or identity in the tenant of AZURE_TENANT_ID",
        ),
        ("AADSTS90002", "AZURE_TENANT_ID has to be a tenant of the cloud that --cloud names"),
        ("AADSTS500011", "--cloud, or --arm-audience with Custom, has to be that of the tenant"),
        (
            "169.254.169.254",
            "only machines in Azure have that endpoint: elsewhere give a federated token or a client secret, or --credential AzureCli on a laptop",
        ),
        ("environment variable", "set the variable, or choose another --credential"),
        ("--client-secret-file", "write the secret into that file, readable for this user"),
    ];
    let found = known.iter().find(|(sign, _)| why.contains(sign)).map(|(_, way_out)| (*way_out).to_owned());
    found.unwrap_or_else(|| match way_through(why) {
        Some(way_out) => way_out,
        None => "see docs/install.md for what each --credential needs".to_owned(),
    })
}

/// What helps where a host cannot be reached, by what the network said.
fn way_through(why: &str) -> Option<String> {
    let words = why.to_ascii_lowercase();
    let has = |signs: &[&str]| signs.iter().any(|sign| words.contains(sign));
    let behind_proxy =
        ["HTTPS_PROXY", "https_proxy"].iter().any(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty()));
    let proxy = if behind_proxy { "HTTPS_PROXY is set" } else { "HTTPS_PROXY is not set" };
    if has(&["peer certificate", "unknownissuer"]) {
        Some("--ca-file (azure.caBundle of the chart) has to hold the root that signed the host's certificate: a proxy's, if that looks into TLS".to_owned())
    } else if has(&["dns error", "lookup"]) {
        Some(format!("the host has no address here: check DNS (dnsPolicy, dnsConfig) and the endpoint's name; {proxy}"))
    } else if has(&["proxy", "tunnel"]) {
        Some(format!("check HTTPS_PROXY and NO_PROXY; {proxy}"))
    } else if has(&["did not answer", "no connection", "the connection failed", "no answer", "no token within"]) {
        Some(format!("check firewalls, NetworkPolicy, HTTPS_PROXY and NO_PROXY on the way to the host; {proxy}"))
    } else {
        None
    }
}

fn way_to_arm(error: &ArmError) -> String {
    match error.failure {
        Failure::Unauthorized => {
            "ARM does not take the token: --cloud, the audience and the tenant have to belong together, and the clock has to be right".to_owned()
        }
        _ => way_through(&error.message).unwrap_or_else(|| "run doctor again in a minute".to_owned()),
    }
}

fn answered(endpoint: &str, subscriptions: &[Value]) -> Finding {
    match subscriptions.len() {
        0 => Finding::warning(
            Check::Arm,
            endpoint,
            "it answers, and shows no subscription: the identity has no role anywhere",
            "assign the roles of deploy/azure/roles; that takes up to ten minutes",
        ),
        number => Finding::ok(Check::Arm, endpoint, &format!("it answers, and shows {number} subscription(s)")),
    }
}

/// Compares the clock with ARM's. The time here is that in the middle of the call.
fn clock(begun: Timestamp, ended: Timestamp, date: Option<Timestamp>) -> Finding {
    let Some(date) = date else {
        return Finding::skipped(Check::Clock, "", "ARM's answer has no date");
    };
    let here = begun.as_millisecond().midpoint(ended.as_millisecond());
    let ahead = (here - date.as_millisecond()) / 1000;
    let word = if ahead < 0 { "behind" } else { "ahead of" };
    let message = format!("this machine is {} s {word} ARM", ahead.unsigned_abs());
    let way_out = "set the clock of the node, by NTP say: tokens are refused where it is more than 5 minutes wrong";
    match ahead.unsigned_abs() {
        off if off > CLOCK_FAILURE => Finding::failed(Check::Clock, "", &message, way_out),
        off if off > CLOCK_WARNING => Finding::warning(Check::Clock, "", &message, way_out),
        off => Finding::ok(Check::Clock, "", &format!("within {} s of ARM's", off + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_clock_may_be_half_a_minute_wrong() {
        let now: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
        let later: Timestamp = "2026-11-24T00:00:02Z".parse().unwrap();
        for (date, expected) in [
            ("2026-11-24T00:00:31Z", Verdict::Ok),
            ("2026-11-23T23:59:31Z", Verdict::Ok),
            ("2026-11-24T00:00:32Z", Verdict::Warning),
            ("2026-11-23T23:59:20Z", Verdict::Warning),
            ("2026-11-24T00:10:00Z", Verdict::Failed),
            ("2026-11-23T23:00:00Z", Verdict::Failed),
        ] {
            assert_eq!(clock(now, later, Some(date.parse().unwrap())).verdict, expected, "{date}");
        }
        assert_eq!(clock(now, later, None).verdict, Verdict::Skipped);
    }

    #[test]
    fn what_the_network_says_has_a_way_out() {
        for (why, way_out) in [
            ("no connection: invalid peer certificate: UnknownIssuer", "--ca-file"),
            ("no connection: dns error: failed to lookup address information", "DNS"),
            ("no connection: tunnel error: unsuccessful", "NO_PROXY"),
            ("no connection: tcp connect error: Connection refused (os error 111)", "firewalls"),
        ] {
            assert!(way_through(why).unwrap().contains(way_out), "{why}");
        }
        assert_eq!(way_through("invalid_client (401): AADSTS7000215: Invalid client secret"), None);
        assert!(way_to_a_token("invalid_client (401): AADSTS7000215: Invalid client secret").contains("reset"));
        assert!(way_to_a_token("invalid_client (401): AADSTS700213: No matching record").contains("federated"));
    }
}
