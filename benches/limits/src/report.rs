//! What was found, as a table for people, as Markdown for the docs and as JSON for programs.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::Result;
use crate::statistics::{Comparison, Spread, Tail};

/// The marks around the generated section of a Markdown file.
const BEGIN: &str = "<!-- bench:begin -->";
const END: &str = "<!-- bench:end -->";

/// One row.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(crate) enum Finding {
    /// Operations a second, held against a limit.
    Ratio { path: String, comparison: Comparison, goal: Option<f64>, met: Option<bool> },
    /// Instructions of one operation, held against those of its limit.
    Instructions { path: String, limit: f64, signet: f64, ratio: f64 },
    /// The slowest requests while something else goes on, held against those while nothing does.
    Tail { path: String, tail: Tail, at_most: f64, met: bool, of: Of },
    /// An amount that should stay below a bound.
    Amount { path: String, unit: &'static str, amount: Spread, below: Option<f64>, met: Option<bool> },
    /// Operations a second, for information.
    Rate { path: String, per_second: f64 },
    /// Operations a second of Signet that are held against nothing.
    Reached { path: String, rate: Spread },
    /// What two kinds of request take that nobody is to tell apart: the medians in microseconds.
    Alike { path: String, one: Spread, other: Spread },
}

/// What the slowest requests of a row are, and what goes on beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Of {
    TokensBesideChanges,
    RefreshesBesideLogins,
}

impl Finding {
    /// A comparison and the ratio it should reach.
    pub(crate) fn ratio(path: impl Into<String>, comparison: Comparison, goal: Option<f64>) -> Self {
        // As it is printed: to the third place.
        let met = goal.map(|goal| (comparison.judged() * 1000.0).round() / 1000.0 >= goal);
        Self::Ratio { path: path.into(), comparison, goal, met }
    }

    /// How much slower the slowest requests may become.
    pub(crate) fn tail(path: impl Into<String>, tail: Tail, at_most: f64, of: Of) -> Self {
        let met = (tail.ratio.median * 1000.0).round() / 1000.0 <= at_most;
        Self::Tail { path: path.into(), tail, at_most, met, of }
    }

    /// An amount and the bound it should stay below.
    pub(crate) fn amount(path: impl Into<String>, unit: &'static str, amount: Spread, below: Option<f64>) -> Self {
        let met = below.map(|bound| amount.median < bound);
        Self::Amount { path: path.into(), unit, amount, below, met }
    }

    /// Whether the goal was missed.
    pub(crate) fn is_missed(&self) -> bool {
        matches!(
            self,
            Self::Ratio { met: Some(false), .. }
                | Self::Amount { met: Some(false), .. }
                | Self::Tail { met: false, .. }
        )
    }

    /// path, limit, Signet, ratio, quartiles, by processor time, goal, verdict
    fn cells(&self) -> [String; 8] {
        let verdict = |met: &Option<bool>| match met {
            Some(true) => "ok",
            Some(false) => "MISSED",
            None => "",
        };
        let none = String::new;
        match self {
            Self::Ratio { path, comparison: c, goal, met } => [
                path.clone(),
                format!("{}/s", thousands(c.limit.median)),
                format!("{}/s", thousands(c.signet.median)),
                format!("{:.3}", c.ratio.median),
                format!("{:.3} to {:.3}", c.ratio.lower_quartile, c.ratio.upper_quartile),
                format!("{:.3}", c.ratio_by_cpu),
                goal.map_or_else(none, |goal| format!("≥ {goal:.2}")),
                format!("{}{}", verdict(met), if c.had_the_core() { "" } else { " *" }).trim().to_owned(),
            ],
            Self::Tail { path, tail, at_most, met, of: _ } => [
                path.clone(),
                format!("{} µs", thousands(tail.quiet.median)),
                format!("{} µs", thousands(tail.busy.median)),
                format!("{:.3}", tail.ratio.median),
                format!("{:.3} to {:.3}", tail.ratio.lower_quartile, tail.ratio.upper_quartile),
                none(),
                format!("≤ {at_most:.2}"),
                verdict(&Some(*met)).to_owned(),
            ],
            Self::Instructions { path, limit, signet, ratio } => [
                path.clone(),
                thousands(*limit),
                thousands(*signet),
                format!("{ratio:.3}"),
                none(),
                none(),
                none(),
                none(),
            ],
            Self::Amount { path, unit, amount, below, met } => [
                path.clone(),
                none(),
                format!("{:.1} {unit}", amount.median),
                none(),
                if amount.lower_quartile < amount.upper_quartile {
                    format!("{:.1} to {:.1}", amount.lower_quartile, amount.upper_quartile)
                } else {
                    none()
                },
                none(),
                below.map_or_else(none, |bound| format!("< {bound:.0} {unit}")),
                verdict(met).to_owned(),
            ],
            Self::Reached { path, rate } => [
                path.clone(),
                none(),
                format!("{}/s", thousands(rate.median)),
                none(),
                format!("{} to {}", thousands(rate.lower_quartile), thousands(rate.upper_quartile)),
                none(),
                none(),
                none(),
            ],
            Self::Alike { path, one, other } => [
                path.clone(),
                format!("{} µs", thousands(one.median)),
                format!("{} µs", thousands(other.median)),
                format!("{:.3}", other.median / one.median),
                none(),
                none(),
                none(),
                none(),
            ],
            Self::Rate { path, per_second } => {
                [path.clone(), format!("{}/s", thousands(*per_second)), none(), none(), none(), none(), none(), none()]
            }
        }
    }
}

