//! A path of Graph as collections and keys: `applications/ID`, `applications(appId='…')`.

/// One collection, and which of its objects if any.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) collection: String,
    pub(crate) key: Option<Key>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// The next segment.
    Id(String),
    /// An alternate key, in parentheses.
    Property { name: String, value: String },
}

impl Key {
    pub(crate) fn value(&self) -> &str {
        match self {
            Self::Id(value) | Self::Property { value, .. } => value,
        }
    }
}

pub(crate) fn parse(segments: &[String]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut segments = segments.iter();
    while let Some(segment) = segments.next() {
        steps.push(
            alternate(segment)
                .unwrap_or_else(|| Step { collection: segment.clone(), key: segments.next().cloned().map(Key::Id) }),
        );
    }
    steps
}

fn alternate(segment: &str) -> Option<Step> {
    let (collection, key) = segment.strip_suffix("')")?.split_once('(')?;
    let (name, value) = key.split_once("='")?;
    let key = Key::Property { name: name.to_owned(), value: value.replace("''", "'") };
    Some(Step { collection: collection.to_owned(), key: Some(key) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(path: &str) -> Vec<Step> {
        parse(&path.split('/').map(str::to_owned).collect::<Vec<_>>())
    }

    fn step(collection: &str, key: Option<Key>) -> Step {
        Step { collection: collection.to_owned(), key }
    }

    #[test]
    fn a_key_is_the_next_segment_or_stands_in_parentheses() {
        let credentials = step("federatedIdentityCredentials", None);
        let id = step("applications", Some(Key::Id("1".to_owned())));
        assert_eq!(steps("applications/1/federatedIdentityCredentials"), [id, credentials]);
        let key = Key::Property { name: "appId".to_owned(), value: "1".to_owned() };
        let credentials = step("federatedIdentityCredentials", Some(Key::Id("n".to_owned())));
        let steps = steps("applications(appId='1')/federatedIdentityCredentials/n");
        assert_eq!(steps, [step("applications", Some(key)), credentials]);
    }
}
