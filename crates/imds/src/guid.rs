//! The one spelling of a GUID that Entra ID prints: `8-4-4-4-12` hexadecimal digits. Braces, bare
//! digits and URNs are refused.

const LENGTH: usize = 36;
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// `value` in lower case if it is a GUID; GUIDs compare without regard to case.
pub(crate) fn normalise(value: &str) -> Option<String> {
    let well_formed = value.len() == LENGTH && value.bytes().enumerate().all(is_in_place);
    well_formed.then(|| value.to_ascii_lowercase())
}

fn is_in_place((position, byte): (usize, u8)) -> bool {
    if HYPHENS.contains(&position) { byte == b'-' } else { byte.is_ascii_hexdigit() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_is_normalised_to_lower_case() {
        assert_eq!(
            normalise("0A1B2C3D-0000-4000-8000-ABCDEFABCDEF").as_deref(),
            Some("0a1b2c3d-0000-4000-8000-abcdefabcdef")
        );
    }

    #[test]
    fn other_spellings_are_no_guid() {
        for value in [
            "",
            "default",
            "0a1b2c3d000040008000abcdefabcdef",
            "{0a1b2c3d-0000-4000-8000-abcdefabcdef}",
            "urn:uuid:0a1b2c3d-0000-4000-8000-abcdefabcdef",
            "0a1b2c3d-0000-4000-8000-abcdefabcde",
            "0a1b2c3d-0000-4000-8000-abcdefabcdefa",
            " a1b2c3d-0000-4000-8000-abcdefabcdef",
            "0a1b2c3d-0000-4000-8000-abcdefabcdeg",
            "0a1b2c3d00-00-4000-8000-abcdefabcdef",
            "0a1b2c3d-0000-4000-8000-abcdefabcdé",
        ] {
            assert_eq!(normalise(value), None, "{value:?}");
        }
    }
}
