//! The languages whose Azure SDKs are tried: what each needs of the machine, and how its app is made ready to run.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Python,
    JavaScript,
    Go,
}

/// A command and its arguments.
pub(crate) type Line = &'static [&'static str];

impl Language {
    pub(crate) const ALL: [Self; 3] = [Self::Python, Self::JavaScript, Self::Go];

    /// Also of its directory in `tests/clients/`, and of its tests.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::JavaScript => "javascript",
            Self::Go => "go",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.name() == name)
    }

    /// Commands that succeed where there is all that the app needs, and tell which version it is.
    pub(crate) fn tools(self) -> &'static [Line] {
        match self {
            Self::Python => &[&["python3", "-c", "import ensurepip, sys, venv; print(sys.version)"]],
            Self::JavaScript => &[&["node", "--version"], &["npm", "--version"]],
            Self::Go => &[&["go", "version"]],
        }
    }

    /// What to say where one of them fails.
    pub(crate) fn missing(self) -> &'static str {
        match self {
            Self::Python => "needs Python 3.10 or newer with venv: `sudo apt-get install python3-venv`",
            Self::JavaScript => "needs Node.js 20 or newer with npm: `sudo apt-get install nodejs npm`",
            Self::Go => "needs Go 1.21 or newer: `sudo apt-get install golang-go`",
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
            Self::JavaScript => &[&["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]],
            Self::Go => &[&["env", "CGO_ENABLED=0", "go", "build", "-o", "get-token", "."]],
        }
    }
}
