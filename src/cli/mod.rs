//! One file a command: words in, plan out.

/// Runs the command line of this process and returns its exit status.
#[must_use]
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
