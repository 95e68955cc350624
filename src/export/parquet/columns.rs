//! One column an element.
//!
//! | data type of the element | column |
//! |---|---|
//! | unsigned8, unsigned16 | INT32 |
//! | unsigned32, unsigned64, signed | INT64; an unsigned64 above 2⁶³ - 1 is 2⁶³ - 1 |
//! | unsigned256 in 7 octets or less | INT64 |
//! | boolean | BOOLEAN |
//! | float32, float64 | DOUBLE |
//! | dateTimeSeconds, dateTimeMilliseconds | TIMESTAMP in milliseconds, UTC |
//! | dateTimeMicroseconds, dateTimeNanoseconds | TIMESTAMP in microseconds, UTC |
//! | addresses, strings, octets, lists | UTF8: the text that JSON lines have |
//!
//! Signed integers, because Spark has no others. A flow without an element has no value (NULL). Names are IANA's; own
//! elements are `sixtap_NAME`, so that SQL needs no quotes. Of an element that a record has twice the first is kept.

use super::super::json::{Context, Elements};
use super::super::preset::Preset;
use super::super::record::Template;
use super::super::transport::Tally;
use crate::ipfix::json::{self, Naming};
use crate::ipfix::{Field, FieldSpecifier, Fields, RecordOctets, Value};
use ie_registry::{DataType, VARIABLE_LENGTH};
use parquet::basic::{ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::ByteArray;
use parquet::schema::types::{Type, TypePtr};
use std::sync::Arc;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Int32,
    Int64,
    Boolean,
    Double,
    Milliseconds,
    Microseconds,
    Text,
}

/// The values of one column of a row group.
#[derive(Debug)]
pub(super) enum Values {
    /// Of 32 bits.
    Int32(Vec<i32>),
    /// Of 64 bits.
    Int64(Vec<i64>),
    /// True or false.
    Boolean(Vec<bool>),
    /// Floating point.
    Double(Vec<f64>),
    /// UTF-8.
    Text(Vec<ByteArray>),
}

/// One column of a row group.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) values: Values,
    /// For each row 1 if there is a value, 0 if not.
    pub(super) levels: Vec<i16>,
}

/// The rows of one row group.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) columns: Vec<Column>,
    pub(super) count: usize,
    pub(super) tally: Tally,
}

/// Which columns there are.
#[derive(Debug)]
pub(super) struct Schema {
    elements: Elements,
    /// Enterprise, element, shape.
    columns: Vec<(u32, u16, Shape)>,
    pub(super) root: TypePtr,
}

impl Schema {
    /// A column for every element of the preset.
    pub(super) fn new(preset: &Preset, elements: Elements) -> Result<Self, String> {
        let mut columns: Vec<(u32, u16, Shape)> = Vec::new();
        let mut fields = Vec::new();
        for field in &preset.fields {
            let enterprise = match field.enterprise {
                ie_registry::SIXTAP_DEFAULT_PEN => elements.enterprise,
                other => other,
            };
            if columns.iter().any(|column| (column.0, column.1) == (enterprise, field.id)) {
                continue;
            }
            let specifier = FieldSpecifier { id: field.id, enterprise, length: field.length };
            let context = Context { elements: &elements, templates: &[] };
            let lengths = preset
                .fields
                .iter()
                .filter(|other| (other.enterprise, other.id) == (field.enterprise, field.id));
            let longest = lengths.map(|field| field.length).max().unwrap_or(VARIABLE_LENGTH);
            let shape = shape(context.data_type(&specifier, false), longest);
            let name = context.name(&specifier, false).replace([':', '/'], "_");
            columns.push((enterprise, field.id, shape));
            fields.push(Arc::new(column(&name, shape).map_err(|error| error.to_string())?));
        }
        let root = Type::group_type_builder("flow")
            .with_fields(fields)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { elements, columns, root: Arc::new(root) })
    }

    /// An empty row group.
    pub(super) fn rows(&self) -> Rows {
        let columns = self.columns.iter().map(|(_, _, shape)| Column {
            values: match shape {
                Shape::Int32 => Values::Int32(Vec::new()),
                Shape::Boolean => Values::Boolean(Vec::new()),
                Shape::Double => Values::Double(Vec::new()),
                Shape::Text => Values::Text(Vec::new()),
                Shape::Int64 | Shape::Milliseconds | Shape::Microseconds => {
                    Values::Int64(Vec::new())
                }
            },
            levels: Vec::new(),
        });
        Rows { columns: columns.collect(), count: 0, tally: Tally::default() }
    }

    /// Adds the record of template number `index` as a row.
    pub(super) fn add(&self, rows: &mut Rows, templates: &[Template], index: usize, record: &[u8]) {
        let Some(template) = templates.get(index) else { return };
        let context = Context { elements: &self.elements, templates };
        for field in Fields::new(&template.definition, RecordOctets { offset: 0, octets: record }) {
            let wanted = (field.specifier.enterprise, field.specifier.id);
            let place = self.columns.iter().position(|column| (column.0, column.1) == wanted);
            let Some(place) = place else { continue };
            let shape = self.columns[place].2;
            let column = &mut rows.columns[place];
            if column.levels.len() == rows.count {
                let taken = put(&context, &mut column.values, shape, &field);
                column.levels.push(i16::from(taken));
            }
        }
        rows.count += 1;
        for column in &mut rows.columns {
            column.levels.resize(rows.count, 0);
        }
    }
}

