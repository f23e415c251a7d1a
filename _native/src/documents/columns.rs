//! One parsed `metadata.json` → the columns of the table `models` (`sqlite.md` 2.1).

use super::json::{Text, Value};
use super::write::{to_text, Layout};

/// Column values of one model; the id and the time of writing are the caller's.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Columns {
    pub cleaned_name: String,
    pub official_name: String,
    pub model_type: String,
    pub tags_json: String,
    pub hashes_json: String,
    pub metadata_json: String,
}

/// What `columns_of` makes of a document, and what it had to leave aside.
#[derive(Debug, PartialEq, Eq)]
pub struct Reading {
    /// None for a document that holds nothing (`{}`, `[]`, `null`, `0`, `""`, `false`).
    pub columns: Option<Columns>,
    pub problem: Option<String>,
}

/// Turns a document into columns; a field of a wrong form is left empty and named.
pub fn columns_of(document: &Value<'_>) -> Reading {
    let members = match document {
        Value::Object(members) if !members.is_empty() => members,
        other if is_empty(other) => return Reading { columns: None, problem: None },
        _ => {
            let problem = Some("it is not an object".to_owned());
            return Reading { columns: None, problem };
        }
    };
    let mut problem = None;
    let mut name = |key: &str| match name_field(members, key) {
        Ok(text) => text,
        Err(reason) => {
            problem.get_or_insert(reason);
            String::new()
        }
    };
    let columns = Columns {
        cleaned_name: name("cleaned_name"),
        official_name: name("official_name"),
        model_type: name("model_type"),
        tags_json: find(members, "tags").map_or("[]".to_owned(), |tags| to_text(tags, Layout::Compact)),
        hashes_json: find(members, "hashes").map_or("{}".to_owned(), |all| to_text(all, Layout::Compact)),
        metadata_json: to_text(document, Layout::Indented),
    };
    Reading { columns: Some(columns), problem }
}

fn is_empty(value: &Value<'_>) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Integer(digits) => *digits == "0",
        Value::Float(number) => *number == 0.0,
        Value::Text(text) => text.raw.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(true) => false,
    }
}

fn find<'v, 'a>(members: &'v [(Text<'a>, Value<'a>)], key: &str) -> Option<&'v Value<'a>> {
    // A key may be written with escapes, so it is decoded before it is compared.
    members.iter().find(|(name, _)| name.decode() == key).map(|(_, value)| value)
}

fn name_field(members: &[(Text<'_>, Value<'_>)], key: &str) -> Result<String, String> {
    match find(members, key) {
        None => Ok(String::new()),
        Some(Value::Text(text)) => Ok(text.decode().into_owned()),
        Some(Value::Null) => Err(format!("`{key}` is null")),
        Some(number @ (Value::Integer(_) | Value::Float(_))) => Ok(to_text(number, Layout::Compact)),
        Some(_) => Err(format!("`{key}` is not a text")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::parse;
    use super::*;

    fn read(text: &str) -> Reading {
        columns_of(&parse(text.as_bytes(), 32).unwrap())
    }

    #[test]
    fn a_document_that_holds_nothing_is_no_model_and_no_problem() {
        for text in ["{}", "[]", "null", "0", "0.0", "\"\"", "false"] {
            assert_eq!(read(text), Reading { columns: None, problem: None }, "{text}");
        }
    }

    #[test]
    fn a_document_of_another_form_is_named() {
        for text in ["[1]", "\"abc\"", "5", "true"] {
            assert_eq!(read(text).problem.as_deref(), Some("it is not an object"), "{text}");
        }
    }

    #[test]
    fn a_field_of_a_wrong_form_is_left_empty_and_named() {
        let reading = read(r#"{"official_name": ["a"], "cleaned_name": "c"}"#);
        assert_eq!(reading.problem.as_deref(), Some("`official_name` is not a text"));
        let columns = reading.columns.unwrap();
        assert_eq!((columns.official_name.as_str(), columns.cleaned_name.as_str()), ("", "c"));
    }

    #[test]
    fn missing_fields_have_their_defaults() {
        let columns = read(r#"{"x": 1}"#).columns.unwrap();
        assert_eq!((columns.tags_json.as_str(), columns.hashes_json.as_str()), ("[]", "{}"));
        assert_eq!(read(r#"{"official_name": null}"#).problem.as_deref(), Some("`official_name` is null"));
        assert_eq!(read(r#"{"official_name": 7}"#).columns.unwrap().official_name, "7");
    }
}
