//! Checks of a service account token against the issuer's documents and the identity's federated credentials. Of the
//! token only its claims and its key's id are known here.

use azwi_entra::AssertionClaims;
use serde_json::Value;

use super::check::Check;
use super::objects::{list, text};

/// `now` in seconds since the epoch.
pub(crate) fn expiry(subject: &str, claims: &AssertionClaims, now: u64) -> Check {
    match claims.exp.checked_sub(now) {
        Some(left @ 1..) => Check::holds(subject, "expiry", format!("{left} seconds left")),
        _ => Check::fails(
            subject,
            "expiry",
            format!("expired {} seconds ago", now - claims.exp),
            "kubelet renews it: kubectl describe pod for mount errors, and the node's clock",
        ),
    }
}

/// `OpenID` Connect Discovery 1.0, section 4.3: the document's issuer is the token's, byte for byte.
pub(crate) fn discovery(subject: &str, claims: &AssertionClaims, document: &Value) -> Check {
    let published = text(document, "/issuer");
    if published == claims.iss {
        return Check::holds(subject, "issuer", published);
    }
    Check::fails(
        subject,
        "issuer",
        format!(
            "the token says {}, the discovery document {published}: {}",
            claims.iss,
            difference(&claims.iss, published)
        ),
        "publish the document of this cluster's issuer, spelled as --service-account-issuer of kube-apiserver has it",
    )
}

pub(crate) fn signing_key(subject: &str, kid: &str, keys: &Value) -> Check {
    let known: Vec<_> = list(keys, "/keys").iter().map(|key| text(key, "/kid")).collect();
    if known.contains(&kid) {
        return Check::holds(subject, "signing key", kid);
    }
    let evidence = format!("the token is signed by {kid}, the issuer publishes {}", known.join(", "));
    let fix = "publish the cluster's present keys: azwi jwks, or kubectl get --raw /openid/v1/jwks";
    Check::fails(subject, "signing key", evidence, fix)
}

/// Issuer, subject and audience of one credential are the token's; else how the nearest differs.
pub(crate) fn credential(subject: &str, claims: &AssertionClaims, credentials: &[&Value]) -> Check {
    let audience = &claims.aud;
    let fix = format!(
        "az identity federated-credential create --name NAME --identity-name IDENTITY --resource-group GROUP --issuer {} --subject {} --audiences {audience}",
        claims.iss, claims.sub
    );
    let nearest = credentials.iter().min_by_key(|credential| mismatches(claims, credential).len());
    let Some(nearest) = nearest else {
        return Check::fails(subject, "federated credential", "the identity has none", fix);
    };
    let mismatches = mismatches(claims, nearest);
    if mismatches.is_empty() {
        return Check::holds(subject, "federated credential", text(nearest, "/name"));
    }
    let evidence = format!("{} is the nearest: {}", text(nearest, "/name"), mismatches.join("; "));
    Check::fails(subject, "federated credential", evidence, fix)
}

fn mismatches(claims: &AssertionClaims, credential: &Value) -> Vec<String> {
    let mut audiences = list(credential, "/audiences").iter().filter_map(Value::as_str);
    let named = audiences.clone().next().unwrap_or_default();
    let presented = claims.aud.to_string();
    let presented = if audiences.any(|audience| claims.aud.contains(audience)) { named } else { &presented };
    let pairs = [
        ("issuer", claims.iss.as_str(), text(credential, "/issuer")),
        ("subject", claims.sub.as_str(), text(credential, "/subject")),
        ("audience", presented, named),
    ];
    let differing = pairs.into_iter().filter(|(_, token, credential)| token != credential);
    differing.map(|(name, token, credential)| format!("{name} {}", difference(token, credential))).collect()
}

/// Where two texts part, in words.
pub(crate) fn difference(token: &str, other: &str) -> String {
    if token.strip_suffix('/') == Some(other) {
        return format!("\"{other}\" lacks the slash at the end");
    }
    if other.strip_suffix('/') == Some(token) {
        return format!("\"{other}\" has a slash too many at the end");
    }
    let position = token.chars().zip(other.chars()).take_while(|(token, other)| token == other).count();
    let at = |text: &str| text.chars().nth(position).map_or("the end".to_owned(), |character| format!("'{character}'"));
    let case = if token.eq_ignore_ascii_case(other) { ", and only in case" } else { "" };
    format!("\"{other}\" differs from \"{token}\" at character {}: {} for {}{case}", position + 1, at(other), at(token))
}

#[cfg(test)]
mod tests {
    use azwi_entra::Audience;
    use serde_json::json;

    use super::*;

    const SUBJECT: &str = "serviceaccount/cart";
    const ISSUER: &str = "https://cluster.example/";

    fn claims() -> AssertionClaims {
        AssertionClaims {
            iss: ISSUER.to_owned(),
            sub: "system:serviceaccount:shop:cart".to_owned(),
            aud: Audience::Many(vec!["api://AzureADTokenExchange".to_owned()]),
            exp: 1000,
        }
    }

    fn matching() -> Value {
        json!({
            "name": "cart", "issuer": ISSUER, "subject": "system:serviceaccount:shop:cart",
            "audiences": ["api://AzureADTokenExchange"],
        })
    }

    #[test]
    fn a_credential_that_matches_byte_for_byte_holds() {
        assert!(!credential(SUBJECT, &claims(), &[&matching()]).is_failing());
    }

    #[test]
    fn a_slash_and_a_letters_case_are_pointed_at() {
        let mut other = matching();
        other["issuer"] = json!("https://cluster.example");
        other["subject"] = json!("system:serviceaccount:shop:Cart");
        let check = credential(SUBJECT, &claims(), &[&other]);
        assert!(check.is_failing());
        assert_eq!(
            check.evidence,
            "cart is the nearest: issuer \"https://cluster.example\" lacks the slash at the end; subject \
             \"system:serviceaccount:shop:Cart\" differs from \"system:serviceaccount:shop:cart\" at character 28: \
             'C' for 'c', and only in case"
        );
    }

    #[test]
    fn the_nearest_of_several_credentials_is_told() {
        let mut far = matching();
        far["subject"] = json!("x");
        far["issuer"] = json!("https://elsewhere.example");
        let mut near = matching();
        near["audiences"] = json!(["api://other"]);
        near["name"] = json!("near");
        let check = credential(SUBJECT, &claims(), &[&far, &near]);
        assert!(check.evidence.starts_with("near is the nearest: audience"), "{}", check.evidence);
    }

    #[test]
    fn an_identity_without_credentials_is_told_how_to_get_one() {
        let check = credential(SUBJECT, &claims(), &[]);
        assert!(check.fix.unwrap().contains("--subject system:serviceaccount:shop:cart"));
    }

    #[test]
    fn a_token_is_good_until_the_second_it_expires() {
        assert!(!expiry(SUBJECT, &claims(), 999).is_failing());
        assert!(expiry(SUBJECT, &claims(), 1000).is_failing());
    }

    #[test]
    fn a_discovery_document_of_another_issuer_does_not_hold() {
        assert!(!discovery(SUBJECT, &claims(), &json!({ "issuer": ISSUER })).is_failing());
        assert!(discovery(SUBJECT, &claims(), &json!({ "issuer": "https://cluster.example" })).is_failing());
    }

    #[test]
    fn a_key_that_the_issuer_does_not_publish_does_not_hold() {
        let keys = json!({ "keys": [{ "kid": "a" }] });
        assert!(!signing_key(SUBJECT, "a", &keys).is_failing());
        assert!(signing_key(SUBJECT, "b", &keys).is_failing());
    }
}
