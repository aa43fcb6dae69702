//! One connection's share of the script. Every frame passes through it.

use std::time::Duration;

use super::{
    fault::{Damage, Fault, Moment, Payload, Reception, Reply, Which},
    session::Frame,
};

/// What is to be sent in place of a frame, or done after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outgoing {
    Text(String),
    Split(String, Duration),
    Fragment(String),
    Say(Payload),
    Pause(Duration),
    Cut,
    Close(u16),
    Mute,
    Deafen,
}

/// How a frame goes out.
enum Form {
    Whole,
    Split(Duration),
    Fragment,
}

/// What is left of the script for one connection.
#[derive(Debug, Default)]
pub(super) struct Gate {
    due: Vec<(Moment, Damage)>,
    replies: Vec<(Which, Reply)>,
    passed: u64,
    heard: u32,
    /// A frame that is sent after the next one of its subscription.
    held: Option<(Option<u64>, Outgoing)>,
}

impl Gate {
    pub(super) fn new(script: &[Fault], connection: u32) -> Self {
        let mut gate = Self::default();
        for fault in script {
            match fault {
                Fault::Stream { connections, at, what } if connections.contains(&connection) => {
                    gate.due.push((*at, *what));
                }
                Fault::Command { connections, commands, what }
                    if connections.contains(&connection) =>
                {
                    gate.replies.push((commands.clone(), *what));
                }
                Fault::Door { .. }
                | Fault::Whole { .. }
                | Fault::Stream { .. }
                | Fault::Command { .. } => {}
            }
        }
        gate
    }

    /// What comes of the next command, if not what should.
    pub(super) fn reply(&mut self) -> Option<Reply> {
        self.heard = self.heard.saturating_add(1);
        self.replies.iter().find(|(which, _)| which.contains(&self.heard)).map(|(_, what)| *what)
    }

    /// The error with which the frame's subscription is to end in its place.
    pub(super) fn end(&mut self, frame: &Frame, age: Duration) -> Option<u16> {
        frame.sid?;
        let next = self.passed + 1;
        let now = |(at, what): &(Moment, Damage)| {
            matches!(what, Damage::End(_)) && at.is_now(frame, next, age)
        };
        let place = self.due.iter().position(now)?;
        let (_, what) = self.due.remove(place);
        if let Damage::End(code) = what { Some(code) } else { None }
    }

    /// Turns a frame into what goes out on a connection of this age.
    pub(super) fn pass(&mut self, frame: Frame, age: Duration, mut send: impl FnMut(Outgoing)) {
        let next = self.passed + 1;
        let now = |(at, what): &mut (Moment, Damage)| {
            !matches!(what, Damage::End(_)) && at.is_now(&frame, next, age)
        };
        let due: Vec<Damage> = self.due.extract_if(.., now).map(|(_, what)| what).collect();
        let (sid, mut text) = (frame.sid, frame.text);
        let (mut form, mut copies, mut swap) = (Form::Whole, 1, false);
        let mut then = Vec::new();
        for what in due {
            match what {
                Damage::Drop => copies = 0,
                Damage::Repeat => copies = 2,
                Damage::Swap => swap = self.held.is_none(),
                Damage::Split(pause) => form = Form::Split(pause),
                Damage::Fragment => form = Form::Fragment,
                Damage::Decorate => text = decorated(&text),
                Damage::End(_)
                | Damage::Say(_)
                | Damage::Pause(_)
                | Damage::Cut
                | Damage::Close(_)
                | Damage::Mute
                | Damage::Deafen => then.extend(what.of_connection()),
            }
        }
        let frame = match form {
            Form::Whole => Outgoing::Text(text),
            Form::Split(pause) => Outgoing::Split(text, pause),
            Form::Fragment => Outgoing::Fragment(text),
        };
        if swap && copies > 0 {
            self.held = Some((sid, frame));
        } else {
            for _ in 0..copies {
                self.passed += 1;
                send(frame.clone());
            }
            if let Some((_, late)) = self.held.take_if(|(held, _)| *held == sid) {
                self.passed += 1;
                send(late);
            }
        }
        then.into_iter().for_each(send);
    }

    /// Does to the connection what is due at its age, with or without frames.
    pub(super) fn pass_time(&mut self, age: Duration, send: impl FnMut(Outgoing)) {
        let now = |(at, what): &mut (Moment, Damage)| {
            matches!(at, Moment::After(due) if age >= *due) && what.of_connection().is_some()
        };
        self.due.extract_if(.., now).filter_map(|(_, what)| what.of_connection()).for_each(send);
    }

    /// How many frames of a recording go out before the connection is cut.
    pub(super) fn cut_after(&self) -> Option<u64> {
        self.due.iter().find_map(|due| match due {
            (Moment::Frame(after), Damage::Cut) => Some(*after),
            _ => None,
        })
    }
}

impl Moment {
    fn is_now(self, frame: &Frame, next: u64, age: Duration) -> bool {
        match self {
            Self::Frame(n) => next >= n,
            Self::Number { sid, seq } => (frame.sid, frame.seq) == (Some(sid), Some(seq)),
            Self::After(due) => age >= due,
        }
    }
}

