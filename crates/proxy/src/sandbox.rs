//! Gives up at the start what the sidecar never needs, so that whoever finds a hole in it finds little behind it.
//!
//! Beside the pod's `securityContext`, not in its place. What the kernel cannot do is reported and left out; it never
//! keeps the sidecar from starting. Connections outwards stay free: Entra and proxies may have any address and port.

use std::fmt::Display;
use std::path::{Path, PathBuf, absolute};

use caps::CapSet;
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, LandlockStatus, NetPort, RestrictionStatus, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};

/// The newest of Landlock's features that are used, Linux 6.12; older kernels do what they can.
const LANDLOCK: ABI = ABI::V6;
/// What the C library looks at to resolve names, in whatever order it likes; none of it is secret.
const RESOLVER: [&str; 6] =
    ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services"];
/// Name service modules, which a C library that is not built in loads when it resolves the first name.
const LIBRARIES: &[&str] = if cfg!(target_feature = "crt-static") {
    &[]
} else {
    &["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"]
};
/// Where distributions keep public root certificates, and where the links in there lead.
const ROOTS: [&str; 6] = [
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/var/lib/ca-certificates",
];

/// What must stay possible.
#[derive(Debug)]
pub(crate) struct Needs {
    /// TCP ports to listen on.
    pub ports: Vec<u16>,
    /// Files that are read after the start, and may have been replaced by then.
    pub files: Vec<PathBuf>,
    /// Directories whose files are read after the start.
    pub directories: Vec<PathBuf>,
}

/// Gives up everything else, for this thread and those it will start, and logs what became of each measure.
pub(crate) fn enter(needs: &Needs) {
    let Places { readable, out_of_reach } = Places::of(needs);
    tracing::info!(
        no_new_privs = report(prctl::set_no_new_privs().map(|()| "set")),
        core_dumps = report(forbid_core_dumps().map(|()| "off")),
        capabilities = drop_capabilities(),
        landlock = report(restrict(&readable, &needs.ports).map(|status| enforcement(&status))),
        // What an operator may have put elsewhere; the rest is the same everywhere.
        readable = list(&readable),
        out_of_reach = (!out_of_reach.is_empty()).then(|| list(&out_of_reach)),
        "sandbox"
    );
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>().join(", ")
}

/// A measure's state, or the kernel's words.
fn report(measure: Result<&str, impl Display>) -> String {
    measure.map_or_else(|error| format!("refused: {error}"), str::to_owned)
}

/// Tokens are in memory, and a dump would write them to a disk. Nor may other processes of the same user read it.
fn forbid_core_dumps() -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    prctl::set_dumpable(false)
}

fn drop_capabilities() -> String {
    // First, for it takes a capability; pods usually lack that one, and the set is empty already where they drop all.
    let bounding = caps::clear(None, CapSet::Bounding);
    let others = [CapSet::Inheritable, CapSet::Permitted].into_iter().try_for_each(|set| caps::clear(None, set));
    match (others, bounding) {
        (Ok(()), Ok(())) => "none".to_owned(),
        (Ok(()), Err(error)) => format!("none, but those of the bounding set cannot be dropped: {error}"),
        (Err(error), _) => format!("refused: {error}"),
    }
}

fn restrict(places: &[PathBuf], ports: &[u16]) -> Result<RestrictionStatus, RulesetError> {
    let fixed = RESOLVER.iter().chain(LIBRARIES).chain(&ROOTS).map(Path::new);
    let readable = places.iter().map(PathBuf::as_path).chain(fixed);
    let ports = ports.iter().map(|&port| Ok::<_, RulesetError>(NetPort::new(port, AccessNet::BindTcp)));
    Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?
        // Those that do not exist are left out.
        .add_rules(path_beneath_rules(readable, AccessFs::ReadFile | AccessFs::ReadDir))?
        .add_rules(ports)?
        .restrict_self()
}

