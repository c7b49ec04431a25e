//! The steps, each with what it must see to be true.

use anyhow::{Context as _, bail, ensure};
use azwi_tests::namespace::As;
use serde_json::Value;

use crate::app::{self, Request, token_url};
use crate::cast::{Cast, PROXY_UID, text};
use crate::emulator::{Emulator, SUBJECT};
use crate::json::{field, plain};
use crate::jwt;
use crate::narrator::Narrator;
use crate::sidecar::Sidecar;

const TOKEN_FILE: &str = "azure-identity-token";
/// What the app asks a token for.
const RESOURCE: &str = "https://management.azure.com";
/// Something that nobody has asked for yet.
const OTHER_RESOURCE: &str = "https://vault.azure.net";
const METADATA: &str = "Metadata: true";
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

pub(crate) fn entra(tell: &Narrator, cast: &Cast) -> anyhow::Result<Emulator> {
    let entra = Emulator::start(cast)?;
    tell.say(
        "azwi-emulator plays both, as strictly as the real ones, over TLS with a certificate authority of its own.",
    );
    tell.fact("Entra ID", &entra.authority);
    tell.fact("tenant", &entra.tenant);
    tell.fact("issuer", format!("{} (the cluster: discovery document and public keys)", entra.issuer));
    Ok(entra)
}

pub(crate) fn service_account_token(tell: &Narrator, cast: &Cast, entra: &Emulator) -> anyhow::Result<()> {
    let token = entra.project_token(cast, TOKEN_FILE)?;
    let claims = jwt::claims(&token)?;
    ensure!(*field(&claims, "iss") == entra.issuer, "its issuer is {}", field(&claims, "iss"));
    ensure!(*field(&claims, "sub") == SUBJECT, "its subject is {}", field(&claims, "sub"));
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
    let output = cast.run("azwi-proxy-init", As::Root, [""; 0])?;
    ensure!(output.status.success(), "azwi-proxy-init: {}: {}", output.status, text(&output.stderr));
    tell.say("azwi-proxy-init, with no right but NET_ADMIN, tells the kernel (nf_tables) to redirect TCP connections:");
    tell.fact("to", "169.254.169.254:80, where every cloud app looks for the metadata service");
    tell.fact("now reach", "127.0.0.1:8000, the sidecar");
    tell.fact("except of", format!("uid {PROXY_UID}, the sidecar's own"));
    tell.say("Then it proved that with a connection of its own; without proof it would have failed and undone it.");
    Ok(())
}

pub(crate) fn sidecar(tell: &Narrator, cast: &Cast, entra: &Emulator) -> anyhow::Result<Sidecar> {
    let sidecar = Sidecar::start(cast, entra, TOKEN_FILE)?;
    tell.say("azwi-proxy listens on 127.0.0.1:8000 and says that it is ready. Its environment is what a pod has:");
    tell.fact("client", format!("{} (AZURE_CLIENT_ID)", entra.application("demo")?.client_id));
    tell.fact("token file", format!("{} (AZURE_FEDERATED_TOKEN_FILE)", cast.path(TOKEN_FILE).display()));
    Ok(sidecar)
}

/// Returns the claims of the token.
pub(crate) fn unmodified_app(tell: &Narrator, cast: &Cast, entra: &Emulator) -> anyhow::Result<Value> {
    tell.say("The Azure SDK's ManagedIdentityCredential, with nothing in its environment, asks twice:");
    let before = entra.exchanges(cast)?;
    let (first, second) = app::get_two_tokens(cast)?;
    let exchanges = entra.exchanges(cast)? - before;
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
    access_token(tell, &first.claims, &entra.application("demo")?.client_id)?;
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
    for (name, value) in answer.body.as_object().context("the body is no JSON object")? {
        tell.fact(&format!("  {name}"), shortened(&plain(value), 60));
    }
    ensure!(*field(&answer.body, "token_type") == "Bearer", "it is no bearer token");
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
    let output = cast.run("demo", cast.proxy_user(), ["http-get", &token_url(RESOURCE), METADATA])?;
    let why = text(&output.stderr);
    ensure!(!output.status.success(), "uid {PROXY_UID} was redirected, too");
    ensure!(why.contains("refused"), "uid {PROXY_UID} got an unexpected answer: {why}");
    tell.say("The same request as the sidecar's own user goes to the real 169.254.169.254, where nobody listens here:");
    tell.fact(&format!("uid {PROXY_UID}"), why.replace('\n', " "));
    Ok(())
}

pub(crate) fn refusal(tell: &Narrator, cast: &Cast, entra: &Emulator, sidecar: &Sidecar) -> anyhow::Result<()> {
    let orphan = entra.application("orphan")?;
    tell.say("The app asks for another identity, one whose federated identity credential names another pod.");
    tell.fact("client", &orphan.client_id);
    tell.fact("trusts", &orphan.trusted_subject);
    tell.fact("we are", SUBJECT);
    let shown = app::be_refused(cast, &orphan.client_id)?;
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

fn logged_refusal(tell: &Narrator, logged: &Value) -> anyhow::Result<()> {
    for name in ["message", "aadsts", "issuer", "subject", "audience", "client_id", "description"] {
        tell.fact(name, shortened(&plain(field(logged, name)), 150));
    }
    ensure!(*field(logged, "aadsts") == SUBJECT_MISMATCH, "the log has another code");
    ensure!(*field(logged, "subject") == SUBJECT, "the log does not say which subject was refused");
    Ok(())
}

pub(crate) fn outage(tell: &Narrator, cast: &Cast, entra: &Emulator, claims: &Value) -> anyhow::Result<()> {
    entra.fail_with(cast, 503)?;
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
    entra.recover(cast)
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
