//! The steps, each with what it must see to be true.

use std::fs;

use anyhow::{Context as _, bail, ensure};
use azwi_tests::emulator::{DEMO_SUBJECT, Emulator, clients};
use azwi_tests::http::METADATA;
use azwi_tests::jwt;
use azwi_tests::namespace::As;
use serde_json::Value;

use crate::app::{self, Request, token_url};
use crate::cast::{Cast, PROXY_UID, stdout, text};
use crate::json::{field, plain, text_field};
use crate::narrator::Narrator;
use crate::sidecar::Sidecar;

const TOKEN_FILE: &str = "azure-identity-token";
/// What the app asks a token for.
const RESOURCE: &str = "https://management.azure.com";
/// Something that nobody has asked for yet.
const OTHER_RESOURCE: &str = "https://vault.azure.net";
/// "No matching federated identity record found for presented assertion subject".
const SUBJECT_MISMATCH: u64 = 700_213;

pub(crate) fn stage(tell: &Narrator) -> anyhow::Result<Cast> {
    let cast = Cast::new()?;
    tell.say("A user and network namespace stands for the pod: it has a loopback, a 169.254.169.254 and a packet");
    tell.say("filter of its own. Your machine's network stays as it is.");
    if cast.has_many_users() {
        tell.say("The sidecar runs as uid 1501, the app as uid 1000.");
    } else {
        tell.say("You have no subordinate user ids (subuid(5)), so all programs run as one and the same user.");
    }
    Ok(cast)
}

pub(crate) fn entra<'a>(tell: &Narrator, cast: &'a Cast) -> anyhow::Result<Emulator<'a>> {
    let entra = Emulator::start_in(|| cast.command("azwi-emulator", As::Root), None, &[])?;
    tell.say(
        "azwi-emulator plays both, as strictly as the real ones, over TLS with a certificate authority of its own.",
    );
    tell.fact("Entra ID", entra.authority());
    tell.fact("tenant", entra.tenant());
    tell.fact("issuer", format!("{} (the cluster: discovery document and public keys)", entra.issuer()));
    Ok(entra)
}

pub(crate) fn service_account_token(tell: &Narrator, cast: &Cast, entra: &Emulator<'_>) -> anyhow::Result<()> {
    let file = cast.path(TOKEN_FILE);
    entra.write_token(&file, DEMO_SUBJECT)?;
    let claims = jwt::claims(&fs::read_to_string(file)?);
    ensure!(*field(&claims, "iss") == entra.issuer(), "its issuer is {}", field(&claims, "iss"));
    ensure!(*field(&claims, "sub") == DEMO_SUBJECT, "its subject is {}", field(&claims, "sub"));
    tell.say(
        "The cluster signs it with its private key and the kubelet writes it into a file for the sidecar. It says",
    );
    tell.say("who the pod is, and only Entra ID shall accept it:");
    for claim in ["iss", "sub", "aud"] {
        tell.fact(meaning(claim), plain(field(&claims, claim)));
    }
    Ok(())
}

pub(crate) fn redirect(tell: &Narrator, cast: &Cast) -> anyhow::Result<()> {
    let output = cast.run("azwi-proxy-init", As::Root, &[])?;
    ensure!(output.status.success(), "azwi-proxy-init: {}: {}", output.status, text(&output.stderr));
    let log = text(&output.stderr);
    let told: Value = serde_json::from_str(log.lines().last().unwrap_or_default()).context("its log is not JSON")?;
    tell.say("azwi-proxy-init tells the kernel where TCP connections shall go; of all rights it needs NET_ADMIN only:");
    tell.fact(
        "those to",
        format!("{}, where cloud apps look for the metadata service", text_field(&told, "metadata")?),
    );
    tell.fact("now reach", format!("127.0.0.1:{}, where the sidecar will listen", field(&told, "proxy_port")));
    tell.fact("except of", format!("uid {}, the sidecar's own", field(&told, "proxy_uid")));
    tell.fact("by way of", text_field(&told, "backend")?);
    tell.say("It proved that with a connection of its own, else it would have failed and undone it. Its words:");
    tell.fact("log", text_field(&told, "message")?);
    Ok(())
}

