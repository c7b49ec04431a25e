//! Certificates in PEM text, one by one.

const END: &str = "-----END CERTIFICATE-----";

/// Each certificate of `pem`, as text.
pub(super) fn certificates(pem: &str) -> impl Iterator<Item = &str> {
    pem.split_inclusive(END).map(str::trim).filter(|text| text.ends_with(END))
}

/// Whether all certificates of `pem` are in `others`.
pub(super) fn are_in(pem: &str, others: &str) -> bool {
    certificates(pem).all(|certificate| others.contains(certificate))
}

/// `pem`, and behind it the first certificate of `other` unless it is there already.
pub(super) fn with_first_of(pem: &str, other: &str) -> String {
    match certificates(other).next() {
        Some(first) if !pem.contains(first) => format!("{}\n{first}\n", pem.trim_end()),
        _ => pem.to_owned(),
    }
}

/// `pem`, and behind it those certificates of `others` that are not there already.
pub(super) fn with_all_of(pem: &str, others: &str) -> String {
    certificates(others).fold(pem.to_owned(), |all, other| with_first_of(&all, other))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n";
    const B: &str = "-----BEGIN CERTIFICATE-----\nB\n-----END CERTIFICATE-----\n";

    #[test]
    fn a_bundle_has_all_certificates_whatever_is_between_them() {
        let both = format!("{A}\n\n{B}");
        assert!(are_in(&both, &format!("{B}{A}")) && are_in(A, &both) && !are_in(&both, A));
    }

    #[test]
    fn the_first_of_others_is_added_once() {
        let both = with_first_of(A, &format!("{B}{A}"));
        assert_eq!(both, format!("{A}{B}"));
        assert_eq!(with_first_of(&both, B), both);
        assert_eq!(with_first_of(A, "garbage"), A);
        assert_eq!(with_all_of(A, &format!("{B}{A}{B}")), both);
    }
}
