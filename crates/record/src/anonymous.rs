//! An experiment without the names of subjects, files and folders: what may be shown outside the house.
use crate::{Experiment, Outcome};
use std::collections::BTreeMap;

/// What stands in place of a text that names files.
const LEFT_OUT: &str = "left out: it names files";

impl Experiment {
    /// Replaces the names of subjects by what `alias` makes of them, and leaves out paths, commands, settings, and sentences that
    /// name files. Hashes of files stay. Paths of volumes stay too, for the pictures that are drawn of them; see
    /// [`Self::forget_volumes`].
    pub fn anonymise(&mut self, alias: impl Fn(&str) -> String) {
        for outcome in &mut self.outcomes {
            outcome.anonymise(&alias);
        }
        let provenance = &mut self.provenance;
        for (number, input) in provenance.inputs.iter_mut().enumerate() {
            input.path = format!("{} {}", input.role, number + 1);
        }
        for text in provenance.commands.iter_mut().chain(&mut provenance.configuration) {
            *text = LEFT_OUT.into();
        }
        provenance.settings.retain(|(_, value)| !value.contains(['/', '\\']));
    }

    /// Forgets where the volumes of subjects lie.
    pub fn forget_volumes(&mut self) {
        self.outcomes.iter_mut().for_each(|outcome| outcome.volumes.clear());
    }
}

impl Outcome {
    fn anonymise(&mut self, alias: &impl Fn(&str) -> String) {
        let named = self.subjects.iter().chain(self.volumes.iter().map(|files| &files.subject));
        let of_verdict = self.verdict.iter().flat_map(|verdict| {
            let predicted = verdict.predictions.iter().map(|prediction| &prediction.subject);
            predicted.chain(&verdict.check_first)
        });
        let aliases: BTreeMap<String, String> =
            named.chain(of_verdict).map(|name| (name.clone(), alias(name))).collect();
        let rename = |name: &mut String| {
            if let Some(alias) = aliases.get(name.as_str()) {
                name.clone_from(alias);
            }
        };
        let names_a_file = |text: &str| {
            text.contains(['/', '\\']) || aliases.keys().any(|name| text.contains(name.as_str()))
        };
        self.run = None;
        self.subjects.iter_mut().for_each(rename);
        self.volumes.iter_mut().for_each(|files| rename(&mut files.subject));
        self.warnings.retain(|text| !names_a_file(text));
        if let Some(verdict) = &mut self.verdict {
            verdict.predictions.iter_mut().for_each(|prediction| rename(&mut prediction.subject));
            verdict.check_first.iter_mut().for_each(rename);
            verdict.reasons.retain(|text| !names_a_file(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decision, Input, PredictedScore, SubjectVolumes, Verdict};

    #[test]
    fn no_name_is_left() {
        let files = SubjectVolumes {
            subject: "Miller".into(),
            image: Some("/data/Miller.nii.gz".into()),
            ..SubjectVolumes::default()
        };
        let verdict = Verdict {
            decision: Decision::Keep,
            reasons: vec!["Miller is odd".into(), "all is well".into()],
            predictions: vec![PredictedScore {
                subject: "Miller".into(),
                score: 0.9,
                low: 0.8,
                high: 1.0,
            }],
            check_first: vec!["Miller".into()],
        };
        let outcome = Outcome {
            run: Some("runs/Miller".into()),
            subjects: vec!["Miller".into()],
            warnings: vec!["data/Miller.nii.gz: sheared".into(), "few subjects".into()],
            verdict: Some(verdict),
            volumes: vec![files],
            ..Outcome::default()
        };
        let mut experiment = Experiment { outcomes: vec![outcome], ..Experiment::default() };
        experiment.provenance.inputs = vec![Input {
            path: "data/Miller.nii.gz".into(),
            role: "image".into(),
            sha256: "ab".into(),
        }];
        experiment.provenance.commands = vec!["udas adapt --images data/Miller.nii.gz".into()];
        experiment.provenance.configuration = Some("images = [\"data/Miller.nii.gz\"]".into());
        experiment.anonymise(|name| format!("subject-{}", name.len()));
        experiment.forget_volumes();
        let text = serde_json::to_string(&experiment).unwrap();
        assert!(!text.contains("Miller") && !text.contains("data/"), "{text}");
        assert!(text.contains("subject-6") && text.contains("all is well"), "{text}");
    }
}
