//! A review of the API server, or of whoever reaches the webhook: the answer is always one that an API server understands,
//! and what is read of a review is what everybody else reads.

use azwi_webhook::mutate::{Mutation, ServiceAccount, Settings, mutate};
use azwi_webhook::review::{Review, Verdict};
use serde_json::Value;

const VERSIONS: [&str; 2] = ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"];

/// Any bytes are a body.
pub fn check(data: &[u8]) {
    match Review::parse(data) {
        Ok(review) => {
            assert_read(data, &review);
            let verdict = verdict(&review);
            assert_answer(&review.envelope.answer(&verdict), matches!(verdict, Verdict::Allowed { .. }));
        }
        Err(answer) => assert_answer(&answer, false),
    }
}

fn verdict(review: &Review<'_>) -> Verdict {
    let account =
        ServiceAccount { client_id: Some("22222222-2222-4222-8222-222222222222".into()), ..Default::default() };
    let pod = match &review.pod {
        Ok(pod) => pod,
        Err(denial) => return Verdict::bad_request(&*denial.0),
    };
    match mutate(pod, &account, &settings()) {
        Ok(Mutation { patch, warnings }) => Verdict::Allowed { patch, warnings },
        Err(denial) => Verdict::bad_request(denial.0),
    }
}

fn settings() -> Settings {
    Settings {
        audience: "api://AzureADTokenExchange".to_owned(),
        authority_host: "https://login.microsoftonline.com/".to_owned(),
        tenant_id: "11111111-1111-4111-8111-111111111111".to_owned(),
        proxy_image: "proxy".to_owned(),
        proxy_init_image: "proxy-init".to_owned(),
        native_sidecar: true,
        log_level: String::new(),
        token_endpoint: None,
    }
}

/// Against another reading, where there is one: it gives up on what nobody has to understand, such as numbers beyond all
/// bounds.
fn assert_read(data: &[u8], review: &Review<'_>) {
    let Ok(json) = serde_json::from_slice::<Value>(data) else { return };
    let text = |pointer| json.pointer(pointer).and_then(Value::as_str);
    assert_eq!((text("/request/kind/kind"), text("/request/kind/group").unwrap_or_default()), (Some("Pod"), ""));
    assert_eq!(text("/request/namespace").unwrap_or_default(), review.namespace);
    if let Ok(pod) = &review.pod {
        let name = text("/request/object/spec/serviceAccountName").filter(|name| !name.is_empty());
        assert_eq!(pod.service_account_name(), name.unwrap_or("default"));
    }
    let answer = review.envelope.answer(&Verdict::Allowed { patch: None, warnings: Vec::new() });
    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    assert_eq!(answer.get("apiVersion"), json.get("apiVersion"));
    assert_eq!(answer.pointer("/response/uid"), json.pointer("/request/uid"));
}

fn assert_answer(answer: &str, is_allowed: bool) {
    let json: Value = serde_json::from_str(answer).unwrap_or_default();
    let at = |pointer| json.pointer(pointer).unwrap_or(&Value::Null);
    assert!(at("/apiVersion").as_str().is_some_and(|version| VERSIONS.contains(&version)), "{json}");
    assert_eq!((at("/kind"), at("/response/allowed")), (&"AdmissionReview".into(), &is_allowed.into()));
    assert!(at("/response/uid").is_string(), "{json}");
    assert_eq!(at("/response/patch").is_string(), at("/response/patchType") == "JSONPatch", "{json}");
    let is_told_why = at("/response/status/message").as_str().is_some_and(|message| !message.is_empty());
    assert_eq!(is_told_why, !is_allowed, "{json}");
}
