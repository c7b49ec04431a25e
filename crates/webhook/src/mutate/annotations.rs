//! A pod's annotations that are ours, out of what may be many.

use std::fmt;

use azwi_conventions::annotation::PREFIX;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::pod::Text;

/// Those with our prefix, as they stand.
#[derive(Debug)]
pub(super) struct Annotations<'a>(Vec<(Text<'a>, Text<'a>)>);

impl Annotations<'_> {
    /// Of a pod that has none.
    pub(super) const NONE: Self = Self(Vec::new());

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.iter().find_map(|(found, value)| (found == key).then_some(value))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&*key.0, &*value.0))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Annotations<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Ours)
    }
}

struct Ours;

impl<'de> Visitor<'de> for Ours {
    type Value = Annotations<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("annotations")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Annotations<'de>, A::Error> {
        let mut ours = Vec::new();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            if key.0.starts_with(PREFIX) {
                ours.push((key, map.next_value()?));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Annotations(ours))
    }
}
