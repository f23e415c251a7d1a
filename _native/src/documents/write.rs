//! JSON text in the two forms that the index stores.
//!
//! The form is Python's `json.dumps` with non-ASCII escaped (the original backend wrote it):
//! `Compact` = separators `", "` and `": "`, `Indented` = two spaces per level. Floats are written as
//! Python's `repr`: the shortest digits that read back equal, an exponent below 1e-4 and from 1e16 on.

use super::json::{Text, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    Compact,
    Indented,
}

/// Writes `value` as one text without a newline at the end.
pub fn to_text(value: &Value<'_>, layout: Layout) -> String {
    let mut out = String::new();
    write_value(&mut out, value, layout, 0);
    out
}

fn write_value(out: &mut String, value: &Value<'_>, layout: Layout, level: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Integer(digits) => out.push_str(digits),
        Value::Float(number) => write_float(out, *number),
        Value::Text(text) => write_string(out, *text),
        Value::List(items) if items.is_empty() => out.push_str("[]"),
        Value::Object(members) if members.is_empty() => out.push_str("{}"),
        Value::List(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                separate(out, n, layout, level + 1);
                write_value(out, item, layout, level + 1);
            }
            end(out, layout, level);
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (n, (key, member)) in members.iter().enumerate() {
                separate(out, n, layout, level + 1);
                write_string(out, *key);
                out.push_str(": ");
                write_value(out, member, layout, level + 1);
            }
            end(out, layout, level);
            out.push('}');
        }
    }
}

fn separate(out: &mut String, index: usize, layout: Layout, level: usize) {
    match layout {
        Layout::Compact if index > 0 => out.push_str(", "),
        Layout::Compact => {}
        Layout::Indented => {
            if index > 0 {
                out.push(',');
            }
            new_line(out, level);
        }
    }
}

fn end(out: &mut String, layout: Layout, level: usize) {
    if layout == Layout::Indented {
        new_line(out, level);
    }
}

fn new_line(out: &mut String, level: usize) {
    out.push('\n');
    for _ in 0..level {
        out.push_str("  ");
    }
}

fn write_string(out: &mut String, text: Text<'_>) {
    out.push('"');
    if !text.has_escape && text.raw.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        out.push_str(text.raw);
    } else {
        for unit in text.units() {
            write_unit(out, unit);
        }
    }
    out.push('"');
}

fn write_unit(out: &mut String, unit: u16) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match unit {
        0x22 => out.push_str("\\\""),
        0x5c => out.push_str("\\\\"),
        0x08 => out.push_str("\\b"),
        0x0c => out.push_str("\\f"),
        0x0a => out.push_str("\\n"),
        0x0d => out.push_str("\\r"),
        0x09 => out.push_str("\\t"),
        0x20..=0x7e => out.push(char::from(unit.to_le_bytes()[0])),
        _ => {
            out.push_str("\\u");
            for shift in [12, 8, 4, 0] {
                out.push(char::from(HEX[usize::from(unit >> shift & 0xf)]));
            }
        }
    }
}

fn write_float(out: &mut String, number: f64) {
    let text = format!("{number:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        // `{:?}` is the shortest plain form and always has a point; it only differs in when it
        // changes to an exponent, which this range excludes.
        let plain = format!("{number}");
        out.push_str(&plain);
        if !plain.contains('.') {
            out.push_str(".0");
        }
        return;
    }
    out.push_str(mantissa);
    out.push('e');
    out.push(if exponent < 0 { '-' } else { '+' });
    let digits = exponent.unsigned_abs();
    if digits < 10 {
        out.push('0');
    }
    out.push_str(&digits.to_string());
}

#[cfg(test)]
mod tests {
    use super::super::json::parse;
    use super::*;

    fn compact(text: &str) -> String {
        to_text(&parse(text.as_bytes(), 32).unwrap(), Layout::Compact)
    }

    #[test]
    fn floats_are_written_as_python_does() {
        for (given, written) in [
            ("1.0", "1.0"),
            ("1E5", "100000.0"),
            ("1e16", "1e+16"),
            ("123456789012345680.0", "1.2345678901234568e+17"),
            ("9007199254740993.0", "9007199254740992.0"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("-0.0", "-0.0"),
            ("0.1", "0.1"),
            ("1e-320", "1e-320"),
            ("5e-324", "5e-324"),
        ] {
            assert_eq!(compact(given), written, "{given}");
        }
    }

    #[test]
    fn integers_of_any_length_survive() {
        assert_eq!(compact("123456789012345678901234567890"), "123456789012345678901234567890");
        assert_eq!(compact("-0"), "0");
    }

    #[test]
    fn texts_are_escaped_to_ascii() {
        assert_eq!(
            compact(r#""caf\u00e9 é 😀 \/ \u007f \ud83d\ude00""#),
            r#""caf\u00e9 \u00e9 \ud83d\ude00 / \u007f \ud83d\ude00""#
        );
        assert_eq!(compact("\"\\b\\f\\n\\r\\t\\\"\\\\\\u0001\""), "\"\\b\\f\\n\\r\\t\\\"\\\\\\u0001\"");
    }

    #[test]
    fn both_layouts() {
        let value = parse(br#"{"a":[1,{"b":[]}],"c":{}}"#, 32).unwrap();
        assert_eq!(to_text(&value, Layout::Compact), r#"{"a": [1, {"b": []}], "c": {}}"#);
        assert_eq!(
            to_text(&value, Layout::Indented),
            "{\n  \"a\": [\n    1,\n    {\n      \"b\": []\n    }\n  ],\n  \"c\": {}\n}"
        );
    }
}
