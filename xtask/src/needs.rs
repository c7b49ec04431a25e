//! What a group of tests needs of the machine, looked at before it runs.
//!
//! Installs only what is missing, only as root, and only through the machine's own package manager.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::arguments::Architectures;
use crate::cargo::{program, search_path};
use crate::clients;
use crate::group::Group;
use crate::kube;

const MANY_UIDS: &str = "needs several user ids: run it as root, or type \
     `sudo apt-get install uidmap && sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER`";
const LANDLOCK: &str =
    "needs a kernel with Landlock: see `docs.kernel.org/userspace-api/landlock.html`, Kernel support";
/// Programs that the tests of packet filters run, and the packages they come in.
const PACKET_FILTER: [(&str, &str); 3] = [("iptables", "iptables"), ("nft", "nftables"), ("ip", "iproute2")];

/// The error is one line: what is missing and what to type.
pub(crate) fn check(group: Group) -> Result<(), String> {
    match group {
        Group::Unit | Group::BlackBox | Group::Timing | Group::Release => Ok(()),
        Group::Landlock => landlock(),
        Group::Namespace => users().map(drop),
        // The kernel refuses iptables' owner match on a uid that the namespace does not know.
        Group::Iptables => many_users().and_then(|()| packet_filter()),
        Group::Uids => many_users(),
        Group::Pods => pods(),
        Group::Kube => kube::check(),
        Group::Clients(language) => users().and_then(|_| clients::tools(language)).map(drop),
    }
}

fn many_users() -> Result<(), String> {
    if users()? == "many" { Ok(()) } else { Err(MANY_UIDS.to_owned()) }
}

/// The kernel is asked by doing it: `/sys/kernel/security`, which would tell, is often not mounted.
fn landlock() -> Result<(), String> {
    if ask_the_stage("landlock")? == "enforced" { Ok(()) } else { Err(LANDLOCK.to_owned()) }
}

/// `many` or `single`: the user ids that a namespace of this user has.
fn users() -> Result<String, String> {
    ask_the_stage("users")
}

fn ask_the_stage(what: &str) -> Result<String, String> {
    let stage = program("demo")?;
    let output = Command::new(&stage).arg(what).output();
    match output {
        Ok(Output { status, stdout, .. }) if status.success() => Ok(text(&stdout)),
        Ok(Output { stderr, .. }) => Err(text(&stderr)),
        Err(error) => Err(format!("cannot run {}: {error}", stage.display())),
    }
}

/// A C compiler for musl, for the cryptography is in C, and Rust's own library for it.
pub(crate) fn static_linking(target: &str) -> Result<(), String> {
    let has_compiler = has("musl-gcc") || is_root() && install("musl-tools");
    let has_library = has_library(target) || is_root() && rustup(target);
    if has_compiler && has_library {
        return Ok(());
    }
    Err(format!("needs a static C library: `sudo apt-get install musl-tools && rustup target add {target}`"))
}

/// The programs that build and run images, each with Debian's package.
const IMAGE_PROGRAMS: [(&str, &str); 7] = [
    ("buildah", "buildah"),
    ("podman", "podman"),
    ("runc", "runc"),
    ("musl-gcc", "musl-tools"),
    ("apt-get", "apt"),
    ("dpkg-deb", "dpkg"),
    ("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring"),
];
/// A compiler for glibc, whose headers come apart from it; an emulator.
const ARM64_PROGRAMS: [(&str, &str); 3] = [
    ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    ("/usr/aarch64-linux-gnu/include/stdio.h", "libc6-dev-arm64-cross"),
    ("qemu-aarch64-static", "qemu-user-static"),
];

/// And what makes pods of them: a network, and somebody who waits in the app's container.
const POD_PROGRAMS: [(&str, &str); 3] = [("podman", "podman"), ("iptables", "iptables"), ("catatonit", "catatonit")];

/// All that building these images takes.
pub(crate) fn images(architectures: Architectures) -> Result<(), String> {
    let arm64: &[_] = if architectures.names().contains(&"arm64") { &ARM64_PROGRAMS } else { &[] };
    let all = IMAGE_PROGRAMS.iter().chain(arm64);
    let missing: Vec<&str> = all.filter(|(program, _)| !has(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() || is_root() && missing.iter().all(|package| install(package)) {
        return Ok(());
    }
    Err(format!("building images needs more: `sudo apt-get install {}`", missing.join(" ")))
}

/// Pods share namespaces and a bridge, which only root can make alike everywhere.
fn pods() -> Result<(), String> {
    if !is_root() {
        return Err("needs root: `sudo --preserve-env=PATH cargo xtask e2e pods`".to_owned());
    }
    let missing = POD_PROGRAMS.iter().filter(|(program, package)| !(has(program) || install(package)));
    let missing: Vec<&str> = missing.map(|(_, package)| *package).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("needs `apt-get install {}`", missing.join(" "))) }
}

fn has_library(target: &str) -> bool {
    let output = Command::new("rustc").args(["--print", "target-libdir", "--target", target]).output();
    output.is_ok_and(|output| Path::new(&text(&output.stdout)).exists())
}

fn rustup(target: &str) -> bool {
    eprintln!("$ rustup target add {target}");
    Command::new("rustup").args(["target", "add", target]).status().is_ok_and(|status| status.success())
}

fn packet_filter() -> Result<(), String> {
    PACKET_FILTER.into_iter().try_for_each(|(program, package)| {
        let is_there = has(program) || is_root() && install(package) && has(program);
        is_there.then_some(()).ok_or_else(|| format!("needs the program {program}: `sudo apt-get install {package}`"))
    })
}

fn has(program: &str) -> bool {
    env::split_paths(&search_path()).any(|place| place.join(program).exists())
}

fn is_root() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("\nUid:\t0\t0\t"))
}

fn install(package: &str) -> bool {
    apt_get(&["update", "-qq"]) && apt_get(&["install", "-qq", "-y", "--no-install-recommends", package])
}

fn apt_get(arguments: &[&str]) -> bool {
    eprintln!("$ apt-get {}", arguments.join(" "));
    let status = Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").status();
    status.is_ok_and(|status| status.success())
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).trim().replace('\n', " ")
}
