//! The command line, parsed.

use crate::group::Group;

pub(crate) const HELP: &str = "\
cargo xtask demo [--keep]     build and show the main job on this machine: an unmodified app gets its token
                              --keep: leave it running, with a shell inside; all ends with the shell
cargo xtask test [GROUP…]     run every test but release, or these groups:
                                unit        what needs nothing but Rust
                                black-box   the built programs on loopback
                                timing      the same, one test at a time, for they take the time of answers
                                landlock    what the kernel lets the sidecar read; needs Landlock
                                namespace   real redirection, native nf_tables, in a network namespace
                                iptables    the same through the iptables program; needs several user ids, too
                                uids        who is redirected and who is not; needs several user ids
                                release     the sidecar as it ships; takes minutes to build
                                clients     unmodified Azure SDKs through the real redirection; each language needs its
                                            tools, and can be named instead: python, javascript, go, java, rust
                              What cannot run is listed at the end with the reason; with CI=true that is a failure.
cargo xtask e2e kube          the webhook and its chart with a real API server and etcd, which it builds (minutes, once)
                              unless KUBEBUILDER_ASSETS names a directory that has them
cargo xtask chart             make anew what is made of the chart: deploy/ and the table of its values
cargo xtask bench [webhook] [OPTION…]
                              build the sidecar, or the webhook, as it ships, measure it and hold it to its limits; the
                              machine should be quiet
                                --quick            less than a minute, for use while working
                                --output=FORM      text, markdown or json
cargo xtask images [OPTION]   build the images as they ship, twice, and check what is in them; takes minutes
                                --arch=ARCH        amd64, arm64 or all, which is usual
cargo xtask e2e pods          the images of this machine's processor in real containers, with podman; needs root
cargo xtask --help            this text";

/// How `bench` can show its table.
const FORMS: [&str; 3] = ["text", "markdown", "json"];

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Help,
    Demo { keep: bool },
    Test(Vec<Group>),
    Chart,
    Bench { subject: Subject, quick: bool, form: &'static str },
    Images(Architectures),
    EndToEnd(Group),
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    Sidecar,
    Webhook,
}

/// Whom images are built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Architectures {
    Amd64,
    Arm64,
    All,
}

impl Architectures {
    /// As the registries name them.
    pub(crate) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Amd64 => &["amd64"],
            Self::Arm64 => &["arm64"],
            Self::All => &["amd64", "arm64"],
        }
    }

    /// The one whose images can be run here.
    pub(crate) fn of_this_machine() -> Self {
        if cfg!(target_arch = "aarch64") { Self::Arm64 } else { Self::Amd64 }
    }

    fn named(name: &str) -> Result<Self, String> {
        match name {
            "amd64" => Ok(Self::Amd64),
            "arm64" => Ok(Self::Arm64),
            "all" => Ok(Self::All),
            other => Err(format!("images are not built for {other:?}")),
        }
    }
}

impl Task {
    /// Errors say which word was not understood.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match words.as_slice() {
            _ if words.iter().any(|word| ["-h", "--help", "help"].contains(word)) => Ok(Self::Help),
            ["demo"] => Ok(Self::Demo { keep: false }),
            ["demo", "--keep"] => Ok(Self::Demo { keep: true }),
            ["demo", other, ..] => Err(format!("demo does not know {other:?}")),
            ["test"] => Ok(Self::Test(Group::usual())),
            ["test", groups @ ..] => {
                let groups: Vec<_> = groups.iter().map(|name| Group::named(name)).collect::<Result<_, _>>()?;
                Ok(Self::Test(groups.concat()))
            }
            ["chart"] => Ok(Self::Chart),
            ["bench", "webhook", options @ ..] => bench(Subject::Webhook, options),
            ["bench", options @ ..] => bench(Subject::Sidecar, options),
            ["images"] => Ok(Self::Images(Architectures::All)),
            ["images", "--arch", name] => Architectures::named(name).map(Self::Images),
            ["images", option] if option.starts_with("--arch=") => {
                Architectures::named(option.trim_start_matches("--arch=")).map(Self::Images)
            }
            ["images", other, ..] => Err(format!("images does not know {other:?}")),
            ["e2e", "pods"] => Ok(Self::EndToEnd(Group::Pods)),
            ["e2e", "kube"] => Ok(Self::EndToEnd(Group::Kube)),
            ["e2e", others @ ..] => Err(format!("e2e knows pods and kube, but not {others:?}")),
            [other, ..] => Err(format!("no task is named {other:?}")),
            [] => Err("which task?".to_owned()),
        }
    }
}

fn bench(subject: Subject, words: &[&str]) -> Result<Task, String> {
    let (mut quick, mut form) = (false, "text");
    for option in words.join(" ").replace("--output ", "--output=").split_whitespace() {
        let known = option.strip_prefix("--output=").and_then(|name| FORMS.into_iter().find(|form| *form == name));
        match (option, known) {
            (_, Some(known)) => form = known,
            ("--quick", _) => quick = true,
            _ => return Err(format!("bench does not know {option:?}")),
        }
    }
    Ok(Task::Bench { subject, quick, form })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Task, String> {
        Task::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn test_without_a_group_means_every_group_that_is_built_soon() {
        assert_eq!(parse("test"), Ok(Task::Test(Group::usual())));
    }

    #[test]
    fn groups_run_in_the_order_given() {
        assert_eq!(parse("test uids unit"), Ok(Task::Test(vec![Group::Uids, Group::Unit])));
    }

    #[test]
    fn bench_takes_the_form_as_one_word_or_as_two() {
        let expected = Ok(Task::Bench { subject: Subject::Sidecar, quick: true, form: "json" });
        assert_eq!(parse("bench --quick --output=json"), expected);
        assert_eq!(parse("bench --quick --output json"), expected);
    }

    #[test]
    fn the_sidecar_is_measured_unless_the_webhook_is_named() {
        assert!(matches!(parse("bench"), Ok(Task::Bench { subject: Subject::Sidecar, .. })));
        let expected = Task::Bench { subject: Subject::Webhook, quick: true, form: "text" };
        assert_eq!(parse("bench webhook --quick"), Ok(expected));
    }

    #[test]
    fn images_are_built_for_all_unless_one_is_named() {
        assert_eq!(parse("images"), Ok(Task::Images(Architectures::All)));
        assert_eq!(parse("images --arch amd64"), Ok(Task::Images(Architectures::Amd64)));
        assert_eq!(parse("images --arch=arm64"), Ok(Task::Images(Architectures::Arm64)));
        assert!(parse("images --arch=arm").is_err_and(|error| error.contains("\"arm\"")));
    }

    #[test]
    fn end_to_end_tests_are_named() {
        assert_eq!(parse("e2e kube"), Ok(Task::EndToEnd(Group::Kube)));
        assert!(parse("e2e").is_err());
    }

    #[test]
    fn help_is_given_wherever_it_is_asked_for() {
        assert_eq!(parse("demo --help"), Ok(Task::Help));
    }

    #[test]
    fn an_unknown_word_is_named() {
        assert!(parse("test unti").is_err_and(|error| error.contains("\"unti\"")));
        assert!(parse("demo --keeep").is_err_and(|error| error.contains("\"--keeep\"")));
        assert!(parse("bench --output xml").is_err_and(|error| error.contains("\"--output=xml\"")));
        assert!(parse("dmeo").is_err_and(|error| error.contains("\"dmeo\"")));
    }
}
