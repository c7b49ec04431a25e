//! `Microsoft.Authorization/roleAssignments`: kept and shown, and without effect on what a token may do here
//! (<https://learn.microsoft.com/rest/api/authorization/role-assignments>).

use axum::http::StatusCode;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::path::ResourcePath;
use super::{body, not_allowed, role_definitions};
use crate::cloud::call::Call;
use crate::cloud::{Answer, Outcome, Problem, filter};
use crate::config::{RoleAssignment, Tenant};
use crate::entra::Entra;
use crate::faults::Api;

const SERVICE_PRINCIPAL: &str = "ServicePrincipal";
/// The first version in which a `principalType` stands in for looking the principal up.
const TRUSTS_PRINCIPAL_TYPE: &str = "2018-09-01-preview";

pub(super) fn answer(entra: &Entra, call: &Call, path: &ResourcePath) -> Outcome {
    match (call.method.as_str(), path.parts.len()) {
        ("GET", 1) => list(entra, call, path),
        ("GET", 2) => get(entra, call, path),
        ("PUT", 2) => put(entra, call, path),
        ("DELETE", 2) => delete(entra, call, path),
        _ => Err(not_allowed(&call.method)),
    }
}

/// At the scope and below it, or with `atScope()` at the scope and above it.
fn list(entra: &Entra, call: &Call, path: &ResourcePath) -> Outcome {
    let text = call.parameter("$filter").unwrap_or_default();
    let understood =
        |filter: &Vec<filter::Equals>| filter.iter().all(|equals| equals.property.eq_ignore_ascii_case("principalId"));
    let filter = filter::parse(text).filter(understood).ok_or_else(|| {
        let text = format!("The filter '{text}' is not supported. Supported filters are 'atScope()' and \"principalId eq '{{value}}'\".");
        Problem::bad_request("UnsupportedQuery", text)
    })?;
    let at_scope = text.contains("atScope()");
    let scope = path.scope();
    let wanted = |assignment: &&RoleAssignment| {
        let placed = if at_scope { within(&scope, &assignment.scope) } else { within(&assignment.scope, &scope) };
        let principal = assignment.principal_id.to_string();
        placed && filter.iter().all(|equals| equals.value.eq_ignore_ascii_case(&principal))
    };
    let config = entra.directory.now();
    let tenant = config.tenant(&call.caller.tenant.to_string());
    let assignments = tenant.into_iter().flat_map(|tenant| &tenant.role_assignments);
    super::list(call, assignments.filter(wanted).map(describe).collect())
}

