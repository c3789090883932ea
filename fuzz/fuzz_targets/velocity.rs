//! Templates and the messages that they work on: no panic, bounded output, and the same of the same message.
#![no_main]

use std::borrow::Cow;

use libfuzzer_sys::fuzz_target;
use velocity::{Message, Template, bounds};

struct Request<'a>(&'a [u8]);

impl Message for Request<'_> {
    fn payload(&self) -> &[u8] {
        self.0
    }

    fn parameters(&self, place: &str) -> Vec<(String, String)> {
        vec![(place.to_owned(), String::from_utf8_lossy(self.0).into_owned())]
    }

    fn context(&self, name: &str) -> Option<Cow<'_, str>> {
        (name.len() % 2 == 0).then(|| String::from_utf8_lossy(self.0))
    }

    fn stage_variables(&self) -> Vec<(&str, &str)> {
        vec![("env", "test")]
    }
}

fuzz_target!(|input: (&str, &[u8])| {
    let Ok(template) = Template::parse(input.0) else { return };
    let once = template.render(&Request(input.1));
    assert_eq!(once, template.render(&Request(input.1)));
    if let Ok(rendered) = once {
        assert!(rendered.text.len() <= bounds::MAX_OUTPUT_BYTES);
    }
});
