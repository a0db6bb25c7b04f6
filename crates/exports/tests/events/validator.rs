//! As much of JSON Schema 2020-12 as our schemas use; a keyword that it does not know fails the
//! test, so that nothing goes unchecked.

use serde_json::Value;

/// Whether `value` is as `schema` says; else what is wrong first.
pub(crate) fn check(schema: &Value, value: &Value) -> Result<(), String> {
    for (keyword, wanted) in schema.as_object().unwrap() {
        if !holds(schema, keyword, wanted, value)? {
            return Err(format!("{value} does not have {keyword} {wanted}"));
        }
    }
    Ok(())
}

fn holds(schema: &Value, keyword: &str, wanted: &Value, value: &Value) -> Result<bool, String> {
    Ok(match keyword {
        "$schema" | "$id" | "title" | "description" => true,
        "type" => has_type(wanted.as_str().unwrap(), value),
        "const" => value == wanted,
        "enum" => wanted.as_array().unwrap().contains(value),
        "pattern" => value.as_str().is_none_or(|text| matches(wanted.as_str().unwrap(), text)),
        "format" => value.as_str().is_none_or(|text| is_format(wanted.as_str().unwrap(), text)),
        "minLength" => length(value).is_none_or(|length| length >= wanted.as_u64().unwrap()),
        "maxLength" => length(value).is_none_or(|length| length <= wanted.as_u64().unwrap()),
        "minimum" => value.as_f64().is_none_or(|number| number >= wanted.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|number| number <= wanted.as_f64().unwrap()),
        "maxItems" => {
            value.as_array().is_none_or(|items| items.len() as u64 <= wanted.as_u64().unwrap())
        }
        "items" => {
            value.as_array().into_iter().flatten().try_for_each(|item| check(wanted, item))?;
            true
        }
        "required" => wanted.as_array().unwrap().iter().all(|name| {
            value.as_object().is_none_or(|members| members.contains_key(name.as_str().unwrap()))
        }),
        "properties" => {
            for (name, member) in value.as_object().into_iter().flatten() {
                wanted.get(name).map_or(Ok(()), |schema| check(schema, member))?;
            }
            true
        }
        "additionalProperties" => {
            assert_eq!(*wanted, Value::Bool(false), "the only use of it");
            let known = &schema["properties"];
            value.as_object().is_none_or(|members| members.keys().all(|n| known.get(n).is_some()))
        }
        other => panic!("the validator does not know {other}"),
    })
}

fn has_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        other => panic!("the validator does not know type {other}"),
    }
}

fn length(value: &Value) -> Option<u64> {
    value.as_str().map(|text| text.chars().count() as u64)
}

fn is_format(name: &str, text: &str) -> bool {
    match name {
        "uuid" => text.parse::<model::EventId>().is_ok(),
        "date-time" => text.parse::<model::Timestamp>().is_ok() && text.ends_with('Z'),
        other => panic!("the validator does not know format {other}"),
    }
}

/// The patterns that our schemas use, by hand.
fn matches(pattern: &str, text: &str) -> bool {
    let hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match pattern {
        "^[a-z0-9]+(-[a-z0-9]+)*$" => text.split('-').all(|part| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        }),
        "^[0-9]{20}$" => text.len() == 20 && text.bytes().all(|b| b.is_ascii_digit()),
        "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$" => {
            let parts: Vec<&str> = text.split('-').collect();
            let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
            lengths == [2, 32, 16, 2] && parts.into_iter().all(hex)
        }
        r"^org(\.[a-z0-9_]+){3,}$" => {
            let mut tokens = text.split('.');
            let plain = |token: &str| {
                !token.is_empty()
                    && token.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
            };
            tokens.next() == Some("org") && tokens.clone().count() >= 3 && tokens.all(plain)
        }
        other => panic!("the validator does not know pattern {other}"),
    }
}
