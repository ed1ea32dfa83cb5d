//! Each alert leads to a section of docs/operations.md, and each of those sections is an alert's.

use std::collections::BTreeSet;

use super::read;

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let rules = read("docs/operations/alerts.yaml");
    let addresses = rules.lines().filter_map(|line| line.trim().strip_prefix("runbook_url: "));
    let wanted: BTreeSet<_> =
        addresses.map(|url| url.split_once("docs/operations.md#").unwrap().1.to_owned()).collect();
    let paper = read("docs/operations.md");
    let headings = paper.lines().filter_map(|line| line.strip_prefix("### Alert: "));
    let there: Vec<_> = headings.map(|name| format!("alert-{}", name.to_lowercase().replace(' ', "-"))).collect();
    assert_eq!(there.iter().cloned().collect::<BTreeSet<_>>(), wanted);
    assert_eq!((there.len(), rules.matches("- alert: ").count()), (wanted.len(), wanted.len()));
}
