//! Files of API keys: comma-separated values (RFC 4180), the first line of which names the columns.

use std::collections::BTreeMap;

/// How many keys a file may have, as on AWS.
const MAX_ROWS: usize = 10_000;

/// The rows, each by the lowercase names of the columns.
pub(super) fn read(text: &str) -> Result<Vec<BTreeMap<String, String>>, String> {
    let mut records = Records { rest: text.trim_start_matches('\u{feff}') };
    let header: Vec<String> = match records.next_record()? {
        Some(names) => names.iter().map(|name| name.trim().to_ascii_lowercase()).collect(),
        None => return Err("The file is empty".to_owned()),
    };
    if !header.iter().any(|name| name == "key") {
        return Err("The first line of the file has to name its columns, of which key is one".to_owned());
    }
    let mut rows = Vec::new();
    while let Some(fields) = records.next_record()? {
        if fields.iter().all(|field| field.trim().is_empty()) {
            continue;
        }
        if fields.len() > header.len() || rows.len() == MAX_ROWS {
            return Err(format!("Row {} of the file has more fields than columns, or is too much", rows.len() + 1));
        }
        rows.push(header.iter().cloned().zip(fields.iter().map(|field| field.trim().to_owned())).collect());
    }
    Ok(rows)
}

struct Records<'t> {
    rest: &'t str,
}

impl Records<'_> {
    fn next_record(&mut self) -> Result<Option<Vec<String>>, String> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let mut fields = Vec::new();
        loop {
            fields.push(self.field()?);
            let mut chars = self.rest.chars();
            match chars.next() {
                Some(',') => self.rest = chars.as_str(),
                Some('\r' | '\n') => {
                    self.rest = self.rest.strip_prefix("\r\n").unwrap_or(chars.as_str());
                    return Ok(Some(fields));
                }
                None => return Ok(Some(fields)),
                Some(other) => return Err(format!("A quoted field of the file is followed by {other:?}")),
            }
        }
    }

    fn field(&mut self) -> Result<String, String> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            let end = self.rest.find([',', '\r', '\n']).unwrap_or(self.rest.len());
            let (field, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Ok(field.to_owned());
        };
        let mut field = String::new();
        let mut rest = quoted;
        loop {
            let (part, after) = rest.split_once('"').ok_or("A quoted field of the file does not end")?;
            field.push_str(part);
            match after.strip_prefix('"') {
                Some(more) => {
                    field.push('"');
                    rest = more;
                }
                None => {
                    self.rest = after;
                    return Ok(field);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_the_names_of_the_first_line() {
        let rows = read("Name,key,Enabled\r\na,b,TRUE\n\n\"say \"\"x\"\", y\",\"c\nd\"\n").unwrap();
        let of = |row: usize, name: &str| rows[row].get(name).map(String::as_str);
        assert_eq!(
            (rows.len(), of(0, "name"), of(0, "key"), of(0, "enabled")),
            (2, Some("a"), Some("b"), Some("TRUE"))
        );
        assert_eq!((of(1, "name"), of(1, "key"), of(1, "enabled")), (Some("say \"x\", y"), Some("c\nd"), None));
        for wrong in ["", "a,b\n", "key\n\"x", "key\n\"x\"y\n", "key\na,b\n"] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
