//! The subjects that a list names, such as `--subjects 1-16,20`.
use crate::error::{Error, Result};
use crate::host::Host;
use std::collections::{BTreeMap, BTreeSet};
use udas_data::{Subject, composed};

/// The subjects that a list names: by id, by number where ids are numbers, else by place in name order from 1. Who was
/// chosen is said.
///
/// # Errors
/// [`Error::Usage`] or [`Error::Input`] for a list that names nobody, or somebody who is not there.
pub fn choose(subjects: Vec<Subject>, list: Option<&str>, host: &dyn Host) -> Result<Vec<Subject>> {
    let Some(list) = list else { return Ok(subjects) };
    let all = subjects.len();
    let chosen = chosen(&subjects, list)?;
    let chosen: Vec<Subject> =
        chosen.into_iter().filter_map(|i| subjects.get(i).cloned()).collect();
    let names: Vec<&str> = chosen.iter().map(|subject| subject.id.as_str()).collect();
    host.say(&format!("{list} chooses {} of {all} subjects: {}", names.len(), names.join(", ")));
    if let Some(others) = by_ending(&subjects, list)
        && others.iter().map(String::as_str).ne(names)
    {
        host.warn(&format!(
            "{list} are places in name order; the subjects whose names end in these numbers are {}: give names where they are \
             meant",
            others.join(", ")
        ));
    }
    Ok(chosen)
}

/// Whom a list of numbers alone would choose by the numbers that names end in, as `s10`; none where it does not, where these
/// are not one a subject, or where names are numbers.
fn by_ending(subjects: &[Subject], list: &str) -> Option<Vec<String>> {
    let ending = |id: &str| {
        let at = id.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        (at > 0).then(|| number(&id[at..]))?
    };
    let mut named = BTreeMap::new();
    for subject in subjects {
        if named.insert(ending(&subject.id)?, subject.id.clone()).is_some() {
            return None;
        }
    }
    let mut chosen = BTreeSet::new();
    for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let [first, last] = range(item)?.map(|end| number(end).unwrap_or(0));
        let (first_is, last_is) = (named.contains_key(&first), named.contains_key(&last));
        if first > last || !first_is || !last_is {
            return None;
        }
        chosen.extend(named.range(first..=last).map(|(_, id)| id.clone()));
    }
    Some(
        subjects
            .iter()
            .map(|subject| &subject.id)
            .filter(|id| chosen.contains(*id))
            .cloned()
            .collect(),
    )
}

/// Places of the subjects that a list names.
fn chosen(subjects: &[Subject], list: &str) -> Result<BTreeSet<usize>> {
    let numbers = numbers(subjects);
    let mut chosen = BTreeSet::new();
    for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let name = composed(item);
        let named = |(_, subject): &(usize, &Subject)| subject.id == name;
        let exact: Vec<usize> =
            subjects.iter().enumerate().filter(named).map(|(place, _)| place).collect();
        if !exact.is_empty() {
            chosen.extend(exact);
        } else if numbers.is_empty() {
            chosen.extend(places(item, subjects)?);
        } else {
            chosen.extend(numbered(item, subjects, &numbers)?);
        }
    }
    if chosen.is_empty() {
        let text = "--subjects names nobody; give names or places such as 1-16";
        return Err(Error::usage(text));
    }
    Ok(chosen)
}

/// Places of the subjects whose ids are numbers, by number.
fn numbers(subjects: &[Subject]) -> BTreeMap<u128, Vec<usize>> {
    let mut numbers: BTreeMap<u128, Vec<usize>> = BTreeMap::new();
    for (place, subject) in subjects.iter().enumerate() {
        if let Some(number) = number(&subject.id) {
            numbers.entry(number).or_default().push(place);
        }
    }
    numbers
}

/// A number in digits alone, zeros before it or not.
fn number(text: &str) -> Option<u128> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn range(item: &str) -> Option<[&str; 2]> {
    let (first, last) = item.split_once('-').unwrap_or((item, item));
    Some([first.trim(), last.trim()]).filter(|ends| ends.iter().all(|end| number(end).is_some()))
}

/// Where subjects are named by numbers, numbers are names: taken for places, they would mean others.
fn numbered(
    item: &str,
    subjects: &[Subject],
    numbers: &BTreeMap<u128, Vec<usize>>,
) -> Result<Vec<usize>> {
    let id = |place: &usize| subjects.get(*place).map_or("", |subject| subject.id.as_str());
    let unknown = || {
        let names: Vec<&str> = subjects.iter().map(|subject| subject.id.as_str()).collect();
        let text = format!(
            "there is no subject {item:?}: where subjects are named by numbers, numbers are names and no places; there \
             are {}",
            names.join(", ")
        );
        Error::input(text)
    };
    let [first, last] = range(item).ok_or_else(unknown)?.map(|end| number(end).unwrap_or(0));
    if first > last || !numbers.contains_key(&first) || !numbers.contains_key(&last) {
        return Err(unknown());
    }
    let mut chosen = Vec::new();
    for places in numbers.range(first..=last).map(|(_, places)| places) {
        let ids: BTreeSet<&str> = places.iter().map(id).collect();
        if ids.len() > 1 {
            let ids: Vec<&str> = ids.into_iter().collect();
            let text = format!("{item:?} may mean each of {}; give names", ids.join(", "));
            return Err(Error::usage(text));
        }
        chosen.extend(places);
    }
    Ok(chosen)
}