fn enforcement(status: &RestrictionStatus) -> &'static str {
    match (&status.ruleset, status.landlock) {
        (RulesetStatus::FullyEnforced, _) => "enforced",
        (RulesetStatus::PartiallyEnforced, _) => "partially enforced",
        (RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => "not enabled in this kernel",
        (RulesetStatus::NotEnforced, _) => "unsupported by this kernel",
    }
}

/// Where what this pod's settings name will be read from.
#[derive(Debug, Default)]
struct Places {
    readable: Vec<PathBuf>,
    /// What only a sandbox that leaves everything readable would reach.
    out_of_reach: Vec<PathBuf>,
}

impl Places {
    fn of(needs: &Needs) -> Self {
        let mut places = Self::default();
        for file in &needs.files {
            places.add(file, places_of(file));
        }
        for directory in &needs.directories {
            places.add(directory, place(directory).into_iter().collect());
        }
        places
    }

    fn add(&mut self, wanted: &Path, found: Vec<PathBuf>) {
        if found.is_empty() {
            self.out_of_reach.push(wanted.to_owned());
        }
        self.readable.extend(found);
    }
}

/// From where `file` will be read: its directory, since a kubelet replaces what is in there, and where it leads if that
/// is elsewhere.
fn places_of(file: &Path) -> Vec<PathBuf> {
    let file = absolute(file).unwrap_or_else(|_| file.to_owned());
    let home = place_of_file(&file);
    let is_at_home = |target: &PathBuf| home.as_ref().is_some_and(|home| target.starts_with(home));
    let elsewhere = file.canonicalize().ok().filter(|target| !is_at_home(target));
    let elsewhere = elsewhere.and_then(|target| place_of_file(&target));
    [home, elsewhere].into_iter().flatten().collect()
}

fn place_of_file(file: &Path) -> Option<PathBuf> {
    // In the root directory only itself, lest everything be readable.
    place(file.parent().filter(|parent| !is_root(parent)).unwrap_or(file))
}

/// `path`, or as much of the way to it as there is yet, as the directory that stays; never all there is.
fn place(path: &Path) -> Option<PathBuf> {
    let there = path.ancestors().find_map(|path| path.canonicalize().ok())?;
    Some(lasting(&there).to_owned()).filter(|place| !is_root(place))
}

/// The volume, where a kubelet may replace `directory`: Landlock holds on to the directory that it was given, not to the
/// name. A kubelet puts each version into a directory of its own, whose name begins with two dots; no path of a projected
/// volume may begin so.
fn lasting(directory: &Path) -> &Path {
    let is_version = |path: &&Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".."));
    let topmost = directory.ancestors().filter(is_version).last();
    topmost.and_then(Path::parent).unwrap_or(directory)
}

