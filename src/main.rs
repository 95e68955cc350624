//! The `sixtap` command: words in, exit status out (DESIGN: 0 done, 1 findings or loss, 2 usage, 3 environment).

fn main() -> std::process::ExitCode {
    sixtap::cli::main()
}
