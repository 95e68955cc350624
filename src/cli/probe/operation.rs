//! How the process behaves: the options.

/// How the process behaves.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Operation")]
pub(super) struct OperationArgs {
    /// The ledger at exit, on standard error.
    #[arg(long, value_enum, default_value_t)]
    pub(super) stats: Stats,

    /// Exit with status 1 if any frame or record was lost.
    #[arg(long)]
    pub(super) fail_on_loss: bool,

    /// No progress bar.
    #[arg(short, long)]
    pub(super) quiet: bool,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub(super) enum Stats {
    #[default]
    Text,
    Json,
    None,
}
