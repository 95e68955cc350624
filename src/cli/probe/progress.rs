//! The progress bar over a capture file.

use crate::probe::Progress;
use indicatif::{ProgressBar, ProgressStyle};

pub(super) fn show(bar: &mut Option<ProgressBar>, progress: &Progress) {
    let Some((done, all)) = progress.octets else { return };
    let bar = bar.get_or_insert_with(|| {
        let bar = ProgressBar::new(all);
        let style = "{wide_bar} {bytes}/{total_bytes} {msg} {eta}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar
    });
    bar.set_position(done);
    bar.set_message(format!(
        "{} packets, {} flows",
        progress.ledger.parse.metered, progress.ledger.flows.created
    ));
}
