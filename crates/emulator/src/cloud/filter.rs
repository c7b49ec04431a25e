//! `$filter` as far as it is understood here: `property eq 'value'`, joined by `and` (`OData` 4.01 part 2, section
//! 5.1.1), and Resource Manager's `atScope()`.

/// One comparison: every property and value it must have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Equals {
    pub(crate) property: String,
    pub(crate) value: String,
}

/// `None` for anything else than such comparisons.
pub(crate) fn parse(filter: &str) -> Option<Vec<Equals>> {
    let mut rest = filter.trim();
    let mut all = Vec::new();
    while !rest.is_empty() {
        let (equals, after) = comparison(rest)?;
        all.extend(equals);
        rest = after.trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix("and ")?.trim_start();
        }
    }
    Some(all)
}

fn comparison(filter: &str) -> Option<(Option<Equals>, &str)> {
    if let Some(rest) = filter.strip_prefix("atScope()") {
        return Some((None, rest));
    }
    let (property, rest) = filter.split_once(' ')?;
    let rest = rest.trim_start().strip_prefix("eq ")?.trim_start();
    let (value, rest) = literal(rest.strip_prefix('\'')?)?;
    Some((Some(Equals { property: property.to_owned(), value }), rest))
}

/// Up to the closing quote; two quotes stand for one.
fn literal(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('\'')?;
        value.push_str(before);
        let Some(more) = after.strip_prefix('\'') else { return Some((value, after)) };
        value.push('\'');
        rest = more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equals(property: &str, value: &str) -> Equals {
        Equals { property: property.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn a_doubled_quote_stands_for_one() {
        assert_eq!(parse("displayName eq 'it''s'"), Some(vec![equals("displayName", "it's")]));
    }

    #[test]
    fn comparisons_are_joined_by_and() {
        let both = parse("atScope() and principalId eq 'p' and x eq ' and '").unwrap();
        assert_eq!(both, [equals("principalId", "p"), equals("x", " and ")]);
    }

    #[test]
    fn anything_else_is_not_understood() {
        for filter in ["displayName", "a ne 'b'", "a eq b", "a eq 'b", "a eq 'b' or c eq 'd'", "startswith(a,'b')"] {
            assert_eq!(parse(filter), None, "{filter}");
        }
    }
}
