//! Reads the log again, row by row, and finds what does not fit.
//!
//! Guarantees: an edited, removed, inserted or reordered row is found; so is a tail that was cut off, as long as someone
//! noted a head from after it. Needs memory for one row, whatever the length of the log.

use super::chain::{Chain, Head, Row};

/// What is wrong with a row, or where one should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// Rows are missing before this one.
    #[error("rows are missing: expected number {expected}")]
    Missing {
        /// The number that should have come.
        expected: i64,
    },
    /// The row, or the one before it, is not what was written.
    #[error("its hash does not fit: this row or the one before it was edited, removed or put elsewhere")]
    Hash,
    /// Whoever wrote it did not have the master key.
    #[error("its code does not fit: it was not written by Signet under this master key")]
    Code,
    /// It was written under another master key than the one at hand.
    #[error("its code was made under the master key {0}, which is not the one at hand")]
    OtherMasterKey(String),
    /// The log ends before the head that the database itself records.
    #[error("the log ends here, but its recorded head is {0}: its tail was cut off or replaced")]
    Head(Head),
    /// It stands behind the head that the database itself records.
    #[error("the recorded head is {0}: this row was added behind it")]
    Beyond(Head),
    /// The log does not contain the head that was noted elsewhere.
    #[error("it is not the row of the noted head {0}: the log was cut off there, or written anew")]
    Noted(Head),
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// At which row.
    pub number: i64,
    /// What.
    pub wrong: Wrong,
}

/// What a whole reading found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// How many rows were read.
    pub rows: u64,
    /// The last of them.
    pub head: Head,
    /// How many things are wrong.
    pub wrong: u64,
    /// The first of them.
    pub findings: Vec<Finding>,
}

/// So many findings are kept; the rest is counted.
const MOST_FINDINGS: usize = 100;

/// A reading in progress.
pub struct Verification<'c> {
    chain: &'c Chain,
    noted: Option<Head>,
    noted_met: bool,
    verdict: Verdict,
}

impl<'c> Verification<'c> {
    /// Begins before the first row. `noted` is a head that was kept somewhere else.
    pub fn begin(chain: &'c Chain, noted: Option<Head>) -> Self {
        let verdict = Verdict { rows: 0, head: Head::EMPTY, wrong: 0, findings: Vec::new() };
        let noted_met = noted == Some(Head::EMPTY);
        Self { chain, noted, noted_met, verdict }
    }

    /// Takes the next row, in ascending order of numbers.
    pub fn read(&mut self, row: &Row) {
        let previous = self.verdict.head;
        let expected = previous.number + 1;
        if row.number != expected {
            self.found(row.number, Wrong::Missing { expected });
        }
        if row.hash_after(&previous.hash) != row.hash {
            self.found(row.number, Wrong::Hash);
        }
        if !self.chain.is_under(row) {
            self.found(row.number, Wrong::OtherMasterKey(row.master_key_id.clone()));
        } else if !self.chain.vouches_for(row) {
            self.found(row.number, Wrong::Code);
        }
        if let Some(noted) = self.noted.filter(|noted| noted.number == row.number) {
            self.noted_met = true;
            if noted != row.head() {
                self.found(row.number, Wrong::Noted(noted));
            }
        }
        self.verdict.rows += 1;
        self.verdict.head = row.head();
    }

    /// Takes a row whose number is above that of `recorded`, a head that the database recorded after the row was read.
    pub fn read_beyond(&mut self, row: &Row, recorded: Head) {
        self.found(row.number, Wrong::Beyond(recorded));
    }

    /// Ends after the last row. `recorded` is the head that the database keeps beside the log.
    pub fn end(mut self, recorded: Head) -> Verdict {
        let last = self.verdict.head;
        if recorded != last {
            self.found(last.number, Wrong::Head(recorded));
        }
        if let Some(noted) = self.noted.filter(|_| !self.noted_met) {
            self.found(noted.number, Wrong::Noted(noted));
        }
        self.verdict
    }

