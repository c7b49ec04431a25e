//! The plan for an operator to read: in words, as comments, above what could be given to `nft -f` or a shell.

use crate::config::{Choice, Config};
#[cfg(feature = "iptables")]
use crate::iptables;
use crate::nftables;
use crate::plan::Plan;

/// Ends with a newline.
pub(crate) fn text(config: Config) -> String {
    let (how, rules) = rules(config);
    format!("{}#\n# {how}\n{rules}", words(config.plan))
}

fn words(Plan { metadata, proxy_port, proxy_uid }: Plan) -> String {
    format!(
        "# Nothing has been changed. This is what azwi-proxy-init would do with these settings:\n\
         #\n\
         # TCP connections to {metadata} that are made in this network namespace go to 127.0.0.1:{proxy_port} instead,\n\
         # where the proxy listens. Those of user {proxy_uid}, which is the proxy, go on to {metadata}.\n\
         # Other destinations, UDP, IPv6 and what comes from elsewhere are left alone.\n"
    )
}

fn rules(config: Config) -> (&'static str, String) {
    match config.choice {
        #[cfg(feature = "iptables")]
        Choice::Iptables => ("Through iptables, one by one:", iptables::commands(config.plan).join("\n") + "\n"),
        Choice::Auto if cfg!(feature = "iptables") => (
            "Through nf_tables, all at once; if the kernel has none, through iptables (see --backend=iptables --dry-run):",
            nftables::script(config.plan),
        ),
        _ => ("Through nf_tables, all at once:", nftables::script(config.plan)),
    }
}
