//! Azure Resource Manager: managed identities, their credentials, and roles.

use azwi_tests::emulator::{DEMO_SUBJECT, SUBSCRIPTION, clients};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::cloud::{ARM, Answer, GRAPH, Session, credential, login, refused, text};

const READER: &str = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
const VERSION: &str = "api-version=2023-01-31";

fn scope() -> String {
    format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/shop")
}

fn identity(name: &str) -> String {
    format!("{}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}", scope())
}

fn credential_path(identity_name: &str, name: &str) -> String {
    format!("{}/federatedIdentityCredentials/{name}?{VERSION}", identity(identity_name))
}

async fn create(session: &Session, name: &str) -> Value {
    let path = format!("{}?{VERSION}", identity(name));
    let (status, created) = session.put(&path, json!({ "location": "westeurope" })).await;
    assert_eq!(status, StatusCode::CREATED, "{created}");
    created
}

async fn federate(session: &Session, name: &str, subject: &str) -> Answer {
    let body = json!({ "properties": credential(&session.emulator, subject) });
    session.put(&credential_path("cart", name), body).await
}

#[tokio::test]
async fn a_created_identity_gets_tokens_for_what_is_federated_with_it() {
    let session = Session::start(ARM).await;
    let created = create(&session, "cart").await;
    let client_id = text(&created["properties"]["clientId"]);
    assert_eq!(session.exchange(&client_id, DEMO_SUBJECT).await, 70_025);
    assert_eq!(federate(&session, "demo", DEMO_SUBJECT).await.0, StatusCode::CREATED);
    assert_eq!(session.exchange(&client_id, DEMO_SUBJECT).await, 0);
    assert_eq!(federate(&session, "demo", DEMO_SUBJECT).await.0, StatusCode::OK);
    assert_eq!(session.delete(&credential_path("cart", "demo")).await.0, StatusCode::OK);
    assert_eq!(session.delete(&credential_path("cart", "demo")).await.0, StatusCode::NO_CONTENT);
    assert_eq!(session.exchange(&client_id, DEMO_SUBJECT).await, 70_025);
    let path = format!("{}?{VERSION}", identity("cart"));
    assert_eq!(session.delete(&path).await.0, StatusCode::OK);
    assert_eq!(session.delete(&path).await.0, StatusCode::NO_CONTENT);
    assert_eq!(session.exchange(&client_id, DEMO_SUBJECT).await, 700_016);
    assert_eq!(refused(&session.get(&path).await), (404, "ResourceNotFound".to_owned()));
}

#[tokio::test]
async fn a_resource_id_is_read_in_any_case() {
    let session = Session::start(ARM).await;
    let created = create(&session, "cart").await;
    let (status, found) = session.get(&format!("{}?{VERSION}", identity("cart").to_uppercase())).await;
    assert_eq!((status, &found), (StatusCode::OK, &created));
    assert_eq!(text(&found["id"]), identity("cart").replace("resourceGroups", "resourcegroups"));
}

#[tokio::test]
async fn a_list_has_what_is_in_the_group_or_the_subscription() {
    let session = Session::start(ARM).await;
    create(&session, "cart").await;
    let names = |list: &Value| -> Vec<String> {
        list["value"].as_array().unwrap().iter().map(|identity| text(&identity["name"])).collect()
    };
    let within = |scope: &str| format!("{scope}/providers/Microsoft.ManagedIdentity/userAssignedIdentities?{VERSION}");
    assert_eq!(names(&session.get(&within(&scope())).await.1), ["cart"]);
    let subscription = format!("/subscriptions/{SUBSCRIPTION}");
    assert_eq!(names(&session.get(&within(&subscription)).await.1), ["demo", "second", "cart"]);
}

#[tokio::test]
async fn credentials_come_in_pages() {
    let session = Session::start(ARM).await;
    create(&session, "cart").await;
    for name in ["one", "two", "three"] {
        federate(&session, name, &format!("system:serviceaccount:shop:{name}")).await;
    }
    let path = format!("{}/federatedIdentityCredentials?{VERSION}&$top=2", identity("cart"));
    let (_, first) = session.get(&path).await;
    let (_, last) = session.get(&text(&first["nextLink"])).await;
    assert_eq!(first["value"].as_array().unwrap().len(), 2);
    assert_eq!((&last["value"][0]["name"], &last["nextLink"]), (&json!("three"), &Value::Null));
}

