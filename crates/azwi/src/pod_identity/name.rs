//! What Kubernetes allows as names of objects.

/// Whether it is a subdomain of RFC 1123, as names of objects are.
pub(super) fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label)
}

/// Whether it is a label of RFC 1123, as names of namespaces are: no dot.
pub(super) fn is_namespace(name: &str) -> bool {
    name.len() <= 63 && is_label(name)
}

fn is_label(part: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [part.bytes().next(), part.bytes().next_back()];
    ends.iter().all(|end| end.is_some_and(is_plain)) && part.bytes().all(|byte| is_plain(byte) || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_leads_out_of_a_folder_is_a_name() {
        for name in ["", ".", "..", "a/b", "a\\b", "c:", "A", "-a", "a.", "a b", "a\n"] {
            assert!(!is_subdomain(name) && !is_namespace(name), "{name:?}");
        }
        assert!(is_subdomain("cart.v1-2") && !is_namespace("cart.v1-2"));
    }
}
