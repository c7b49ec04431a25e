//! Who can hold the rules.

/// What a backend holds under our names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Nothing,
    /// Exactly the plan's rules.
    Plan,
    /// Rules of another plan, or incomplete ones.
    Other,
}

/// Who holds the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Nftables,
    /// With the program that shows them.
    #[cfg(feature = "iptables")]
    Iptables(&'static str),
}

impl Backend {
    /// As the log has it, and as an operator types it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            #[cfg(feature = "iptables")]
            Self::Iptables(program) => program,
        }
    }
}
