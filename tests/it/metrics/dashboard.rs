//! The alert rules and the dashboard, held to a scrape: they parse, and what they ask for is there.

use std::collections::BTreeSet;

use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

use super::scrape_of_everything;
use super::text::Page;

const ALERTS: &str = include_str!("../../../docs/operations/alerts.yaml");
const DASHBOARD: &str = include_str!("../../../docs/operations/grafana-dashboard.json");

/// A rule: its name and all that it has.
fn alerts() -> Vec<(String, Yaml)> {
    let documents = YamlLoader::load_from_str(ALERTS).unwrap();
    assert_eq!(documents.len(), 1);
    let groups = documents[0]["groups"].as_vec().unwrap();
    let rules = groups.iter().flat_map(|group| {
        assert!(group["name"].as_str().is_some_and(|name| name.starts_with("signet.")));
        group["rules"].as_vec().unwrap().clone()
    });
    rules.map(|rule| (rule["alert"].as_str().unwrap().to_owned(), rule)).collect()
}

/// Every expression of a panel, a variable or an annotation.
fn queries() -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match member {
                        Value::String(text) if name == "expr" || name == "query" => found.push(text.clone()),
                        member => collect(member, found),
                    }
                }
            }
            Value::Array(members) => members.iter().for_each(|member| collect(member, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(&serde_json::from_str(DASHBOARD).unwrap(), &mut found);
    found
}

/// The words of a query that are names of metrics, and those that are labels. What stands in quotes is neither.
fn words(query: &str) -> BTreeSet<String> {
    let outside: String = query.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let is_part = |sign: char| sign.is_ascii_alphanumeric() || sign == '_' || sign == '$';
    outside.split(|sign| !is_part(sign)).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn metrics(query: &str) -> BTreeSet<String> {
    let is_ours = |word: &String| word.starts_with("signet_") || word.starts_with("process_");
    words(query).into_iter().filter(is_ours).collect()
}

/// The labels by which a query groups or selects.
fn labels(query: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for part in query.split(" by (").skip(1).chain(query.split(" on (").skip(1)) {
        found.extend(part.split(')').next().unwrap().split(',').map(|label| label.trim().to_owned()));
    }
    for part in query.split('{').skip(1) {
        let inside = part.split('}').next().unwrap();
        let names = inside.split(',').filter_map(|selector| selector.split(['=', '!']).next());
        found.extend(names.map(|name| name.trim().to_owned()));
    }
    found
}

fn check(page: &Page, source: &str, query: &str) {
    let names = page.names();
    for metric in metrics(query) {
        assert!(names.contains(&metric), "{source} asks for {metric}, which no scrape has: {query}");
    }
    // What Prometheus adds, and the one that histograms have besides.
    let mut known: BTreeSet<String> = ["job", "instance", "le"].map(str::to_owned).into();
    known.extend(page.series().into_iter().flat_map(|(_, labels)| labels.into_keys()));
    for label in labels(query) {
        assert!(known.contains(&label), "{source} names the label {label}, which nothing has: {query}");
    }
}

/// `SignetStoreUnreachable` as `signet-store-unreachable`.
fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for sign in name.chars() {
        if sign.is_ascii_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.push(sign.to_ascii_lowercase());
    }
    kebab
}

#[actix_web::test]
async fn alerts_and_dashboard_ask_for_nothing_that_a_scrape_does_not_have() {
    let page = scrape_of_everything().await;
    let alerts = alerts();
    assert!(alerts.len() >= 12, "{}", alerts.len());
    let mut asked = BTreeSet::new();
    for (name, rule) in &alerts {
        let query = rule["expr"].as_str().unwrap();
        assert!(name == "SignetDown" || !metrics(query).is_empty(), "{name}");
        check(&page, name, query);
        asked.extend(metrics(query));
    }
    let queries = queries();
    assert!(queries.len() > 30, "{}", queries.len());
    for query in &queries {
        check(&page, "the dashboard", query);
        asked.extend(metrics(query));
    }
    let shown = |name: &String| asked.iter().any(|metric| metric.starts_with(name.as_str()));
    let hidden: Vec<&String> = page.0.keys().filter(|name| !shown(name)).collect();
    assert!(hidden.is_empty(), "neither alert nor panel shows {hidden:?}");
}

#[test]
fn every_alert_says_what_is_wrong_and_where_it_stands_what_to_do() {
    let operations = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).unwrap();
    let headings = operations.lines().filter_map(|line| line.strip_prefix("### "));
    let runbooks: BTreeSet<String> = headings.map(crate::papers::anchor).collect();
    let mut seen = BTreeSet::new();
    for (name, rule) in alerts() {
        assert!(seen.insert(name.clone()), "{name} stands twice");
        let annotations = &rule["annotations"];
        for text in ["summary", "description"] {
            assert!(annotations[text].as_str().is_some_and(|text| text.len() > 20), "{name} has no {text}");
        }
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning"].contains(&severity), "{name}: {severity}");
        assert!(rule["for"].as_str().is_some_and(|span| span.ends_with(['m', 'h'])), "{name}");
        let anchor = format!("alert-{}", kebab(&name));
        let runbook = format!("{}/blob/main/docs/operations.md#{anchor}", env!("CARGO_PKG_REPOSITORY"));
        assert_eq!(annotations["runbook_url"].as_str(), Some(runbook.as_str()), "{name}");
        assert!(runbooks.contains(&anchor), "docs/operations.md has no #{anchor}");
    }
}

#[test]
fn every_panel_of_the_dashboard_has_a_title_a_place_and_a_query() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()), "{panel}");
        let place = &panel["gridPos"];
        assert!(places.insert((place["y"].as_u64().unwrap(), place["x"].as_u64().unwrap())), "{panel}");
        assert!(place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap() <= 24, "{panel}");
        assert!(panel["type"] == "row" || !panel["targets"].as_array().unwrap().is_empty(), "{panel}");
    }
}
