//! Microsoft Graph: what is registered there can be exchanged for.

use azwi_tests::emulator::{DEMO_SUBJECT, clients};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::cloud::{ARM, GRAPH, Session, credential, login, refused, text};

const NO_PRINCIPAL: u64 = 7_000_229;
const NO_CREDENTIAL: u64 = 70_025;
const NO_SUBJECT: u64 = 700_213;
const NO_APPLICATION: u64 = 700_016;

/// The id and the app id of a new application.
async fn application(session: &Session, name: &str) -> (String, String) {
    let (status, application) = session.post("/v1.0/applications", json!({ "displayName": name })).await;
    assert_eq!(status, StatusCode::CREATED, "{application}");
    (text(&application["id"]), text(&application["appId"]))
}

async fn principal(session: &Session, app_id: &str) -> String {
    let (status, principal) = session.post("/v1.0/servicePrincipals", json!({ "appId": app_id })).await;
    assert_eq!(status, StatusCode::CREATED, "{principal}");
    text(&principal["id"])
}

fn named(session: &Session, name: &str, subject: &str) -> Value {
    let mut credential = credential(&session.emulator, subject);
    credential["name"] = json!(name);
    credential
}

fn credentials(application: &str) -> String {
    format!("/v1.0/applications/{application}/federatedIdentityCredentials")
}

#[tokio::test]
async fn exactly_what_is_federated_can_be_exchanged_and_only_while_it_is() {
    let session = Session::start(GRAPH).await;
    let (id, app_id) = application(&session, "cart").await;
    let subject = "system:serviceaccount:shop:cart";
    assert_eq!(session.exchange(&app_id, subject).await, NO_PRINCIPAL);
    principal(&session, &app_id).await;
    assert_eq!(session.exchange(&app_id, subject).await, NO_CREDENTIAL);
    let (status, created) = session.post(&credentials(&id), named(&session, "cart", subject)).await;
    assert_eq!(status, StatusCode::CREATED, "{created}");
    assert_eq!(session.exchange(&app_id, subject).await, 0);
    assert_eq!(session.exchange(&app_id, "system:serviceaccount:shop:other").await, NO_SUBJECT);
    let (status, _) = session.delete(&format!("{}/{}", credentials(&id), text(&created["id"]))).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(session.exchange(&app_id, subject).await, NO_CREDENTIAL);
    assert_eq!(session.delete(&format!("/v1.0/applications/{id}")).await.0, StatusCode::NO_CONTENT);
    assert_eq!(session.exchange(&app_id, subject).await, NO_APPLICATION);
}

#[tokio::test]
async fn an_object_is_found_by_id_by_app_id_and_by_filter() {
    let session = Session::start(GRAPH).await;
    let (id, app_id) = application(&session, "it's mine").await;
    let principal = principal(&session, &app_id).await;
    for (path, id) in [
        (format!("/v1.0/applications/{id}"), &id),
        (format!("/v1.0/applications(appId='{app_id}')"), &id),
        (format!("/v1.0/servicePrincipals/{principal}"), &principal),
        (format!("/v1.0/servicePrincipals(appId='{app_id}')"), &principal),
    ] {
        let (status, found) = session.get(&path).await;
        assert_eq!((status, text(&found["id"])), (StatusCode::OK, id.clone()), "{path}");
        assert_eq!((text(&found["appId"]), text(&found["displayName"])), (app_id.clone(), "it's mine".to_owned()));
    }
    for filter in [format!("appId%20eq%20'{app_id}'"), "displayName%20eq%20'it''s%20mine'".to_owned()] {
        for (collection, id) in [("applications", &id), ("servicePrincipals", &principal)] {
            let (_, list) = session.get(&format!("/v1.0/{collection}?$filter={filter}&$select=id")).await;
            assert_eq!(list["value"], json!([{ "id": id }]), "{collection} {filter}");
        }
    }
}

