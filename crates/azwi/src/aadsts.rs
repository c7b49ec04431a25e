//! Cause and fix of Entra's codes: the table of docs/troubleshooting.md, so that there is one.

const TABLE: &str = include_str!("../../../docs/troubleshooting.md");

pub(crate) struct Explanation {
    pub(crate) cause: &'static str,
    pub(crate) fix: &'static str,
}

/// `code` is the number of `AADSTS<number>`.
pub(crate) fn explain(code: u64) -> Option<Explanation> {
    let first = format!("| AADSTS{code} | ");
    let row = TABLE.lines().find_map(|line| line.strip_prefix(&first))?;
    let (cause, fix) = row.split_once(" | ")?;
    Some(Explanation { cause, fix: fix.trim_end_matches(['|', ' ']) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_its_cause_and_fix_from_the_page() {
        let explanation = explain(700_213).unwrap();
        assert_eq!(explanation.cause, "no federated credential has this subject");
        assert!(explanation.fix.starts_with("It is `system:serviceaccount:"), "{}", explanation.fix);
        assert!(!explanation.fix.ends_with('|'));
    }

    #[test]
    fn a_code_that_the_page_does_not_have_is_not_explained() {
        assert!(explain(1).is_none());
    }
}