fn shape(data_type: Option<DataType>, length: u16) -> Shape {
    match data_type {
        Some(DataType::Unsigned8 | DataType::Unsigned16) => Shape::Int32,
        Some(DataType::Unsigned32 | DataType::Unsigned64) => Shape::Int64,
        Some(DataType::Signed8 | DataType::Signed16 | DataType::Signed32 | DataType::Signed64) => {
            Shape::Int64
        }
        Some(DataType::Unsigned256) if length < 8 => Shape::Int64,
        Some(DataType::Boolean) => Shape::Boolean,
        Some(DataType::Float32 | DataType::Float64) => Shape::Double,
        Some(DataType::DateTimeSeconds | DataType::DateTimeMilliseconds) => Shape::Milliseconds,
        Some(DataType::DateTimeMicroseconds | DataType::DateTimeNanoseconds) => Shape::Microseconds,
        _ => Shape::Text,
    }
}

fn column(name: &str, shape: Shape) -> Result<Type, parquet::errors::ParquetError> {
    let physical = match shape {
        Shape::Int32 => Physical::INT32,
        Shape::Int64 | Shape::Milliseconds | Shape::Microseconds => Physical::INT64,
        Shape::Boolean => Physical::BOOLEAN,
        Shape::Double => Physical::DOUBLE,
        Shape::Text => Physical::BYTE_ARRAY,
    };
    let builder =
        Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
    let time = |unit| {
        Some(LogicalType::Timestamp(parquet::basic::TimestampType {
            is_adjusted_to_u_t_c: true,
            unit,
        }))
    };
    match shape {
        Shape::Milliseconds => builder.with_logical_type(time(TimeUnit::MILLIS)),
        Shape::Microseconds => builder.with_logical_type(time(TimeUnit::MICROS)),
        Shape::Text => builder
            .with_logical_type(Some(LogicalType::String))
            .with_converted_type(ConvertedType::UTF8),
        _ => builder,
    }
    .build()
}

/// Appends a value; false if the octets are none of the column's shape.
fn put(context: &Context<'_>, values: &mut Values, shape: Shape, field: &Field<'_>) -> bool {
    if let Values::Text(list) = values {
        let mut text = String::new();
        json::value(context, field, &mut text);
        list.push(plain(text).into_bytes().into());
        return true;
    }
    let data_type = context.data_type(&field.specifier, false);
    let value = data_type.and_then(|data_type| Value::decode(data_type, field.octets).ok());
    let number = match value {
        Some(Value::Unsigned(value)) => Some(i64::try_from(value).unwrap_or(i64::MAX)),
        Some(Value::Signed(value)) => Some(value),
        Some(Value::Unsigned256(_)) => crate::ipfix::unsigned(field.octets)
            .map(|value| i64::try_from(value).unwrap_or(i64::MAX)),
        Some(ref time) if shape == Shape::Milliseconds => {
            time.unix_nanos().map(|nanoseconds| nanoseconds.div_euclid(1_000_000))
        }
        Some(ref time) if shape == Shape::Microseconds => {
            time.unix_nanos().map(|nanoseconds| nanoseconds.div_euclid(1_000))
        }
        _ => None,
    };
    match (values, value, number) {
        (Values::Int32(list), _, Some(number)) => {
            list.push(i32::try_from(number).unwrap_or(i32::MAX));
        }
        (Values::Int64(list), _, Some(number)) => list.push(number),
        (Values::Boolean(list), Some(Value::Boolean(value)), _) => list.push(value),
        (Values::Double(list), Some(Value::Float32(value)), _) => list.push(value.into()),
        (Values::Double(list), Some(Value::Float64(value)), _) => list.push(value),
        _ => return false,
    }
    true
}

/// JSON's text without the quotes, where it is a string in which nothing had to be escaped.
fn plain(text: String) -> String {
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(inner) if !inner.contains('\\') => inner.to_owned(),
        _ => text,
    }
}
