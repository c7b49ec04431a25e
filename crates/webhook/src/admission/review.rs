//! `AdmissionReview` of `admission.k8s.io/v1` and `v1beta1`: what is asked, borrowed from the body, and the answer.
//!
//! Knows the envelope only; the pod in it stays raw.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Both versions have the same fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Version {
    /// The current one.
    #[serde(rename = "admission.k8s.io/v1")]
    V1,
    /// Until Kubernetes 1.22.
    #[serde(rename = "admission.k8s.io/v1beta1")]
    V1Beta1,
}

/// What the API server wants to know.
#[derive(Debug)]
pub(crate) struct Review<'a> {
    /// To whom the answer is.
    pub envelope: Envelope<'a>,
    /// Where the pod will be.
    pub namespace: Cow<'a, str>,
    /// The pod as it stands.
    pub pod: &'a RawValue,
}

/// What an answer repeats of its review.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Envelope<'a> {
    version: Version,
    uid: Cow<'a, str>,
}

/// What we say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The pod may be, changed by this patch (RFC 6902) if there is one.
    Allowed { patch: Option<String>, warnings: Vec<String> },
    /// It may not.
    Denied { code: u16, message: String },
}

impl Verdict {
    /// A denial that is the fault of whoever asks.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::Denied { code: 400, message: message.into() }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawReview<'a> {
    api_version: Version,
    #[serde(borrow)]
    request: Request<'a>,
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    uid: Cow<'a, str>,
    #[serde(borrow)]
    kind: Kind<'a>,
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, default)]
    group: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

impl<'a> Review<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// The whole answer, if it is no review of a pod.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Vec<u8>> {
        let RawReview { api_version, request } = serde_json::from_slice(body).map_err(|error| {
            Envelope::unknown().answer(&Verdict::bad_request(format!("this is no AdmissionReview: {error}")))
        })?;
        let envelope = Envelope { version: api_version, uid: request.uid };
        let (group, kind) = (&*request.kind.group, &*request.kind.kind);
        match request.object {
            Some(pod) if (group, kind) == ("", "Pod") => Ok(Self { envelope, namespace: request.namespace, pod }),
            Some(_) => Err(envelope.answer(&Verdict::bad_request(format!("expected a Pod, not {kind:?}")))),
            None => Err(envelope.answer(&Verdict::bad_request("there is no object to review"))),
        }
    }
}

impl Envelope<'_> {
    /// Of a body that does not say.
    pub(crate) fn unknown() -> Self {
        Self { version: Version::V1, uid: Cow::Borrowed("") }
    }

    /// The body of the answer.
    pub(crate) fn answer(&self, verdict: &Verdict) -> Vec<u8> {
        let response = Response { uid: &self.uid, ..Response::from(verdict) };
        let answer = Answer { api_version: self.version, kind: "AdmissionReview", response };
        serde_json::to_vec(&answer).unwrap_or_default()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    api_version: Version,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [String],
}

#[derive(Serialize)]
struct Status<'a> {
    #[serde(rename = "status")]
    outcome: &'static str,
    code: u16,
    message: &'a str,
}

impl<'a> From<&'a Verdict> for Response<'a> {
    fn from(verdict: &'a Verdict) -> Self {
        match verdict {
            Verdict::Allowed { patch, warnings } => Self {
                allowed: true,
                patch_type: patch.as_ref().map(|_| "JSONPatch"),
                patch: patch.as_ref().map(|patch| STANDARD.encode(patch)),
                warnings,
                ..Self::default()
            },
            Verdict::Denied { code, message } => {
                Self { status: Some(Status { outcome: "Failure", code: *code, message }), ..Self::default() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn review(version: &str, kind: &Value, object: &Value) -> Vec<u8> {
        let request =
            json!({ "uid": "u-1", "kind": kind, "namespace": "demo", "operation": "CREATE", "object": object });
        json!({ "apiVersion": version, "kind": "AdmissionReview", "request": request }).to_string().into_bytes()
    }

    fn pod_kind() -> Value {
        json!({ "group": "", "version": "v1", "kind": "Pod" })
    }

    fn json(answer: &[u8]) -> Value {
        serde_json::from_slice(answer).unwrap()
    }

    fn denial(body: &[u8]) -> Value {
        json(&Review::parse(body).unwrap_err())
    }

    #[test]
    fn the_pod_is_handed_on_as_it_came() {
        let body = br#"{"apiVersion":"admission.k8s.io/v1","request":{"uid":"u","kind":{"kind":"Pod"},"object":{ "a" : 1.0 }}}"#;
        let review = Review::parse(body).unwrap();
        assert_eq!((review.pod.get(), &*review.namespace), (r#"{ "a" : 1.0 }"#, ""));
    }

    #[test]
    fn the_answer_has_the_version_and_the_uid_of_its_review() {
        for version in ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"] {
            let body = review(version, &pod_kind(), &json!({}));
            let review = Review::parse(&body).unwrap();
            assert_eq!(review.namespace, "demo");
            let answer = json(&review.envelope.answer(&Verdict::Allowed { patch: None, warnings: vec![] }));
            let response = json!({ "uid": "u-1", "allowed": true });
            assert_eq!(answer, json!({ "apiVersion": version, "kind": "AdmissionReview", "response": response }));
        }
    }

    #[test]
    fn a_patch_is_base64_and_has_its_type_beside_it() {
        let verdict = Verdict::Allowed { patch: Some("[]".to_owned()), warnings: vec!["careful".to_owned()] };
        let answer = json(&Envelope::unknown().answer(&verdict));
        let wanted =
            json!({ "uid": "", "allowed": true, "patchType": "JSONPatch", "patch": "W10=", "warnings": ["careful"] });
        assert_eq!(answer["response"], wanted);
    }

    #[test]
    fn a_denial_has_a_status_and_a_message() {
        let answer = json(&Envelope::unknown().answer(&Verdict::bad_request("no")));
        let status = json!({ "status": "Failure", "code": 400, "message": "no" });
        assert_eq!(answer["response"], json!({ "uid": "", "allowed": false, "status": status }));
    }

    #[test]
    fn what_is_no_review_is_denied_with_the_reason() {
        for body in [&b""[..], b"{", b"[]", b"\xff", b"{}", br#"{"apiVersion":"admission.k8s.io/v2","request":{}}"#] {
            let answer = denial(body);
            assert_eq!(answer["response"]["status"]["code"], 400);
            assert!(
                answer["response"]["status"]["message"].as_str().unwrap().starts_with("this is no AdmissionReview")
            );
        }
    }

    #[test]
    fn a_review_of_something_else_is_denied_by_its_uid() {
        let deployment = json!({ "group": "apps", "version": "v1", "kind": "Deployment" });
        let answer = denial(&review("admission.k8s.io/v1", &deployment, &json!({})));
        assert_eq!(answer["response"]["uid"], "u-1");
        assert_eq!(answer["response"]["status"]["message"], "expected a Pod, not \"Deployment\"");
    }

    #[test]
    fn a_review_without_an_object_is_denied() {
        let answer = denial(&review("admission.k8s.io/v1", &pod_kind(), &Value::Null));
        assert_eq!(answer["response"]["status"]["message"], "there is no object to review");
    }
}