/// The heads of the columns.
const HEADS: [&str; 8] = ["path", "limit", "Signet", "ratio", "quartiles", "per CPU s", "goal", "verdict"];

/// Everything that one run has found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) signet: &'static str,
    pub(crate) machine: String,
    pub(crate) pairs: usize,
    pub(crate) seconds: f64,
    pub(crate) connections: usize,
    pub(crate) findings: Vec<Finding>,
}

impl Report {
    /// The table with aligned columns, and what to know about this run.
    pub(crate) fn text(&self) -> String {
        let rows = self.rows();
        let widths: Vec<usize> =
            (0..HEADS.len()).map(|c| rows.iter().map(|row| width(&row[c])).max().unwrap_or(0)).collect();
        let mut out = String::new();
        for row in &rows {
            let mut line = String::new();
            for (column, (cell, &wide)) in row.iter().zip(&widths).enumerate() {
                let fill = " ".repeat(wide - width(cell));
                // Names to the left, numbers to the right.
                let cell = if column == 0 { format!("{cell}{fill}") } else { format!("{fill}{cell}") };
                line.push_str(&cell);
                line.push_str("  ");
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out.push('\n');
        for note in self.notes() {
            out.push_str(&note);
            out.push('\n');
        }
        out
    }

    /// The table as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut out = format!("Signet {}. ", self.signet);
        out.push_str(&self.notes().join(" "));
        out.push_str("\n\n");
        for (n, row) in self.rows().iter().enumerate() {
            out.push_str(&format!("| {} |\n", row.join(" | ")));
            if n == 0 {
                out.push_str("|---|--:|--:|--:|--:|--:|--:|---|\n");
            }
        }
        out
    }

    /// Puts the Markdown between the marks in `file`.
    pub(crate) fn update(&self, file: &Path) -> Result<()> {
        let updated = self.within(&fs::read_to_string(file)?);
        let unmarked = || format!("{} has no section between {BEGIN} and {END}", file.display());
        Ok(fs::write(file, updated.ok_or_else(unmarked)?)?)
    }

    /// `text` with the Markdown between its marks; `None` when it has none.
    fn within(&self, text: &str) -> Option<String> {
        let (before, rest) = text.split_once(BEGIN)?;
        let (_, after) = rest.split_once(END)?;
        Some(format!("{before}{BEGIN}\n{}\n{END}{after}", self.markdown()))
    }

    fn rows(&self) -> Vec<[String; 8]> {
        let heads = HEADS.map(str::to_owned);
        std::iter::once(heads).chain(self.findings.iter().map(Finding::cells)).collect()
    }

    /// What is to be known of one row, besides.
    fn note(finding: &Finding) -> Option<String> {
        match finding {
            Finding::Tail { path, tail, of: Of::RefreshesBesideLogins, .. } => Some(format!(
                "{path}: {} refreshes a second, beside {:.1} logins a second and {:.1} that were turned away, 99 of 100 \
                 within {} µs.",
                thousands(f64::from(tail.per_second)),
                tail.beside_per_second,
                tail.turned_away_per_second,
                thousands(tail.turned_away)
            )),
            Finding::Tail { path, tail, of: Of::TokensBesideChanges, .. } => Some(format!(
                "{path}: {} tokens a second, beside {:.1} changes a second.",
                thousands(f64::from(tail.per_second)),
                tail.beside_per_second
            )),
            Finding::Alike { path, one, other } => Some(format!(
                "{path}: the medians differ by {} µs ({:.2} %); half of the first lie within {} µs.",
                thousands((other.median - one.median).abs()),
                (other.median / one.median - 1.0).abs() * 100.0,
                thousands(one.upper_quartile - one.lower_quartile)
            )),
            _ => None,
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.findings.iter().any(|finding| matches!(finding, Finding::Instructions { .. })) {
            notes.push(format!("Instructions of one request in user space, by valgrind; {}.", self.machine));
            return notes;
        }
        notes.push(format!(
            "Medians of {} pairs of {} s each, {} connections; {}.",
            self.pairs, self.seconds, self.connections, self.machine
        ));
        let mut shared = false;
        for finding in &self.findings {
            notes.extend(Self::note(finding));
            let Finding::Ratio { path, comparison, .. } = finding else { continue };
            if !comparison.had_the_core() {
                let (limit, signet) = comparison.busy;
                shared = true;
                notes.push(format!(
                    "* {path}: had its core {:.0} % (limit) and {:.0} % (Signet) of the time.",
                    limit * 100.0,
                    signet * 100.0
                ));
            }
        }
        if shared {
            notes.push(
                "* Others used the machine, or the load did not fill the core: judged by the ratio per CPU second."
                    .to_owned(),
            );
        }
        notes
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// A whole number with its thousands apart.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The processor, its cores and the kernel of this machine.
pub(crate) fn machine() -> String {
    let about = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split_once(':'))
        .map_or("unknown processor", |(_, model)| model.trim());
    let cores = about.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::statistics::TailPair;

    fn comparison(ratio: f64) -> Comparison {
        let spread = |median| Spread { lower_quartile: median, median, upper_quartile: median };
        Comparison {
            limit: spread(31_204.2),
            signet: spread(28_000.0),
            ratio: spread(ratio),
            ratio_by_cpu: ratio,
            busy: (1.0, 1.0),
        }
    }

    fn report() -> Report {
        Report {
            signet: "1.2.3",
            machine: "a machine".to_owned(),
            pairs: 15,
            seconds: 1.0,
            connections: 32,
            findings: vec![
                Finding::ratio("POST /oauth2/token", comparison(0.899), Some(0.90)),
                Finding::ratio("GET /jwks", comparison(0.95), Some(0.95)),
            ],
        }
    }

    #[test]
    fn a_ratio_just_below_its_goal_is_missed_and_one_at_it_is_not() {
        let missed: Vec<bool> = report().findings.iter().map(Finding::is_missed).collect();
        assert_eq!(missed, [true, false]);
    }

    #[test]
    fn a_tail_that_is_just_longer_than_it_may_be_is_missed() {
        let pair = |busy| TailPair {
            quiet: Duration::from_micros(1000),
            busy: Duration::from_micros(busy),
            beside_per_second: 4.0,
            turned_away_per_second: 0.0,
            turned_away: Duration::ZERO,
        };
        let missed = |busy| {
            let tail = Tail::of(&[pair(busy)], 4000).unwrap();
            Finding::tail("p99", tail, 1.5, Of::TokensBesideChanges).is_missed()
        };
        assert_eq!((missed(1500), missed(1501)), (false, true));
    }

    #[test]
    fn the_text_has_aligned_columns() {
        let text = report().text();
        assert!(text.contains("POST /oauth2/token  31,204/s  28,000/s  0.899"), "{text}");
        assert!(text.contains("GET /jwks           31,204/s  28,000/s  0.950"), "{text}");
    }

    #[test]
    fn only_the_marked_section_of_a_file_is_replaced() {
        let updated = report().within("before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n");
        let updated = updated.unwrap();
        assert!(updated.starts_with("before\n<!-- bench:begin -->\nSignet 1.2.3. "), "{updated}");
        assert!(updated.ends_with("|\n\n<!-- bench:end -->\nafter\n"), "{updated}");
        assert!(!updated.contains("old"));
        assert!(report().within("no marks").is_none());
    }
}