pub(crate) fn sidecar(tell: &Narrator, cast: &Cast, entra: &Emulator<'_>) -> anyhow::Result<Sidecar> {
    let sidecar = Sidecar::start(cast, entra, TOKEN_FILE)?;
    tell.say("azwi-proxy listens on 127.0.0.1:8000 and says that it is ready. Its environment is what a pod has:");
    tell.fact("client", format!("{} (AZURE_CLIENT_ID)", clients::DEMO));
    tell.fact("token file", format!("{} (AZURE_FEDERATED_TOKEN_FILE)", cast.path(TOKEN_FILE).display()));
    Ok(sidecar)
}

/// Returns the claims of the token.
pub(crate) fn unmodified_app(tell: &Narrator, cast: &Cast, entra: &Emulator<'_>) -> anyhow::Result<Value> {
    tell.say("The Azure SDK's ManagedIdentityCredential, with nothing in its environment, asks twice");
    tell.say("(the times are those of programs built without optimisation):");
    let before = entra.counters()?.exchanges;
    let (first, second) = app::get_two_tokens(cast)?;
    let exchanges = entra.counters()?.exchanges - before;
    tell.fact(
        "first",
        format!("{:>7.2} ms   the sidecar exchanges the service account token at Entra ID", first.took_ms),
    );
    tell.fact(
        "second",
        format!("{:>7.2} ms   a fresh credential, so it asks again: from the sidecar's memory", second.took_ms),
    );
    tell.fact("exchanges", format!("{exchanges:>7}      counted by Entra ID"));
    ensure!(exchanges == 1, "Entra ID counted {exchanges} exchanges instead of one");
    ensure!(first.claims == second.claims, "the second request got another token");
    tell.say("Entra ID checked the signature with the cluster's public key, found a federated identity credential for");
    tell.say("that issuer, subject and audience, and signed an access token. What it says:");
    access_token(tell, &first.claims, clients::DEMO)?;
    tell.fact("expires", first.expires_on);
    Ok(first.claims)
}

fn access_token(tell: &Narrator, claims: &Value, client_id: &str) -> anyhow::Result<()> {
    for claim in ["iss", "aud", "tid", "appid", "oid"] {
        ensure!(field(claims, claim).is_string(), "it has no {claim}");
        tell.fact(meaning(claim), plain(field(claims, claim)));
    }
    ensure!(*field(claims, "appid") == client_id, "it is another client's");
    let audience = plain(field(claims, "aud"));
    ensure!(audience.trim_end_matches('/') == RESOURCE, "it is for {audience}");
    Ok(())
}

pub(crate) fn plain_http(tell: &Narrator, cast: &Cast) -> anyhow::Result<()> {
    let answer = Request::send(cast, RESOURCE, &[METADATA])?.answer()?;
    tell.say(&format!("GET {}", token_url(RESOURCE)));
    tell.fact("with header", format!("{METADATA} → {}", answer.status_line()));
    ensure!(answer.status == 200, "the body is {}", answer.body);
    for (name, value) in answer.json().as_object().context("the body is no JSON object")? {
        tell.fact(name, shortened(&plain(value), 60));
    }
    ensure!(answer.field("token_type") == "Bearer", "it is no bearer token");
    let refused = Request::send(cast, RESOURCE, &[])?.answer()?;
    tell.fact("without it", format!("{}, as the real metadata service says: {}", refused.status_line(), refused.body));
    ensure!(refused.status == 400, "it was not refused");
    Ok(())
}

pub(crate) fn exemption(tell: &Narrator, cast: &Cast) -> anyhow::Result<()> {
    if !cast.has_many_users() {
        tell.say(
            "Cannot be shown with a single user. As root, or with subordinate user ids, you would see here that the",
        );
        tell.say("sidecar's own uid reaches the real 169.254.169.254.");
        return Ok(());
    }
    let output = cast.run("demo", cast.proxy_user(), &["http-get", &token_url(RESOURCE), METADATA])?;
    let why = text(&output.stderr);
    ensure!(!output.status.success(), "uid {PROXY_UID} was redirected, too");
    ensure!(why.contains("refused"), "uid {PROXY_UID} got an unexpected answer: {why}");
    tell.say("The same request as the sidecar's own user goes to the real 169.254.169.254, where nobody listens here:");
    tell.fact(&format!("uid {PROXY_UID}"), why.replace('\n', " "));
    Ok(())
}

