//! The text format of Prometheus (0.0.4), read strictly: whatever a scraper might stumble over is a failure here.

use std::collections::{BTreeMap, BTreeSet};

/// One line of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// A metric.
#[derive(Debug, Clone, Default)]
pub struct Family {
    pub help: String,
    pub kind: String,
    pub samples: Vec<Sample>,
}

/// A whole page, by the names of its families.
#[derive(Debug, Clone)]
pub struct Page(pub BTreeMap<String, Family>);

impl Page {
    pub fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line is not ended");
        let mut page = Self(BTreeMap::new());
        let mut current = String::new();
        for line in text.strip_suffix('\n').unwrap().split('\n') {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap_or_else(|| panic!("no help: {line}"));
                current = name.to_owned();
                let fresh = page.0.insert(current.clone(), Family { help: help.to_owned(), ..Family::default() });
                assert!(fresh.is_none(), "{name} stands twice");
                assert!(is_name(name) && !help.trim().is_empty(), "{line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap_or_else(|| panic!("no type: {line}"));
                let family = page.0.get_mut(name).unwrap_or_else(|| panic!("no help before: {line}"));
                assert!(name == current && family.kind.is_empty() && family.samples.is_empty(), "{line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                family.kind = kind.to_owned();
            } else {
                let sample = sample(line);
                let family = page.0.get_mut(&current).unwrap_or_else(|| panic!("of no family: {line}"));
                let suffix = sample.name.strip_prefix(&current).unwrap_or_else(|| panic!("of another family: {line}"));
                let allowed = if family.kind == "histogram" { &["_bucket", "_sum", "_count"][..] } else { &[""] };
                assert!(allowed.contains(&suffix), "{line}");
                family.samples.push(sample);
            }
        }
        page.0.iter().for_each(|(name, family)| check(name, family));
        page
    }

    /// The value of the one sample that has these labels and no others.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels: BTreeMap<String, String> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let samples = self.0.values().flat_map(|family| &family.samples);
        samples.into_iter().find(|sample| sample.name == name && sample.labels == labels).map(|sample| sample.value)
    }

    /// Every name that a query may use.
    pub fn names(&self) -> BTreeSet<String> {
        self.0.values().flat_map(|family| &family.samples).map(|sample| sample.name.clone()).collect()
    }

    /// Every series: a name with its labels.
    pub fn series(&self) -> BTreeSet<(String, BTreeMap<String, String>)> {
        let samples = self.0.values().flat_map(|family| &family.samples);
        samples.map(|sample| (sample.name.clone(), sample.labels.clone())).collect()
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn sample(line: &str) -> Sample {
    let wrong = || -> ! { panic!("not a sample: {line:?}") };
    let end = line.find(['{', ' ']).unwrap_or_else(|| wrong());
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap_or_else(|| wrong());
            assert!(is_name(label) && !label.starts_with("__"), "{line}");
            let (value, after) = quoted(after).unwrap_or_else(|| wrong());
            assert!(labels.insert(label.to_owned(), value).is_none(), "{label} stands twice: {line}");
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => {
                    rest = after.strip_prefix('}').unwrap_or_else(|| wrong());
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| wrong());
    assert!(!value.contains(' '), "a moment of its own: {line}");
    let value = match value {
        "+Inf" => f64::INFINITY,
        number => number.parse().unwrap_or_else(|_| wrong()),
    };
    assert!(!value.is_nan(), "{line}");
    Sample { name: name.to_owned(), labels, value }
}

/// Text up to the closing quote, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut signs) = (String::new(), text.char_indices());
    while let Some((at, sign)) = signs.next() {
        match sign {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match signs.next()?.1 {
                'n' => '\n',
                escaped @ ('\\' | '"') => escaped,
                _ => return None,
            }),
            sign => value.push(sign),
        }
    }
    None
}

fn check(name: &str, family: &Family) {
    assert!(!family.kind.is_empty() && !family.samples.is_empty(), "{name} has no type or no samples");
    assert_eq!(family.kind == "counter", name.ends_with("_total"), "{name} is a {}", family.kind);
    assert!(family.help.ends_with('.'), "{name}: {}", family.help);
    for unit in ["_ms", "_millis", "_micros", "_minutes", "_kb", "_percent"] {
        assert!(!name.contains(unit), "{name} is not in a base unit");
    }
    let mut seen = BTreeSet::new();
    let names: BTreeSet<Vec<&String>> =
        family.samples.iter().map(|sample| sample.labels.keys().filter(|label| *label != "le").collect()).collect();
    assert_eq!(names.len(), 1, "{name} has samples with other labels than others");
    for sample in &family.samples {
        assert!(seen.insert((&sample.name, &sample.labels)), "{sample:?} stands twice");
        assert!(family.kind == "gauge" || sample.value >= 0.0 && sample.value.is_finite(), "{sample:?}");
    }
    if family.kind == "histogram" {
        histogram(name, family);
    }
}

/// Buckets that only grow, in order, to one without end that holds as many as were counted.
fn histogram(name: &str, family: &Family) {
    let mut groups: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
    for sample in family.samples.iter().filter(|sample| sample.name.ends_with("_bucket")) {
        let mut labels = sample.labels.clone();
        let end = labels.remove("le").unwrap_or_else(|| panic!("{sample:?}"));
        let end = if end == "+Inf" { f64::INFINITY } else { end.parse().unwrap() };
        groups.entry(labels).or_default().push((end, sample.value));
    }
    for (labels, buckets) in groups {
        assert!(buckets.is_sorted_by(|one, next| one.0 < next.0 && one.1 <= next.1), "{name} {labels:?} {buckets:?}");
        let of = |suffix: &str| {
            let wanted = format!("{name}{suffix}");
            let found = family.samples.iter().find(|sample| sample.name == wanted && sample.labels == labels);
            found.unwrap_or_else(|| panic!("{wanted} {labels:?} is missing")).value
        };
        let (end, all) = *buckets.last().unwrap();
        assert!(end.is_infinite() && all == of("_count") && of("_sum") >= 0.0, "{name} {labels:?}");
    }
}
