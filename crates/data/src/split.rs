//! Dividing subjects into parts: contiguous folds, and random parts from a seed.

use crate::order::permutation;
use crate::{Error, Result, Subject};

/// Subjects to learn from and subjects to check with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// To learn from.
    pub train: Vec<Subject>,
    /// To check with.
    pub test: Vec<Subject>,
}

/// Fold `fold` (from 0) of `folds` contiguous blocks in the order given, which for the published splits is
/// that of the names. The first `n mod folds` blocks are one larger; block `fold` is the test set.
///
/// Source: the published CC-359 and M&Ms splits, with 3 folds.
pub fn fold(subjects: &[Subject], folds: usize, fold: usize) -> Result<Split> {
    if fold >= folds {
        return Err(Error::Setting(format!("fold {fold} of {folds}: folds are counted from 0")));
    }
    if folds > subjects.len() {
        return Err(Error::TooFew { wanted: format!("{folds} folds"), available: subjects.len() });
    }
    let (size, larger) = (subjects.len() / folds, subjects.len() % folds);
    let start = fold * size + fold.min(larger);
    let end = start + size + usize::from(fold < larger);
    let (before, rest) = subjects.split_at(start);
    let (test, after) = rest.split_at(end - start);
    Ok(Split { train: [before, after].concat(), test: test.to_vec() })
}

/// `train` and `test` subjects drawn without replacement by `seed`, each in the order given; `test` may be
/// `None` for all that are left.
pub fn random_split(
    subjects: &[Subject],
    train: usize,
    test: Option<usize>,
    seed: u64,
) -> Result<Split> {
    let test = test.unwrap_or_else(|| subjects.len().saturating_sub(train));
    if train.saturating_add(test) > subjects.len() {
        let wanted = format!("{train} and {test} subjects");
        return Err(Error::TooFew { wanted, available: subjects.len() });
    }
    let drawn = permutation(subjects.len(), seed, 0);
    let pick = |chosen: &[usize]| {
        let mut chosen = chosen.to_vec();
        chosen.sort_unstable();
        chosen.into_iter().filter_map(|index| subjects.get(index).cloned()).collect()
    };
    let (for_training, rest) = drawn.split_at(train);
    let (for_test, _) = rest.split_at(test);
    Ok(Split { train: pick(for_training), test: pick(for_test) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Frames;

    fn subjects(n: usize) -> Vec<Subject> {
        let subject = |i: usize| Subject {
            id: format!("s{i:02}"),
            domain: "d".into(),
            image: format!("s{i:02}.nii").into(),
            labels: None,
            frames: Frames::Single,
            part: None,
        };
        (0..n).map(subject).collect()
    }

    #[test]
    fn folds_are_contiguous_and_cover_every_subject_once() {
        for n in 3..12 {
            let all = subjects(n);
            let mut tested = Vec::new();
            for k in 0..3 {
                let split = fold(&all, 3, k).unwrap();
                assert_eq!(split.train.len() + split.test.len(), n);
                assert_eq!(split.test.len(), n / 3 + usize::from(k < n % 3));
                tested.extend(split.test);
            }
            assert_eq!(tested, all);
        }
    }

    #[test]
    fn random_parts_are_disjoint_and_a_function_of_the_seed() {
        let all = subjects(24);
        let split = random_split(&all, 16, Some(4), 7).unwrap();
        assert_eq!((split.train.len(), split.test.len()), (16, 4));
        assert!(split.train.iter().all(|subject| !split.test.contains(subject)));
        assert_eq!(split, random_split(&all, 16, Some(4), 7).unwrap());
        assert_ne!(split, random_split(&all, 16, Some(4), 8).unwrap());
        assert_eq!(random_split(&all, 16, None, 7).unwrap().test.len(), 8);
    }

    #[test]
    fn impossible_splits_say_how_many_there_are() {
        let all = subjects(2);
        assert!(
            fold(&all, 3, 0).unwrap_err().to_string().contains("3 folds are wanted of 2 subjects")
        );
        assert!(fold(&all, 2, 2).is_err());
        assert!(
            random_split(&all, 2, Some(1), 0).unwrap_err().to_string().contains("2 and 1 subjects")
        );
    }
}
