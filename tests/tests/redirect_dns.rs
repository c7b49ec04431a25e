//! A name server that does not answer. Needs a namespace, for the machine's own name servers are not to be touched.

#![expect(clippy::unwrap_used, reason = "in tests, helpers included, a failed unwrap is a failed test")]

use std::fs;
use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use azwi_tests::binaries::binary;
use azwi_tests::log::Log;
use azwi_tests::namespace::{As, Namespace};
use azwi_tests::process::Process;
use azwi_tests::stage::{BLANK_TENANT, BLANK_TOKEN, DEMO};

/// Kubernetes gives a pod half a minute; the sidecar takes five seconds of it at most.
const LIMIT: Duration = Duration::from_millis(5500);

/// The name server of everybody who has the namespace's `resolv.conf`.
fn silent_name_server(stage: &Namespace) -> (Process, Lines<BufReader<ChildStdout>>) {
    let mut command = stage.command(binary("probe").unwrap(), As::Root);
    let mut process = Process::spawn(command.args(["silence", "127.0.0.1:53"]).stdout(Stdio::piped())).unwrap();
    let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "listening");
    (process, said)
}

/// `program` where `/etc/resolv.conf` is the one in `directory`. Each step replaces the one before, so it keeps its id.
fn with_resolv_conf(stage: &Namespace, directory: &Path, program: &Path) -> Command {
    let mut command = stage.command("unshare", As::Root);
    command.args(["--mount", "sh", "-c", r#"mount --bind "$0" /etc/resolv.conf && exec "$@""#]);
    command.arg(directory.join("resolv.conf")).arg(program);
    command
}

#[test]
fn sigterm_ends_the_sidecar_though_the_name_of_its_authority_is_still_being_looked_up() {
    let stage = Namespace::new().unwrap();
    let (_server, mut said) = silent_name_server(&stage);
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
    fs::write(directory.path().join("assertion"), BLANK_TOKEN).unwrap();
    let mut sidecar = with_resolv_conf(&stage, directory.path(), &binary("azwi-proxy").unwrap());
    sidecar.arg("--prewarm=https://vault.azure.net").stderr(Stdio::piped());
    sidecar.envs([("AZURE_CLIENT_ID", DEMO), ("AZURE_TENANT_ID", BLANK_TENANT)]);
    sidecar.env("AZURE_AUTHORITY_HOST", "https://login.hangs.example");
    sidecar.env("AZURE_FEDERATED_TOKEN_FILE", directory.path().join("assertion"));
    let mut sidecar = Process::spawn(&mut sidecar).unwrap();
    let log = Log::follow(sidecar.stderr.take().unwrap());
    assert!(log.wait_for(&[("message", "listening")]).is_some(), "{}", log.whole());
    assert_eq!(said.next().unwrap().unwrap(), "asked");

    let told = Instant::now();
    sidecar.terminate().unwrap();
    let status = sidecar.wait().unwrap();
    assert!(told.elapsed() < LIMIT, "{:?}", told.elapsed());
    assert_eq!(status.code(), Some(0), "{}", log.whole());
}
