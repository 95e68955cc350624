//! The writer's thread: row groups to files.

use super::columns::{Column, Rows, Schema, Values};
use crate::capture::Timestamp;
use crate::export::transport::Tally;
use crate::export::writer::{Done, Work};
use crate::ipfix::time::Rfc3339;
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{BoolType, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

/// A file is completed when it has so many rows.
const MOST_ROWS: u64 = 8 << 20;

/// What the writer is told.
pub(super) enum Job {
    /// A row group; the time names the file if one must be begun.
    Rows(Box<Rows>, Timestamp),
    /// The file is to be completed.
    Close,
}

/// The file in the making.
struct Open {
    writer: SerializedFileWriter<File>,
    unfinished: PathBuf,
    finished: PathBuf,
    tally: Tally,
}

/// Writes row groups into files.
pub(super) struct FileWriter {
    directory: PathBuf,
    schema: Arc<Schema>,
    properties: WriterPropertiesPtr,
    open: Option<Open>,
    files: u64,
}

impl Work for FileWriter {
    type Job = Job;

    fn work(&mut self, job: Job, done: &mut Done) -> Option<Job> {
        match job {
            Job::Rows(rows, now) => self.write(&rows, now, done),
            Job::Close => self.close(done),
        }
        None
    }

    fn end(&mut self, done: &mut Done) {
        self.close(done);
    }
}

impl FileWriter {
    pub(super) fn new(directory: PathBuf, schema: Arc<Schema>) -> Self {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(concat!("sixtap ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        Self { directory, schema, properties: Arc::new(properties), open: None, files: 0 }
    }

    fn write(&mut self, rows: &Rows, now: Timestamp, done: &mut Done) {
        let open = match self.open.take() {
            Some(open) => Ok(open),
            None => self.begin(now),
        };
        let mut open = match open {
            Ok(open) => open,
            Err(problem) => return lose(rows.tally, &problem, done),
        };
        open.tally += rows.tally;
        if let Err(error) = row_group(&mut open.writer, rows) {
            // A file with half a row group cannot be completed: what it has is lost with it.
            let _ = std::fs::remove_file(&open.unfinished);
            let problem = format!("{}: {error}", open.unfinished.display());
            return lose(open.tally, &problem, done);
        }
        let full = open.tally.flows >= MOST_ROWS;
        self.open = Some(open);
        if full {
            self.close(done);
        }
    }

    fn begin(&mut self, now: Timestamp) -> Result<Open, String> {
        let unix_nanos = i64::try_from(now.0).unwrap_or(i64::MAX);
        let time = Rfc3339 { unix_nanos, digits: 0 }.to_string();
        let (date, clock) = (time.get(..10).unwrap_or(""), time.get(11..19).unwrap_or(""));
        let directory = self.directory.join(format!("date={date}"));
        self.files += 1;
        let (process, number) = (std::process::id(), self.files);
        let name = format!("sixtap-{}-{process}-{number}", clock.replace(':', ""));
        // Neither DuckDB's *.parquet nor Spark looks at a name that begins with a dot.
        let unfinished = directory.join(format!(".{name}.tmp"));
        let finished = directory.join(format!("{name}.parquet"));
        let failure = |error: &dyn std::fmt::Display| format!("{}: {error}", unfinished.display());
        std::fs::create_dir_all(&directory).map_err(|error| failure(&error))?;
        let file = File::create(&unfinished).map_err(|error| failure(&error))?;
        let (schema, properties) = (Arc::clone(&self.schema.root), Arc::clone(&self.properties));
        let writer =
            SerializedFileWriter::new(file, schema, properties).map_err(|error| failure(&error))?;
        Ok(Open { writer, unfinished, finished, tally: Tally::default() })
    }

    fn close(&mut self, done: &mut Done) {
        let Some(Open { writer, unfinished, finished, tally }) = self.open.take() else { return };
        let closed = writer.into_inner().map_err(|error| error.to_string()).and_then(|file| {
            let length = file.metadata().map(|metadata| metadata.len()).unwrap_or(0);
            // On the disk before it has the name that says it is whole.
            file.sync_data()
                .and_then(|()| std::fs::rename(&unfinished, &finished))
                .map_err(|error| error.to_string())?;
            Ok(length)
        });
        match closed {
            Ok(length) => {
                let sent = &mut done.outcome.sent;
                sent.messages += 1;
                sent.length += length;
                sent.tally += tally;
            }
            Err(error) => {
                let _ = std::fs::remove_file(&unfinished);
                lose(tally, &format!("{}: {error}", finished.display()), done);
            }
        }
    }
}

fn lose(tally: Tally, problem: &str, done: &mut Done) {
    done.outcome.refused.messages += 1;
    done.outcome.refused.tally += tally;
    done.problems.push(format!("{problem}; records are lost"));
}

fn row_group(writer: &mut SerializedFileWriter<File>, rows: &Rows) -> Result<(), ParquetError> {
    let mut group = writer.next_row_group()?;
    for column in &rows.columns {
        let Some(mut place) = group.next_column()? else { break };
        write_column(&mut place, column)?;
        place.close()?;
    }
    group.close()?;
    Ok(())
}

fn write_column(
    place: &mut SerializedColumnWriter<'_>,
    column: &Column,
) -> Result<(), ParquetError> {
    let levels = Some(column.levels.as_slice());
    match &column.values {
        Values::Int32(list) => place.typed::<Int32Type>().write_batch(list, levels, None),
        Values::Int64(list) => place.typed::<Int64Type>().write_batch(list, levels, None),
        Values::Boolean(list) => place.typed::<BoolType>().write_batch(list, levels, None),
        Values::Double(list) => place.typed::<DoubleType>().write_batch(list, levels, None),
        Values::Text(list) => place.typed::<ByteArrayType>().write_batch(list, levels, None),
    }
    .map(|_| ())
}
