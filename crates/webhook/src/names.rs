//! What Kubernetes allows in names. They come into paths of requests to the API server, so nothing else may.

/// Whether it is a label of RFC 1123, as names of namespaces are.
pub(crate) fn is_label(name: &str) -> bool {
    name.len() <= 63 && is_label_of_any_length(name)
}

/// Whether it is a subdomain of RFC 1123, as most names of objects are.
pub(crate) fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label_of_any_length)
}

/// Whether it may stand behind the slash of an annotation's or a label's key.
pub(crate) fn is_qualified(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    name.len() <= 63 && is_alphanumeric_at_ends(name) && name.bytes().all(is_allowed)
}

fn is_label_of_any_length(part: &str) -> bool {
    is_alphanumeric_at_ends(part) && part.bytes().all(|byte| is_lower(byte) || byte == b'-')
}

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_alphanumeric_at_ends(name: &str) -> bool {
    let ends = [name.bytes().next(), name.bytes().next_back()];
    ends.iter().all(|end| end.is_some_and(|byte| byte.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_changes_a_path_is_a_name() {
        for name in ["", ".", "..", "a/b", "a%2fb", "a?b", "A", "-a", "a.", "a..b", "a b"] {
            assert!(!is_subdomain(name) && !is_label(name), "{name:?}");
        }
    }

    #[test]
    fn service_accounts_may_have_dots_and_namespaces_may_not() {
        assert!(is_subdomain("cart.v1-2") && !is_label("cart.v1-2") && is_label("cart-v1-2"));
    }
}