fn places(item: &str, subjects: &[Subject]) -> Result<std::ops::Range<usize>> {
    // A place has no zeros before it; a name that is not there may have.
    let ends = range(item).filter(|ends| ends.iter().all(|end| !end.starts_with('0')));
    let ends = ends.map(|ends| ends.map(|end| end.parse::<usize>().unwrap_or(usize::MAX)));
    if let Some([first, last]) = ends
        && first <= last
        && last <= subjects.len()
    {
        return Ok(first - 1..last);
    }
    let names: Vec<_> = subjects.iter().map(|subject| subject.id.as_str()).collect();
    let text = format!(
        "there is no subject {item:?}: give a place from 1 to {} or a name of {}",
        names.len(),
        names.join(", ")
    );
    Err(Error::input(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use udas_data::Frames;

    fn subjects(names: &[&str]) -> Vec<Subject> {
        let subject = |name: &&str| Subject {
            id: (*name).into(),
            domain: "d".into(),
            image: format!("{name}.nii").into(),
            labels: None,
            frames: Frames::Single,
            part: None,
        };
        names.iter().map(subject).collect()
    }

    fn ids(names: &[&str], list: &str) -> Result<Vec<String>> {
        let subjects = subjects(names);
        let chosen = chosen(&subjects, list)?;
        Ok(chosen.into_iter().map(|place| subjects[place].id.clone()).collect())
    }

    #[test]
    fn names_and_places_are_understood() {
        let names = ["s1", "s2", "s3", "s4", "s5"];
        assert_eq!(ids(&names, "2-3, s5,2").unwrap(), ["s2", "s3", "s5"]);
        for bad in ["", "0-2", "4-6", "s9", "3-2", "01", "002-003", "-", "1-"] {
            assert!(ids(&names, bad).is_err(), "{bad}");
        }
        assert!(ids(&names, "s9").unwrap_err().to_string().contains("s1, s2"));
    }

    #[test]
    fn places_that_look_like_other_names_are_noticed() {
        let mixed = subjects(&["s1", "s10", "s2", "s3"]);
        assert_eq!(by_ending(&mixed, "1-3").unwrap(), ["s1", "s2", "s3"]);
        assert_eq!(by_ending(&mixed, "10").unwrap(), ["s10"]);
        for (names, list) in [
            (&["s1", "s2"][..], "s1"),
            (&["s1", "t1"], "1"),
            (&["s1", "a"], "1"),
            (&["case_003", "case_004"], "1-2"),
        ] {
            assert_eq!(by_ending(&subjects(names), list), None, "{names:?}");
        }
        assert_eq!(by_ending(&subjects(&["c3", "c4", "c5"]), "3").unwrap(), ["c3"]);
    }

    #[test]
    fn numbers_are_names_where_names_are_numbers() {
        let padded = ["003", "004", "005", "007", "010", "011", "012"];
        assert_eq!(ids(&padded, "003-005").unwrap(), ["003", "004", "005"]);
        assert_eq!(ids(&padded, "3-5").unwrap(), ["003", "004", "005"]);
        assert_eq!(ids(&padded, "5-10,12").unwrap(), ["005", "007", "010", "012"]);
        let plain = ["1", "10", "11", "12", "2", "3", "4"];
        assert_eq!(ids(&plain, "1-3").unwrap(), ["1", "2", "3"]);
        assert_eq!(ids(&plain, "10").unwrap(), ["10"]);
        assert_eq!(ids(&["7", "a", "b"], "b,7").unwrap(), ["7", "b"]);
        for (names, bad) in [
            (&padded[..], "1-3"),
            (&padded, "6"),
            (&padded, "3-13"),
            (&plain, "5"),
            (&["7", "a"], "1"),
        ] {
            let error = ids(names, bad).unwrap_err().to_string();
            assert!(error.contains("numbers are names"), "{error}");
        }
        let mixed = ["3", "003", "4"];
        assert_eq!(ids(&mixed, "3").unwrap(), ["3"]);
        assert!(ids(&mixed, "3-4").unwrap_err().to_string().contains("003, 3"));
    }

    #[test]
    fn names_in_both_spellings_of_an_accent_are_one() {
        assert_eq!(ids(&["M\u{fc}ller", "b"], "Mu\u{308}ller").unwrap(), ["M\u{fc}ller"]);
    }
}