impl Damage {
    /// What concerns the connection rather than a frame.
    const fn of_connection(self) -> Option<Outgoing> {
        Some(match self {
            Self::Say(payload) => Outgoing::Say(payload),
            Self::Pause(time) => Outgoing::Pause(time),
            Self::Cut => Outgoing::Cut,
            Self::Close(code) => Outgoing::Close(code),
            Self::Mute => Outgoing::Mute,
            Self::Deafen => Outgoing::Deafen,
            Self::Drop
            | Self::Repeat
            | Self::Swap
            | Self::Split(_)
            | Self::Fragment
            | Self::Decorate
            | Self::End(_) => return None,
        })
    }
}

/// The frame with fields that nobody has heard of, outside and inside the message.
fn decorated(text: &str) -> String {
    let unheard = r#""x_new":{"seq":[0,{"sid":null}],"é\"":1e9},"#;
    text.replacen('{', &format!("{{{unheard}"), 1).replacen(
        r#""msg":{""#,
        &format!(r#""msg":{{{unheard}""#),
        1,
    )
}

/// What meets the n-th attempt to connect, if not what should.
pub(super) fn reception(script: &[Fault], attempt: u32) -> Option<Reception> {
    script.iter().find_map(|fault| match fault {
        Fault::Door { attempts, what } => attempts.contains(&attempt).then_some(*what),
        Fault::Stream { .. } | Fault::Command { .. } | Fault::Whole { .. } => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What goes out of frames 1 to 5 of subscription 1, one a second; texts are their numbers.
    fn sent(script: &[&str]) -> Vec<String> {
        let script: Vec<Fault> = script.iter().map(|spec| spec.parse().unwrap()).collect();
        let mut gate = Gate::new(&script, 1);
        let mut out = Vec::new();
        for seq in 1..=5 {
            let text = format!(r#"{{"msg":{{"n":{seq}}}}}"#);
            let frame = Frame { sid: Some(1), seq: Some(seq), text };
            let age = Duration::from_secs(seq);
            gate.pass_time(age, |outgoing| out.push(brief(outgoing)));
            match gate.end(&frame, age) {
                Some(code) => out.push(format!("end {code}")),
                None => gate.pass(frame, age, |outgoing| out.push(brief(outgoing))),
            }
        }
        out
    }

    fn brief(outgoing: Outgoing) -> String {
        let Outgoing::Text(text) = outgoing else { return format!("{outgoing:?}") };
        text.trim_start_matches(r#"{"msg":{"n":"#).trim_end_matches('}').to_owned()
    }

    #[test]
    fn frames_are_dropped_repeated_and_swapped_once() {
        assert_eq!(sent(&[]), ["1", "2", "3", "4", "5"]);
        assert_eq!(sent(&["drop@conn=1,sid=1,seq=2"]), ["1", "3", "4", "5"]);
        assert_eq!(sent(&["drop@conn=1,after=2s"]), ["1", "3", "4", "5"]);
        assert_eq!(sent(&["repeat@conn=1,frame=2"]), ["1", "2", "2", "3", "4", "5"]);
        assert_eq!(sent(&["swap@conn=1,sid=1,seq=2"]), ["1", "3", "2", "4", "5"]);
        assert_eq!(sent(&["end=25@conn=1,sid=1,seq=2"]), ["1", "end 25", "3", "4", "5"]);
        let other = ["drop@conn=2,sid=1,seq=2", "drop@conn=1,sid=2,seq=2", "hang-up@attempt=1"];
        assert_eq!(sent(&other), ["1", "2", "3", "4", "5"]);
    }

    #[test]
    fn what_concerns_the_connection_comes_after_the_frame() {
        assert_eq!(sent(&["cut@conn=1,frame=2"]), ["1", "2", "Cut", "3", "4", "5"]);
        assert_eq!(sent(&["close=1001@conn=1,sid=1,seq=3"])[3], "Close(1001)");
        assert_eq!(sent(&["mute@conn=1,after=4s"]), ["1", "2", "3", "Mute", "4", "5"]);
        let both = ["drop@conn=1,sid=1,seq=2", "garbage@conn=1,sid=1,seq=2"];
        assert_eq!(sent(&both), ["1", "Say(Garbage)", "3", "4", "5"]);
    }

    #[test]
    fn decoration_keeps_what_was_there() {
        let frame = r#"{"type":"t","sid":1,"msg":{"a":"x"}}"#;
        let json: serde_json::Value = serde_json::from_str(&decorated(frame)).unwrap();
        assert_eq!((&json["sid"], &json["msg"]["a"]), (&1.into(), &"x".into()));
        assert!(json["x_new"].is_object() && json["msg"]["x_new"].is_object());
    }

    #[test]
    fn commands_are_counted_for_their_replies() {
        let script = ["ignore@conn=1,command=2-3".parse().unwrap()];
        let mut gate = Gate::new(&script, 1);
        let replies: Vec<_> = (0..4).map(|_| gate.reply()).collect();
        assert_eq!(replies, [None, Some(Reply::Ignore), Some(Reply::Ignore), None]);
        assert_eq!(Gate::new(&script, 2).reply(), None);
    }

    #[test]
    fn attempts_meet_with_what_is_due_to_them() {
        let script = ["refuse=503@attempt=1-2", "silence@attempt=4"].map(|s| s.parse().unwrap());
        let met: Vec<_> = (1..=4).map(|attempt| reception(&script, attempt)).collect();
        let refused = Some(Reception::Refuse(503));
        assert_eq!(met, [refused, refused, None, Some(Reception::Silence)]);
    }
}