#[tokio::test]
async fn what_the_configuration_names_is_there_too() {
    let session = Session::start(GRAPH).await;
    let (_, found) = session.get(&format!("/v1.0/servicePrincipals(appId='{}')", clients::DEMO)).await;
    assert_eq!(found["servicePrincipalType"], "ManagedIdentity");
    let (_, found) = session.get(&format!("/v1.0/applications(appId='{}')", clients::APP)).await;
    let (_, list) = session.get(&credentials(&text(&found["id"]))).await;
    assert_eq!(list["value"][0]["subject"], DEMO_SUBJECT);
    assert_eq!(list["value"][0]["issuer"], session.emulator.issuer());
}

#[tokio::test]
async fn a_managed_identity_is_no_application() {
    let session = Session::start(GRAPH).await;
    let answer = session.get(&format!("/v1.0/applications(appId='{}')", clients::DEMO)).await;
    assert_eq!(refused(&answer), (404, "Request_ResourceNotFound".to_owned()));
}

#[tokio::test]
async fn a_missing_object_is_told_in_graphs_words() {
    let session = Session::start(GRAPH).await;
    let id = "99999999-9999-4999-8999-999999999999";
    let (status, mut answer) = session.get(&format!("/v1.0/applications/{id}")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(answer["error"]["innerError"].take()["request-id"].is_string());
    let text =
        format!("Resource '{id}' does not exist or one of its queried reference-property objects are not present.");
    let error = json!({ "code": "Request_ResourceNotFound", "message": text, "innerError": null });
    assert_eq!(answer, json!({ "error": error }));
}

#[tokio::test]
async fn a_name_or_a_subject_is_federated_once() {
    let session = Session::start(GRAPH).await;
    let (id, _) = application(&session, "cart").await;
    session.post(&credentials(&id), named(&session, "cart", "system:serviceaccount:shop:cart")).await;
    let again = session.post(&credentials(&id), named(&session, "cart", "system:serviceaccount:shop:other")).await;
    assert_eq!(refused(&again), (409, "Request_MultipleObjectsWithSameKeyValue".to_owned()));
    assert_eq!(again.1["error"]["message"], "FederatedIdentityCredential with name cart already exists.");
    let same = session.post(&credentials(&id), named(&session, "other", "system:serviceaccount:shop:cart")).await;
    assert_eq!(refused(&same), (400, "InvalidFederatedIdentityCredentialValue".to_owned()));
}

#[tokio::test]
async fn an_application_has_one_service_principal() {
    let session = Session::start(GRAPH).await;
    let (_, app_id) = application(&session, "cart").await;
    principal(&session, &app_id).await;
    let again = session.post("/v1.0/servicePrincipals", json!({ "appId": app_id })).await;
    assert_eq!(refused(&again), (409, "Request_MultipleObjectsWithSameKeyValue".to_owned()));
    let unknown = "99999999-9999-4999-8999-999999999999";
    let none = session.post("/v1.0/servicePrincipals", json!({ "appId": unknown })).await;
    assert_eq!(refused(&none), (400, "Request_BadRequest".to_owned()));
}

#[tokio::test]
async fn the_twenty_first_credential_is_refused() {
    let session = Session::start(GRAPH).await;
    let (id, _) = application(&session, "busy").await;
    for number in 0..20 {
        let credential = named(&session, &format!("number-{number}"), &format!("system:serviceaccount:a:{number}"));
        assert_eq!(session.post(&credentials(&id), credential).await.0, StatusCode::CREATED);
    }
    let one_more = session.post(&credentials(&id), named(&session, "number-20", "system:serviceaccount:a:20")).await;
    assert_eq!(one_more.0, StatusCode::BAD_REQUEST);
    assert!(text(&one_more.1["error"]["message"]).contains("20 federated identity credentials"));
}

#[tokio::test]
async fn bad_values_of_a_credential_are_named() {
    let session = Session::start(GRAPH).await;
    let (id, _) = application(&session, "cart").await;
    for (property, value) in [
        ("name", json!("a b c")),
        ("name", json!(null)),
        ("issuer", json!("http://plain.example")),
        ("subject", json!("")),
        ("audiences", json!([])),
        ("audiences", json!(["a", "b"])),
    ] {
        let mut credential = named(&session, "cart", "system:serviceaccount:shop:cart");
        credential[property] = value.clone();
        let answer = session.post(&credentials(&id), credential).await;
        assert_eq!(refused(&answer), (400, "InvalidFederatedIdentityCredentialValue".to_owned()), "{property} {value}");
        let message = text(&answer.1["error"]["message"]);
        assert!(message.contains(&format!("FederatedIdentityCredential.{property}")), "{message}");
    }
}

#[tokio::test]
async fn a_list_comes_in_pages() {
    let session = Session::start(GRAPH).await;
    for name in ["one", "two", "three"] {
        application(&session, name).await;
    }
    let (_, all) = session.get("/v1.0/applications?$select=displayName").await;
    assert_eq!(all["@odata.nextLink"], Value::Null);
    let (mut names, mut next) = (vec![], Some("/v1.0/applications?$select=displayName&$top=2".to_owned()));
    while let Some(page) = next {
        let (status, page) = session.get(&page).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        assert!(page["value"].as_array().unwrap().len() <= 2);
        names.extend(page["value"].as_array().unwrap().clone());
        next = page["@odata.nextLink"].as_str().map(str::to_owned);
    }
    assert_eq!(json!(names), all["value"]);
    assert_eq!(session.get("/v1.0/applications?$top=0").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_is_new_is_missed_by_as_many_looks_as_the_lag_says() {
    let session = Session::start(GRAPH).await;
    session.emulator.faults(r#"{"replication_lag":2}"#).unwrap();
    let (id, app_id) = application(&session, "cart").await;
    let path = format!("/v1.0/applications/{id}");
    let statuses = [session.get(&path).await.0, session.get(&path).await.0, session.get(&path).await.0];
    assert_eq!(statuses, [StatusCode::NOT_FOUND, StatusCode::NOT_FOUND, StatusCode::OK]);
    let principal = principal(&session, &app_id).await;
    let filter = format!("/v1.0/servicePrincipals?$filter=id%20eq%20'{principal}'");
    let mut seen = vec![];
    for _ in 0..3 {
        seen.push(session.get(&filter).await.1["value"].as_array().unwrap().len());
    }
    assert_eq!(seen, [0, 0, 1]);
    session.post(&credentials(&id), named(&session, "cart", DEMO_SUBJECT)).await;
    let mut codes = vec![];
    for _ in 0..5 {
        codes.push(session.exchange(&app_id, DEMO_SUBJECT).await);
    }
    assert_eq!(codes, [NO_APPLICATION, NO_APPLICATION, NO_CREDENTIAL, NO_CREDENTIAL, 0]);
}

#[tokio::test]
async fn a_fault_of_graph_throttles_graph_alone() {
    let session = Session::start(GRAPH).await;
    session.emulator.faults(r#"{"api":"graph","status":429,"retry_after":3,"remaining":1}"#).unwrap();
    assert_eq!(session.exchange(clients::DEMO, DEMO_SUBJECT).await, 0);
    let url = format!("{}v1.0/applications", session.emulator.authority());
    let response = session.client.get(&url).bearer_auth(&session.token).send().await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"3".parse().unwrap())
    );
    assert_eq!(session.get("/v1.0/applications").await.0, StatusCode::OK);
}

#[tokio::test]
async fn only_the_emulators_own_token_for_graph_is_good() {
    let mut session = Session::start(GRAPH).await;
    let url = format!("{}v1.0/applications", session.emulator.authority());
    let response = session.client.get(&url).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let stranger = Session::start(GRAPH).await;
    let for_arm = login(&session.emulator, &session.client, ARM).await;
    for (token, message) in [
        (stranger.token, "Access token validation failure."),
        (for_arm, "Access token validation failure. Invalid audience."),
    ] {
        session.token = token;
        let answer = session.get("/v1.0/applications").await;
        assert_eq!(refused(&answer), (401, "InvalidAuthenticationToken".to_owned()));
        assert_eq!(text(&answer.1["error"]["message"]), message);
    }
    let own = format!("{}.default", session.emulator.authority());
    session.token = login(&session.emulator, &session.client, &own).await;
    assert_eq!(session.get("/v1.0/applications").await.0, StatusCode::OK);
}
