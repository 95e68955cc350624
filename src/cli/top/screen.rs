//! What is on the screen: the state that keys and readings change. No terminal, no clock.

use crate::telemetry::live::{By, Filter, Found, Question, Row, Sort};
use crate::telemetry::{Status, live};
use std::collections::HashMap;

/// What is shown below the head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum View {
    #[default]
    Flows,
    Sources,
    Destinations,
    Networks,
    Ports,
    Headers,
    Queues,
    Ledger,
}

impl View {
    pub(super) const ALL: [Self; 8] = [
        Self::Flows,
        Self::Sources,
        Self::Destinations,
        Self::Networks,
        Self::Ports,
        Self::Headers,
        Self::Queues,
        Self::Ledger,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Flows => "flows",
            Self::Sources => "sources",
            Self::Destinations => "destinations",
            Self::Networks => "networks",
            Self::Ports => "ports",
            Self::Headers => "headers",
            Self::Queues => "queues",
            Self::Ledger => "ledger",
        }
    }

    /// How the flows of the view are put together; `None` where it shows no flows.
    pub(super) const fn by(self) -> Option<By> {
        match self {
            Self::Flows => Some(By::Flow),
            Self::Sources => Some(By::Source),
            Self::Destinations => Some(By::Destination),
            Self::Networks => Some(By::Network),
            Self::Ports => Some(By::Port),
            Self::Headers => Some(By::Headers),
            Self::Queues | Self::Ledger => None,
        }
    }
}

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Letter(char),
    Tab,
    BackTab,
    Enter,
    Escape,
    Backspace,
    Up,
    Down,
    PageUp,
    PageDown,
    Interrupt,
}

/// One look at the probe.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) status: Status,
    pub(super) found: Option<Found>,
    pub(super) ledger: Option<String>,
}

/// What a flow is known by from look to look, and what it had: first packet and octets.
pub(super) type Known = HashMap<(String, u64), u64>;

/// The state.
#[derive(Debug, Default)]
pub(super) struct Screen {
    pub(super) view: View,
    pub(super) sort: Sort,
    pub(super) filter: Filter,
    /// A filter that is being written.
    pub(super) editing: Option<String>,
    /// What went wrong, until the next key.
    pub(super) problem: Option<String>,
    /// The probe does not answer: why.
    pub(super) away: Option<String>,
    pub(super) paused: bool,
    pub(super) help: bool,
    pub(super) scroll: usize,
    pub(super) reading: Option<Reading>,
    /// The status before: rates are what has changed since.
    pub(super) before: Option<Status>,
    pub(super) known: Known,
    pub(super) known_at: u64,
}

/// What has to happen after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Nothing,
    /// The question is another: ask at once.
    Ask,
    Quit,
}

impl Screen {
    /// What to ask the probe, `None` if no flows are shown.
    pub(super) fn question(&self, rows: usize) -> Option<Question> {
        let by = self.view.by()?;
        let count = rows.clamp(1, live::MOST_ROWS);
        Some(Question { by, sort: self.sort, count, filter: self.filter.clone() })
    }

    /// Takes a look in.
    pub(super) fn look(&mut self, reading: Result<Reading, String>) {
        match reading {
            Err(problem) => self.away = Some(problem),
            Ok(_) if self.paused => self.away = None,
            Ok(reading) => {
                self.away = None;
                if let Some(last) = self.reading.replace(reading) {
                    self.known_at = last.status.time;
                    self.known = known(last.found.as_ref());
                    // A probe that was started anew counts from 0.
                    let same = self.reading.as_ref().is_some_and(|now| {
                        now.status.started == last.status.started
                            && now.status.time > last.status.time
                    });
                    self.before = same.then_some(last.status);
                }
            }
        }
    }

    /// Octets a second: since the last look for a flow that was there, else over the life of the record.
    pub(super) fn rate(&self, row: &Row) -> f64 {
        let time = self.reading.as_ref().map_or(0, |reading| reading.status.time);
        let passed = time.saturating_sub(self.known_at) as f64 / 1000.0;
        let before = row.flow.and_then(|_| self.known.get(&identity(row)));
        match before {
            Some(octets) if passed > 0.0 => row.octets.saturating_sub(*octets) as f64 / passed,
            _ => row.rate,
        }
    }

    /// What a counter has grown by in a second.
    pub(super) fn growth(&self, counter: impl Fn(&Status) -> u64) -> f64 {
        let (Some(now), Some(before)) = (&self.reading, &self.before) else { return 0.0 };
        let seconds = now.status.time.saturating_sub(before.time) as f64 / 1000.0;
        counter(&now.status).saturating_sub(counter(before)) as f64 / seconds.max(0.001)
    }

