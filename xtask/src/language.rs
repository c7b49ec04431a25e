//! The languages whose Azure SDKs are run: what each needs of the machine, and how its app is made ready.

/// A command and its arguments.
pub(crate) type Line = &'static [&'static str];

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Language {
    /// Also of its app's directory in `tests/clients/`, and of its tests.
    pub(crate) name: &'static str,
    /// Commands that succeed where there is all that the app needs, and tell which version it is.
    pub(crate) tools: &'static [Line],
    /// What to say where one of them fails.
    pub(crate) missing: &'static str,
    /// Run in a copy of the app's directory. They get exactly the versions that its lock file names.
    pub(crate) installation: &'static [Line],
}

pub(crate) static LANGUAGES: [Language; 5] = [PYTHON, JAVASCRIPT, GO, JAVA, RUST];

const PYTHON: Language = Language {
    name: "python",
    tools: &[&["python3", "-c", "import ensurepip, sys, venv; print(sys.version)"]],
    missing: "needs Python 3.10 or newer with venv: `sudo apt-get install python3-venv`",
    installation: &[
        &["python3", "-m", "venv", "venv"],
        &[
            "venv/bin/pip",
            "install",
            "--disable-pip-version-check",
            "--quiet",
            "--require-hashes",
            "-rrequirements.txt",
        ],
    ],
};

const JAVASCRIPT: Language = Language {
    name: "javascript",
    tools: &[&["node", "--version"], &["npm", "--version"]],
    missing: "needs Node.js 20 or newer with npm: `sudo apt-get install nodejs npm`",
    installation: &[&["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]],
};

const GO: Language = Language {
    name: "go",
    tools: &[&["go", "version"]],
    missing: "needs Go 1.21 or newer: `sudo apt-get install golang-go`",
    installation: &[&["env", "CGO_ENABLED=0", "go", "build", "-o", "get-token", "."]],
};

const JAVA: Language = Language {
    name: "java",
    tools: &[&["javac", "-version"], &["mvn", "--version"]],
    missing: "needs a JDK and Maven: `sudo apt-get install default-jdk-headless maven`",
    installation: &[
        &["mvn", "--batch-mode", "--quiet", "dependency:copy-dependencies"],
        // Maven has no lock file of its own.
        &["sha256sum", "--check", "--strict", "--quiet", "lib.sha256"],
        &["javac", "-cp", "lib/*", "-d", "classes", "GetToken.java"],
    ],
};

const RUST: Language = Language {
    name: "rust",
    tools: &[&["cargo", "--version"]],
    missing: "needs Rust: https://rustup.rs",
    // It is of this workspace and built with all other programs.
    installation: &[],
};

impl Language {
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        LANGUAGES.iter().find(|language| language.name == name)
    }
}