/// Whether `inner` is `outer` or below it.
fn within(inner: &str, outer: &str) -> bool {
    let (inner, outer) = (inner.to_ascii_lowercase(), outer.to_ascii_lowercase());
    let rest = inner.strip_prefix(outer.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn get(entra: &Entra, call: &Call, path: &ResourcePath) -> Outcome {
    let name = name(path)?;
    let config = entra.directory.now();
    let assignments = config.tenant(&call.caller.tenant.to_string()).into_iter();
    let mut assignments = assignments.flat_map(|tenant| &tenant.role_assignments);
    let assignment = assignments.find(|assignment| is(assignment, name, path)).ok_or_else(|| {
        Problem::not_found("RoleAssignmentNotFound", format!("The role assignment '{name}' is not found."))
    })?;
    Ok(Answer::ok(describe(assignment)))
}

fn put(entra: &Entra, call: &Call, path: &ResourcePath) -> Outcome {
    let wanted = Wanted::read(&body(call)?)?;
    let assignment = RoleAssignment {
        name: name(path)?,
        scope: path.scope(),
        role_definition_id: wanted.role_definition_id.clone(),
        principal_id: wanted.principal_id,
        created: OffsetDateTime::now_utc(),
    };
    entra.directory.change(call.caller.tenant, |tenant| {
        wanted.check_principal(entra, call, tenant)?;
        if let Some(present) = tenant.role_assignments.iter().find(|present| is(present, assignment.name, path)) {
            return again(present, &assignment);
        }
        if let Some(present) = tenant.role_assignments.iter().find(|present| same(present, &assignment)) {
            return Err(exists(present));
        }
        let described = describe(&assignment);
        tenant.role_assignments.push(assignment);
        Ok(Answer::created(described))
    })
}

/// 200 with what was deleted, or 204.
fn delete(entra: &Entra, call: &Call, path: &ResourcePath) -> Outcome {
    let name = name(path)?;
    entra.directory.change(call.caller.tenant, |tenant| {
        let position = tenant.role_assignments.iter().position(|assignment| is(assignment, name, path));
        let Some(position) = position else { return Ok(Answer::no_content()) };
        Ok::<_, Problem>(Answer::ok(describe(&tenant.role_assignments.remove(position))))
    })
}

fn name(path: &ResourcePath) -> Result<Uuid, Problem> {
    let name = path.name(0);
    Uuid::try_parse(name).map_err(|_| {
        let text = format!("The role assignment ID '{name}' is not valid. The role assignment ID must be a GUID.");
        Problem::bad_request("InvalidRoleAssignmentId", text)
    })
}

/// The body of a PUT.
struct Wanted {
    role_definition_id: String,
    principal_id: Uuid,
    principal_type: Option<String>,
}

impl Wanted {
    fn read(body: &Value) -> Result<Self, Problem> {
        let property = |name: &str| body.pointer(&format!("/properties/{name}")).and_then(Value::as_str);
        let (Some(definition), Some(principal)) = (property("roleDefinitionId"), property("principalId")) else {
            let text = "The request was incorrectly formatted.";
            return Err(Problem::bad_request("BadRequestFormat", text));
        };
        let principal_id = Uuid::try_parse(principal).map_err(|_| {
            let text = format!("The Principal ID '{principal}' is not valid. Principal ID must be a GUID.");
            Problem::bad_request("InvalidPrincipalId", text)
        })?;
        role_definitions::find(definition).ok_or_else(|| role_definitions::missing(definition))?;
        Ok(Self {
            role_definition_id: definition.to_owned(),
            principal_id,
            principal_type: property("principalType").map(str::to_owned),
        })
    }

    /// A principal whose type is told is taken on trust, so that one that is new can be had at once.
    fn check_principal(&self, entra: &Entra, call: &Call, tenant: &Tenant) -> Result<(), Problem> {
        let version = call.parameter("api-version").unwrap_or_default();
        match self.principal_type.as_deref() {
            Some(SERVICE_PRINCIPAL) if version >= TRUSTS_PRINCIPAL_TYPE => Ok(()),
            Some(other) if other != SERVICE_PRINCIPAL => Err(Problem::bad_request(
                "UnmatchedPrincipalType",
                format!(
                    "The PrincipalId '{}' has type '{SERVICE_PRINCIPAL}' , which is different from specified PrinciaplType '{other}'.",
                    self.principal_id.simple()
                ),
            )),
            _ => self.look_up(entra, tenant),
        }
    }

    fn look_up(&self, entra: &Entra, tenant: &Tenant) -> Result<(), Problem> {
        let known = tenant.principal(self.principal_id).is_some();
        if known && entra.directory.sees(Api::Arm, self.principal_id) {
            return Ok(());
        }
        let text = format!(
            "Principal {} does not exist in the directory {}. Check that you have the correct principal ID. If you are creating this principal and then immediately assigning a role, this error might be related to a replication delay. In this case, set the role assignment principalType property to a value, such as ServicePrincipal, User, or Group.  See https://aka.ms/docs-principaltype",
            self.principal_id.simple(),
            tenant.id
        );
        Err(Problem::bad_request("PrincipalNotFound", text))
    }
}

fn is(assignment: &RoleAssignment, name: Uuid, path: &ResourcePath) -> bool {
    assignment.name == name && assignment.scope.eq_ignore_ascii_case(&path.scope())
}

fn same(one: &RoleAssignment, other: &RoleAssignment) -> bool {
    let role = |assignment: &RoleAssignment| role_definitions::find(&assignment.role_definition_id).map(|(_, id)| id);
    one.scope.eq_ignore_ascii_case(&other.scope) && one.principal_id == other.principal_id && role(one) == role(other)
}

/// A PUT of what is there already.
fn again(present: &RoleAssignment, wanted: &RoleAssignment) -> Outcome {
    if same(present, wanted) {
        return Ok(Answer::ok(describe(present)));
    }
    let text = "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.";
    Err(Problem::conflict("RoleAssignmentUpdateNotPermitted", text))
}

fn exists(present: &RoleAssignment) -> Problem {
    let text = format!(
        "The role assignment already exists. The ID of the existing role assignment is {}.",
        present.name.simple()
    );
    Problem::new(StatusCode::CONFLICT, "RoleAssignmentExists", text)
}

fn describe(assignment: &RoleAssignment) -> Value {
    let scope = assignment.scope.trim_end_matches('/');
    let created = assignment.created.format(&Rfc3339).unwrap_or_default();
    json!({
        "id": format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{}", assignment.name),
        "name": assignment.name,
        "type": "Microsoft.Authorization/roleAssignments",
        "properties": {
            "roleDefinitionId": assignment.role_definition_id,
            "principalId": assignment.principal_id,
            "principalType": SERVICE_PRINCIPAL,
            "scope": assignment.scope,
            "condition": null,
            "createdOn": created,
            "updatedOn": created,
        },
    })
}
