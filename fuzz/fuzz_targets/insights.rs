//! A query of CloudWatch Logs Insights, up to the first NUL, over the lines behind it.
#![no_main]

use std::sync::Arc;

use journal::insights::{Execution, Query, Source};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (query, messages) = text.split_once('\0').unwrap_or((text, "{}"));
    match Query::parse(query) {
        Ok(query) => {
            let mut execution = Execution::new(Arc::new(query), 0, None);
            for (time_ms, message) in (0..).zip(messages.lines()) {
                let _ = execution.push(Source { time_ms, message: message.to_owned(), ..Source::default() });
            }
            execution.finish();
        }
        Err(malformed) => assert!(malformed.start <= malformed.end && malformed.end <= query.chars().count()),
    }
});
