//! Whether anybody is asked about pods with the label, and would be believed.

use azwi_conventions::label;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use x509_parser::pem::Pem;
use x509_parser::time::ASN1Time;

use crate::webhook::{KIND, registered};

use super::check::Check;
use super::objects::{Objects, list, name, text};

const NAME: &str = "webhook";
const SEE_LOG: &str = "look into the webhook's log: it writes the bundle itself, and may not be allowed to; with \
                       --disable-cert-rotation whoever mounts the certificate writes it (docs/operations.md)";

/// `now` in seconds since the epoch.
pub(crate) fn webhook(subject: &str, objects: &Objects, namespace: &str, now: u64) -> Check {
    if let Some(why) = objects.why_unread(KIND) {
        return Check::unknown(subject, NAME, why);
    }
    let Some((configuration, webhook)) = registered(objects.of_kind(KIND)) else {
        let evidence = format!("no {KIND} selects pods by {}", label::USE);
        return Check::fails(subject, NAME, evidence, "install the webhook: docs/install-webhook.md");
    };
    let webhook_name = format!("{} in {}", text(webhook, "/name"), name(configuration));
    if let Some(reason) = excluded(webhook, objects, namespace) {
        let fix = "pods of this namespace are not looked at: use another one, or change the selector";
        return Check::fails(subject, NAME, format!("{webhook_name}: {reason}"), fix);
    }
    match bundle(text(webhook, "/clientConfig/caBundle"), now) {
        Ok(until) => Check::holds(subject, NAME, format!("{webhook_name}, certificate authority until {until}")),
        Err(reason) => Check::fails(subject, NAME, format!("{webhook_name}: {reason}"), SEE_LOG),
    }
}

/// The latest end of those certificate authorities in the bundle that are valid now.
fn bundle(bundle: &str, now: u64) -> Result<String, String> {
    if bundle.is_empty() {
        return Err("there is no caBundle".to_owned());
    }
    let pem = STANDARD.decode(bundle).map_err(|_| "caBundle is no base64".to_owned())?;
    let blocks = Pem::iter_from_buffer(&pem).collect::<Result<Vec<_>, _>>().unwrap_or_default();
    let periods: Vec<(ASN1Time, ASN1Time)> = blocks
        .iter()
        .filter_map(|block| block.parse_x509().ok())
        .map(|certificate| (certificate.validity().not_before, certificate.validity().not_after))
        .collect();
    let now = i64::try_from(now).ok().and_then(|now| ASN1Time::from_timestamp(now).ok());
    let now = now.ok_or("this machine's clock is wrong")?;
    if let Some((_, end)) =
        periods.iter().filter(|(start, end)| *start <= now && now <= *end).max_by_key(|(_, end)| end)
    {
        return Ok(end.to_string());
    }
    match periods.iter().max_by_key(|(_, end)| end) {
        Some((start, _)) if *start > now => Err(format!("caBundle is valid from {start} only")),
        Some((_, end)) => Err(format!("caBundle has expired, {end}")),
        None => Err("caBundle holds no certificate".to_owned()),
    }
}

/// Why the namespace's pods are not looked at.
fn excluded(webhook: &Value, objects: &Objects, namespace: &str) -> Option<String> {
    let labels = objects.of_kind("Namespace").find(|object| name(object) == namespace)?.pointer("/metadata/labels")?;
    let value = |key: &str| labels.get(key).and_then(Value::as_str);
    let selector = webhook.get("namespaceSelector")?;
    let labels = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    for (key, wanted) in labels {
        if value(key) != wanted.as_str() {
            return Some(format!("namespace {namespace} lacks the label {key}: {wanted}"));
        }
    }
    let failing = list(selector, "/matchExpressions").iter().find(|expression| !matches(expression, &value));
    failing.map(|expression| format!("its namespaceSelector leaves out namespace {namespace}: {expression}"))
}

/// One of `matchExpressions`; an operator that is not known excludes nothing.
fn matches<'a>(expression: &Value, value: &impl Fn(&str) -> Option<&'a str>) -> bool {
    let found = value(text(expression, "/key"));
    let is_among = || list(expression, "/values").iter().any(|one| one.as_str() == found && found.is_some());
    match text(expression, "/operator") {
        "In" => is_among(),
        "NotIn" => !is_among(),
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        _ => true,
    }
}
