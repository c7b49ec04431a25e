//! The program; all of it is in the library.

use std::process::ExitCode;

use dlmalloc::GlobalDlmalloc;

/// musl's own gives pages back to the kernel and takes them again with each review, which costs as much as the review.
#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

fn main() -> ExitCode {
    azwi_webhook::main()
}