    /// Takes a key in.
    pub(super) fn key(&mut self, key: Key) -> After {
        self.problem = None;
        if key == Key::Interrupt {
            return After::Quit;
        }
        if self.editing.is_some() {
            return self.edit(key);
        }
        if self.help {
            self.help = false;
            return After::Nothing;
        }
        match key {
            Key::Letter('q') => return After::Quit,
            Key::Letter('?' | 'h') => self.help = true,
            Key::Letter(' ') => self.paused = !self.paused,
            Key::Letter('/') => self.editing = Some(self.filter.text().to_owned()),
            Key::Letter('o') => return self.sort(Sort::Octets),
            Key::Letter('p') => return self.sort(Sort::Packets),
            Key::Letter('f') => return self.sort(Sort::Flows),
            Key::Letter('r') => return self.sort(Sort::Rate),
            Key::Letter(digit @ '1'..='8') => {
                let number = digit as usize - '1' as usize;
                return self.show(View::ALL[number]);
            }
            Key::Tab => return self.turn(1),
            Key::BackTab => return self.turn(View::ALL.len() - 1),
            Key::Escape if !self.filter.text().is_empty() => {
                self.filter = Filter::default();
                return After::Ask;
            }
            Key::Up | Key::Letter('k') => self.scroll = self.scroll.saturating_sub(1),
            Key::Down | Key::Letter('j') => self.scroll += 1,
            Key::PageUp => self.scroll = self.scroll.saturating_sub(15),
            Key::PageDown => self.scroll += 15,
            _ => {}
        }
        After::Nothing
    }

    fn edit(&mut self, key: Key) -> After {
        let Some(text) = &mut self.editing else { return After::Nothing };
        match key {
            Key::Letter(letter) if text.len() < 200 => text.push(letter),
            Key::Backspace => drop(text.pop()),
            Key::Escape => self.editing = None,
            Key::Enter => match text.parse() {
                Ok(filter) => {
                    self.filter = filter;
                    self.editing = None;
                    self.scroll = 0;
                    return After::Ask;
                }
                Err(error) => self.problem = Some(error.to_string()),
            },
            _ => {}
        }
        After::Nothing
    }

    fn sort(&mut self, sort: Sort) -> After {
        self.sort = sort;
        self.scroll = 0;
        After::Ask
    }

    fn show(&mut self, view: View) -> After {
        if self.view != view {
            self.view = view;
            self.scroll = 0;
            // What is there was asked for another view.
            if let Some(reading) = &mut self.reading {
                reading.found = None;
            }
        }
        After::Ask
    }

    fn turn(&mut self, steps: usize) -> After {
        let at = View::ALL.iter().position(|view| *view == self.view).unwrap_or(0);
        self.show(View::ALL[(at + steps) % View::ALL.len()])
    }
}

fn known(found: Option<&Found>) -> Known {
    let rows = found.into_iter().flat_map(|found| &found.rows);
    rows.filter(|row| row.flow.is_some()).map(|row| (identity(row), row.octets)).collect()
}

fn identity(row: &Row) -> (String, u64) {
    row.flow.map_or_else(
        || (row.name.clone(), 0),
        |flow| {
            let (source, destination) = super::words::endpoints(&flow);
            (format!("{} {source} {destination} {}", flow.protocol, flow.vlan), flow.first)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(screen: &mut Screen, keys: &str) -> After {
        keys.chars().fold(After::Nothing, |_, letter| screen.key(Key::Letter(letter)))
    }

    #[test]
    fn keys_choose_view_order_and_filter() {
        let mut screen = Screen::default();
        assert_eq!(press(&mut screen, "4p"), After::Ask);
        let question = screen.question(9).unwrap();
        assert_eq!((question.by, question.sort, question.count), (By::Network, Sort::Packets, 9));
        press(&mut screen, "/ip6 and q");
        assert_eq!(screen.key(Key::Enter), After::Nothing, "it does not parse");
        assert!(screen.problem.as_ref().unwrap().contains("\"q\" is not known"));
        screen.key(Key::Backspace);
        press(&mut screen, "frag");
        assert_eq!(screen.key(Key::Enter), After::Ask);
        assert_eq!(screen.question(9).unwrap().filter.text(), "ip6 and frag");
        assert_eq!(screen.key(Key::Escape), After::Ask);
        assert_eq!(screen.filter.text(), "");
        assert_eq!(press(&mut screen, "8"), After::Ask);
        assert!(screen.question(9).is_none(), "the ledger needs no look at the flows");
        assert_eq!(screen.key(Key::Tab), After::Ask);
        assert_eq!(screen.view, View::Flows);
        assert_eq!(screen.key(Key::BackTab), After::Ask);
        assert_eq!(screen.view, View::Ledger);
        assert_eq!(press(&mut screen, "q"), After::Quit);
    }

    #[test]
    fn a_letter_is_a_letter_while_a_filter_is_written() {
        let mut screen = Screen::default();
        press(&mut screen, "/q8");
        assert_eq!(screen.editing.as_deref(), Some("q8"));
        assert_eq!(screen.key(Key::Interrupt), After::Quit, "Control-C always ends it");
    }

    #[test]
    fn growth_is_a_second_s_and_none_when_the_probe_began_anew() {
        let at = |time, started, frames| {
            Ok(Reading {
                status: Status { time, started, frames, ..Status::default() },
                found: None,
                ledger: None,
            })
        };
        let mut screen = Screen::default();
        screen.look(at(10_000, 1, 100));
        assert_eq!(screen.growth(|status| status.frames), 0.0);
        screen.look(at(12_000, 1, 300));
        assert_eq!(screen.growth(|status| status.frames), 100.0);
        screen.look(at(14_000, 13_000, 5));
        assert_eq!(screen.growth(|status| status.frames), 0.0);
        screen.paused = true;
        screen.look(at(15_000, 13_000, 50));
        assert_eq!(screen.reading.as_ref().unwrap().status.frames, 5);
        screen.look(Err("gone".to_owned()));
        assert_eq!(screen.away.as_deref(), Some("gone"));
    }
}
