//! Lists in pages.

use aws::Error;

use crate::page_token;

/// What a caller gets who names no number, and at most.
const MAX_RESULTS: usize = 500;

/// The items of one page, of resources in the order of their ids, and the token for the next.
pub(crate) fn page<R, T>(
    resources: impl Iterator<Item = R>,
    id: impl Fn(&R) -> String,
    show: impl Fn(&R) -> T,
    max_results: Option<&str>,
    next_token: Option<&str>,
) -> Result<(Option<Vec<T>>, Option<String>), Error> {
    let size = match max_results.filter(|text| !text.is_empty()).map(str::parse) {
        None => MAX_RESULTS,
        Some(Ok(size)) if (1..=MAX_RESULTS).contains(&size) => size,
        Some(_) => {
            return Err(Error::bad_request(format!("Invalid maxResults: it must be between 1 and {MAX_RESULTS}")));
        }
    };
    let after = next_token.filter(|token| !token.is_empty()).map(decode).transpose()?;
    let (shown, token) = page_token::cut(resources, id, after.as_deref(), size);
    Ok((Some(shown.iter().map(show).collect()), token))
}

fn decode(token: &str) -> Result<String, Error> {
    page_token::read(token).ok_or_else(|| Error::bad_request("Invalid next token"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(size: Option<&str>, token: Option<&str>) -> Result<(Option<Vec<String>>, Option<String>), Error> {
        page(["a", "b", "c", "d", "e"].into_iter(), |id| (*id).to_owned(), |id| id.to_uppercase(), size, token)
    }

    #[test]
    fn pages_follow_one_another() {
        let (first, token) = all(Some("2"), None).unwrap();
        assert_eq!(first.unwrap(), ["A", "B"]);
        let (second, token) = all(Some("2"), token.as_deref()).unwrap();
        assert_eq!(second.unwrap(), ["C", "D"]);
        let (third, token) = all(Some("2"), token.as_deref()).unwrap();
        assert_eq!((third.unwrap(), token), (vec!["E".to_owned()], None));
        let (whole, token) = all(Some("5"), None).unwrap();
        assert_eq!((whole.unwrap().len(), token), (5, None));
        assert_eq!(all(None, Some("")).unwrap().0.unwrap().len(), 5);
    }

    #[test]
    fn nonsense_is_refused() {
        for (size, token) in
            [(Some("0"), None), (Some("501"), None), (Some("x"), None), (None, Some("?")), (None, Some("YWJj"))]
        {
            assert_eq!(all(size, token).unwrap_err().code, "BadRequestException");
        }
    }
}
