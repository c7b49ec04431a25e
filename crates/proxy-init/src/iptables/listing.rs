//! What `iptables -S` says of a table, and what of it is ours.

use super::{OUTPUT, REDIRECT};

/// Its lines.
pub(super) struct Listing(Vec<String>);

impl Listing {
    pub(super) fn new(text: &str) -> Self {
        Self(text.lines().map(str::to_owned).collect())
    }

    /// How many rules and chains there are beside the built-in chains.
    pub(super) fn size(&self) -> usize {
        self.0.iter().filter(|line| !line.starts_with("-P ")).count()
    }

    pub(super) fn has(&self, chain: &str) -> bool {
        self.chains().any(|there| there == chain)
    }

    /// A chain's rules, without its name.
    pub(super) fn rules(&self, chain: &str) -> Vec<&str> {
        self.all().filter_map(|rule| rule.strip_prefix(chain)?.strip_prefix(' ')).collect()
    }

    /// A chain's first rule, with its name.
    pub(super) fn first(&self, chain: &str) -> Option<&str> {
        self.all().find(|rule| in_chain(rule, |name| name == chain))
    }

    /// Rules of other chains that lead to ours, with their chains' names.
    pub(super) fn jumps(&self) -> Vec<&str> {
        let leads_to_ours = |rule: &&str| target(rule).as_deref().is_some_and(is_ours);
        self.all().filter(|rule| !in_chain(rule, is_ours)).filter(leads_to_ours).collect()
    }

    /// The jumps to our chains, then the rules in them, with their chains' names.
    pub(super) fn ours(&self) -> Vec<&str> {
        let inside = |chain: &'static str| self.all().filter(move |rule| in_chain(rule, |name| name == chain));
        self.jumps().into_iter().chain(inside(OUTPUT)).chain(inside(REDIRECT)).collect()
    }

    /// The commands that remove what is ours: jumps first, since a chain that something points at cannot go.
    pub(super) fn clearance(&self) -> Vec<String> {
        let chains = self.chains().filter(|chain| is_ours(chain));
        let rules = self.ours().into_iter().map(|rule| format!("-D {rule}"));
        rules.chain(chains.map(|chain| format!("-X {chain}"))).collect()
    }

    fn all(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|line| line.strip_prefix("-A "))
    }

    fn chains(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|line| line.strip_prefix("-N "))
    }
}

fn is_ours(chain: &str) -> bool {
    chain == OUTPUT || chain == REDIRECT
}

fn in_chain(rule: &str, is: impl Fn(&str) -> bool) -> bool {
    rule.split(' ').next().is_some_and(is)
}

/// Where a rule sends what it matches: the word after `-j` or `-g`, but for other people's texts.
fn target(rule: &str) -> Option<String> {
    let rule = unquoted(rule);
    let mut words = rule.split(' ');
    words.find(|word| ["-j", "-g"].contains(word))?;
    words.next().map(str::to_owned)
}

/// Without what stands in quotes, such as comments; iptables puts a backslash before a quote inside.
fn unquoted(rule: &str) -> String {
    let (mut inside, mut escaped) = (false, false);
    let is_outside = |letter: &char| {
        let is_quote = *letter == '"' && !escaped;
        escaped = *letter == '\\' && !escaped;
        inside ^= is_quote;
        !inside && !is_quote
    };
    rule.chars().filter(is_outside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_goes_jumps_before_chains_and_nothing_else() {
        let listing = r#"
-P OUTPUT ACCEPT
-N AZWI_PROXY_OUTPUT
-N AZWI_PROXY_REDIRECT
-N ISTIO_OUTPUT
-A OUTPUT -p tcp -j ISTIO_OUTPUT
-A OUTPUT -d 169.254.169.254/32 -p tcp -m tcp --dport 80 -j AZWI_PROXY_OUTPUT
-A OUTPUT -m comment --comment "by \"us\" -j" -g AZWI_PROXY_OUTPUT
-A AZWI_PROXY_OUTPUT -j AZWI_PROXY_REDIRECT
-A AZWI_PROXY_REDIRECT -p tcp -j REDIRECT --to-ports 8000
"#;
        let expected = [
            "-D OUTPUT -d 169.254.169.254/32 -p tcp -m tcp --dport 80 -j AZWI_PROXY_OUTPUT",
            r#"-D OUTPUT -m comment --comment "by \"us\" -j" -g AZWI_PROXY_OUTPUT"#,
            "-D AZWI_PROXY_OUTPUT -j AZWI_PROXY_REDIRECT",
            "-D AZWI_PROXY_REDIRECT -p tcp -j REDIRECT --to-ports 8000",
            "-X AZWI_PROXY_OUTPUT",
            "-X AZWI_PROXY_REDIRECT",
        ];
        assert_eq!(Listing::new(listing).clearance(), expected);
    }

    #[test]
    fn other_peoples_rules_may_mention_our_chains() {
        let listing = r#"
-A OUTPUT -p tcp -m comment --comment AZWI_PROXY_OUTPUT -j RETURN
-A OUTPUT -p tcp -m comment --comment "before -j AZWI_PROXY_OUTPUT comes" -j RETURN
-A OUTPUT -j LOG --log-prefix "-j AZWI_PROXY_OUTPUT "
"#;
        assert_eq!(Listing::new(listing).clearance(), Vec::<String>::new());
    }
}
