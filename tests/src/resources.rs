//! More resources than any app asks for, and an Entra that knows them all.

use serde_json::json;

use crate::emulator::{DEMO_SUBJECT, clients::DEMO};

/// How many Entra knows.
const RESOURCES: usize = 1500;
/// The claim `roles` of the tokens, so long that a token has the 1.6 KB of a real one.
const ROLES: [&str; 2] = ["Some.Role.That.Makes.The.Token.As.Long.As.A.Real.One", "And.Another.One"];

/// The `number`th resource, of 1,500; all have names of the same length.
pub fn resource(number: usize) -> String {
    format!("https://resource-{number:04}.example.com/")
}

/// For [`crate::emulator::Emulator::start_with`]: one identity, and all these resources.
pub fn config() -> String {
    let resources: Vec<String> = (0..RESOURCES).map(resource).collect();
    let demo = json!({
        "name": "demo",
        "client_id": DEMO,
        "kind": "managed_identity",
        "roles": ROLES,
        "federated_identity_credentials": [{ "subject": DEMO_SUBJECT }],
    });
    let tenant = json!({ "id": "11111111-1111-4111-8111-111111111111", "applications": [demo] });
    json!({ "tenants": [tenant], "resources": resources }).to_string()
}
