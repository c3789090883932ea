//! Names of AWS's models as names of Rust.

/// `CreateApiRequest` → `create_api_request`, `logGroupARN` → `log_group_arn`; keywords are escaped.
pub(crate) fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (index, &c) in chars.iter().enumerate() {
        if !c.is_ascii_alphanumeric() {
            snake.push('_');
            continue;
        }
        let previous = index.checked_sub(1).and_then(|index| chars.get(index));
        let next_is_lower = chars.get(index + 1).is_some_and(char::is_ascii_lowercase);
        let after_word = previous.is_some_and(|p| *p != '_' && (next_is_lower || !p.is_ascii_uppercase()));
        if c.is_ascii_uppercase() && after_word {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    match snake.as_str() {
        "type" | "match" | "ref" | "use" | "in" | "final" | "static" | "where" => format!("r#{snake}"),
        _ => snake,
    }
}

/// What Rust takes for no name is given one: `0.5` → `V05`, `SELF` → `SelfValue`.
///
/// `HTTP_PROXY` → `HttpProxy`, `TLS_1_2` → `Tls12`, `EC_prime256v1` → `EcPrime256v1`, `CloudWatch Logs` → `CloudWatchLogs`.
pub(crate) fn camel(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let camel: String = words
        .map(|word| {
            let (first, rest) = word.split_at(1);
            let shouted = !word.contains(|c: char| c.is_ascii_lowercase());
            let rest = if shouted { rest.to_ascii_lowercase() } else { rest.to_owned() };
            first.to_ascii_uppercase() + &rest
        })
        .collect();
    match camel.chars().next() {
        Some('0'..='9') => format!("V{camel}"),
        _ if camel == "Self" => "SelfValue".to_owned(),
        _ => camel,
    }
}

#[cfg(test)]
mod tests {
    use super::{camel, snake};

    #[test]
    fn snake_case() {
        for (name, expected) in [
            ("ApiId", "api_id"),
            ("CreateApiMapping", "create_api_mapping"),
            ("logGroupARN", "log_group_arn"),
            ("ARNList", "arn_list"),
            ("Type", "r#type"),
            ("x-amz_Thing", "x_amz_thing"),
            ("TLS_1_2", "tls_1_2"),
            ("__listOfApi", "__list_of_api"),
        ] {
            assert_eq!(snake(name), expected, "{name}");
        }
    }

    #[test]
    fn camel_case() {
        for (name, expected) in [
            ("HTTP_PROXY", "HttpProxy"),
            ("TLS_1_2", "Tls12"),
            ("EC_prime256v1", "EcPrime256v1"),
            ("ipv4", "Ipv4"),
            ("0.5", "V05"),
            ("SELF", "SelfValue"),
            ("LogStreamName", "LogStreamName"),
            ("ACM", "Acm"),
            ("ApiGatewayV2", "ApiGatewayV2"),
            ("CloudWatch Logs", "CloudWatchLogs"),
        ] {
            assert_eq!(camel(name), expected, "{name}");
        }
    }
}
