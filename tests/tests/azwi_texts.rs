//! What people read of `azwi`, as transcripts in `azwi_texts/`. `UPDATE_GOLDEN=1` writes them anew: read the difference.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::Result;
use azwi_tests::binaries::binary;
use azwi_tests::emulator::{DEMO_SUBJECT, Emulator, OPERATOR_SECRET, clients};
use tempfile::TempDir;

const TENANT: &str = "11111111-1111-4111-8111-111111111111";
/// All there are but `version`, whose text changes with each commit, and `completion`, whose is clap's.
const COMMANDS: [&str; 11] = [
    "",
    "completion",
    "doctor",
    "jwks",
    "podidentity",
    "podidentity detect",
    "podidentity migrate",
    "serviceaccount",
    "serviceaccount create",
    "serviceaccount delete",
    "token",
];

/// A shell that notes what it sees.
#[derive(Default)]
struct Transcript {
    text: String,
    environment: Vec<(String, String)>,
    /// What changes from run to run, and what stands for it.
    changing: Vec<(String, &'static str)>,
}

impl Transcript {
    fn run(&mut self, line: &str, directory: &Path) -> Result<()> {
        let mut command = Command::new(binary("azwi")?);
        command.env_clear().envs(self.environment.clone()).current_dir(directory);
        let output = command.args(line.split_whitespace()).output()?;
        write!(self.text, "$ azwi {line}\n{}", told(&output))?;
        writeln!(self.text, "[exit code {}]\n", output.status.code().unwrap_or_default())?;
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "whoever runs the tests says so there")]
    fn is_golden(&self, name: &str) -> Result<()> {
        let change = |text: String, (from, to): &(String, &str)| text.replace(from.as_str(), to);
        let text = without_ids(&self.changing.iter().fold(self.text.clone(), change));
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/azwi_texts").join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&file, &text)?;
        }
        assert_eq!(text, fs::read_to_string(&file)?, "{}", file.display());
        Ok(())
    }
}

fn told(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text)).concat()
}

/// Azure makes ids up.
fn without_ids(text: &str) -> String {
    let is_id = |word: &str| word.len() == 36 && word.bytes().filter(|byte| *byte == b'-').count() == 4;
    let parts = text.split_inclusive(|c: char| !c.is_ascii_hexdigit() && c != '-');
    parts
        .map(|part| {
            let word = part.trim_end_matches(|c: char| !c.is_ascii_hexdigit() && c != '-');
            if is_id(word) { part.replace(word, "GUID") } else { part.to_owned() }
        })
        .collect()
}

#[test]
fn the_help_of_every_command() -> Result<()> {
    for command in COMMANDS {
        let mut transcript = Transcript::default();
        transcript.run(format!("{command} --help").trim(), Path::new("/"))?;
        let name = if command.is_empty() { "azwi".to_owned() } else { command.replace(' ', "-") };
        transcript.is_golden(&format!("help-{name}.txt"))?;
    }
    Ok(())
}

#[test]
fn what_is_said_to_wrong_use() -> Result<()> {
    let directory = TempDir::new()?;
    fs::write(directory.path().join("no.pem"), "no key")?;
    let mut transcript = Transcript::default();
    for line in [
        "seviceaccount",
        "jwks",
        "jwks --public-keys nowhere.pub",
        "jwks --public-keys no.pem",
        "serviceaccount create",
        "serviceaccount create phase role",
        "serviceaccount create --service-account-token-expiration 59m",
        "serviceaccount create --service-account-name cart --auth-method client_secret",
        "serviceaccount create --service-account-name cart --managed-identity-name cart",
        "podidentity detect",
        "podidentity detect --output-dir plan --from no.pem",
        "podidentity migrate --reviewed",
        "doctor cart",
        "doctor --offline nowhere.yaml",
        "doctor --token-file token",
        "doctor --kubeconfig nowhere",
        "doctor --auth-method cli",
        "podidentity migrate --client-secret x",
        "token",
        "token --token-file no.pem",
        "token --service-account cart --token-file no.pem",
    ] {
        transcript.run(line, directory.path())?;
    }
    transcript.is_golden("wrong-use.txt")
}

#[test]
fn what_is_said_of_an_identity_from_its_creation_to_its_end() -> Result<()> {
    let directory = TempDir::new()?;
    let emulator = Emulator::start()?;
    let url = emulator.authority().trim_end_matches('/').to_owned();
    let mut transcript = Transcript::default();
    for name in ["AZURE_AUTHORITY_HOST", "AZURE_GRAPH_ENDPOINT", "AZURE_RESOURCE_MANAGER_ENDPOINT"] {
        transcript.environment.push((name.to_owned(), url.clone()));
    }
    let login = [
        ("SSL_CERT_FILE", emulator.ca_file().display().to_string()),
        ("AZURE_CLIENT_SECRET", OPERATOR_SECRET.to_owned()),
        ("AZURE_CLIENT_ID", clients::OPERATOR.to_owned()),
        ("AZURE_TENANT_ID", TENANT.to_owned()),
    ];
    transcript.environment.extend(login.map(|(name, value)| (name.to_owned(), value)));
    let common = "--service-account-name cart --service-account-namespace shop --auth-method client_secret \
                  --skip-phases service-account,role-assignment --service-account-issuer-url https://cluster.example/";
    for line in ["create --dry-run", "create", "create", "create --output json", "delete", "delete"] {
        transcript.run(&format!("serviceaccount {line} {common}"), directory.path())?;
    }
    transcript.is_golden("serviceaccount.txt")
}

#[test]
fn what_is_said_of_a_token() -> Result<()> {
    let directory = TempDir::new()?;
    let emulator = Emulator::start()?;
    emulator.write_token(&directory.path().join("token"), DEMO_SUBJECT)?;
    let environment = vec![("AZURE_AUTHORITY_HOST".to_owned(), emulator.authority().to_owned())];
    let mut transcript = Transcript { environment, ..Transcript::default() };
    fs::copy(emulator.ca_file(), directory.path().join("ca.crt"))?;
    let line =
        format!("token --token-file token --ca-file ca.crt --tenant-id {TENANT} --client-id {}", clients::ORPHAN);
    transcript.run(&line, directory.path())?;
    // Entra's own time and ids.
    let refusal = transcript.text.clone();
    for (name, stands_for) in [("Trace ID: ", "TRACE"), ("Timestamp: ", "TIME")] {
        let value = refusal.split_once(name).and_then(|(_, rest)| rest.split(['\r', '\n']).next());
        transcript.changing.extend(value.map(|value| (value.trim().to_owned(), stands_for)));
    }
    transcript.is_golden("token-refused.txt")
}
