//! JUnit's XML, for pipelines: one test case a check.

use super::super::checks::{ALL, Severity};
use super::super::diagnosis::{Diagnosis, Finding};
use super::super::facts::Facts;

pub(super) fn render(facts: &Facts, diagnosis: &Diagnosis, threshold: Option<Severity>) -> String {
    let is_failure = |finding: &&Finding| threshold.is_some_and(|least| finding.severity >= least);
    let of = |id: &str| diagnosis.findings().filter(|finding| finding.id == id).collect::<Vec<_>>();
    let skipped = |id: &str| diagnosis.skipped.iter().find(|skipped| skipped.id == id);
    let failures = ALL.iter().filter(|check| of(check.id).iter().any(is_failure)).count();
    let seconds = facts.live.elapsed.as_secs_f64();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let counts = format!("tests=\"{}\" failures=\"{failures}\" errors=\"0\"", ALL.len());
    xml += &format!("<testsuites {counts} time=\"{seconds:.3}\">\n");
    xml += &format!(
        "  <testsuite name=\"countersign doctor {}\" {counts} skipped=\"{}\" time=\"{seconds:.3}\">\n",
        escaped(&facts.target.url),
        diagnosis.skipped.len()
    );
    for check in ALL {
        let found = of(check.id);
        let name = format!("    <testcase name=\"{}\" classname=\"countersign.doctor\" time=\"0\"", check.id);
        if let Some(skipped) = skipped(check.id) {
            xml += &format!("{name}><skipped message=\"{}\"/></testcase>\n", escaped(skipped.why));
            continue;
        }
        if found.is_empty() {
            xml += &format!("{name}/>\n");
            continue;
        }
        xml += &format!("{name}>\n");
        let text: Vec<String> = found.iter().map(|finding| text(finding)).collect();
        let text = escaped(&text.join("\n"));
        xml += &match found.iter().any(is_failure) {
            true => format!(
                "      <failure type=\"{}\" message=\"{}\">{text}</failure>\n",
                found[0].severity.as_str(),
                escaped(check.about)
            ),
            false => format!("      <system-out>{text}</system-out>\n"),
        };
        xml += "    </testcase>\n";
    }
    xml + "  </testsuite>\n</testsuites>"
}

fn text(finding: &Finding) -> String {
    let because = finding.because_of.map(|cause| format!("\nbecause of: {cause}")).unwrap_or_default();
    format!(
        "{}[{}]: {}\nseen: {}\nfix: {}{because}\ndocs: {}",
        finding.severity.as_str(),
        finding.id,
        finding.about,
        finding.seen,
        finding.fix,
        finding.docs
    )
}

/// What XML 1.0 has no character for becomes the replacement character.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\n' | '\t' => safe.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    #[test]
    fn strangers_cannot_write_xml() {
        assert_eq!(super::escaped("a<b>&\"\u{1b}\u{0}\n"), "a&lt;b&gt;&amp;&quot;\u{fffd}\u{fffd}\n");
    }
}
