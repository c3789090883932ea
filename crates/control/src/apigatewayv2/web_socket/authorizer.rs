//! Identity sources of WebSocket APIs' authorizers.

use aws::Error;

const MAX_IDENTITY_SOURCES: usize = 10;

/// What a request to connect has to have.
pub(in crate::apigatewayv2) fn checked_sources(sources: Vec<String>) -> Result<Vec<String>, Error> {
    if sources.len() > MAX_IDENTITY_SOURCES {
        return Err(Error::bad_request(format!("An authorizer has at most {MAX_IDENTITY_SOURCES} identity sources")));
    }
    let places = ["route.request.header.", "route.request.querystring.", "context.", "stageVariables."];
    let known =
        |source: &String| places.iter().any(|place| source.strip_prefix(place).is_some_and(|name| !name.is_empty()));
    match sources.iter().find(|source| !known(source)) {
        None => Ok(sources),
        Some(source) => Err(Error::bad_request(format!(
            "Invalid mapping expression specified: {source}. Expected route.request.header.NAME, \
             route.request.querystring.NAME, context.NAME or stageVariables.NAME"
        ))),
    }
}
