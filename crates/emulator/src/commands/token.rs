//! `token`: mints a service account token as a kubelet projects it into a pod.

use std::fs;
use std::path::Path;

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::cli::TokenArgs;
use crate::commands::print;
use crate::failure::Failure;
use crate::guid;
use crate::signing_key::SigningKey;
use crate::state_dir::{CLUSTER_KEY, StateDir, write_atomically};

/// Seconds that a token lived which has expired.
const PAST_LIFETIME: i64 = 3600;

pub(crate) fn run(args: &TokenArgs) -> Result<(), Failure> {
    let (namespace, name) = service_account(&args.subject)
        .ok_or_else(|| Failure::usage("--subject: is not of the form system:serviceaccount:NAMESPACE:NAME"))?;
    let dir = StateDir::at(&args.state.dir);
    let key = signing_key(&dir, args.key.as_deref())?;
    let issuer = issuer(&dir, args.issuer.as_deref())?;
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let claims = Claims::new(args, &issuer, BoundTo::of(namespace, name), now);
    let token = key.sign(&claims, false).map_err(Failure::internal)?;
    match &args.output {
        // A kubelet leaves no newline behind the token either.
        Some(file) => write_atomically(file, token.as_bytes(), 0o644)
            .map_err(|error| Failure::usage(format!("--output {}: {error}", file.display()))),
        None => print(&token),
    }
}

fn service_account(subject: &str) -> Option<(&str, &str)> {
    let (namespace, name) = subject.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    let complete = !namespace.is_empty() && !name.is_empty() && !name.contains(':');
    complete.then_some((namespace, name))
}

fn signing_key(dir: &StateDir, file: Option<&Path>) -> Result<SigningKey, Failure> {
    match file {
        Some(file) => {
            let pem = fs::read_to_string(file)
                .map_err(|error| Failure::usage(format!("--key {}: {error}", file.display())))?;
            SigningKey::from_pem(&pem, &file.display().to_string())
                .map_err(|error| Failure::usage(format!("--key {error}")))
        }
        None => dir.require(CLUSTER_KEY).map_err(|error| Failure::usage(format!("--dir: {error}"))).and_then(|pem| {
            SigningKey::from_pem(&pem, &dir.file(CLUSTER_KEY).display().to_string())
                .map_err(|error| Failure::usage(format!("--dir: {error}")))
        }),
    }
}

fn issuer(dir: &StateDir, issuer: Option<&str>) -> Result<String, Failure> {
    match issuer {
        Some(issuer) => Ok(issuer.to_owned()),
        None => dir
            .endpoints()
            .map(|endpoints| endpoints.issuer)
            .map_err(|error| Failure::usage(format!("--issuer is needed, or --dir: {error}"))),
    }
}

/// As kube-apiserver's `TokenRequest` API issues them.
#[derive(Serialize)]
struct Claims<'a> {
    aud: [&'a str; 1],
    exp: i64,
    iat: i64,
    iss: &'a str,
    jti: Uuid,
    #[serde(rename = "kubernetes.io")]
    kubernetes: BoundTo<'a>,
    nbf: i64,
    sub: &'a str,
}

/// The private claim `kubernetes.io`: what the token is bound to.
#[derive(Serialize)]
struct BoundTo<'a> {
    namespace: &'a str,
    pod: Object<String>,
    serviceaccount: Object<&'a str>,
}

#[derive(Serialize)]
struct Object<N> {
    name: N,
    uid: Uuid,
}

impl<'a> Claims<'a> {
    fn new(args: &'a TokenArgs, issuer: &'a str, pod: BoundTo<'a>, now: i64) -> Self {
        let expires = now.saturating_add(args.expires_in);
        let begins = if args.expires_in > 0 { now } else { expires.saturating_sub(PAST_LIFETIME) };
        Self {
            aud: [&args.audience],
            exp: expires,
            iat: begins,
            iss: issuer,
            jti: guid::random(),
            kubernetes: pod,
            nbf: begins.saturating_add(args.not_before),
            sub: &args.subject,
        }
    }
}

impl<'a> BoundTo<'a> {
    /// A pod that does not exist, but whose ids stay the same for the same service account.
    fn of(namespace: &'a str, name: &'a str) -> Self {
        Self {
            namespace,
            pod: Object { name: format!("{name}-0"), uid: guid::of(&format!("pod {namespace}/{name}")) },
            serviceaccount: Object { name, uid: guid::of(&format!("serviceaccount {namespace}/{name}")) },
        }
    }
}
