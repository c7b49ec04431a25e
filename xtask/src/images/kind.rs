//! What each image must be, and nothing else.

use super::content::Content;

/// One image of one Dockerfile.
pub(crate) struct Kind {
    /// The package's and the image's.
    pub(crate) name: &'static str,
    pub(crate) dockerfile: &'static str,
    /// The only file in the image, in its root.
    pub(crate) program: &'static str,
    pub(crate) user: &'static str,
    /// As in the Dockerfile.
    pub(crate) cargo_options: &'static [&'static str],
    /// Bytes of all files, uncompressed.
    pub(crate) budget: u64,
}

pub(crate) const ALL: [Kind; 2] = [
    Kind {
        name: "azwi-proxy",
        dockerfile: "Dockerfile.proxy",
        program: "proxy",
        user: "1501:1501",
        cargo_options: &[],
        budget: 7_000_000,
    },
    Kind {
        name: "azwi-proxy-init",
        dockerfile: "Dockerfile.init",
        program: "proxy-init",
        user: "0",
        cargo_options: &["--no-default-features"],
        budget: 2_500_000,
    },
];

impl Kind {
    /// The error names the first thing that is not as it must be.
    pub(crate) fn check(&self, content: &Content, architecture: &str, commit: &str) -> Result<(), String> {
        let entrypoint = format!("[/{}]", self.program);
        same("architecture", &content.architecture, architecture)?;
        same("user", &content.user, self.user)?;
        same("entrypoint", &content.entrypoint, &entrypoint)?;
        same("title", &content.title, self.name)?;
        same("revision", &content.revision, commit)?;
        same("version", &content.version, env!("CARGO_PKG_VERSION"))?;
        same("licences", &content.licenses, env!("CARGO_PKG_LICENSE"))?;
        self.check_files(content)
    }

    fn check_files(&self, content: &Content) -> Result<(), String> {
        let expected = format!("-rwxr-xr-x 0/0 {}", self.program);
        let found: Vec<String> = content.files.iter().map(ToString::to_string).collect();
        same("content", &found.join(", "), &expected)?;
        let size = content.size();
        if size > self.budget { Err(format!("{size} bytes are more than {}", self.budget)) } else { Ok(()) }
    }
}

fn same(what: &str, found: &str, expected: &str) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("its {what} is {found:?}, not {expected:?}")) }
}

#[cfg(test)]
mod tests {
    use super::super::content::File;
    use super::*;

    fn file(mode: &str, path: &str, size: u64) -> File {
        File { mode: mode.into(), owner: "0/0".into(), path: path.into(), size }
    }

    fn proxy(files: Vec<File>) -> Content {
        Content {
            architecture: "amd64".into(),
            user: "1501:1501".into(),
            entrypoint: "[/proxy]".into(),
            title: "azwi-proxy".into(),
            revision: "c".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            licenses: "MIT OR Apache-2.0".into(),
            files,
        }
    }

    fn check(content: &Content) -> Result<(), String> {
        ALL[0].check(content, "amd64", "c")
    }

    #[test]
    fn an_image_of_nothing_but_its_program_is_good() {
        assert_eq!(check(&proxy(vec![file("-rwxr-xr-x", "proxy", 7_000_000)])), Ok(()));
    }

    #[test]
    fn a_file_more_is_refused_by_name() {
        let content = proxy(vec![file("-rwxr-xr-x", "proxy", 1), file("-rwxr-xr-x", "bin/sh", 1)]);
        assert!(check(&content).is_err_and(|error| error.contains("bin/sh")));
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
}