    fn found(&mut self, number: i64, wrong: Wrong) {
        self.verdict.wrong += 1;
        if self.verdict.findings.len() < MOST_FINDINGS {
            self.verdict.findings.push(Finding { number, wrong });
        }
    }
}

impl Verdict {
    /// Whether all of it fits.
    pub fn holds(&self) -> bool {
        self.wrong == 0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::chain::tests::{chain, entry};
    use super::*;
    use crate::ports::Timestamp;

    fn log(chain: &Chain, rows: i64) -> Vec<Row> {
        let mut head = Head::EMPTY;
        (1..=rows)
            .map(|number| {
                let row =
                    chain.link(&head, &entry(&format!("key {number}")), Timestamp::from_secs(number), None).unwrap();
                head = row.head();
                row
            })
            .collect()
    }

    fn verdict(chain: &Chain, rows: &[Row], noted: Option<Head>, recorded: Head) -> Verdict {
        let mut verification = Verification::begin(chain, noted);
        rows.iter().for_each(|row| verification.read(row));
        verification.end(recorded)
    }

    #[test]
    fn an_untouched_log_holds_under_every_head_it_ever_had() {
        let chain = chain();
        let rows = log(&chain, 20);
        let last = rows[19].head();
        for noted in rows.iter().map(Row::head).chain([Head::EMPTY]) {
            let verdict = verdict(&chain, &rows, Some(noted), last);
            assert!(verdict.holds(), "{verdict:?}");
            assert_eq!((verdict.rows, verdict.head), (20, last));
        }
        assert!(verdict(&chain, &[], None, Head::EMPTY).holds());
    }

    #[test]
    fn every_edited_removed_inserted_or_reordered_row_is_found() {
        let chain = chain();
        let rows = log(&chain, 12);
        let last = rows[11].head();
        let holds = |rows: &[Row]| verdict(&chain, rows, None, last).holds();
        for place in 0..rows.len() {
            let mut edited = rows.clone();
            edited[place].reason.push('!');
            assert!(!holds(&edited), "edited {place}");
            // With the right hashes after it, but without the key.
            let mut previous = if place == 0 { [0; 32] } else { edited[place - 1].hash };
            for row in &mut edited[place..] {
                row.hash = row.hash_after(&previous);
                previous = row.hash;
            }
            let recorded = edited[11].head();
            assert!(!verdict(&chain, &edited, None, recorded).holds(), "rehashed {place}");
            let mut removed = rows.clone();
            removed.remove(place);
            assert!(!holds(&removed), "removed {place}");
            let mut doubled = rows.clone();
            doubled.insert(place, rows[place].clone());
            assert!(!holds(&doubled), "doubled {place}");
            if place > 0 {
                let mut swapped = rows.clone();
                swapped.swap(place - 1, place);
                assert!(!holds(&swapped), "swapped {place}");
            }
        }
    }

    #[test]
    fn a_tail_that_was_cut_with_its_recorded_head_is_found_by_a_noted_head() {
        let chain = chain();
        let rows = log(&chain, 6);
        let noted = rows[5].head();
        let cut = &rows[..4];
        assert!(verdict(&chain, cut, None, cut[3].head()).holds(), "nothing in the database tells of it");
        assert!(!verdict(&chain, cut, None, noted).holds());
        let found = verdict(&chain, cut, Some(noted), cut[3].head());
        assert_eq!(found.findings, [Finding { number: 6, wrong: Wrong::Noted(noted) }]);
    }

    #[test]
    fn a_log_written_anew_is_found_by_a_noted_head() {
        let chain = chain();
        let rows = log(&chain, 6);
        let noted = Head { hash: [7; 32], ..rows[2].head() };
        assert!(!verdict(&chain, &rows, Some(noted), rows[5].head()).holds());
    }

    #[test]
    fn a_row_under_another_master_key_says_which() {
        let (one, other) = (chain(), chain());
        let rows = log(&one, 2);
        let verdict = verdict(&other, &rows, None, rows[1].head());
        assert_eq!(verdict.wrong, 2);
        assert_eq!(verdict.findings[0].wrong, Wrong::OtherMasterKey(rows[0].master_key_id.clone()));
    }
}
