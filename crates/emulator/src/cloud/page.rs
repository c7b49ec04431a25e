//! A list in pages: `$top` and `$skiptoken`, as both Graph and Resource Manager have it.

use std::ops::RangeInclusive;

use serde_json::Value;

use crate::cloud::call::Call;

#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Vec<Value>,
    /// Where the next page is.
    pub(crate) next: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadPage {
    Size(String),
    Token,
}

/// Of `items`, the part that the call asks for; `default` is the size where it names none.
pub(crate) fn of(
    items: Vec<Value>,
    call: &Call,
    default: usize,
    sizes: &RangeInclusive<usize>,
) -> Result<Page, BadPage> {
    let size = match call.parameter("$top") {
        None => default,
        Some(top) => match top.parse() {
            Ok(size) if sizes.contains(&size) => size,
            _ => return Err(BadPage::Size(top.to_owned())),
        },
    };
    let start: usize = call.parameter("$skiptoken").unwrap_or("0").parse().map_err(|_| BadPage::Token)?;
    let end = start.saturating_add(size);
    let next = (end < items.len()).then(|| next(call, end));
    Ok(Page { items: items.into_iter().skip(start).take(size).collect(), next })
}

fn next(call: &Call, end: usize) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(call.parameters().filter(|(name, _)| !name.eq_ignore_ascii_case("$skiptoken")));
    query.append_pair("$skiptoken", &end.to_string());
    format!("{}?{}", call.url, query.finish())
}
