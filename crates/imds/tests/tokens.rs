//! The bytes of a granted token.

use azwi_imds::{TokenAnswer, TokenBody};
use serde_json::{Value, json};

/// A capture of IMDS, quoted in the source of Azure CLI 2.60, with its secrets replaced.
const CAPTURE: &str = r#"{"access_token":"aaa.bbb.ccc","client_id":"0a1b2c3d-0000-4000-8000-abcdefabcdef","expires_in":"86317","expires_on":"1709895997","ext_expires_in":"86399","not_before":"1709809297","resource":"https://management.azure.com/","token_type":"Bearer"}"#;

const ANSWER: TokenAnswer<'static> = TokenAnswer {
    access_token: "aaa.bbb.ccc",
    client_id: "0a1b2c3d-0000-4000-8000-abcdefabcdef",
    expires_on: 1_709_895_997,
    ext_expires_in: 86_399,
    not_before: 1_709_809_297,
    resource: "https://management.azure.com/",
};

fn text(body: &TokenBody) -> String {
    String::from_utf8_lossy(body.text()).into_owned()
}

fn render(answer: &TokenAnswer<'_>, now: u64) -> String {
    text(&TokenBody::new(answer, now))
}

#[test]
fn the_body_equals_the_capture_byte_for_byte() {
    assert_eq!(render(&ANSWER, ANSWER.expires_on - 86_317), CAPTURE);
}

#[test]
fn expires_in_is_what_remains() {
    let body = TokenBody::new(&ANSWER, 0);
    for (remaining, printed) in [(86_317, "86317"), (100, "100"), (99, "99"), (10, "10"), (9, "9"), (1, "1"), (0, "0")]
    {
        let body = body.at(ANSWER.expires_on - remaining);
        assert_eq!(body.expires_in(), remaining);
        assert_eq!(text(&body), CAPTURE.replace("\"86317\"", &format!("\"{printed}\"")));
    }
}

#[test]
fn an_ended_token_has_zero_seconds_left() {
    assert_eq!(render(&ANSWER, ANSWER.expires_on + 1), CAPTURE.replace("\"86317\"", "\"0\""));
    assert_eq!(render(&ANSWER, u64::MAX), CAPTURE.replace("\"86317\"", "\"0\""));
}

#[test]
fn ext_expires_in_never_prints_lower_than_expires_in() {
    let body: Value = serde_json::from_str(&render(&ANSWER, ANSWER.expires_on - 86_400)).unwrap();
    assert_eq!((&body["expires_in"], &body["ext_expires_in"]), (&json!("86400"), &json!("86400")));
    let none_granted = TokenAnswer { ext_expires_in: 0, ..ANSWER };
    let body: Value = serde_json::from_str(&render(&none_granted, ANSWER.expires_on - 3599)).unwrap();
    assert_eq!((&body["expires_in"], &body["ext_expires_in"]), (&json!("3599"), &json!("3599")));
}

#[test]
fn a_body_made_from_another_moments_is_the_same_as_one_made_anew() {
    let no_extension = TokenAnswer { ext_expires_in: 0, ..ANSWER };
    for answer in [ANSWER, no_extension] {
        let mut body = TokenBody::new(&answer, 0);
        for now in [ANSWER.expires_on - 1000, ANSWER.expires_on - 9, u64::MAX, 7, ANSWER.expires_on - 100_000] {
            body = body.at(now);
            assert_eq!(text(&body), render(&answer, now), "{now}");
        }
    }
}

#[test]
fn clients_that_search_for_substrings_find_the_right_ones() {
    let body = render(&ANSWER, ANSWER.expires_on - 60);
    let at = |needle: &str| body.find(needle).unwrap();
    assert!(at("expires_in") < at("ext_expires_in"));
    assert!(at("expires_in") < at("expires_on"));
    assert!(at("\"access_token\":\"") < at("\"expires_in\":\""));
    let expires_on = &body[at("\"expires_on\":\"") + "\"expires_on\":\"".len()..];
    assert_eq!(expires_on.find('"'), Some(10));
}

#[test]
fn what_the_app_controls_is_escaped_onto_one_line() {
    let resource = "api://a\"b\\c\r\n\t\u{2028}\u{7f}é😀</script>";
    let answer = TokenAnswer { resource, client_id: "\",\"x\":\"\n", ..ANSWER };
    let body = render(&answer, 0);
    assert!(!body.contains(|c: char| c.is_control() || c == '\u{2028}'), "{body:?}");
    let parsed: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(parsed["resource"], resource);
    assert_eq!(parsed["client_id"], "\",\"x\":\"\n");
    assert_eq!(parsed.as_object().unwrap().len(), 8);
}

#[test]
fn every_value_is_a_string() {
    let body: Value = serde_json::from_str(&render(&ANSWER, 0)).unwrap();
    for (key, value) in body.as_object().unwrap() {
        assert!(value.is_string(), "{key}");
    }
}

#[test]
fn debug_shows_no_token() {
    let body = TokenBody::new(&ANSWER, 0);
    for shown in [format!("{ANSWER:?}"), format!("{ANSWER:#?}"), format!("{body:?}"), format!("{body:#?}")] {
        assert!(!shown.contains("aaa") && !shown.contains("bbb") && !shown.contains("ccc"), "{shown}");
        assert!(shown.contains("1709895997"), "{shown}");
    }
}
