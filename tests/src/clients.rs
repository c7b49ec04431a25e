//! Apps that use an Azure SDK as it is published, and what each of them must meet in a [`Pod`].
//!
//! The apps lie in `tests/clients/`; `cargo xtask test clients` installs them below `target/clients/`. Nothing is
//! installed from here.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::emulator::clients::{DEMO, ORPHAN, SECOND};
use crate::jwt;
use crate::pod::Pod;

const SCOPE: &str = "https://management.azure.com/.default";
const AUDIENCE: &str = "https://management.azure.com";
const RESOURCE_ID: &str =
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/second";
/// More than the sidecar holds a request for (8 s): it says at once that it is to be asked again.
const LONG_OUTAGE: &str = r#"{"status":503,"retry_after":9,"remaining":1}"#;
const LONG_OUTAGE_MS: u64 = 9_000;
/// What a final error may take. A library that tries again needs longer.
const QUICK_MS: u64 = 5_000;

/// An app with one of its library's credentials.
pub struct Client {
    /// The program, and what comes before the usual arguments.
    pub command: Vec<OsString>,
    /// As the app's `--credential` names it.
    pub credential: &'static str,
}

/// What the app told about its request.
struct Told {
    /// The token's claims, or the library's own words.
    result: Result<Value, String>,
    took_ms: u64,
}

/// The path of something that is installed for the apps, from `target/clients/` on.
///
/// # Errors
/// If it is not there; the error says which command installs it.
pub fn installed(path: &str) -> anyhow::Result<PathBuf> {
    let test = env::current_exe().context("cannot tell which executable this is")?;
    // A test lies in target/PROFILE/deps.
    let target = test.ancestors().nth(3).context("this is no test")?;
    let found = target.join("clients").join(path);
    ensure!(found.exists(), "no {}: `cargo xtask test clients` installs it", found.display());
    Ok(found)
}

impl Client {
    /// Without choosing an identity, the app gets a token of the pod's.
    ///
    /// # Errors
    /// If not; so for all of them.
    pub fn gets_the_default_identity(&self) -> anyhow::Result<()> {
        self.ask(&Pod::new()?, &[])?.is_token_of(DEMO)
    }

    /// The app gets a token of the identity that it chooses by client id.
    ///
    /// # Errors
    /// If not.
    pub fn gets_the_chosen_client_id(&self) -> anyhow::Result<()> {
        self.ask(&Pod::new()?, &["--client-id", SECOND])?.is_token_of(SECOND)
    }

