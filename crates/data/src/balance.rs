//! Epochs that show groups of slices, such as domains or structures, equally often.
use std::collections::BTreeMap;

use crate::order::permutation;

/// Groups of slices of one source, each with its share of an epoch. A slice may be in several.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Groups(Vec<Group>);

#[derive(Debug, Clone, PartialEq)]
struct Group {
    name: String,
    slices: Vec<usize>,
    share: f64,
}

/// A slice that an epoch shows: its number in the source and, where the epoch shows it more than once, the how-manieth time
/// it is, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown {
    pub index: usize,
    pub time: usize,
}

impl Groups {
    /// No group yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a group whose slices make up `share` of an epoch, beside the shares of the others; one without slices has none.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, slices: Vec<usize>, share: f64) -> Self {
        if !slices.is_empty() && share > 0.0 {
            self.0.push(Group { name: name.into(), slices, share });
        }
        self
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For people: each group with its number of slices and the number of them that an epoch of `count` slices shows.
    pub fn describe(&self, count: usize) -> String {
        let groups = self.0.iter().zip(self.quotas(count));
        let word = |(group, quota): (&Group, usize)| {
            format!("{} {quota} of {}", group.name, group.slices.len())
        };
        groups.map(word).collect::<Vec<_>>().join(", ")
    }

    /// How many slices of each group an epoch of `count` slices shows; together they are `count`.
    fn quotas(&self, count: usize) -> Vec<usize> {
        let total: f64 = self.0.iter().map(|group| group.share).sum();
        let mut end = 0.0;
        let mut taken = 0;
        let quota = |group: &Group| {
            end += group.share / total * count as f64;
            let quota = (end.round() as usize).saturating_sub(taken);
            taken += quota;
            quota
        };
        self.0.iter().map(quota).collect()
    }

    /// The slices of an epoch of `count`, a function of seed and epoch alone. A group goes through its slices in random orders,
    /// one after another and on from epoch to epoch, so that none is shown again before all were; groups take turns, so that
    /// batches have something of each.
    pub(crate) fn order(&self, count: usize, seed: u64, epoch: u64) -> Vec<Shown> {
        let mut turns = Vec::with_capacity(count);
        for (number, (group, quota)) in self.0.iter().zip(self.quotas(count)).enumerate() {
            let drawn = group.drawn(number as u64, quota, seed, epoch);
            let place = |turn: usize| (turn as f64 + 0.5) / quota as f64;
            turns.extend(drawn.enumerate().map(|(turn, index)| (place(turn), index)));
        }
        // Stable: of turns at one place, the first group's comes first.
        turns.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let mut times = BTreeMap::new();
        let shown = turns.into_iter().map(|(_, index)| {
            let next = times.entry(index).or_insert(0);
            let time = *next;
            *next += 1;
            Shown { index, time }
        });
        shown.collect()
    }
}

impl Group {
    /// The slices of this group in an epoch that shows `quota` of them.
    fn drawn(
        &self,
        number: u64,
        quota: usize,
        seed: u64,
        epoch: u64,
    ) -> impl Iterator<Item = usize> {
        let size = self.slices.len();
        let start = epoch as usize * quota;
        // Streams from 2^61: neither those of whole epochs nor those of alterations.
        let stream = move |round: usize| 1 << 61 | number << 40 | round as u64;
        let mut round = None;
        let mut order = Vec::new();
        (start..start + quota).filter_map(move |place| {
            if round != Some(place / size) {
                round = Some(place / size);
                order = permutation(size, seed, stream(place / size));
            }
            let of_group = order.get(place % size)?;
            self.slices.get(*of_group).copied()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small domain, a large one, and one without slices.
    fn groups() -> Groups {
        let groups = Groups::new().with("a", vec![0, 1, 2], 1.0);
        groups.with("b", (3..20).collect(), 1.0).with("none", Vec::new(), 1.0)
    }

    fn indices(groups: &Groups, seed: u64, epoch: u64) -> Vec<usize> {
        groups.order(20, seed, epoch).iter().map(|shown| shown.index).collect()
    }

    #[test]
    fn groups_are_shown_equally_often_and_take_turns() {
        assert_eq!(groups().describe(20), "a 10 of 3, b 10 of 17");
        for epoch in 1..6 {
            let order = indices(&groups(), 7, epoch);
            assert_eq!(order.len(), 20);
            assert!(order.chunks(4).all(|batch| batch.iter().filter(|&&i| i < 3).count() == 2));
        }
        let third = Groups::new().with("a", vec![0], 1.0).with("b", vec![1], 2.0);
        assert_eq!(third.quotas(10), [3, 7]);
        assert_eq!(third.quotas(0), [0, 0]);
    }

    #[test]
    fn all_slices_of_a_group_are_shown_before_one_is_shown_again() {
        let mut shown = Vec::new();
        for epoch in 0..17 {
            shown.extend(indices(&groups(), 3, epoch).into_iter().filter(|&index| index >= 3));
        }
        assert_eq!(shown.len(), 170);
        for round in shown.chunks(17) {
            let mut round = round.to_vec();
            round.sort_unstable();
            assert_eq!(round, (3..20).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_epoch_is_fixed_by_seed_and_epoch_and_counts_what_it_repeats() {
        let order = groups().order(20, 1, 2);
        assert_eq!(order, groups().order(20, 1, 2));
        assert_ne!(order, groups().order(20, 2, 2));
        assert_ne!(order, groups().order(20, 1, 3));
        for index in 0..3 {
            let times: Vec<_> = order.iter().filter(|s| s.index == index).map(|s| s.time).collect();
            assert_eq!(times, (0..times.len()).collect::<Vec<_>>());
        }
        // Runs are resumed by later versions: these numbers must never change.
        let first: Vec<_> = indices(&groups(), 42, 1).into_iter().take(8).collect();
        assert_eq!(first, [1, 4, 2, 11, 1, 18, 0, 9]);
    }
}
