//! What each image must be, and nothing else.

use super::content::{Content, File};
use super::iptables;
use super::run::Trial;

/// One target of one Dockerfile.
pub(crate) struct Kind {
    /// The image's.
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    /// The package's `Cargo.toml`.
    manifest: &'static str,
    pub(crate) dockerfile: &'static str,
    /// None is the Dockerfile's last.
    pub(crate) target: Option<&'static str>,
    /// In the image's root. The only file, unless iptables is there, too.
    pub(crate) program: &'static str,
    pub(crate) has_iptables: bool,
    user: &'static str,
    /// The only ones that it is tried with, as in a pod.
    pub(crate) capabilities: &'static [&'static str],
    /// As Go prints a list.
    environment: &'static str,
    /// As in the Dockerfile.
    pub(crate) cargo_options: &'static [&'static str],
    /// Anew, with nothing left from the first time: it costs as much again, so the smallest one stands for all.
    pub(crate) is_compiled_twice: bool,
    /// Bytes of all files, uncompressed.
    budget: u64,
    /// What an image for arm64 may have more.
    padding: u64,
    pub(crate) trials: &'static [Trial],
}

pub(crate) const ALL: [Kind; 4] = [
    Kind {
        name: "azwi-proxy",
        package: "azwi-proxy",
        manifest: include_str!("../../../crates/proxy/Cargo.toml"),
        dockerfile: "Dockerfile.proxy",
        target: None,
        program: "proxy",
        has_iptables: false,
        user: "1501:1501",
        capabilities: &[],
        environment: USUAL_ENVIRONMENT,
        cargo_options: &[],
        is_compiled_twice: false,
        budget: 7_000_000,
        padding: 0,
        // Nobody answers the probe.
        trials: &[Trial::version("/proxy"), Trial::of("/proxy", &["--probe"], 1, "")],
    },
    Kind {
        name: "azwi-proxy-init",
        package: "azwi-proxy-init",
        manifest: include_str!("../../../crates/proxy-init/Cargo.toml"),
        dockerfile: "Dockerfile.init",
        target: None,
        program: "proxy-init",
        has_iptables: false,
        user: "0",
        capabilities: &["NET_ADMIN"],
        environment: USUAL_ENVIRONMENT,
        cargo_options: &["--no-default-features"],
        is_compiled_twice: true,
        budget: 2_500_000,
        padding: 0,
        trials: &[
            Trial::version("/proxy-init"),
            Trial::of("/proxy-init", REDIRECT, 0, r#""backend":"nftables""#).never_emulated(),
        ],
    },
    Kind {
        name: "azwi-proxy-init-iptables",
        package: "azwi-proxy-init",
        manifest: include_str!("../../../crates/proxy-init/Cargo.toml"),
        dockerfile: "Dockerfile.init",
        target: Some("iptables"),
        program: "proxy-init",
        has_iptables: true,
        user: "0",
        capabilities: &["NET_ADMIN", "NET_RAW"],
        environment: "[PATH=/usr/sbin XTABLES_LOCKFILE=/dev/shm/xtables.lock]",
        cargo_options: &[],
        is_compiled_twice: false,
        budget: 8_000_000,
        // There, Debian lays each of 80 plug-ins out for pages of 64 KiB.
        padding: 4_500_000,
        trials: &[
            Trial::version("/proxy-init"),
            Trial::of("/proxy-init", REDIRECT_BY_IPTABLES, 0, r#""backend":"iptables-nft""#).never_emulated(),
            Trial::of("/usr/sbin/iptables-nft", &["--version"], 0, "(nf_tables)").never_emulated(),
            // Lists what it could be; it does nothing else without netlink, which the emulator does not know.
            Trial::of("/usr/sbin/xtables-nft-multi", &[], 1, "iptables-nft-save"),
            Trial::of("/usr/sbin/iptables-legacy", &["--version"], 0, "(legacy)"),
            Trial::of("/usr/sbin/iptables-legacy", &["--match", "owner", "--help"], 0, "--uid-owner"),
        ],
    },
    Kind {
        name: "azwi-webhook",
        package: "azwi-webhook",
        manifest: include_str!("../../../crates/webhook/Cargo.toml"),
        dockerfile: "Dockerfile.webhook",
        target: None,
        program: "manager",
        has_iptables: false,
        user: "65532:65532",
        capabilities: &[],
        environment: USUAL_ENVIRONMENT,
        cargo_options: &[],
        is_compiled_twice: false,
        budget: 9_000_000,
        padding: 0,
        // Nobody has told it its tenant.
        trials: &[Trial::version("/manager"), Trial::of("/manager", &[], 64, "AZURE_TENANT_ID: required")],
    },
];

/// In a container without a network, which has loopback addresses only.
const REDIRECT: &[&str] = &["--metadata-ip=127.0.0.9"];
const REDIRECT_BY_IPTABLES: &[&str] = &["--metadata-ip=127.0.0.9", "--backend=iptables"];

/// What builders give an image whose Dockerfile says nothing of it.
const USUAL_ENVIRONMENT: &str = "[PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin]";

impl Kind {
    /// With its tag.
    pub(crate) fn image(&self, architecture: &str) -> String {
        format!("localhost/{}:{architecture}", self.name)
    }

    /// Bytes.
    pub(crate) fn budget(&self, architecture: &str) -> u64 {
        if architecture == "arm64" { self.budget + self.padding } else { self.budget }
    }

    /// The error names the first thing that is not as it must be.
    pub(crate) fn check(&self, content: &Content, architecture: &str, commit: &str) -> Result<(), String> {
        let entrypoint = format!("[/{}]", self.program);
        same("architecture", &content.architecture, architecture)?;
        same("user", &content.user, self.user)?;
        same("entrypoint", &content.entrypoint, &entrypoint)?;
        same("environment", &content.environment, self.environment)?;
        same("title", &content.title, self.package)?;
        same("description", &content.description, description(self.manifest)?)?;
        same("revision", &content.revision, commit)?;
        same("version", &content.version, env!("CARGO_PKG_VERSION"))?;
        same("licences", &content.licenses, env!("CARGO_PKG_LICENSE"))?;
        self.check_files(&content.files)?;
        let (size, budget) = (content.size(), self.budget(architecture));
        if size > budget { Err(format!("{size} bytes are more than {budget}")) } else { Ok(()) }
    }

    fn check_files(&self, files: &[File]) -> Result<(), String> {
        let program = format!("-rwxr-xr-x 0/0 {}", self.program);
        let (programs, others): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.to_string() == program);
        let is_stranger = |file: &&File| !(self.has_iptables && iptables::may_hold(file));
        let strangers: Vec<String> = others.into_iter().filter(is_stranger).map(ToString::to_string).collect();
        same("programs", &programs.len().to_string(), "1")?;
        same("other content", &strangers.join(", "), "")
    }
}

/// The package's, as its manifest has it.
fn description(manifest: &str) -> Result<&str, String> {
    let value = manifest.lines().find_map(|line| line.strip_prefix("description = \"")?.strip_suffix('"'));
    value.ok_or_else(|| "the package has no description".to_owned())
}

fn same(what: &str, found: &str, expected: &str) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("its {what} is {found:?}, not {expected:?}")) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cargo::root;

    fn file(mode: &str, path: &str, size: u64) -> File {
        File { mode: mode.into(), owner: "0/0".into(), path: path.into(), size }
    }

    fn image(kind: &Kind, files: Vec<File>) -> Content {
        Content {
            architecture: "amd64".into(),
            user: kind.user.into(),
            entrypoint: format!("[/{}]", kind.program),
            environment: kind.environment.into(),
            title: kind.package.into(),
            description: description(kind.manifest).unwrap().into(),
            revision: "c".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            licenses: "MIT OR Apache-2.0".into(),
            files,
        }
    }

    fn proxy(files: Vec<File>) -> Content {
        image(&ALL[0], files)
    }

    fn check(content: &Content) -> Result<(), String> {
        ALL[0].check(content, "amd64", "c")
    }

    #[test]
    fn an_image_of_nothing_but_its_program_is_good() {
        assert_eq!(check(&proxy(vec![file("-rwxr-xr-x", "proxy", 7_000_000)])), Ok(()));
    }

    #[test]
    fn an_image_without_its_program_is_refused() {
        assert!(check(&proxy(Vec::new())).is_err());
    }

    #[test]
    fn a_file_more_is_refused_by_name() {
        for stranger in ["bin/sh", "usr/sbin/iptables"] {
            let content = proxy(vec![file("-rwxr-xr-x", "proxy", 1), file("-rwxr-xr-x", stranger, 1)]);
            assert!(check(&content).is_err_and(|error| error.contains(stranger)));
        }
    }

    #[test]
    fn iptables_is_good_in_the_image_that_has_it_and_a_shell_is_not() {
        let [_, _, kind, _] = &ALL;
        let files = |other| vec![file("-rwxr-xr-x", "proxy-init", 1), file("-rwxr-xr-x", other, 1)];
        assert_eq!(kind.check(&image(kind, files("usr/sbin/xtables-nft-multi")), "amd64", "c"), Ok(()));
        assert!(kind.check(&image(kind, files("bin/sh")), "amd64", "c").is_err());
    }

    #[test]
    fn a_program_with_the_set_user_id_bit_is_refused() {
        assert!(check(&proxy(vec![file("-rwsr-xr-x", "proxy", 1)])).is_err());
    }

    #[test]
    fn a_byte_beyond_the_budget_is_refused() {
        let error = check(&proxy(vec![file("-rwxr-xr-x", "proxy", 7_000_001)]));
        assert!(error.is_err_and(|error| error.contains("7000001")));
    }

    #[test]
    fn another_user_is_refused() {
        let content = Content { user: "0".into(), ..proxy(vec![file("-rwxr-xr-x", "proxy", 1)]) };
        assert!(check(&content).is_err_and(|error| error.contains("user")));
    }

    #[test]
    fn a_description_that_is_not_the_packages_is_refused() {
        let content = Content { description: "Another".into(), ..proxy(vec![file("-rwxr-xr-x", "proxy", 1)]) };
        assert!(check(&content).is_err_and(|error| error.contains("\"Another\"")));
    }

    #[test]
    fn no_dockerfile_gives_the_architecture_a_default_which_would_win_over_the_platform_asked_for() {
        for kind in &ALL {
            let text = fs::read_to_string(root().join(kind.dockerfile)).unwrap();
            assert!(text.contains("\nARG TARGETARCH\n") && !text.contains("ARG TARGETARCH="), "{}", kind.dockerfile);
        }
    }

    #[test]
    fn a_manifest_without_a_description_is_an_error() {
        assert!(description("[package]\nname = \"a\"\n").is_err());
    }
}
