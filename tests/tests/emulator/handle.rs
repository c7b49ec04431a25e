//! The handle by which the other tests hold the emulator.

use azwi_tests::emulator::{DEMO_SUBJECT, Emulator};

#[test]
fn a_fault_that_does_not_exist_is_refused() {
    let error = Emulator::start().unwrap().faults("{\"bogus\":1}").unwrap_err();
    assert!(error.to_string().contains("unknown field `bogus`"), "{error}");
}

#[test]
fn a_token_file_is_written_as_a_kubelet_does() {
    let emulator = Emulator::start().unwrap();
    let file = emulator.dir().join("token");
    emulator.write_token(&file, DEMO_SUBJECT).unwrap();
    let token = std::fs::read_to_string(&file).unwrap();
    assert_eq!(token.split('.').count(), 3);
    assert_eq!(token, token.trim());
}

#[test]
fn a_start_that_fails_tells_why() {
    let error = Emulator::start_with(Some("{\"tenants\":[]}"), &[]).err().unwrap();
    assert!(error.to_string().contains("--config: tenants: at least one is needed"), "{error}");
}
