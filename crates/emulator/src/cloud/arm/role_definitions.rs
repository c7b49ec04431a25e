//! `Microsoft.Authorization/roleDefinitions`: some of Azure's built-in roles
//! (<https://learn.microsoft.com/azure/role-based-access-control/built-in-roles>).

use serde_json::{Value, json};
use uuid::{Uuid, uuid};

use super::not_allowed;
use super::path::ResourcePath;
use crate::cloud::call::Call;
use crate::cloud::{Answer, Outcome, Problem, filter};

const BUILT_IN: &[(&str, Uuid)] = &[
    ("Owner", uuid!("8e3af657-a8ff-443c-a75c-2fe8c4bcb635")),
    ("Contributor", uuid!("b24988ac-6180-42a0-ab88-20f7382dd24c")),
    ("Reader", uuid!("acdd72a7-3385-48ef-bd42-f606fba81ae7")),
    ("User Access Administrator", uuid!("18d7d88d-d35e-4fb5-a5c3-7773c20a72d9")),
    ("Key Vault Administrator", uuid!("00482a5a-887f-4fb3-b363-3b7fe8e74483")),
    ("Key Vault Reader", uuid!("21090545-7ca7-4776-b22c-e363652d74d2")),
    ("Key Vault Secrets Officer", uuid!("b86a8fe4-44ce-4948-aee5-eccb2c155cd7")),
    ("Key Vault Secrets User", uuid!("4633458b-17de-408a-b874-0445c86b69e6")),
    ("Storage Blob Data Contributor", uuid!("ba92f5b4-2d11-453d-a403-e96b0029c9fe")),
    ("Storage Blob Data Owner", uuid!("b7e6dc6d-f1e8-4753-8033-0f276bb0955b")),
    ("Storage Blob Data Reader", uuid!("2a2b9908-6ea1-4ae2-8e65-a410df84e7d1")),
    ("Managed Identity Contributor", uuid!("e40ec5ca-96e0-45a2-b4ff-59039f2c2b59")),
    ("Managed Identity Operator", uuid!("f1a07417-d97a-45cb-824c-7a7467783830")),
    ("AcrPull", uuid!("7f951dda-4ed3-4680-a7ca-43fe172d538d")),
];

pub(super) fn answer(call: &Call, path: &ResourcePath) -> Outcome {
    match (call.method.as_str(), path.parts.len()) {
        ("GET", 1) => list(call, path),
        ("GET", 2) => get(path),
        _ => Err(not_allowed(&call.method)),
    }
}

fn list(call: &Call, path: &ResourcePath) -> Outcome {
    let text = call.parameter("$filter").unwrap_or_default();
    let understood =
        |filter: &Vec<filter::Equals>| filter.iter().all(|equals| equals.property.eq_ignore_ascii_case("roleName"));
    let filter = filter::parse(text).filter(understood).ok_or_else(|| {
        let text = format!(
            "The filter '{text}' is not supported. Supported filters are 'atScope()' and \"roleName eq '{{value}}'\"."
        );
        Problem::bad_request("UnsupportedQuery", text)
    })?;
    let wanted = |name: &str| filter.iter().all(|equals| equals.value.eq_ignore_ascii_case(name));
    let definitions = BUILT_IN.iter().filter(|(name, _)| wanted(name));
    super::list(call, definitions.map(|(name, id)| describe(path, name, *id)).collect())
}

fn get(path: &ResourcePath) -> Outcome {
    let wanted = path.name(0);
    let definition = find(wanted).ok_or_else(|| missing(wanted))?;
    Ok(Answer::ok(describe(path, definition.0, definition.1)))
}

/// By its GUID, or by a resource id that ends with it.
pub(super) fn find(id: &str) -> Option<(&'static str, Uuid)> {
    let id = Uuid::try_parse(id.rsplit('/').next()?).ok()?;
    BUILT_IN.iter().find(|(_, known)| *known == id).copied()
}

pub(super) fn missing(id: &str) -> Problem {
    let text = format!("The specified role definition with ID '{id}' does not exist.");
    Problem::not_found("RoleDefinitionDoesNotExist", text)
}

/// Built-in roles have a subscription's id where they are asked for in one.
fn describe(path: &ResourcePath, name: &str, id: Uuid) -> Value {
    let prefix = path.subscription().map(|id| format!("/subscriptions/{id}")).unwrap_or_default();
    json!({
        "id": format!("{prefix}/providers/Microsoft.Authorization/roleDefinitions/{id}"),
        "name": id,
        "type": "Microsoft.Authorization/roleDefinitions",
        "properties": { "roleName": name, "type": "BuiltInRole", "assignableScopes": ["/"] },
    })
}
