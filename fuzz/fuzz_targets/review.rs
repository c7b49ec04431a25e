//! `cargo fuzz run review`; without a fuzzer it checks the files that are named to it.
#![cfg_attr(fuzzing, no_main)]

azwi_fuzz::program!(review);
