//! An experiment with its comparison worked out once, for all parts of the page.
use udas_record::{Experiment, MethodDescription, MethodKind, MetricDescription};

use crate::analysis::{MethodResult, compare};
use crate::index::Index;
use crate::index::Selection;

/// What the parts of a page are made from.
pub(crate) struct Overview<'a> {
    pub experiment: &'a Experiment,
    pub index: Index<'a>,
    /// The metric that answers the question; none without labels.
    pub metric: Option<&'a MetricDescription>,
    /// The method that the question is about.
    pub focus: &'a MethodDescription,
    /// Every method on that metric, mean over classes.
    pub results: Vec<MethodResult<'a>>,
    pub pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Overview<'a> {
    /// None for an experiment without methods.
    pub(crate) fn of(experiment: &'a Experiment) -> Option<Self> {
        let named = |m: &&MethodDescription| experiment.focus.as_ref() == Some(&m.name);
        let has = |m: &&MethodDescription| experiment.outcomes.iter().any(|o| o.method == m.name);
        let adapts = |m: &&MethodDescription| m.kind == MethodKind::Adaptation && has(m);
        let methods = &experiment.methods;
        let focus = methods.iter().find(named);
        let focus = focus.or_else(|| methods.iter().find(adapts)).or_else(|| methods.first())?;
        let index = Index::new(experiment);
        let scored = |m: &&MetricDescription| {
            let columns = experiment.outcomes.iter().flat_map(|o| &o.scores);
            columns.into_iter().any(|c| c.metric == m.name && c.after.iter().any(Option::is_some))
        };
        let metric = experiment.metrics.iter().find(scored);
        let results = metric.map_or_else(Vec::new, |metric| {
            compare(experiment, &index, Selection { metric, class: None })
        });
        let pairs = experiment.pairs();
        Some(Self { experiment, index, metric, focus, results, pairs })
    }

    /// The result of the method in question.
    pub(crate) fn focus_result(&self) -> Option<&MethodResult<'a>> {
        self.results.iter().find(|result| result.method.name == self.focus.name)
    }

    /// Source domains in order of first appearance.
    pub(crate) fn sources(&self) -> Vec<&'a str> {
        let mut sources = Vec::new();
        for (source, _) in &self.pairs {
            if !sources.contains(source) {
                sources.push(*source);
            }
        }
        sources
    }

    /// `target`, or `source → target` where there are several sources.
    pub(crate) fn pair_name(&self, (source, target): (&str, &str)) -> String {
        if self.sources().len() > 1 { format!("{source} → {target}") } else { target.to_owned() }
    }

    /// Decimals to print scores with.
    pub(crate) fn decimals(&self) -> usize {
        self.metric.map_or(3, decimals)
    }
}

/// Decimals to print a metric with: as many as its smallest change has, and one more.
pub(crate) fn decimals(metric: &MetricDescription) -> usize {
    if metric.smallest_change < 0.05 { 3 } else { 2 }
}
