//! Findings for people, and for machines.

use serde::Serialize;

use super::{Finding, Report, Verdict};

/// The report as one JSON document.
#[derive(Serialize)]
struct Document<'a> {
    findings: &'a [Finding],
    ok: usize,
    warnings: usize,
    failed: usize,
}

/// How many there are of something.
fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

impl Report {
    /// A line for each finding, with the way out below, and a last one that counts them.
    #[must_use]
    pub fn text(&self) -> String {
        let width = self.findings.iter().map(|finding| finding.check.name().len()).max().unwrap_or_default();
        let mut text = String::new();
        for Finding { check, subject, verdict, message, way_out } in &self.findings {
            let separator = if subject.is_empty() { "" } else { ": " };
            let (verdict, check) = (verdict.word(), check.name());
            text += &format!("{verdict:<7}  {check:<width$}  {subject}{separator}{message}\n");
            if let Some(way_out) = way_out {
                text += &format!("{:9}{way_out}\n", "");
            }
        }
        let of = |verdict| self.count(verdict);
        let warnings = count(of(Verdict::Warning), "warning", "warnings");
        let (ok, failed, skipped) = (of(Verdict::Ok), of(Verdict::Failed), of(Verdict::Skipped));
        text += &format!("{ok} ok, {warnings}, {failed} failed, {skipped} skipped\n");
        text
    }

    /// One document: `{"findings": […], "ok": n, "warnings": n, "failed": n}`.
    ///
    /// # Errors
    /// When it cannot be made, which is not known to happen.
    pub fn json(&self) -> serde_json::Result<String> {
        let of = |verdict| self.count(verdict);
        let (ok, warnings, failed) = (of(Verdict::Ok), of(Verdict::Warning), of(Verdict::Failed));
        let document = Document { findings: &self.findings, ok, warnings, failed };
        serde_json::to_string_pretty(&document).map(|text| text + "\n")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::doctor::Check;

    fn report() -> Report {
        let mut report = Report::default();
        report.add(Finding::ok(Check::Settings, "", "AzurePublic"));
        report.add(Finding::warning(Check::Clock, "", "60 s\nahead", "set the clock"));
        report.add(Finding::failed(Check::Lease, "home/lease", "not found", "create it"));
        report.skip(&[Check::LinkState], "contoso/kv-pe", Check::Arm);
        report
    }

    #[test]
    fn text_is_aligned_with_the_way_out_below_and_counts_at_the_end() {
        let expected = "\
ok       settings    AzurePublic
warning  clock       60 s\\nahead
         set the clock
failed   lease       home/lease: not found
         create it
skipped  link-state  contoso/kv-pe: it depends on arm, which is not ok
1 ok, 1 warning, 1 failed, 1 skipped
";
        assert_eq!(report().text(), expected);
    }

    #[test]
    fn json_is_one_document() {
        let document: Value = serde_json::from_str(&report().json().unwrap()).unwrap();
        assert_eq!((&document["ok"], &document["warnings"], &document["failed"]), (&json!(1), &json!(1), &json!(1)));
        let finding = json!({
            "check": "lease", "subject": "home/lease", "verdict": "failed", "message": "not found", "wayOut": "create it",
        });
        assert_eq!(document["findings"][2], finding);
        assert_eq!(document["findings"][0].get("wayOut"), None);
        assert_eq!(document["findings"][3]["check"], "link-state");
    }

    #[test]
    fn settings_that_cannot_be_used_have_an_exit_code_of_their_own() {
        let code = |findings: Vec<Finding>| {
            let mut report = Report::default();
            findings.into_iter().for_each(|finding| report.add(finding));
            report.exit_code()
        };
        let failed = |check| Finding::failed(check, "", "", "");
        assert_eq!(code(vec![]), 0);
        assert_eq!(code(vec![Finding::warning(Check::Settings, "", "", "")]), 0);
        assert_eq!(code(vec![failed(Check::Arm)]), 1);
        assert_eq!(code(vec![failed(Check::Arm), failed(Check::Settings)]), 2);
    }
}
