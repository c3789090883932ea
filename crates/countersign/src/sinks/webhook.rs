//! HTTP POST of lines, or of a JSON array.

use journal::Line;

use super::form::numbered;
use super::outgoing::{Outgoing, refused};
use super::sender::{Taken, Trouble};
use crate::config::Format;

#[derive(Clone)]
pub(super) struct Webhook {
    pub(super) url: String,
    pub(super) format: Format,
    pub(super) outgoing: Outgoing,
}

impl Webhook {
    /// Any answer of success acknowledges all of them.
    pub(super) async fn send(&self, records: &[Line]) -> Result<Taken, Trouble> {
        let (body, left_out, content_type) = match self.format {
            Format::JsonArray => (array(records), 0, "application/json"),
            Format::Json => with_type(self.format.lines(records), "application/x-ndjson"),
            Format::Alb => with_type(self.format.lines(records), "text/plain; charset=us-ascii"),
        };
        if body.is_empty() {
            return Ok(Taken::all_but(records.len(), left_out));
        }
        let answer = self.outgoing.post(&self.url, content_type, body).await?;
        match answer.status.as_u16() {
            200..=299 => Ok(Taken::all_but(records.len(), left_out)),
            413 => Err(Trouble::TooMuch("it answers 413".to_owned())),
            _ => Err(refused(&answer)),
        }
    }
}

fn with_type((body, left_out): (Vec<u8>, u64), content_type: &'static str) -> (Vec<u8>, u64, &'static str) {
    (body, left_out, content_type)
}

fn array(records: &[Line]) -> Vec<u8> {
    let records: Vec<String> = records.iter().map(numbered).collect();
    format!("[{}]", records.join(",")).into_bytes()
}

#[cfg(test)]
mod tests {
    use journal::Position;

    use super::*;

    #[test]
    fn an_array_is_json() {
        let line = |number: u128| Line { position: Position::from(number), json: r#"{"kind":"dropped"}"#.into() };
        let array: serde_json::Value = serde_json::from_slice(&array(&[line(1), line(2)])).unwrap();
        assert_eq!(array[1]["number"], 2);
        assert_eq!(array.as_array().unwrap().len(), 2);
    }
}
