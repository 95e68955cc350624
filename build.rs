//! Builds the XDP program with feature `xdp`; does nothing otherwise.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "xdp")]
    xdp::build();
}

#[cfg(feature = "xdp")]
mod xdp {
    use std::path::{Path, PathBuf};

    const NAMES: [&str; 2] = ["sixtap", "sixtap_nic"];

    /// Compiles each `bpf/NAME.bpf.c` to `OUT_DIR/NAME.bpf.o`, which `src/capture/xdp/program.rs` embeds.
    pub(crate) fn build() {
        println!("cargo::rerun-if-changed=bpf");
        println!("cargo::rerun-if-env-changed=CLANG");
        NAMES.into_iter().for_each(compile);
    }

    fn compile(name: &str) {
        let source = format!("bpf/{name}.bpf.c");
        let Some(out) = std::env::var_os("OUT_DIR").map(PathBuf::from) else {
            fail("OUT_DIR is not set: build.rs is meant to be run by cargo");
        };
        let mut builder = libbpf_cargo::SkeletonBuilder::new();
        builder.source(&source).obj(out.join(format!("{name}.bpf.o"))).clang_args(arguments());
        if let Some(clang) = std::env::var_os("CLANG") {
            builder.clang(clang);
        }
        if let Err(error) = builder.build() {
            fail(&format!(
                "{source} was not built: {error:#}. Feature `xdp` needs clang, libelf and zlib \
                 (Debian: apt-get install clang llvm libelf-dev zlib1g-dev m4 pkg-config make); \
                 `cargo build --no-default-features` builds without AF_XDP"
            ));
        }
    }

    /// Debian and its kin keep `asm/types.h` in a directory named after the machine, which `clang -target bpf` does not search.
    fn arguments() -> Vec<String> {
        let machine = std::env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
        let mut arguments = vec!["-Wall".to_owned(), "-Werror".to_owned()];
        for abi in ["gnu", "musl", "gnueabihf"] {
            let directory = format!("/usr/include/{machine}-linux-{abi}");
            if Path::new(&directory).join("asm").is_dir() {
                arguments.push(format!("-I{directory}"));
            }
        }
        arguments
    }

    fn fail(message: &str) -> ! {
        println!("cargo::error={message}");
        std::process::exit(1);
    }
}
