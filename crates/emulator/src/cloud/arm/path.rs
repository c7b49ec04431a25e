//! A resource id as Resource Manager reads it: a scope, then `providers`, a namespace, and types and names in turn.

/// Everything as it was written; Resource Manager compares without regard to case.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ResourcePath {
    /// Of the resource: `/subscriptions/…/resourceGroups/…`, or another resource's id.
    pub(crate) scope: Vec<String>,
    pub(crate) namespace: String,
    /// Types and names in turn.
    pub(crate) parts: Vec<String>,
}

impl ResourcePath {
    /// The last `providers` counts: a role assignment's scope may be a resource.
    pub(crate) fn parse(segments: &[String]) -> Option<Self> {
        let provider = segments.iter().rposition(|segment| segment.eq_ignore_ascii_case("providers"))?;
        let (scope, rest) = segments.split_at_checked(provider)?;
        match rest {
            [_, namespace, parts @ ..] if !parts.is_empty() => {
                Some(Self { scope: scope.to_vec(), namespace: namespace.clone(), parts: parts.to_vec() })
            }
            _ => None,
        }
    }

    pub(crate) fn subscription(&self) -> Option<&str> {
        self.after_scope("subscriptions")
    }

    pub(crate) fn resource_group(&self) -> Option<&str> {
        self.after_scope("resourcegroups")
    }

    /// The scope as text; `/` for the tenant.
    pub(crate) fn scope(&self) -> String {
        format!("/{}", self.scope.join("/"))
    }

    /// The name of the resource, or of its child.
    pub(crate) fn name(&self, level: usize) -> &str {
        self.parts.get(2 * level + 1).map_or("", String::as_str)
    }

    fn after_scope(&self, name: &str) -> Option<&str> {
        let position = self.scope.iter().position(|segment| segment.eq_ignore_ascii_case(name))?;
        self.scope.get(position + 1).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> Option<ResourcePath> {
        ResourcePath::parse(&path.split('/').skip(1).map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_scope_may_be_a_resource() {
        let path = parse("/subscriptions/s/resourceGroups/g/providers/A/b/c/Providers/D/e/f").unwrap();
        assert_eq!(path.scope(), "/subscriptions/s/resourceGroups/g/providers/A/b/c");
        assert_eq!((path.subscription(), path.resource_group()), (Some("s"), Some("g")));
        assert_eq!((path.namespace.as_str(), path.name(0)), ("D", "f"));
    }

    #[test]
    fn without_a_type_there_is_no_resource() {
        assert_eq!(parse("/subscriptions/s"), None);
        assert_eq!(parse("/subscriptions/s/providers/A"), None);
    }
}
