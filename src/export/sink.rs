//! Where records go that do not go to a collector over IPFIX's transports: a Kafka topic, a directory of Parquet files.
//!
//! What the user writes is understood in every build, so that one without the feature can say what it lacks.

use std::path::PathBuf;
use std::time::Duration;

/// Port of a Kafka broker.
const KAFKA_PORT: u16 = 9092;

/// `kafka://BROKER[:PORT][,BROKER...]/TOPIC[?format=json|ipfix][&NAME=VALUE...]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KafkaTopic {
    /// Brokers to begin with, as librdkafka has them: `HOST:PORT`, commas between.
    pub brokers: String,
    /// The topic.
    pub topic: String,
    /// What a message is.
    pub format: KafkaFormat,
    /// librdkafka's properties.
    pub properties: Vec<(String, String)>,
}

/// What a Kafka message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KafkaFormat {
    /// One record as a JSON object.
    #[default]
    Json,
    /// An IPFIX Message that carries the Templates it needs.
    Ipfix,
}

/// `parquet:DIRECTORY[?rotate=SECONDS]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ParquetDirectory {
    /// The directory; made if it is not there.
    pub path: PathBuf,
    /// A new file so often.
    pub rotate: Duration,
}

impl KafkaTopic {
    /// Reads what stands behind `kafka:`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(rest: &str) -> Result<Self, String> {
        let rest = rest.strip_prefix("//").ok_or("\"//\" is missing behind \"kafka:\"")?;
        let (place, words) = rest.split_once('?').unwrap_or((rest, ""));
        let (brokers, topic) = place.split_once('/').ok_or("the topic is missing")?;
        let legal = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        if topic.is_empty() || topic.len() > 249 || !topic.chars().all(legal) {
            return Err(format!("\"{topic}\" is not a topic: letters, digits, dots, _ and -"));
        }
        let mut list = Vec::new();
        for broker in brokers.split(',') {
            let bare = broker.trim_matches(['[', ']']);
            if bare.is_empty() {
                return Err("a broker is missing".to_owned());
            }
            let bracketed = broker.starts_with('[');
            if !bracketed && broker.matches(':').count() > 1 {
                return Err("an IPv6 address stands in brackets".to_owned());
            }
            let has_port = if bracketed { broker.contains("]:") } else { broker.contains(':') };
            list.push(if has_port { broker.to_owned() } else { format!("{broker}:{KAFKA_PORT}") });
        }
        let mut format = KafkaFormat::default();
        let mut properties = Vec::new();
        for word in words.split('&').filter(|word| !word.is_empty()) {
            match word.split_once('=') {
                Some(("format", "json")) => format = KafkaFormat::Json,
                Some(("format", "ipfix")) => format = KafkaFormat::Ipfix,
                Some(("format", other)) => {
                    return Err(format!("format={other} is neither json nor ipfix"));
                }
                Some(("bootstrap.servers", _)) => {
                    return Err("brokers stand in front of the topic".to_owned());
                }
                Some((name, value)) => properties.push((name.to_owned(), value.to_owned())),
                None => return Err(format!("\"{word}\" is not NAME=VALUE")),
            }
        }
        Ok(Self { brokers: list.join(","), topic: topic.to_owned(), format, properties })
    }

    /// Without parameters: what to call it in a log and in the ledger.
    pub(super) fn name(&self) -> String {
        format!("kafka://{}/{}", self.brokers, self.topic)
    }

    /// What stands behind the `?`; passwords are nobody's business.
    pub(super) fn parameters(&self) -> Vec<String> {
        let format = (self.format == KafkaFormat::Ipfix).then(|| "format=ipfix".to_owned());
        let properties = self.properties.iter().map(|(name, value)| {
            let value = if name.contains("password") { "..." } else { value };
            format!("{name}={value}")
        });
        format.into_iter().chain(properties).collect()
    }
}

impl ParquetDirectory {
    /// Five minutes.
    pub const ROTATE: Duration = Duration::from_secs(300);

    /// Reads what stands behind `parquet:`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(rest: &str) -> Result<Self, String> {
        let (path, words) = rest.split_once('?').unwrap_or((rest, ""));
        if path.is_empty() {
            return Err("the directory is missing".to_owned());
        }
        let mut rotate = Self::ROTATE;
        for word in words.split('&').filter(|word| !word.is_empty()) {
            let Some(("rotate", text)) = word.split_once('=') else {
                return Err(format!("\"{word}\" is not rotate=TIME, as 300s, 5m or 1h"));
            };
            let (digits, unit) = match text.as_bytes().last() {
                Some(b's') => (&text[..text.len() - 1], 1),
                Some(b'm') => (&text[..text.len() - 1], 60),
                Some(b'h') => (&text[..text.len() - 1], 3_600),
                _ => (text, 1),
            };
            rotate = match digits.parse::<u32>() {
                Ok(number) if number > 0 => Duration::from_secs(u64::from(number) * unit),
                _ => return Err(format!("rotate={text}: write a time, as 300s, 5m or 1h")),
            };
        }
        Ok(Self { path: PathBuf::from(path), rotate })
    }

    /// What stands behind the `?`.
    pub(super) fn parameters(&self) -> Vec<String> {
        let rotate =
            (self.rotate != Self::ROTATE).then(|| format!("rotate={}s", self.rotate.as_secs()));
        rotate.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::Destination;

    #[test]
    fn topics_and_directories_are_written_as_they_are_read() {
        for text in [
            "kafka://broker:9092/flows",
            "kafka://a:9092,[2001:db8::1]:9093/flows?format=ipfix&compression.codec=zstd",
            "parquet:/srv/flows?rotate=3600s",
            "parquet:x",
        ] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
        let topic = "kafka://[::1]/a?sasl.password=secret".parse::<Destination>().unwrap();
        assert_eq!(topic.name(), "kafka://[::1]:9092/a");
        assert!(!topic.to_string().contains("secret"), "{topic}");
        let hour = "parquet:/srv/flows?rotate=1h".parse::<Destination>().unwrap();
        assert_eq!(hour.to_string(), "parquet:/srv/flows?rotate=3600s");
        let netflow = "nfv9+udp://a".parse::<Destination>().unwrap();
        assert_eq!(netflow.to_string(), "nfv9+udp://a:2055");
    }

    #[test]
    fn what_is_wrong_has_its_reason() {
        for (text, reason) in [
            ("broker/topic", "\"//\" is missing"),
            ("//broker", "topic is missing"),
            ("//broker/", "not a topic"),
            ("//broker/a b", "not a topic"),
            ("///topic", "broker is missing"),
            ("//2001:db8::1/topic", "brackets"),
            ("//b/t?format=avro", "neither json nor ipfix"),
            ("//b/t?x", "NAME=VALUE"),
        ] {
            let problem = KafkaTopic::parse(text).unwrap_err();
            assert!(problem.contains(reason), "{text}: {problem}");
        }
        for (text, reason) in [
            ("", "missing"),
            ("d?rotate=0", "a time"),
            ("d?rotate=x", "a time"),
            ("d?a=b", "rotate"),
        ] {
            let problem = ParquetDirectory::parse(text).unwrap_err();
            assert!(problem.contains(reason), "{text}: {problem}");
        }
    }
}
