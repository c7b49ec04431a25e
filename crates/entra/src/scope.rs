//! From an IMDS resource to an OAuth 2.0 scope.

use std::fmt;

use thiserror::Error;

/// Why a resource cannot become a scope.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ScopeError {
    /// Nothing to ask for.
    #[error("the resource is empty")]
    Empty,
    /// Whitespace separates scopes, and the client credentials grant takes one resource.
    #[error("the resource contains whitespace: one resource at a time")]
    Whitespace,
}

/// `<resource>/.default`, the only form the client credentials grant accepts (otherwise AADSTS1002012).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope(String);

impl Scope {
    /// Appends `/.default` unless it is there. A trailing slash stays: Entra takes everything before the last `/` as the
    /// audience, so `https://management.core.windows.net/` becomes `https://management.core.windows.net//.default`.
    ///
    /// # Errors
    /// [`ScopeError`] for an empty resource or one with whitespace.
    pub fn for_resource(resource: &str) -> Result<Self, ScopeError> {
        if resource.is_empty() {
            return Err(ScopeError::Empty);
        }
        if resource.contains(char::is_whitespace) {
            return Err(ScopeError::Whitespace);
        }
        if resource.ends_with("/.default") {
            return Ok(Self(resource.to_owned()));
        }
        Ok(Self(format!("{resource}/.default")))
    }

    /// The scope as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_gets_the_default_suffix_once_and_keeps_its_trailing_slash() {
        for (resource, scope) in [
            ("https://vault.azure.net", "https://vault.azure.net/.default"),
            ("https://management.core.windows.net/", "https://management.core.windows.net//.default"),
            ("https://vault.azure.net/.default", "https://vault.azure.net/.default"),
            ("00000003-0000-0000-c000-000000000000", "00000003-0000-0000-c000-000000000000/.default"),
        ] {
            assert_eq!(Scope::for_resource(resource).unwrap().as_str(), scope);
        }
    }

    #[test]
    fn a_resource_with_whitespace_or_none_at_all_is_refused() {
        assert_eq!(Scope::for_resource(""), Err(ScopeError::Empty));
        assert_eq!(Scope::for_resource("https://a https://b"), Err(ScopeError::Whitespace));
    }
}
