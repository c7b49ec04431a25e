//! The groups of tests. A group is what needs the same things of a machine, told by the names of the test files.

use std::path::Path;
use std::{fs, io};

use crate::language::{LANGUAGES, Language};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Unit,
    BlackBox,
    /// What takes the time of answers.
    Timing,
    /// What only a kernel with Landlock can show.
    Landlock,
    Namespace,
    Iptables,
    Uids,
    /// The sidecar as it ships.
    Release,
    /// The images in real containers; a part of `e2e`.
    Pods,
    /// The webhook and its chart with a real API server.
    Kube,
    /// The Azure SDKs of one language.
    Clients(&'static Language),
}

impl Group {
    /// Those that are built soon and need no language but Rust.
    const RUST: [Self; 7] =
        [Self::Unit, Self::BlackBox, Self::Timing, Self::Landlock, Self::Namespace, Self::Iptables, Self::Uids];

    /// What runs where none is named: all that is built soon.
    pub(crate) fn usual() -> Vec<Self> {
        Self::RUST.into_iter().chain(Self::clients()).collect()
    }

    fn all() -> impl Iterator<Item = Self> {
        Self::usual().into_iter().chain([Self::Release, Self::Kube])
    }

    fn clients() -> impl Iterator<Item = Self> {
        LANGUAGES.iter().map(Self::Clients)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::BlackBox => "black-box",
            Self::Timing => "timing",
            Self::Landlock => "landlock",
            Self::Namespace => "namespace",
            Self::Iptables => "iptables",
            Self::Uids => "uids",
            Self::Release => "release",
            Self::Pods => "pods",
            Self::Kube => "kube",
            Self::Clients(language) => language.name,
        }
    }

    /// The group of that name; those of all languages together have one, too.
    pub(crate) fn named(name: &str) -> Result<Vec<Self>, String> {
        if name == "clients" {
            return Ok(Self::clients().collect());
        }
        let found = Self::all().find(|group| group.name() == name);
        found.map(|group| vec![group]).ok_or_else(|| format!("no group of tests is named {name:?}"))
    }

    /// The group that the integration test `target` belongs to.
    fn of(target: &str) -> Self {
        let language = target.strip_prefix("redirect_clients_").and_then(Language::named);
        match target {
            _ if let Some(language) = language => Self::Clients(language),
            _ if target.starts_with("redirect_iptables") => Self::Iptables,
            _ if target.starts_with("redirect_uids") => Self::Uids,
            _ if target.starts_with("redirect_") || target == "namespace" => Self::Namespace,
            "measured" => Self::Timing,
            "landlock" => Self::Landlock,
            "release" => Self::Release,
            "pods" => Self::Pods,
            "kube" => Self::Kube,
            _ => Self::BlackBox,
        }
    }

    /// The integration tests of this group among the files of `directory`, sorted.
    pub(crate) fn targets(self, directory: &Path) -> io::Result<Vec<String>> {
        let mut targets = Vec::new();
        for entry in fs::read_dir(directory)? {
            targets.extend(target(&entry?.path()).filter(|name| Self::of(name) == self));
        }
        targets.sort();
        Ok(targets)
    }
}

/// What Cargo takes for an integration test: `name.rs` or `name/main.rs`.
fn target(path: &Path) -> Option<String> {
    let is_target = path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").is_file();
    let name = is_target.then(|| path.file_stem())??;
    Some(name.to_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_file_s_name_tells_its_group() {
        assert_eq!(Group::of("redirect_iptables_legacy"), Group::Iptables);
        assert_eq!(Group::of("redirect_uids"), Group::Uids);
        assert_eq!(Group::of("redirect_nftables"), Group::Namespace);
        assert_eq!(Group::of("redirect_clients_java").name(), "java");
        assert_eq!(Group::of("namespace"), Group::Namespace);
        assert_eq!(Group::of("release"), Group::Release);
        assert_eq!(Group::of("kube"), Group::Kube);
        assert_eq!(Group::of("measured"), Group::Timing);
        assert_eq!(Group::of("landlock"), Group::Landlock);
        assert_eq!(Group::of("concurrency"), Group::BlackBox);
    }

    #[test]
    fn every_group_is_found_by_its_name() {
        for group in Group::all() {
            assert_eq!(Group::named(group.name()), Ok(vec![group]));
        }
    }

    #[test]
    fn the_groups_of_all_languages_have_a_name_together() {
        assert_eq!(Group::named("clients"), Ok(Group::clients().collect()));
    }

    #[test]
    fn only_what_cargo_takes_for_a_test_is_a_target() {
        assert_eq!(target(Path::new("/nowhere/outage.rs")), Some("outage".to_owned()));
        assert_eq!(target(Path::new("/nowhere/README.md")), None);
    }
}
