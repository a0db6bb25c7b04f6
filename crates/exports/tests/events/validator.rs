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
        "type" => match wanted {
            Value::Array(any) => any.iter().any(|name| has_type(name.as_str().unwrap(), value)),
            one => has_type(one.as_str().unwrap(), value),
        },
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
        "propertyNames" => {
            let names = value.as_object().into_iter().flatten().map(|(name, _)| name);
            names.map(|name| Value::from(name.as_str())).try_for_each(|n| check(wanted, &n))?;
            true
        }
        "additionalProperties" => {
            let known = &schema["properties"];
            let members = value.as_object().into_iter().flatten();
            let mut others = members.filter(|(name, _)| known.get(name).is_none());
            match wanted {
                Value::Bool(false) => others.next().is_none(),
                wanted => {
                    others.try_for_each(|(_, member)| check(wanted, member))?;
                    true
                }
            }
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
        "null" => value.is_null(),
        other => panic!("the validator does not know type {other}"),
    }
}

fn length(value: &Value) -> Option<u64> {
    value.as_str().map(|text| text.chars().count() as u64)
}

fn is_format(name: &str, text: &str) -> bool {
    match name {
        "uuid" => text.parse::<model::EventId>().is_ok(),
        "date-time" => is_moment(text),
        other => panic!("the validator does not know format {other}"),
    }
}

/// RFC 3339, 5.6, but for days that their month does not have.
fn is_moment(text: &str) -> bool {
    let Some((date_time, rest)) = text.split_at_checked(19) else { return false };
    let is_shaped = |text: &str, shape: &str| {
        text.len() == shape.len()
            && text.bytes().zip(shape.bytes()).all(|(b, wanted)| match wanted {
                b'0' => b.is_ascii_digit(),
                wanted => b == wanted,
            })
    };
    let in_range = |at: usize, range: std::ops::RangeInclusive<u32>| {
        text[at..at + 2].parse().is_ok_and(|number| range.contains(&number))
    };
    let fraction =
        rest.strip_prefix('.').map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    let is_fraction = fraction.is_none_or(|zone| zone.len() + 2 <= rest.len());
    let zone = fraction.unwrap_or(rest);
    let is_zone = zone == "Z"
        || ["+00:00", "-00:00"].iter().any(|shape| is_shaped(zone, shape))
            && zone[1..3].parse().is_ok_and(|hours: u32| hours < 24)
            && zone[4..].parse().is_ok_and(|minutes: u32| minutes < 60);
    is_shaped(date_time, "0000-00-00T00:00:00")
        && in_range(5, 1..=12)
        && in_range(8, 1..=31)
        && in_range(11, 0..=23)
        && in_range(14, 0..=59)
        && in_range(17, 0..=60)
        && is_fraction
        && is_zone
}

/// The patterns that our schemas use, by hand.
fn matches(pattern: &str, text: &str) -> bool {
    let hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match pattern {
        "^[a-z0-9]+(-[a-z0-9]+)*$" => text.split('-').all(|part| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        }),
        "^[a-z0-9]+$" => {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        }
        "^[0-9a-f]{32}$" => text.len() == 32 && hex(text),
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