#[tokio::test]
async fn writes_to_one_identity_at_the_same_time_are_refused() {
    let session = Session::start(ARM).await;
    create(&session, "cart").await;
    session.emulator.faults(r#"{"api":"arm","latency_ms":1500}"#).unwrap();
    let answers = tokio::join!(
        federate(&session, "one", "system:serviceaccount:shop:one"),
        federate(&session, "two", "system:serviceaccount:shop:two"),
    );
    let mut answers = [answers.0, answers.1];
    answers.sort_by_key(|answer| answer.0);
    let [written, denied] = answers;
    assert_eq!(written.0, StatusCode::CREATED);
    let code = "ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity";
    assert_eq!(refused(&denied), (409, code.to_owned()));
}

#[tokio::test]
async fn a_subject_is_federated_once_with_an_identity() {
    let session = Session::start(ARM).await;
    create(&session, "cart").await;
    federate(&session, "one", DEMO_SUBJECT).await;
    let again = federate(&session, "two", DEMO_SUBJECT).await;
    assert_eq!(refused(&again), (409, "Conflict".to_owned()));
    let text_wanted = "Issuer and subject combination already exists for this Managed Identity.";
    assert_eq!(again.1["error"]["message"], text_wanted);
}

#[tokio::test]
async fn the_twenty_first_credential_of_an_identity_is_refused() {
    let session = Session::start(ARM).await;
    create(&session, "cart").await;
    for number in 0..20 {
        let answer = federate(&session, &format!("n-{number}"), &format!("system:serviceaccount:a:{number}")).await;
        assert_eq!(answer.0, StatusCode::CREATED);
    }
    let one_more = federate(&session, "n-20", "system:serviceaccount:a:20").await;
    assert_eq!(refused(&one_more), (400, "BadRequest".to_owned()));
    assert!(text(&one_more.1["error"]["message"]).contains("maximum number of 20"));
}

#[tokio::test]
async fn a_credential_of_no_identity_is_refused() {
    let session = Session::start(ARM).await;
    let answer = federate(&session, "one", DEMO_SUBJECT).await;
    assert_eq!(refused(&answer), (404, "ParentResourceNotFound".to_owned()));
}

#[tokio::test]
async fn a_request_needs_an_api_version_and_a_subscription_that_exists() {
    let session = Session::start(ARM).await;
    let answer = session.get(&identity("cart")).await;
    assert_eq!(refused(&answer), (400, "MissingApiVersionParameter".to_owned()));
    let path = format!("{}?{VERSION}", identity("cart"));
    let unknown = path.replace(SUBSCRIPTION, "99999999-9999-4999-8999-999999999999");
    assert_eq!(refused(&session.get(&unknown).await), (404, "SubscriptionNotFound".to_owned()));
    let malformed = path.replace(SUBSCRIPTION, "mine");
    assert_eq!(refused(&session.get(&malformed).await), (400, "InvalidSubscriptionId".to_owned()));
    assert_eq!(refused(&session.put(&path, json!({})).await), (400, "LocationRequired".to_owned()));
}

fn assignment(name: &str, version: &str) -> String {
    format!("{}/providers/Microsoft.Authorization/roleAssignments/{name}?api-version={version}", scope())
}

fn assigned(principal: &Value, definition: &str) -> Value {
    json!({ "properties": { "roleDefinitionId": definition, "principalId": principal } })
}

async fn reader(session: &Session) -> String {
    let path = format!(
        "{}/providers/Microsoft.Authorization/roleDefinitions?api-version=2022-04-01&$filter=roleName%20eq%20'Reader'",
        scope()
    );
    let (_, list) = session.get(&path).await;
    assert_eq!(list["value"].as_array().unwrap().len(), 1, "{list}");
    text(&list["value"][0]["id"])
}

const ONE: &str = "00000000-0000-4000-8000-000000000001";
const TWO: &str = "00000000-0000-4000-8000-000000000002";
const STABLE: &str = "2022-04-01";

#[tokio::test]
async fn a_role_is_found_by_its_name_and_assigned_once() {
    let session = Session::start(ARM).await;
    let created = create(&session, "cart").await;
    let principal = &created["properties"]["principalId"];
    let role = reader(&session).await;
    assert!(role.ends_with(&format!("/roleDefinitions/{READER}")), "{role}");
    let body = assigned(principal, &role);
    assert_eq!(session.put(&assignment(ONE, STABLE), body.clone()).await.0, StatusCode::CREATED);
    assert_eq!(session.put(&assignment(ONE, STABLE), body.clone()).await.0, StatusCode::OK);
    let twice = session.put(&assignment(TWO, STABLE), body).await;
    assert_eq!(refused(&twice), (409, "RoleAssignmentExists".to_owned()));
    let list = format!(
        "{}/providers/Microsoft.Authorization/roleAssignments?api-version={STABLE}&$filter=principalId%20eq%20'{}'",
        scope(),
        text(principal)
    );
    let (_, listed) = session.get(&list).await;
    assert_eq!(listed["value"][0]["name"], ONE);
    assert_eq!(session.delete(&assignment(ONE, STABLE)).await.0, StatusCode::OK);
    assert_eq!(session.delete(&assignment(ONE, STABLE)).await.0, StatusCode::NO_CONTENT);
    assert_eq!(refused(&session.get(&assignment(ONE, STABLE)).await), (404, "RoleAssignmentNotFound".to_owned()));
}

#[tokio::test]
async fn a_new_principal_is_not_found_unless_its_type_is_told() {
    let session = Session::start(ARM).await;
    session.emulator.faults(r#"{"replication_lag":1}"#).unwrap();
    let created = create(&session, "cart").await;
    let mut body = assigned(&created["properties"]["principalId"], &reader(&session).await);
    let early = session.put(&assignment(ONE, STABLE), body.clone()).await;
    assert_eq!(refused(&early), (400, "PrincipalNotFound".to_owned()));
    assert_eq!(session.put(&assignment(ONE, STABLE), body.clone()).await.0, StatusCode::CREATED);
    body["properties"]["principalId"] = json!("99999999-9999-4999-8999-999999999999");
    let nobody = session.put(&assignment(TWO, STABLE), body.clone()).await;
    assert_eq!(refused(&nobody), (400, "PrincipalNotFound".to_owned()));
    body["properties"]["principalType"] = json!("ServicePrincipal");
    assert_eq!(session.put(&assignment(TWO, STABLE), body).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn bad_role_assignments_are_refused_in_resource_managers_words() {
    let session = Session::start(ARM).await;
    let created = create(&session, "cart").await;
    let principal = &created["properties"]["principalId"];
    let role = reader(&session).await;
    let good = assigned(principal, &role);
    let name = session.put(&assignment("mine", STABLE), good.clone()).await;
    assert_eq!(refused(&name), (400, "InvalidRoleAssignmentId".to_owned()));
    let unknown = role.replace(READER, ONE);
    let role = session.put(&assignment(ONE, STABLE), assigned(principal, &unknown)).await;
    assert_eq!(refused(&role), (404, "RoleDefinitionDoesNotExist".to_owned()));
    let mut user = good;
    user["properties"]["principalType"] = json!("User");
    let user = session.put(&assignment(ONE, STABLE), user).await;
    assert_eq!(refused(&user), (400, "UnmatchedPrincipalType".to_owned()));
}

#[tokio::test]
async fn only_a_token_for_resource_manager_is_good() {
    let mut session = Session::start(ARM).await;
    session.token = login(&session.emulator, &session.client, GRAPH).await;
    let answer = session.get(&format!("{}?{VERSION}", identity("cart"))).await;
    assert_eq!(refused(&answer), (401, "InvalidAuthenticationTokenAudience".to_owned()));
    let url = format!("{}{}", session.emulator.authority(), &identity("cart")[1..]);
    let response = session.client.get(url).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_identities_of_the_configuration_are_resources() {
    let session = Session::start(ARM).await;
    let path = identity("demo").replace("/shop/", "/azwi-emulator/");
    let (status, found) = session.get(&format!("{path}?{VERSION}")).await;
    assert_eq!(status, StatusCode::OK, "{found}");
    assert_eq!(found["properties"]["clientId"], clients::DEMO);
}