pub(crate) fn refusal(tell: &Narrator, cast: &Cast, sidecar: &Sidecar) -> anyhow::Result<()> {
    tell.say("The app asks for another identity, one whose federated identity credential names another pod.");
    tell.fact("client", clients::ORPHAN);
    tell.fact("trusts", trusted_subject(cast, clients::ORPHAN)?);
    tell.fact("we are", DEMO_SUBJECT);
    let shown = app::be_refused(cast, clients::ORPHAN)?;
    tell.say("What the SDK shows the app's author:");
    tell.fact("error", shortened(&shown, 300));
    ensure!(shown.contains(&format!("AADSTS{SUBJECT_MISMATCH}")), "the app does not learn why");
    tell.say("What the sidecar's log shows the operator, in one line:");
    logged_refusal(tell, &sidecar.last_logged_with("aadsts")?)?;
    tell.say(
        "The sidecar runs with --propagation-grace 0 here. By default it answers \"try again\" in the first minute,",
    );
    tell.say("for a credential made just now takes a while to be known everywhere.");
    Ok(())
}

/// Whom a client's federated identity credential trusts, as the emulator's configuration says.
fn trusted_subject(cast: &Cast, client_id: &str) -> anyhow::Result<String> {
    let config = stdout(&cast.run("azwi-emulator", As::Root, &["serve", "--print-config"])?)?;
    let config: Value = serde_json::from_str(&config).context("the emulator's configuration is not JSON")?;
    let applications = config.pointer("/tenants/0/applications").and_then(Value::as_array);
    let mut applications = applications.context("no applications")?.iter();
    let client = applications.find(|application| *field(application, "client_id") == client_id);
    let credential = client.and_then(|client| client.pointer("/federated_identity_credentials/0"));
    text_field(credential.context("it trusts nobody")?, "subject")
}

fn logged_refusal(tell: &Narrator, logged: &Value) -> anyhow::Result<()> {
    for name in ["message", "aadsts", "issuer", "subject", "audience", "client_id", "description"] {
        tell.fact(name, shortened(&plain(field(logged, name)), 150));
    }
    ensure!(*field(logged, "aadsts") == SUBJECT_MISMATCH, "the log has another code");
    ensure!(*field(logged, "subject") == DEMO_SUBJECT, "the log does not say which subject was refused");
    Ok(())
}

pub(crate) fn outage(tell: &Narrator, cast: &Cast, entra: &Emulator<'_>, claims: &Value) -> anyhow::Result<()> {
    entra.faults(r#"{"status":503}"#)?;
    tell.say("From now on Entra ID answers every exchange with 503.");
    let new = Request::send(cast, OTHER_RESOURCE, &[METADATA])?;
    let (served, _) = app::get_two_tokens(cast)?;
    ensure!(&served.claims == claims, "the app got another token than before");
    tell.fact(
        "same token",
        format!("{:.2} ms   the app gets what it got before; it is good until {}", served.took_ms, served.expires_on),
    );
    tell.fact("a new one", format!("for {OTHER_RESOURCE}: the sidecar tries for up to 8 seconds …"));
    let answer = new.answer()?;
    let Some(seconds) = answer.header("Retry-After") else { bail!("no Retry-After in {}", answer.status_line()) };
    tell.fact("", format!("… and says {}, Retry-After: {seconds}", answer.status_line()));
    ensure!(answer.status == 503, "the outage was not told as what it is");
    entra.clear_faults()?;
    tell.say("Entra ID answers again.");
    Ok(())
}

/// What a claim means to somebody who does not know its short name (RFC 7519, Entra's access token claims).
fn meaning(claim: &str) -> &str {
    match claim {
        "iss" => "issuer",
        "sub" => "subject",
        "aud" => "audience",
        "tid" => "tenant",
        "appid" => "client",
        "oid" => "object",
        other => other,
    }
}

/// On one line, and no longer than `length` characters and an ellipsis.
fn shortened(text: &str, length: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let kept: String = line.chars().take(length).collect();
    let cut = line.chars().count() - kept.chars().count();
    if cut == 0 { kept } else { format!("{kept}… ({cut} more characters)") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_and_says_by_how_much() {
        assert_eq!(shortened("one\n two", 20), "one two");
        assert_eq!(shortened("abcdef", 4), "abcd… (2 more characters)");
    }
}
