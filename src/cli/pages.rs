//! `sixtap pages DIR`: man pages and shell completions, from the same list of options that the parser has. For packages.

use super::{DONE, Failure};
use clap::Command;
use clap_complete::Shell;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Arguments of `sixtap pages`.
#[derive(Debug, clap::Args)]
pub(crate) struct PagesArgs {
    /// Where to write: man/sixtap*.1, and bash/, zsh/, fish/.
    #[arg(value_name = "DIR", required_unless_present = "keys")]
    directory: Option<PathBuf>,

    /// Print the keys of the configuration file as a Markdown table.
    #[arg(long)]
    keys: bool,
}

pub(crate) fn run(args: &PagesArgs, mut command: Command) -> Result<u8, Failure> {
    if args.keys {
        // A closed pipe is a normal end.
        let _ = io::stdout().write_all(super::probe::configuration::markdown().as_bytes());
    }
    let Some(directory) = &args.directory else { return Ok(DONE) };
    let wrong =
        |error: io::Error| Failure::environment(format!("{}: {error}", directory.display()));
    completions(&mut command, directory).map_err(wrong)?;
    man(command, &directory.join("man")).map_err(wrong)?;
    Ok(DONE)
}

fn completions(command: &mut Command, directory: &Path) -> io::Result<()> {
    // Under the names by which the shells look for them.
    let files = [
        (Shell::Bash, "bash/sixtap"),
        (Shell::Zsh, "zsh/_sixtap"),
        (Shell::Fish, "fish/sixtap.fish"),
    ];
    for (shell, name) in files {
        let path = directory.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        clap_complete::generate(shell, command, "sixtap", &mut fs::File::create(path)?);
    }
    Ok(())
}

/// `sixtap.1`, and a page a command.
fn man(command: Command, directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    // Help is an option of each page, no page of its own.
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    for page in shown.chain([&command]) {
        let name = page.get_display_name().unwrap_or(page.get_name()).replace(' ', "-");
        let man = clap_mangen::Man::new(page.clone()).title(name.to_uppercase());
        let mut text = Vec::new();
        man.render(&mut text)?;
        if page.get_name() == "probe" {
            text.extend_from_slice(PROBE.as_bytes());
        }
        text.extend_from_slice(COMMON.as_bytes());
        fs::write(directory.join(format!("{name}.1")), text)?;
    }
    Ok(())
}

/// What no option says, in roff.
const PROBE: &str = r#".SH SIGNALS
.TP
\fBSIGTERM\fR, \fBSIGINT\fR
Stops capturing, sends what is in flows, prints the ledger and ends, within the time that \fB\-\-drain\fR gives. A second one ends the process at once.
.TP
\fBSIGHUP\fR
Reads the configuration file again and takes what can change without losing flows; says what cannot.
.TP
\fBSIGUSR1\fR
Prints the ledger on standard error.
.SH FILES
.TP
\fI/etc/sixtap/NAME.toml\fR
The configuration of \fBsixtap@NAME.service\fR: a table a heading of this page, a key an option by its long name. \fBsixtap probe \-\-dump\-config\fR writes it with all defaults.
.SH ENVIRONMENT
.TP
\fBSIXTAP_LOG\fR
The log's level, or a filter such as \fIwarn,sixtap::export=debug\fR, where \fB\-\-log\fR is not given.
.TP
\fBNOTIFY_SOCKET\fR, \fBWATCHDOG_USEC\fR
Set by systemd: the service says when it is ready, reloads and stops; the watchdog is fed while every worker moves.
"#;
const COMMON: &str = r#".SH EXIT STATUS
.TP
\fB0\fR
Done.
.TP
\fB1\fR
Findings, damaged input, or lost data where asked to fail on it.
.TP
\fB2\fR
Usage or configuration.
.TP
\fB3\fR
Environment: permission, interface, kernel.
"#;
