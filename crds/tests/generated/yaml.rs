//! YAML for people: block style, and long text folded. Another program reads it back in the test.

use serde_json::Value;

/// Where text is folded, beside its indentation.
const WIDTH: usize = 100;

pub(super) fn document(value: &Value) -> String {
    let mut text = String::new();
    block(&mut text, value, 0);
    text
}

/// A mapping or a list, from the beginning of a line.
fn block(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let lead = format!("{}{}:", " ".repeat(indent), scalar(key));
                entry(text, &lead, value, indent + 2, indent);
            }
        }
        Value::Array(list) => {
            for value in list {
                item(text, value, indent);
            }
        }
        _ => {}
    }
}

/// `lead` and the value: in the same line, or in lines below.
fn entry(text: &mut String, lead: &str, value: &Value, indent: usize, list_indent: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            text.push_str(&format!("{lead}\n"));
            block(text, value, indent);
        }
        Value::Array(list) if !list.is_empty() => {
            text.push_str(&format!("{lead}\n"));
            block(text, value, list_indent);
        }
        Value::String(long) if can_be_folded(long) => {
            text.push_str(&format!("{lead} >-\n"));
            folded(text, long, indent);
        }
        Value::String(short) => text.push_str(&format!("{lead} {}\n", scalar(short))),
        other => text.push_str(&format!("{lead} {other}\n")),
    }
}

/// An entry of a list: the first line of a mapping stands beside the dash.
fn item(text: &mut String, value: &Value, indent: usize) {
    let lead = format!("{}-", " ".repeat(indent));
    match value {
        Value::Object(map) if !map.is_empty() => {
            let mut lines = String::new();
            block(&mut lines, value, indent + 2);
            text.push_str(&lead);
            text.push_str(&lines[lead.len()..]);
        }
        other => entry(text, &lead, other, indent + 2, indent + 2),
    }
}

fn can_be_folded(text: &str) -> bool {
    text.len() > WIDTH && text.split(' ').all(|word| !word.is_empty()) && !text.contains(char::is_control)
}

fn folded(text: &mut String, long: &str, indent: usize) {
    let mut line = String::new();
    for word in long.split(' ') {
        if !line.is_empty() && line.len() + 1 + word.len() > WIDTH {
            text.push_str(&format!("{}{line}\n", " ".repeat(indent)));
            line.clear();
        }
        let space = if line.is_empty() { "" } else { " " };
        line.push_str(&format!("{space}{word}"));
    }
    text.push_str(&format!("{}{line}\n", " ".repeat(indent)));
}

/// Plain where nobody could take it for anything else, else as in JSON, which is YAML.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || " ._/-,;()'`".contains(c);
    let word =
        ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_lowercase().as_str());
    let safe = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(plain)
        && !text.ends_with(' ');
    if safe && !word { text.to_owned() } else { Value::from(text).to_string() }
}
