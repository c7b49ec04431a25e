//! What this backend installs, as `nft -f` reads it: for people, and for whoever would rather load it themselves.

use super::{CHAIN, EXEMPTION, PRIORITY, REDIRECT, TABLE};
use crate::plan::Plan;

/// The whole transaction, the removal of an older table of ours included.
pub(crate) fn script(Plan { metadata, proxy_port, proxy_uid }: Plan) -> String {
    let destination = format!("ip daddr {} tcp dport {}", metadata.ip(), metadata.port());
    format!(
        "table ip {TABLE}\n\
         delete table ip {TABLE}\n\
         table ip {TABLE} {{\n\
         \tchain {CHAIN} {{\n\
         \t\ttype nat hook output priority {PRIORITY}; policy accept;\n\
         \t\t{destination} meta skuid {proxy_uid} return comment \"{EXEMPTION}\"\n\
         \t\t{destination} redirect to :{proxy_port} comment \"{REDIRECT}\"\n\
         \t}}\n\
         }}\n"
    )
}
