//! Faults as text: `WHAT@PLACE`, such as `drop@conn=1,sid=1,seq=50`.

use std::{num::NonZero, str::FromStr, time::Duration};

use jiff::SignedDuration;

use super::fault::{Damage, Fault, Moment, Payload, Reception, Reply, Upset, Which};

/// Every fault as it is written, by the place it is for.
pub const FAULTS: &str = "\
at attempt=N or N-M, upgrade requests of all clients:
  refuse=STATUS hang-up silence
at conn=N,frame=N or conn=N,sid=N,seq=N or conn=N,after=TIME:
  drop repeat swap split=TIME fragment decorate end=CODE garbage not-utf8 binary
  unknown-type long=BYTES pause=TIME cut close=CODE mute deafen
at conn=N,command=N or N-M:
  ignore error=CODE scoped-error=CODE late=TIME
at after=TIME, since the start:
  clock=TIME burst=EVENTS
everything is counted from 1, conn may be N-M, TIME is such as 500ms or -5s";

/// The furthest that the exchange's clock can be off.
const CLOCK_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A text that is no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{spec}` {problem}; a fault is WHAT@PLACE, of these:\n{FAULTS}")]
pub struct FaultError {
    spec: String,
    problem: String,
}

impl FromStr for Fault {
    type Err = FaultError;

    /// Reads one of [`FAULTS`].
    fn from_str(text: &str) -> Result<Self, FaultError> {
        parse(text.trim()).map_err(|problem| FaultError { spec: text.trim().to_owned(), problem })
    }
}

fn parse(text: &str) -> Result<Fault, String> {
    let (what, place) = text.split_once('@').ok_or("says no place")?;
    let place = Place::parse(place)?;
    let what = What::parse(what)?;
    match (what, place) {
        (What::Door(what), Place::Attempts(attempts)) => Ok(Fault::Door { attempts, what }),
        (What::Stream(what), Place::Moment(connections, at)) => {
            Ok(Fault::Stream { connections, at, what })
        }
        (What::Command(what), Place::Commands(connections, commands)) => {
            Ok(Fault::Command { connections, commands, what })
        }
        (What::Whole(what), Place::Start(after)) => Ok(Fault::Whole { after, what }),
        _ => Err("cannot happen at this place".to_owned()),
    }
}

enum What {
    Door(Reception),
    Stream(Damage),
    Command(Reply),
    Whole(Upset),
}

impl What {
    fn parse(text: &str) -> Result<Self, String> {
        let (word, value) = match text.split_once('=') {
            Some((word, value)) => (word, Some(value)),
            None => (text, None),
        };
        Ok(match (word, value) {
            ("refuse", Some(status)) => Self::Door(Reception::Refuse(number(status)?)),
            ("hang-up", None) => Self::Door(Reception::HangUp),
            ("silence", None) => Self::Door(Reception::Silence),
            ("drop", None) => Self::Stream(Damage::Drop),
            ("repeat", None) => Self::Stream(Damage::Repeat),
            ("swap", None) => Self::Stream(Damage::Swap),
            ("split", Some(pause)) => Self::Stream(Damage::Split(time(pause)?)),
            ("fragment", None) => Self::Stream(Damage::Fragment),
            ("decorate", None) => Self::Stream(Damage::Decorate),
            ("end", Some(code)) => Self::Stream(Damage::End(number(code)?)),
            ("garbage", None) => Self::Stream(Damage::Say(Payload::Garbage)),
            ("not-utf8", None) => Self::Stream(Damage::Say(Payload::NotUtf8)),
            ("binary", None) => Self::Stream(Damage::Say(Payload::Binary)),
            ("unknown-type", None) => Self::Stream(Damage::Say(Payload::Unknown)),
            ("long", Some(bytes)) => Self::Stream(Damage::Say(Payload::Long(number(bytes)?))),
            ("pause", Some(length)) => Self::Stream(Damage::Pause(time(length)?)),
            ("cut", None) => Self::Stream(Damage::Cut),
            ("close", Some(code)) => Self::Stream(Damage::Close(number(code)?)),
            ("mute", None) => Self::Stream(Damage::Mute),
            ("deafen", None) => Self::Stream(Damage::Deafen),
            ("ignore", None) => Self::Command(Reply::Ignore),
            ("error", Some(code)) => {
                Self::Command(Reply::Error { code: number(code)?, scoped: false })
            }
            ("scoped-error", Some(code)) => {
                Self::Command(Reply::Error { code: number(code)?, scoped: true })
            }
            ("late", Some(delay)) => Self::Command(Reply::Late(time(delay)?)),
            ("clock", Some(skew)) => Self::Whole(Upset::Clock(clock_ms(skew)?)),
            ("burst", Some(events)) => Self::Whole(Upset::Burst(number(events)?)),
            (
                "refuse" | "split" | "end" | "long" | "pause" | "close" | "error" | "scoped-error"
                | "late" | "clock" | "burst",
                None,
            ) => return Err(format!("lacks a value: {word}=...")),
            (
                "hang-up" | "silence" | "drop" | "repeat" | "swap" | "fragment" | "decorate"
                | "garbage" | "not-utf8" | "binary" | "unknown-type" | "cut" | "mute" | "deafen"
                | "ignore",
                Some(_),
            ) => return Err(format!("has a value, but `{word}` takes none")),
            _ => return Err(format!("names no fault: `{word}`")),
        })
    }
}

enum Place {
    Attempts(Which),
    Moment(Which, Moment),
    Commands(Which, Which),
    Start(Duration),
}

impl Place {
    fn parse(text: &str) -> Result<Self, String> {
        let pairs: Option<Vec<_>> = text.split(',').map(|pair| pair.split_once('=')).collect();
        Ok(match pairs.as_deref() {
            Some([("attempt", n)]) => Self::Attempts(which(n)?),
            Some([("after", t)]) => Self::Start(time(t)?),
            Some([("conn", k), ("command", n)]) => Self::Commands(which(k)?, which(n)?),
            Some([("conn", k), ("frame", n)]) => {
                Self::Moment(which(k)?, Moment::Frame(ordinal(n)?))
            }
            Some([("conn", k), ("after", t)]) => Self::Moment(which(k)?, Moment::After(time(t)?)),
            Some([("conn", k), ("sid", sid), ("seq", seq)]) => {
                let at = Moment::Number { sid: ordinal(sid)?, seq: ordinal(seq)? };
                Self::Moment(which(k)?, at)
            }
            _ => return Err(format!("names no place: `{text}`")),
        })
    }
}

fn which(text: &str) -> Result<Which, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let [first, last] = [first, last].map(number::<NonZero<u32>>);
    let (first, last) = (first?, last?);
    if first > last {
        return Err(format!("ends before it begins: `{text}`"));
    }
    Ok(first.get()..=last.get())
}

fn ordinal(text: &str) -> Result<u64, String> {
    number::<NonZero<u64>>(text).map(NonZero::get)
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("has no such number: `{text}`"))
}

fn time(text: &str) -> Result<Duration, String> {
    signed_time(text)?.try_into().map_err(|_| format!("has a time below zero: `{text}`"))
}

fn clock_ms(text: &str) -> Result<i64, String> {
    let skew = signed_time(text)?;
    let known = i64::try_from(skew.as_millis()).ok().filter(|_| skew.unsigned_abs() <= CLOCK_MAX);
    known.ok_or_else(|| format!("has a clock that is off by more than ten years: `{text}`"))
}

fn signed_time(text: &str) -> Result<SignedDuration, String> {
    text.parse().map_err(|_| format!("has no time such as 500ms: `{text}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_as_they_are_listed() {
        let fault = |text: &str| text.parse::<Fault>().unwrap();
        assert_eq!(
            fault("refuse=503@attempt=2-4"),
            Fault::Door { attempts: 2..=4, what: Reception::Refuse(503) }
        );
        let at = Moment::Number { sid: 1, seq: 50 };
        assert_eq!(
            fault("drop@conn=1,sid=1,seq=50"),
            Fault::Stream { connections: 1..=1, at, what: Damage::Drop }
        );
        let at = Moment::After(Duration::from_millis(1_500));
        assert_eq!(
            fault("close=1012@conn=1-9,after=1500ms"),
            Fault::Stream { connections: 1..=9, at, what: Damage::Close(1_012) }
        );
        let what = Reply::Error { code: 27, scoped: true };
        assert_eq!(
            fault("scoped-error=27@conn=1,command=3"),
            Fault::Command { connections: 1..=1, commands: 3..=3, what }
        );
        assert_eq!(
            fault("clock=-30s@after=0s"),
            Fault::Whole { after: Duration::ZERO, what: Upset::Clock(-30_000) }
        );
    }

    /// Each word of the list, at its place, with a value where it takes one.
    #[test]
    fn every_fault_of_the_list_is_read() {
        let mut place = "";
        let mut count = 0;
        for line in FAULTS.lines() {
            if let Some(at) = line.strip_prefix("at ") {
                place = at.split([' ', ':']).next().unwrap();
                continue;
            }
            for word in line.strip_prefix("  ").into_iter().flat_map(str::split_whitespace) {
                let value = |text: &str| text.replace("TIME", "5s").replace("=N", "=1");
                let what = value(word).replace("STATUS", "503").replace("CODE", "25");
                let what = what.replace("BYTES", "100").replace("EVENTS", "800");
                let spec = format!("{what}@{}", value(place).trim_end_matches(','));
                assert!(spec.parse::<Fault>().is_ok(), "{spec}");
                count += 1;
            }
        }
        assert_eq!(count, 26);
    }

    #[test]
    fn what_is_no_fault_is_told_with_those_that_are() {
        for (text, problem) in [
            ("drop", "says no place"),
            ("explode@conn=1,frame=1", "names no fault: `explode`"),
            ("drop@attempt=1", "cannot happen at this place"),
            ("drop=5@conn=1,frame=1", "takes none"),
            ("close@conn=1,frame=1", "lacks a value: close=..."),
            ("close=99999@conn=1,frame=1", "no such number"),
            ("cut@conn=1,after=-5s", "below zero"),
            ("cut@conn=1", "names no place: `conn=1`"),
            ("refuse=503@attempt=x", "no such number: `x`"),
            ("refuse=503@attempt=5-2", "ends before it begins: `5-2`"),
            ("refuse=503@attempt=0-2", "no such number: `0`"),
            ("cut@conn=0,frame=1", "no such number: `0`"),
            ("cut@conn=1,frame=0", "no such number: `0`"),
            ("drop@conn=1,sid=1,seq=0", "no such number: `0`"),
            ("ignore@conn=1,command=0", "no such number: `0`"),
            ("clock=9999999999999s@after=1s", "more than ten years"),
            ("clock=-9223372036854775808s@after=1s", "more than ten years"),
        ] {
            let error = text.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains("hang-up silence"), "{error}");
        }
    }
}