fn is_root(path: &Path) -> bool {
    path.parent().is_none()
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir_all, read, write};
    use std::io::ErrorKind;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::os::unix::fs::symlink;
    use std::process::Command;
    use std::thread;

    use tempfile::TempDir;

    use super::*;

    /// What `probe` finds allowed under Landlock, beside how much of that the kernel enforces. Binds one thread only.
    fn restricted<T: Send>(places: &[PathBuf], ports: &[u16], probe: impl FnOnce() -> T + Send) -> (RulesetStatus, T) {
        thread::scope(|scope| {
            let restricted = scope.spawn(|| (restrict(places, ports).unwrap().ruleset, probe()));
            restricted.join().unwrap()
        })
    }

    #[test]
    fn only_the_given_places_are_read_and_nothing_is_written_or_run() {
        let (place, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (file, secret) = (place.path().join("token"), other.path().join("secret"));
        write(&file, "token").unwrap();
        write(&secret, "secret").unwrap();
        let run = || Command::new("/bin/true").status();
        let probe = || (read(&file).is_ok(), [read(&secret).is_ok(), write(&file, "").is_ok(), run().is_ok()]);
        let (status, (given, others)) = restricted(&[place.path().to_owned()], &[], probe);
        assert!(given);
        // Where the kernel has no Landlock, the log says so and this is what it means.
        assert_eq!(others, [status == RulesetStatus::NotEnforced; 3]);
    }

    #[test]
    fn only_the_given_ports_are_listened_on_and_all_are_connected_to() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let connect = || TcpStream::connect(address).is_ok();
        let (status, allowed) = restricted(&[], &[8000], || [connect(), may_listen(8000), may_listen(8001)]);
        match status {
            RulesetStatus::FullyEnforced => assert_eq!(allowed, [true, true, false]),
            // Older kernels restrict files only.
            RulesetStatus::PartiallyEnforced => assert_eq!(allowed[..2], [true, true]),
            RulesetStatus::NotEnforced => assert_eq!(allowed, [true; 3]),
        }
    }

    /// Somebody else may have the port just now, which is no refusal.
    fn may_listen(port: u16) -> bool {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        listener.map_or_else(|error| error.kind() != ErrorKind::PermissionDenied, |_| true)
    }

    /// A volume whose `link` leads through `..data` to what a kubelet has there now, a directory with a file `token`.
    fn volume(link: &str) -> TempDir {
        let volume = tempfile::tempdir().unwrap();
        let now = volume.path().join("..2026_11_22");
        create_dir_all(now.join("directory")).unwrap();
        write(now.join("token"), "").unwrap();
        write(now.join("directory/token"), "").unwrap();
        symlink("..2026_11_22", volume.path().join("..data")).unwrap();
        symlink(Path::new("..data").join(link), volume.path().join(link)).unwrap();
        volume
    }

    #[test]
    fn a_file_that_a_kubelet_replaces_is_read_from_its_volume() {
        let volume = volume("token");
        assert_eq!(places_of(&volume.path().join("token")), [volume.path()]);
    }

    #[test]
    fn a_file_in_a_directory_that_a_kubelet_replaces_is_read_from_its_volume() {
        let volume = volume("directory");
        assert_eq!(places_of(&volume.path().join("directory/token")), [volume.path()]);
        // It may come with the next version.
        assert_eq!(places_of(&volume.path().join("directory/not-yet")), [volume.path()]);
    }

    #[test]
    fn a_directory_that_a_kubelet_replaces_is_read_from_its_volume() {
        let volume = volume("directory");
        assert_eq!(place(&volume.path().join("directory")).as_deref(), Some(volume.path()));
    }

    #[test]
    fn a_file_that_leads_elsewhere_is_read_from_there_too() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(there.path().join("token"), "").unwrap();
        symlink(there.path().join("token"), here.path().join("token")).unwrap();
        assert_eq!(places_of(&here.path().join("token")), [here.path(), there.path()]);
    }

    #[test]
    fn a_file_that_leads_to_a_volume_is_read_from_that_volume_too() {
        let (here, volume) = (tempfile::tempdir().unwrap(), volume("directory"));
        symlink(volume.path().join("directory/token"), here.path().join("token")).unwrap();
        assert_eq!(places_of(&here.path().join("token")), [here.path(), volume.path()]);
    }

    #[test]
    fn a_directory_that_is_not_there_yet_may_appear_in_its_nearest_ancestor() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(places_of(&directory.path().join("not/yet/token")), [directory.path()]);
    }

    #[test]
    fn a_file_in_the_root_directory_opens_that_file_only() {
        assert_eq!(place_of_file(Path::new("/proc")).as_deref(), Some(Path::new("/proc")));
        assert_eq!(place_of_file(Path::new("/proc/version")).as_deref(), Some(Path::new("/proc")));
    }

    #[test]
    fn nothing_opens_the_root_directory() {
        let missing = ["/not-there/x/token", "/not-there"].map(PathBuf::from);
        let root = PathBuf::from("/");
        let needs = Needs { ports: vec![], files: missing.to_vec(), directories: vec![root.clone()] };
        let Places { readable, out_of_reach } = Places::of(&needs);
        assert!(readable.is_empty(), "{readable:?}");
        assert_eq!(out_of_reach, [&missing[..], &[root]].concat());
    }
}
