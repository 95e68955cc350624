//! The terminal: keys in, lines out.
//!
//! A thread of its own looks at the probe, so that a slow answer delays no key.

use super::Probe;
use super::screen::{After, Key, Reading, Screen, View};
use super::view::{Line, Look, draw, rows};
use crate::telemetry::live::{By, Question, Sort};
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::style::{Attribute, Color, ResetColor, SetAttribute, SetForegroundColor};
use crossterm::{cursor, queue, terminal};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Longest wait for a key before answers and signals are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Columns of the terminal, if standard output is one.
pub(super) fn columns() -> Option<usize> {
    use std::io::IsTerminal;
    if !io::stdout().is_terminal() {
        return None;
    }
    terminal::size().ok().map(|(columns, _)| usize::from(columns))
}

/// What is to be looked at: flows by a question, and whether the ledger.
type Wanted = (Option<Question>, bool);

/// The terminal in the state it needs; given back when dropped, whatever ends the run.
struct Raw;

impl Raw {
    fn enter() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let raw = Self;
        let mut out = io::stdout();
        queue!(out, terminal::EnterAlternateScreen, cursor::Hide, terminal::DisableLineWrap)?;
        out.flush()?;
        Ok(raw)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let mut out = io::stdout();
        let _ = queue!(
            out,
            ResetColor,
            terminal::EnableLineWrap,
            cursor::Show,
            terminal::LeaveAlternateScreen
        );
        let _ = out.flush();
        let _ = terminal::disable_raw_mode();
    }
}

/// Shows the screen until the user or a signal ends it.
pub(super) fn run(
    mut screen: Screen,
    probe: &Probe,
    place: &str,
    interval: Duration,
    stop: &AtomicBool,
) -> io::Result<()> {
    let (ask, asked) = channel::<Wanted>();
    let (answer, answers) = channel();
    let probe = probe.clone();
    let looker = thread::Builder::new().name("looker".into());
    // Ends with the channel, at the latest after the look under way; nobody waits for it.
    looker.spawn(move || look(&probe, &asked, &answer))?;
    let _raw = Raw::enter()?;
    let mut shown = Shown::default();
    let (mut columns, mut lines) = size()?;
    let mut next = Instant::now();
    let mut waiting = false;
    while !stop.load(Ordering::Relaxed) {
        if !waiting && Instant::now() >= next {
            let wanted = (screen.question(rows(lines, &screen)), screen.view == View::Ledger);
            if ask.send(wanted).is_err() {
                return Err(io::Error::other("the thread that looks at the probe has ended"));
            }
            waiting = true;
            next = Instant::now() + interval;
        }
        while let Ok(((question, _), reading)) = answers.try_recv() {
            waiting = false;
            // An answer to what is no longer asked would show the wrong rows.
            if asked_for(question.as_ref()) == asked_for(screen.question(1).as_ref()) {
                screen.look(reading);
            }
        }
        shown.update(&draw(&screen, place, columns, lines), &mut io::stdout())?;
        if hung_up() {
            return Ok(());
        }
        if !event::poll(LOOK)? {
            continue;
        }
        match event::read()? {
            Event::Resize(..) => {
                (columns, lines) = size()?;
                shown = Shown::default();
            }
            Event::Key(pressed) => match key(&pressed).map(|key| screen.key(key)) {
                Some(After::Quit) => return Ok(()),
                Some(After::Ask) => next = Instant::now(),
                Some(After::Nothing) | None => {}
            },
            _ => {}
        }
    }
    Ok(())
}

/// Whether the terminal is gone. Asked first, because crossterm would read its end again and again.
fn hung_up() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let input = io::stdin();
    let mut descriptors = [PollFd::new(&input, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut descriptors, Some(&at_once)).is_ok()
        && descriptors[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}

/// What of a question decides which rows are right; how many are wanted does not.
fn asked_for(question: Option<&Question>) -> Option<(By, Sort, &str)> {
    question.map(|question| (question.by, question.sort, question.filter.text()))
}

fn size() -> io::Result<(usize, usize)> {
    let (columns, lines) = terminal::size()?;
    Ok((usize::from(columns).max(20), usize::from(lines).max(6)))
}

fn look(
    probe: &Probe,
    asked: &Receiver<Wanted>,
    answer: &Sender<(Wanted, Result<Reading, String>)>,
) {
    while let Ok(wanted) = asked.recv() {
        let reading = probe.look(wanted.0.as_ref(), wanted.1).map_err(|failure| failure.message);
        if answer.send((wanted, reading)).is_err() {
            return;
        }
    }
}

fn key(event: &KeyEvent) -> Option<Key> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    Some(match event.code {
        KeyCode::Char('c') if event.modifiers.contains(KeyModifiers::CONTROL) => Key::Interrupt,
        KeyCode::Char(letter) => Key::Letter(letter),
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        _ => return None,
    })
}

/// What the terminal shows: only lines that differ are sent.
#[derive(Debug, Default)]
struct Shown {
    lines: Vec<Line>,
}

impl Shown {
    fn update(&mut self, lines: &[Line], out: &mut impl Write) -> io::Result<()> {
        for (number, line) in lines.iter().enumerate() {
            if self.lines.get(number) == Some(line) {
                continue;
            }
            queue!(out, cursor::MoveTo(0, u16::try_from(number).unwrap_or(u16::MAX)))?;
            out.write_all(styled(line).as_bytes())?;
        }
        self.lines = lines.to_vec();
        out.flush()
    }
}

fn styled(line: &Line) -> String {
    let mut text = String::new();
    for (piece, look) in &line.0 {
        // Writing to a String does not fail.
        let _ = match look {
            Look::Plain => Ok(()),
            Look::Soft => write!(text, "{}", SetAttribute(Attribute::Dim)),
            Look::Strong => write!(text, "{}", SetAttribute(Attribute::Bold)),
            Look::Bar => write!(text, "{}", SetAttribute(Attribute::Reverse)),
            Look::Good => write!(text, "{}", SetForegroundColor(Color::Green)),
            Look::Bad => write!(text, "{}", SetForegroundColor(Color::Red)),
        };
        text.push_str(piece);
        if *look != Look::Plain {
            let _ = write!(text, "{}", SetAttribute(Attribute::Reset));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_differ_are_sent() {
        let line = |text: &str| Line(vec![(text.to_owned(), Look::Plain)]);
        let mut shown = Shown::default();
        let mut sent = Vec::new();
        shown.update(&[line("one"), line("two")], &mut sent).unwrap();
        assert!(String::from_utf8(std::mem::take(&mut sent)).unwrap().contains("one"));
        shown.update(&[line("one"), line("three")], &mut sent).unwrap();
        let sent = String::from_utf8(sent).unwrap();
        assert!(sent.contains("three") && !sent.contains("one"), "{sent:?}");
    }
}
