//! The form body of a token request (RFC 6749 section 4.4.2, RFC 7523 section 2.2).

/// Values stay as they came; a parameter that is absent or empty is `None`.
#[derive(Clone, Default)]
pub(crate) struct TokenForm {
    pub(crate) grant_type: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) client_secret: Option<String>,
    pub(crate) client_assertion_type: Option<String>,
    pub(crate) client_assertion: Option<String>,
    /// A parameter of the above came twice.
    pub(crate) repeated: bool,
}

impl TokenForm {
    /// Parameters without a meaning here are ignored, as RFC 6749 section 3.2 wants.
    pub(crate) fn parse(body: &[u8]) -> Self {
        let mut form = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            let Some(field) = form.field(&name) else { continue };
            let repeated = field.is_some();
            if !value.is_empty() {
                *field = Some(value.into_owned());
            }
            form.repeated |= repeated;
        }
        form
    }

    fn field(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            "grant_type" => Some(&mut self.grant_type),
            "client_id" => Some(&mut self.client_id),
            "scope" => Some(&mut self.scope),
            "resource" => Some(&mut self.resource),
            "client_secret" => Some(&mut self.client_secret),
            "client_assertion_type" => Some(&mut self.client_assertion_type),
            "client_assertion" => Some(&mut self.client_assertion),
            _ => None,
        }
    }
}
