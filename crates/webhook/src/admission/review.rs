//! `AdmissionReview` of `admission.k8s.io/v1` and `v1beta1`: what is asked, borrowed from the body, and the answer.
//!
//! A review is read once, with the pod in it, since reading is most of the work. What cannot be read so is read again piece
//! by piece, to find out what is to be said of it.

use std::borrow::Cow;
use std::fmt::Display;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::mutate::{Denial, Pod};

/// Both versions have the same fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// The current one.
    #[serde(rename = "admission.k8s.io/v1")]
    V1,
    /// Until Kubernetes 1.22.
    #[serde(rename = "admission.k8s.io/v1beta1")]
    V1Beta1,
}

/// What the API server wants to know.
#[derive(Debug)]
pub struct Review<'a> {
    /// To whom the answer is.
    pub envelope: Envelope<'a>,
    /// Where the pod will be.
    pub namespace: Cow<'a, str>,
    /// The pod, or what is wrong with it.
    pub pod: Result<Pod<'a>, Denial>,
}

/// What an answer repeats of its review.
#[derive(Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    version: Version,
    uid: Cow<'a, str>,
}

/// What we say.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The pod may be, changed by this patch (RFC 6902) if there is one.
    Allowed {
        /// The operations.
        patch: Option<String>,
        /// What whoever creates it should know.
        warnings: Vec<String>,
    },
    /// It may not.
    Denied {
        /// A status of HTTP.
        code: u16,
        /// Why.
        message: String,
    },
}

impl Verdict {
    /// A denial that is the fault of whoever asks.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::Denied { code: 400, message: message.into() }
    }
}

/// With an object of some kind.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a, O: Deserialize<'de>"))]
struct Raw<'a, O> {
    api_version: Version,
    request: Request<'a, O>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a, O: Deserialize<'de>"))]
struct Request<'a, O> {
    #[serde(borrow)]
    uid: Cow<'a, str>,
    #[serde(borrow)]
    kind: Kind<'a>,
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
    object: Option<O>,
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
    pub fn parse(body: &'a [u8]) -> Result<Self, String> {
        // All of it at once: to look at each of its strings by itself takes longer.
        let text = str::from_utf8(body).map_err(|error| not_a_review(&error))?;
        match serde_json::from_str(text) {
            Ok(Raw { api_version, request: Request { uid, kind, namespace, object: Some(pod) } }) if kind.is_pod() => {
                Ok(Self { envelope: Envelope { version: api_version, uid }, namespace, pod: Ok(pod) })
            }
            _ => Self::parse_piece_by_piece(text),
        }
    }

    fn parse_piece_by_piece(text: &'a str) -> Result<Self, String> {
        let Raw { api_version, request } =
            serde_json::from_str::<Raw<'a, &'a RawValue>>(text).map_err(|error| not_a_review(&error))?;
        let envelope = Envelope { version: api_version, uid: request.uid };
        match request.object {
            Some(pod) if request.kind.is_pod() => {
                Ok(Self { envelope, namespace: request.namespace, pod: Pod::read(pod) })
            }
            Some(_) => {
                let kind = request.kind.kind;
                Err(envelope.answer(&Verdict::bad_request(format!("expected a Pod, not {kind:?}"))))
            }
            None => Err(envelope.answer(&Verdict::bad_request("there is no object to review"))),
        }
    }
}

fn not_a_review(error: &dyn Display) -> String {
    Envelope::unknown().answer(&Verdict::bad_request(format!("this is no AdmissionReview: {error}")))
}

impl Kind<'_> {
    fn is_pod(&self) -> bool {
        (&*self.group, &*self.kind) == ("", "Pod")
    }
}

impl Envelope<'_> {
    /// Of a body that does not say.
    pub fn unknown() -> Self {
        Self { version: Version::V1, uid: Cow::Borrowed("") }
    }

    /// The body of the answer.
    pub fn answer(&self, verdict: &Verdict) -> String {
        let response = Response { uid: &self.uid, ..Response::from(verdict) };
        let answer = Answer { api_version: self.version, kind: "AdmissionReview", response };
        let answer = serde_json::to_string(&answer).unwrap_or_default();
        match verdict {
            Verdict::Allowed { patch: Some(patch), .. } => with_patch(&answer, patch),
            _ => answer,
        }
    }
}

/// The patch at the end of the response, which ends the answer: most of it, and Base64 has nothing to escape.
fn with_patch(answer: &str, patch: &str) -> String {
    const END: &str = "}}";
    let base64 = patch.len().div_ceil(3) * 4;
    let mut whole = String::with_capacity(answer.len() + base64 + FRAME.len() + END.len());
    whole.push_str(answer.strip_suffix(END).unwrap_or(answer));
    whole.push_str(FRAME);
    STANDARD.encode_string(patch, &mut whole);
    whole.push('"');
    whole.push_str(END);
    whole
}

/// What stands before it.
const FRAME: &str = r#","patchType":"JSONPatch","patch":""#;

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
            Verdict::Allowed { warnings, .. } => Self { allowed: true, warnings, ..Self::default() },
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

    fn json(answer: &str) -> Value {
        serde_json::from_str(answer).unwrap()
    }

    fn denial(body: &[u8]) -> Value {
        json(&Review::parse(body).unwrap_err())
    }

    #[test]
    fn what_is_no_pod_is_told_of_in_an_answer_to_its_review() {
        let body = review("admission.k8s.io/v1", &pod_kind(), &json!({ "spec": 7 }));
        let review = Review::parse(&body).unwrap();
        assert!(review.pod.unwrap_err().0.starts_with("the pod cannot be read: "));
        assert_eq!(review.envelope.uid, "u-1");
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
