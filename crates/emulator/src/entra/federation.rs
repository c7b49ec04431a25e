//! Matching an assertion with the federated identity credentials of an application: issuer, then
//! subject, then audience, each compared byte for byte.

use crate::config::FederatedIdentityCredential;
use crate::entra::aadsts::{
    AUDIENCE_MISMATCH, Aadsts, ISSUER_MISMATCH, NO_CREDENTIALS, SUBJECT_CASE_MISMATCH, SUBJECT_MISMATCH,
};
use crate::entra::assertion::Claims;

/// `own_issuer` is what a credential without an issuer means.
pub(crate) fn check(
    credentials: &[FederatedIdentityCredential],
    own_issuer: &str,
    claims: &Claims,
) -> Result<(), Aadsts> {
    if credentials.is_empty() {
        return Err(NO_CREDENTIALS);
    }
    let of_issuer: Vec<_> = credentials
        .iter()
        .filter(|credential| credential.issuer.as_deref().unwrap_or(own_issuer) == claims.iss)
        .collect();
    if of_issuer.is_empty() {
        return Err(ISSUER_MISMATCH);
    }
    let mut of_subject = of_issuer.iter().filter(|credential| credential.subject == claims.sub).peekable();
    if of_subject.peek().is_none() {
        return Err(subject_mismatch(&of_issuer, &claims.sub));
    }
    if of_subject.any(|credential| claims.aud.contains(&credential.audience)) { Ok(()) } else { Err(AUDIENCE_MISMATCH) }
}

fn subject_mismatch(credentials: &[&FederatedIdentityCredential], subject: &str) -> Aadsts {
    let differs_in_case = credentials.iter().any(|credential| credential.subject.eq_ignore_ascii_case(subject));
    if differs_in_case { SUBJECT_CASE_MISMATCH } else { SUBJECT_MISMATCH }
}
