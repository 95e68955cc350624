//! Parquet: read by DuckDB, which is another implementation of the format; and by the parquet crate itself.

use super::{number, probe, suite, sum};
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for day in std::fs::read_dir(folder).expect("a directory") {
        let day = day.expect("an entry").path();
        assert!(day.file_name().unwrap().to_string_lossy().starts_with("date="), "{day:?}");
        found.extend(std::fs::read_dir(day).unwrap().map(|entry| entry.unwrap().path()));
    }
    found
}

/// Meters the suite into `folder`/flows; the records as JSON says them.
fn export(folder: &Path, more: &[&str]) -> Vec<Value> {
    let url = format!("parquet:{}", folder.join("flows").display());
    let run = probe(&suite(folder), &[&["-c", &url, "-c", "json:-"], more].concat());
    assert_eq!(run.status, 0, "{}", run.error);
    run.balances();
    assert_eq!(number(run.collector("parquet:"), "sent"), run.records.len() as u64);
    run.records
}

/// A value of a column as JSON has it.
fn as_json(name: &str, value: &Value) -> Value {
    match value {
        // Points in time come as milliseconds since 1970.
        Value::String(text) if name.starts_with("flowStart") || name.starts_with("flowEnd") => {
            json!(text)
        }
        other => other.clone(),
    }
}

#[test]
fn every_value_is_the_one_of_the_json_record() {
    let folder = tempfile::tempdir().unwrap();
    let records = export(folder.path(), &["-T", "full"]);
    let files = files(&folder.path().join("flows"));
    assert_eq!(files.len(), 1, "{files:?}");
    let name = files[0].file_name().unwrap().to_string_lossy().into_owned();
    assert!(name.ends_with(".parquet") && !name.starts_with('.'), "{name}");
    let reader = SerializedFileReader::new(std::fs::File::open(&files[0]).unwrap()).unwrap();
    assert_eq!(reader.metadata().file_metadata().num_rows(), records.len() as i64);
    let rows = reader.get_row_iter(None).unwrap();
    for (row, record) in rows.zip(&records) {
        let row = row.unwrap();
        let record = record.as_object().unwrap();
        let mut present = 0;
        for (name, field) in row.get_column_iter() {
            use ::parquet::record::Field;
            let expected = record.get(&name.replace("sixtap_", "sixtap:"));
            if matches!(field, Field::Null) {
                assert_eq!(expected, None, "{name}");
                continue;
            }
            present += 1;
            let expected = expected.unwrap_or_else(|| panic!("{name} is not in {record:?}"));
            let saw = match field {
                Field::Int(number) => json!(number),
                Field::Long(number) => json!(number),
                Field::Bool(value) => json!(value),
                Field::Str(text) if expected.is_string() => json!(text),
                Field::Str(text) => serde_json::from_str(text).expect("a list as JSON"),
                Field::TimestampMillis(time) => {
                    let (seconds, rest) = (time.div_euclid(1000), time.rem_euclid(1000));
                    let text = expected.as_str().expect("a time");
                    assert!(text.ends_with(&format!(".{rest:03}Z")), "{name}: {text}");
                    assert!(seconds > 0);
                    expected.clone()
                }
                other => panic!("{name}: {other:?}"),
            };
            assert_eq!(as_json(name, &saw), *expected, "{name}");
        }
        assert_eq!(present, record.len(), "{record:?}");
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("file");
    std::fs::write(&place, "").unwrap();
    let run = probe(&suite(folder.path()), &["-c", &format!("parquet:{}", place.display())]);
    assert_eq!(run.status, 3, "{}", run.error);
    assert!(run.error.contains("file"), "{}", run.error);
}

/// A Python that has DuckDB: one that scripts/setup made, or the system's.
fn python() -> Option<PathBuf> {
    let cache = std::env::var_os("SIXTAP_TOOLS").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or(home);
        cache.map(|cache| cache.join("sixtap"))
    });
    let places = [cache.map(|cache| cache.join("duckdb/bin/python3")), Some("python3".into())];
    places.into_iter().flatten().find(|python| {
        let output = Command::new(python).args(["-c", "import duckdb"]).output();
        output.is_ok_and(|output| output.status.success())
    })
}

/// The queries of docs/scale-out.md, run as they stand there.
#[test]
fn the_documented_duckdb_queries_run_and_add_up() {
    let Some(python) = python() else {
        println!("not run: DuckDB over Parquet: the Python package duckdb is not installed");
        return;
    };
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/scale-out.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut queries = Vec::new();
    let mut rest = page.as_str();
    while let Some((_, behind)) = rest.split_once("```sql\n") {
        let (query, after) = behind.split_once("```").expect("the block ends");
        queries.push(query.to_owned());
        rest = after;
    }
    assert!(queries.len() >= 3, "{}", queries.len());
    let folder = tempfile::tempdir().unwrap();
    let records = export(folder.path(), &[]);
    let script = "import duckdb, json, sys\n\
        for query in json.load(sys.stdin):\n\
        \x20   rows = duckdb.sql(query).fetchall()\n\
        \x20   print(json.dumps([[str(cell) for cell in row] for row in rows]))\n";
    let totals = "SELECT sum(packetDeltaCount), sum(octetDeltaCount), count(*), \
        count(sourceIPv6Address), min(flowStartMilliseconds) IS NOT NULL \
        FROM read_parquet('flows/*/*.parquet', hive_partitioning = true)";
    queries.push(totals.to_owned());
    let mut child = Command::new(python)
        .current_dir(folder.path())
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    serde_json::to_writer(child.stdin.take().unwrap(), &queries).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers: Vec<Vec<Vec<String>>> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), queries.len());
    for (query, answer) in queries.iter().zip(&answers) {
        assert!(!answer.is_empty(), "no row: {query}");
    }
    let ipv6 = records.iter().filter(|r| r.get("sourceIPv6Address").is_some()).count();
    let expected = vec![
        sum(&records, "packetDeltaCount").to_string(),
        sum(&records, "octetDeltaCount").to_string(),
        records.len().to_string(),
        ipv6.to_string(),
        "True".to_owned(),
    ];
    assert_eq!(answers.last().and_then(|rows| rows.first()), Some(&expected));
}
