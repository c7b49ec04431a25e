//! From an IMDS resource to an OAuth 2.0 scope.

use std::sync::Arc;

use thiserror::Error;

/// Why a text names no resource.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ResourceError {
    /// Nothing to ask for.
    #[error("the resource is empty")]
    Empty,
    /// Whitespace separates scopes, and the client credentials grant takes one resource.
    #[error("the resource contains whitespace: one resource at a time")]
    Whitespace,
}

/// What a token is for: an App ID URI such as `https://vault.azure.net`, or an application's GUID; byte for byte as asked.
/// Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resource(Arc<str>);

impl Resource {
    /// Takes any text without whitespace; whether there is such a resource only Entra knows.
    ///
    /// # Errors
    /// [`ResourceError`] for an empty text or one with whitespace.
    pub fn parse(text: String) -> Result<Self, ResourceError> {
        if text.is_empty() {
            return Err(ResourceError::Empty);
        }
        if text.contains(char::is_whitespace) {
            return Err(ResourceError::Whitespace);
        }
        Ok(Self(text.into()))
    }

    /// The resource as it was asked for.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `<resource>/.default`, the only form the client credentials grant accepts (otherwise AADSTS1002012).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope(String);

impl Scope {
    /// Appends `/.default` unless it is there. A trailing slash stays: Entra takes everything before the last `/` as the
    /// audience, so `https://management.core.windows.net/` becomes `https://management.core.windows.net//.default`.
    pub fn of(Resource(resource): &Resource) -> Self {
        if resource.ends_with("/.default") {
            return Self(resource.to_string());
        }
        Self(format!("{resource}/.default"))
    }

    /// The scope as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
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
            assert_eq!(Scope::of(&Resource::parse(resource.to_owned()).unwrap()).as_str(), scope);
        }
    }

    #[test]
    fn a_resource_with_whitespace_or_none_at_all_is_refused() {
        assert_eq!(Resource::parse(String::new()), Err(ResourceError::Empty));
        assert_eq!(Resource::parse("https://a https://b".to_owned()), Err(ResourceError::Whitespace));
    }
}
