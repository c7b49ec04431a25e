//! The languages whose Azure SDKs are tried: what each needs of the machine, and how its app is made ready to run.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Python,
}

/// A command and its arguments.
pub(crate) type Line = &'static [&'static str];

impl Language {
    pub(crate) const ALL: [Self; 1] = [Self::Python];

    /// Also of its directory in `tests/clients/`, and of its tests.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.name() == name)
    }

    /// Commands that succeed where there is all that the app needs, and tell which version it is.
    pub(crate) fn tools(self) -> &'static [Line] {
        match self {
            Self::Python => &[&["python3", "-c", "import ensurepip, sys, venv; print(sys.version)"]],
        }
    }

    /// What to say where one of them fails.
    pub(crate) fn missing(self) -> &'static str {
        match self {
            Self::Python => "needs Python 3.10 or newer with venv: `sudo apt-get install python3-venv`",
        }
    }

    /// Run in a copy of the app's directory, with exactly the versions that its lock file names.
    pub(crate) fn installation(self) -> &'static [Line] {
        match self {
            Self::Python => &[
                &["python3", "-m", "venv", "venv"],
                &[
                    "venv/bin/python",
                    "-m",
                    "pip",
                    "install",
                    "--disable-pip-version-check",
                    "--quiet",
                    "--require-hashes",
                    "--requirement=requirements.txt",
                ],
            ],
        }
    }
}
