//! What the init image's target `iptables` may hold besides its program: the iptables programs and what they load.

use super::content::File;

const PROGRAMS: [&str; 7] = [
    "iptables",
    "iptables-legacy",
    "iptables-legacy-save",
    "iptables-nft",
    "iptables-nft-save",
    "xtables-legacy-multi",
    "xtables-nft-multi",
];
/// With the dot, or `libc` would let libcrypto in.
const LIBRARIES: [&str; 6] = ["libc.", "libip4tc.", "libip6tc.", "libmnl.", "libnftnl.", "libxtables."];

/// Whether it belongs to iptables and is nothing but readable and executable.
pub(crate) fn may_hold(file: &File) -> bool {
    let (path, _) = file.path.split_once(" -> ").unwrap_or((&file.path, ""));
    let is_ours = match file.mode.as_str() {
        "drwxr-xr-x" => true,
        "-rwxr-xr-x" | "-rw-r--r--" | "lrwxrwxrwx" => is_of_iptables(path),
        _ => false,
    };
    is_ours && file.owner == "0/0"
}

fn is_of_iptables(path: &str) -> bool {
    let Some((directory, name)) = path.rsplit_once('/') else { return false };
    match directory {
        "usr/sbin" => PROGRAMS.contains(&name),
        _ if directory.ends_with("/xtables") => name.starts_with("libxt_") || name.starts_with("libipt_"),
        _ => name.starts_with("ld-linux-") || is_library(name),
    }
}

fn is_library(name: &str) -> bool {
    name.contains(".so.") && LIBRARIES.iter().any(|library| name.starts_with(library))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_held(mode: &str, path: &str) -> bool {
        may_hold(&File { mode: mode.into(), owner: "0/0".into(), size: 1, path: path.into() })
    }

    #[test]
    fn the_programs_their_libraries_and_their_plug_ins_are_held() {
        assert!(is_held("lrwxrwxrwx", "usr/sbin/iptables-nft -> xtables-nft-multi"));
        assert!(is_held("-rw-r--r--", "usr/lib/aarch64-linux-gnu/libmnl.so.0.2.0"));
        assert!(is_held("-rw-r--r--", "usr/lib/aarch64-linux-gnu/xtables/libxt_owner.so"));
        assert!(is_held("lrwxrwxrwx", "lib/ld-linux-aarch64.so.1 -> aarch64-linux-gnu/ld-linux-aarch64.so.1"));
        assert!(is_held("drwxr-xr-x", "usr/"));
    }

    #[test]
    fn a_shell_another_library_and_another_program_are_not() {
        let strangers = ["bin/sh", "usr/sbin/ip", "lib/x/libcrypto.so.3", "usr/lib/x/xtables/sh", "libc.so.6"];
        for stranger in strangers {
            assert!(!is_held("-rwxr-xr-x", stranger), "{stranger}");
        }
    }

    #[test]
    fn what_others_may_write_or_what_sets_the_user_id_is_not() {
        assert!(!is_held("-rwsr-xr-x", "usr/sbin/xtables-nft-multi"));
        assert!(!is_held("-rw-rw-rw-", "lib/x/libc.so.6"));
        assert!(!is_held("drwxrwxrwx", "usr/sbin/"));
    }
}