    /// The app gets a token of the identity that it chooses by resource id, which the operator has mapped.
    ///
    /// # Errors
    /// If not.
    pub fn gets_the_mapped_resource_id(&self) -> anyhow::Result<()> {
        let pod = Pod::with(&["--identity-map", &format!(r#"{{"{RESOURCE_ID}":"{SECOND}"}}"#)])?;
        self.ask(&pod, &["--resource-id", RESOURCE_ID])?.is_token_of(SECOND)
    }

    /// An identity outside the allowed ones is refused at once, in these words, and Entra is not asked.
    ///
    /// # Errors
    /// If not.
    pub fn is_told_of_an_unknown_identity(&self, words: &str) -> anyhow::Result<()> {
        let pod = Pod::with(&["--allowed-client-ids", DEMO])?;
        self.ask(&pod, &["--client-id", SECOND])?.is_quick_error(words)?;
        has_asked_entra(&pod, SECOND, 0)
    }

    /// What Entra refuses for good is refused at once, in these words, and Entra is asked once.
    ///
    /// # Errors
    /// If not.
    pub fn is_told_of_a_permanent_refusal(&self, words: &str) -> anyhow::Result<()> {
        let pod = Pod::new()?;
        self.ask(&pod, &["--client-id", ORPHAN])?.is_quick_error(words)?;
        has_asked_entra(&pod, ORPHAN, 1)
    }

    /// Entra fails twice, once by status and once by a reset connection, and the app gets its token.
    ///
    /// # Errors
    /// If not.
    pub fn does_not_notice_passing_failures(&self) -> anyhow::Result<()> {
        let pod = Pod::new()?;
        for (fault, client_id) in [("\"status\":503", DEMO), ("\"reset\":true", SECOND)] {
            pod.entra.faults(&format!(r#"{{{fault},"remaining":2}}"#))?;
            self.ask(&pod, &["--client-id", client_id])?.is_token_of(client_id)?;
            has_asked_entra(&pod, client_id, 3)?;
        }
        Ok(())
    }

    /// Entra is out of order for longer than the sidecar holds a request, and the app gets its token after that.
    ///
    /// # Errors
    /// If not.
    pub fn bridges_a_long_outage(&self) -> anyhow::Result<()> {
        let pod = Pod::new()?;
        pod.entra.faults(LONG_OUTAGE)?;
        let told = self.ask(&pod, &[])?;
        told.is_token_of(DEMO)?;
        ensure!(told.took_ms >= LONG_OUTAGE_MS, "after {} ms the outage was not over yet", told.took_ms);
        Ok(())
    }

    /// Entra is out of order for as long, and the app is told so at once, in these words.
    ///
    /// # Errors
    /// If not.
    pub fn is_told_of_a_long_outage(&self, words: &str) -> anyhow::Result<()> {
        let pod = Pod::new()?;
        pod.entra.faults(LONG_OUTAGE)?;
        self.ask(&pod, &[])?.is_quick_error(words)
    }

    fn ask(&self, pod: &Pod, identity: &[&str]) -> anyhow::Result<Told> {
        let (program, arguments) = self.command.split_first().context("no program")?;
        let mut app = pod.app(program.as_ref());
        app.args(arguments).args(["--credential", self.credential, "--scope", SCOPE]).args(identity);
        let output = app.output().with_context(|| format!("cannot run {}", program.display()))?;
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} ended with {}: {words}", program.display(), output.status);
        Told::read(&String::from_utf8(output.stdout)?)
    }
}

impl Told {
    fn read(line: &str) -> anyhow::Result<Self> {
        let told: Value = serde_json::from_str(line).with_context(|| format!("the app told {line:?}"))?;
        let text = |name| told.get(name).and_then(Value::as_str);
        let result = match (text("token"), text("error")) {
            (Some(token), None) => Ok(jwt::claims(token)),
            (None, Some(error)) => Err(error.to_owned()),
            _ => bail!("neither a token nor an error: {line:?}"),
        };
        let took_ms = told.get("took_ms").and_then(Value::as_u64).with_context(|| format!("no time: {line:?}"))?;
        Ok(Self { result, took_ms })
    }

    fn is_token_of(&self, client_id: &str) -> anyhow::Result<()> {
        let Ok(claims) = &self.result else { bail!("no token but {:?}", self.result) };
        let claim = |name| claims.get(name).and_then(Value::as_str);
        ensure!(claim("appid") == Some(client_id), "a token of {:?} instead of {client_id}", claim("appid"));
        ensure!(claim("aud") == Some(AUDIENCE), "a token for {:?} instead of {AUDIENCE}", claim("aud"));
        Ok(())
    }

    fn is_quick_error(&self, words: &str) -> anyhow::Result<()> {
        let Err(error) = &self.result else { bail!("a token instead of an error") };
        ensure!(error.contains(words), "{error:?} does not say {words:?}");
        ensure!(self.took_ms < QUICK_MS, "{error:?} took {} ms", self.took_ms);
        Ok(())
    }
}

/// For tokens of that client.
fn has_asked_entra(pod: &Pod, client_id: &str, times: u64) -> anyhow::Result<()> {
    let asked = pod.entra.counters()?.by_client.get(client_id).copied().unwrap_or_default();
    ensure!(asked == times, "Entra was asked {asked} times instead of {times}");
    Ok(())
}

/// The tests that read the same for every library. The argument makes its [`Client`].
#[macro_export]
macro_rules! tests_of_every_client {
    ($client:expr) => {
        #[test]
        fn without_a_choice_the_token_is_of_the_pods_identity() -> anyhow::Result<()> {
            $client?.gets_the_default_identity()
        }

        #[test]
        fn the_token_is_of_the_chosen_client_id() -> anyhow::Result<()> {
            $client?.gets_the_chosen_client_id()
        }

        #[test]
        fn the_token_is_of_the_client_that_the_chosen_resource_id_is_mapped_to() -> anyhow::Result<()> {
            $client?.gets_the_mapped_resource_id()
        }

        #[test]
        fn failures_of_entra_that_pass_are_not_noticed() -> anyhow::Result<()> {
            $client?.does_not_notice_passing_failures()
        }
    };
}
