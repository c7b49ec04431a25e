//! What azwi-proxy-init needs of a pod, and the one network it refuses. Needs a network namespace, and of util-linux
//! `unshare`, `mount` and `setpriv`.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::Result;
use azwi_tests::binaries::binary;
use azwi_tests::namespace::{As, Namespace};
use azwi_tests::probe::{Listener, who_answers};

const METADATA: &str = "169.254.169.254:80";

/// As a kubelet runs the container of `examples/pod-sidecar.yaml`: user 0 with `NET_ADMIN` and no other capability, no way
/// to gain one, and a root filesystem that cannot be written.
const CONFINED: &str = "mount -o remount,bind,ro / && ! touch /azwi-tests 2> /dev/null && \
     exec setpriv --bounding-set=-all,+net_admin --inh-caps=-all --no-new-privs \"$0\" \"$@\"";
/// With the file that only the initial network namespace shows.
const ON_THE_NODE: &str = "mount -t tmpfs none /proc/sys/net/core && touch /proc/sys/net/core/netdev_budget && \
     exec \"$0\" \"$@\"";
/// Where nothing can be told of the network.
const WITHOUT_SYSCTLS: &str = "mount -t tmpfs none /proc/sys && exec \"$0\" \"$@\"";

/// Runs a script in a mount namespace of its own.
fn script(stage: &Namespace, script: &str) -> Command {
    let mut command = stage.command("unshare", As::Root);
    command.args(["--mount", "sh", "-c", script]);
    command
}

fn proxy_init(stage: &Namespace, setting: &str, args: &[&str]) -> Result<Output> {
    Ok(script(stage, setting).arg(binary("azwi-proxy-init")?).args(args).output()?)
}

fn log(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_confined_setting_is_what_it_says() -> Result<()> {
    let status = script(&Namespace::new()?, CONFINED).args(["cat", "/proc/self/status"]).output()?;
    let text = String::from_utf8(status.stdout)?;
    for line in
        ["CapPrm:\t0000000000001000", "CapEff:\t0000000000001000", "CapBnd:\t0000000000001000", "NoNewPrivs:\t1"]
    {
        assert!(text.contains(line), "{line} is missing in {text}{}", String::from_utf8_lossy(&status.stderr));
    }
    Ok(())
}

#[test]
fn net_admin_alone_is_enough() -> Result<()> {
    let stage = Namespace::new()?;
    let output = proxy_init(&stage, CONFINED, &["--backend=nftables"])?;
    assert!(output.status.success(), "{}", log(&output));
    // Nobody there may act as the proxy's user.
    assert!(log(&output).contains(r#""exemption_shown_by":"its rule""#), "{}", log(&output));
    let _proxy = Listener::start(&stage, As::Root, "127.0.0.1:8000", "proxy")?;
    assert_eq!(who_answers(&stage, As::Root, METADATA)?, "proxy");
    Ok(())
}

#[test]
fn the_node_s_network_is_refused_and_left_as_it_was() -> Result<()> {
    let stage = Namespace::new()?;
    for job in ["--backend=auto", "--remove"] {
        let output = proxy_init(&stage, ON_THE_NODE, &[job])?;
        assert_eq!(output.status.code(), Some(1), "{job}");
        assert!(log(&output).contains("this is the node's own network"), "{job}: {}", log(&output));
        assert!(log(&output).contains("--allow-host-network"), "{job}: {}", log(&output));
    }
    let _imds = Listener::start(&stage, As::Root, METADATA, "imds")?;
    assert_eq!(who_answers(&stage, As::Root, METADATA)?, "imds");
    Ok(())
}

#[test]
fn a_network_that_cannot_be_told_from_the_node_s_is_refused_unless_it_is_vouched_for() -> Result<()> {
    let stage = Namespace::new()?;
    for job in ["--backend=auto", "--remove"] {
        let output = proxy_init(&stage, WITHOUT_SYSCTLS, &[job])?;
        assert_eq!(output.status.code(), Some(1), "{job}");
        assert!(log(&output).contains("/proc/sys/net/core is not to be seen here"), "{job}: {}", log(&output));
    }
    let output = proxy_init(&stage, WITHOUT_SYSCTLS, &["--allow-host-network"])?;
    assert!(output.status.success(), "{}", log(&output));
    Ok(())
}

#[test]
fn who_asks_for_it_may_redirect_in_what_looks_like_the_node_s_network() -> Result<()> {
    let stage = Namespace::new()?;
    let output = proxy_init(&stage, ON_THE_NODE, &["--allow-host-network"])?;
    assert!(output.status.success(), "{}", log(&output));
    let _proxy = Listener::start(&stage, As::Root, "127.0.0.1:8000", "proxy")?;
    assert_eq!(who_answers(&stage, As::Root, METADATA)?, "proxy");
    Ok(())
}

/// In one of some tries, for what else goes on on this machine is not its fault. The helper that enters the namespace
/// counts too.
#[test]
fn from_start_to_exit_it_takes_less_than_ten_milliseconds() -> Result<()> {
    let stage = Namespace::new()?;
    let run = |job: &str| -> Result<Duration> {
        let start = Instant::now();
        let output = stage.command(binary("azwi-proxy-init")?, As::Root).arg(job).output()?;
        assert!(output.status.success(), "{}", log(&output));
        Ok(start.elapsed())
    };
    let mut took = Vec::new();
    while took.len() < 40 && took.iter().all(|took| *took >= Duration::from_millis(10)) {
        took.push(run("--backend=nftables")?);
        run("--remove")?;
    }
    assert!(took.last().is_some_and(|took| *took < Duration::from_millis(10)), "{took:?}");
    Ok(())
}
