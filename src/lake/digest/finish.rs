//! The end of a session: what is open is closed, and what is known of it as a whole written.

use super::Digester;
use crate::lake::{
    hole::{Hole, Kind},
    stream::End,
};

impl Digester {
    /// Ends the session: whatever is open is closed, and what is known of it as a whole written.
    pub(in crate::lake) fn finish(&mut self) {
        self.settle_all();
        let numbers: Vec<u32> = self.conns.keys().copied().collect();
        let last_ns = self.facts.last_ns.unwrap_or_default();
        self.note_reconnections();
        for number in numbers {
            let Some(conn) = self.conns.get_mut(&number) else { continue };
            // Our recorder would have said that a connection ended; of others only the frames tell.
            let alive_ns = if self.facts.own { last_ns } else { conn.at.unwrap_or_default() };
            let (ended_by, end_ns) =
                *conn.over.get_or_insert((End::Tape, alive_ns.saturating_add(1)));
            for stream in &mut conn.streams {
                stream.close_all(end_ns, End::Tape, &mut self.rows);
                stream.write(&self.name, number, &mut self.rows);
            }
            let table = &mut self.rows.Connections;
            table.session.push(Some(&self.name));
            table.conn.push(Some(i64::from(number)));
            table.first_ns.push(conn.first_ns);
            table.end_ns.push(end_ns);
            table.ended_by.push(Some(ended_by.as_str()));
            table.frames.push(i64::try_from(conn.frames).ok());
            table.end_row();
        }
        self.holes.write(&self.name, self.ids, &mut self.rows);
        self.oddities.write(&self.name, &mut self.rows);
        self.write_session();
    }

    /// Gives a time to what has none and will get none: the last that is known.
    pub(in crate::lake) fn settle_all(&mut self) {
        let numbers: Vec<u32> = self.conns.keys().copied().collect();
        for number in numbers {
            self.settle(number, self.facts.last_ns.unwrap_or_default());
        }
    }

    fn write_session(&mut self) {
        let facts = &self.facts;
        let table = &mut self.rows.Sessions;
        table.session.push(Some(&self.name));
        table.version.push(facts.version.as_deref());
        table.env.push(facts.env.as_deref());
        table.host.push(facts.host.as_deref());
        table.first_ns.push(facts.first_ns);
        table.last_ns.push(facts.last_ns);
        table.segments.push(Some(facts.segments));
        table.lines.push(Some(facts.lines));
        table.frames.push(Some(facts.frames));
        table.events.push(Some(facts.events));
        table.closed.push(facts.own.then_some(facts.closed));
        table.own.push(Some(facts.own));
        table.end_row();
    }

    /// Other recorders do not say when a connection ended: where one is silent before the next one
    /// starts, it had.
    fn note_reconnections(&mut self) {
        let starts: Vec<(u32, i64)> = self.conns.iter().map(|(n, c)| (*n, c.first_ns)).collect();
        for (number, conn) in &mut self.conns {
            if self.facts.own || conn.over.is_some() {
                continue;
            }
            let last_ns = conn.at.unwrap_or_default();
            let later = starts.iter().filter(|(n, first)| n > number && *first >= last_ns);
            let Some(found_ns) = later.map(|(_, first)| *first).min() else { continue };
            let end_ns = last_ns.saturating_add(1);
            let mut markets = Vec::new();
            for stream in &mut conn.streams {
                markets.extend(stream.close_all(end_ns, End::Disconnected, &mut self.rows));
            }
            conn.over = Some((End::Disconnected, end_ns));
            markets.sort_unstable();
            markets.dedup();
            self.holes.add(Hole {
                found: true,
                markets,
                ..Hole::new(Kind::Disconnected, *number, last_ns, found_ns)
            });
        }
    }
}
