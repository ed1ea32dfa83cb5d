//! The description as a page: plain HTML with one style sheet in it, made from the document.
//!
//! Guarantees: the page fetches nothing, runs nothing, and its policy forbids both; whatever the document says is text.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::secret::sha256;

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--dim:#777;--accent:#7a4a12}\
@media(prefers-color-scheme:dark){:root{--accent:#e0b070}}\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem 1rem 4rem}\
h1{margin-bottom:0}h2{margin-top:2.5rem;border-bottom:2px solid var(--accent)}\
code,pre{font:14px/1.45 ui-monospace,monospace}\
details{border:1px solid var(--line);border-radius:6px;margin:.5rem 0;padding:.35rem .8rem}\
summary{cursor:pointer;display:flex;gap:.8rem;align-items:baseline;flex-wrap:wrap}\
.method{font-weight:700;min-width:4.2rem;color:var(--accent)}.what{color:var(--dim)}\
.tag{color:var(--dim)}table{border-collapse:collapse;width:100%;margin:.3rem 0 1rem}\
td,th{text-align:left;vertical-align:top;padding:.25rem .6rem .25rem 0;border-bottom:1px solid var(--line)}\
.overflow{overflow-x:auto}nav a{margin-right:1rem}a{color:var(--accent)}";

/// What a browser may do with the page.
pub(super) fn policy() -> String {
    let hash = STANDARD.encode(sha256(STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// The page of `document`.
pub(super) fn render(document: &Value) -> String {
    let mut page = String::with_capacity(64 * 1024);
    let info = &document["info"];
    let title = text(&info["title"]);
    page.push_str("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    put(&mut page, format_args!("<title>{title}: the API</title><style>{STYLE}</style></head><body>"));
    put(&mut page, format_args!("<h1>{title}</h1><p class=\"what\">{} Version ", text(&info["summary"])));
    put(&mut page, format_args!("{}.</p><p>{}</p>", text(&info["version"]), prose(&info["description"])));
    page.push_str("<p>The same for programs: <a href=\"openapi.json\">openapi.json</a>.</p><nav>");
    for tag in items(&document["tags"]) {
        put(&mut page, format_args!("<a href=\"#{}\">{}</a>", anchor(&tag["name"]), text(&tag["name"])));
    }
    page.push_str("</nav>");
    for tag in items(&document["tags"]) {
        put(&mut page, format_args!("<h2 id=\"{}\">{}</h2>", anchor(&tag["name"]), text(&tag["name"])));
        put(&mut page, format_args!("<p class=\"tag\">{}</p>", prose(&tag["description"])));
        for (path, item) in members(&document["paths"]) {
            for (method, operation) in members(item) {
                if operation["tags"][0] == tag["name"] {
                    render_operation(&mut page, document, (path, method), item, operation);
                }
            }
        }
    }
    page.push_str("</body></html>\n");
    page
}

fn render_operation(
    page: &mut String,
    document: &Value,
    (path, method): (&str, &str),
    item: &Value,
    operation: &Value,
) {
    let (method, path) = (escaped(&method.to_ascii_uppercase()), escaped(path));
    put(page, format_args!("<details id=\"{}\"><summary>", anchor(&operation["operationId"])));
    put(page, format_args!("<span class=\"method\">{method}</span><code>{path}</code>"));
    put(page, format_args!("<span class=\"what\">{}</span></summary>", text(&operation["summary"])));
    put(page, format_args!("<p>{}</p>", prose(&operation["description"])));
    match operation["x-required-scope"].as_str() {
        Some(scope) => put(page, format_args!("<p>Needs a token with the scope <code>{}</code>.</p>", escaped(scope))),
        None if items(&operation["security"]).is_empty() => page.push_str("<p>Anyone may call it.</p>"),
        None => page.push_str("<p>The client authenticates in the request.</p>"),
    }
    let parameters: Vec<&Value> = items(&item["parameters"]).iter().chain(items(&operation["parameters"])).collect();
    if !parameters.is_empty() {
        page.push_str("<h4>Parameters</h4><div class=\"overflow\"><table>");
        for parameter in parameters {
            put(page, format_args!("<tr><td><code>{}</code></td>", text(&parameter["name"])));
            put(page, format_args!("<td>{}</td>", text(&parameter["in"])));
            put(page, format_args!("<td>{}</td>", escaped(&kind(document, &parameter["schema"]))));
            put(page, format_args!("<td>{}</td></tr>", prose(&parameter["description"])));
        }
        page.push_str("</table></div>");
    }
    for (content_type, content) in members(&operation["requestBody"]["content"]) {
        put(page, format_args!("<h4>Body, <code>{}</code></h4>", escaped(content_type)));
        render_schema(page, document, &content["schema"]);
    }
    page.push_str("<h4>Answers</h4>");
    for (status, response) in members(&operation["responses"]) {
        put(page, format_args!("<p><strong>{}</strong> {}", escaped(status), prose(&response["description"])));
        let contents = members(&response["content"]);
        for (content_type, _) in &contents {
            put(page, format_args!(" <code>{}</code>", escaped(content_type)));
        }
        page.push_str("</p>");
        // Errors all look alike: the shape of one is enough.
        if status.starts_with('2') {
            contents.iter().for_each(|(_, content)| render_schema(page, document, &content["schema"]));
        }
    }
    page.push_str("</details>");
}

/// The members of an object, a row each.
fn render_schema(page: &mut String, document: &Value, schema: &Value) {
    let schema = resolved(document, schema);
    let properties = members(&schema["properties"]);
    if properties.is_empty() {
        put(page, format_args!("<p>{}</p>", prose(&schema["description"])));
        return;
    }
    let required = items(&schema["required"]);
    page.push_str("<div class=\"overflow\"><table>");
    for (name, property) in properties {
        let needed =
            if required.iter().any(|other| other == name) { "" } else { " <span class=\"what\">optional</span>" };
        put(page, format_args!("<tr><td><code>{}</code>{needed}</td>", escaped(name)));
        put(page, format_args!("<td>{}</td>", escaped(&kind(document, property))));
        put(page, format_args!("<td>{}</td></tr>", prose(&property["description"])));
    }
    page.push_str("</table></div>");
}

/// The type of a value in a word or two.
fn kind(document: &Value, schema: &Value) -> String {
    let named = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next());
    let schema = resolved(document, schema);
    let single = |kind: &Value| match kind.as_str() {
        Some("array") => format!("list of {}", self::kind(document, &schema["items"])),
        Some(kind) => kind.to_owned(),
        None => "any".to_owned(),
    };
    match (&schema["type"], named) {
        (Value::String(kind), Some(name)) if kind == "object" => name.to_owned(),
        (Value::Array(kinds), _) => {
            kinds.iter().filter(|kind| *kind != "null").map(single).collect::<Vec<_>>().join(" or ")
        }
        (kind, _) => single(kind),
    }
}

fn resolved<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    let name = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next());
    name.map_or(schema, |name| &document["components"]["schemas"][name])
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn members(value: &Value) -> Vec<(&str, &Value)> {
    value.as_object().map(|all| all.iter().map(|(name, value)| (name.as_str(), value)).collect()).unwrap_or_default()
}

fn put(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = page.write_fmt(text);
}

fn text(value: &Value) -> String {
    escaped(value.as_str().unwrap_or_default())
}

/// Text in which what stands between backticks is code.
fn prose(value: &Value) -> String {
    let text = text(value);
    let mut marked = String::with_capacity(text.len());
    for (place, part) in text.split('`').enumerate() {
        if place % 2 == 1 {
            put(&mut marked, format_args!("<code>{part}</code>"));
        } else {
            marked.push_str(part);
        }
    }
    marked
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn anchor(name: &Value) -> String {
    let kept = |sign: char| if sign.is_ascii_alphanumeric() { sign.to_ascii_lowercase() } else { '-' };
    name.as_str().unwrap_or_default().chars().map(kept).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whatever_the_document_says_is_text() {
        let document = json!({ "info": { "title": "<b>", "description": "a `<i>` \"b\"" }, "tags": [], "paths": {} });
        let page = render(&document);
        assert!(page.contains("&lt;b&gt;") && page.contains("<code>&lt;i&gt;</code> &quot;b&quot;"), "{page}");
        assert!(!page.contains("<b>") && !page.contains("<i>"));
    }
}
