//! Data elements by tag, in memory; numbers little-endian whatever the file's order.

use std::collections::BTreeMap;

use crate::tag::{Tag, Vr, vr_of};

/// The known elements of a file or of an item of a sequence, in the order of their tags.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataSet {
    elements: BTreeMap<Tag, Element>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Element {
    pub(crate) vr: Vr,
    pub(crate) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Bytes(Vec<u8>),
    Items(Vec<DataSet>),
}

impl DataSet {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Tag, &Element)> {
        self.elements.iter()
    }

    pub(crate) fn insert(&mut self, tag: Tag, vr: Vr, value: Value) {
        self.elements.insert(tag, Element { vr, value });
    }

    /// The bytes of an element, as the file has them.
    pub fn bytes(&self, tag: Tag) -> Option<&[u8]> {
        match &self.elements.get(&tag)?.value {
            Value::Bytes(bytes) => Some(bytes),
            Value::Items(_) => None,
        }
    }

    /// The text of an element without padding; several values stand apart by backslashes. Characters beyond ASCII are
    /// not decoded: what is read as text here is in ASCII by the standard.
    pub fn text(&self, tag: Tag) -> Option<String> {
        let text = String::from_utf8_lossy(self.bytes(tag)?).into_owned();
        Some(text.trim_matches([' ', '\0']).to_owned()).filter(|text| !text.is_empty())
    }

    /// The numbers of an element: decimal text, or binary. None where it is absent or holds something else.
    pub fn numbers(&self, tag: Tag) -> Option<Vec<f64>> {
        let Element { vr, value: Value::Bytes(bytes) } = self.elements.get(&tag)? else {
            return None;
        };
        let numbers: Option<Vec<f64>> = match &vr.0 {
            b"US" => Some(binary(bytes, |b| u16::from_le_bytes(b).into())),
            b"SS" => Some(binary(bytes, |b| i16::from_le_bytes(b).into())),
            b"UL" => Some(binary(bytes, |b| u32::from_le_bytes(b).into())),
            b"SL" => Some(binary(bytes, |b| i32::from_le_bytes(b).into())),
            b"FL" => Some(binary(bytes, |b| f32::from_le_bytes(b).into())),
            b"FD" => Some(binary(bytes, f64::from_le_bytes)),
            _ => {
                let text = self.text(tag)?;
                text.split('\\').map(|part| part.trim().parse().ok()).collect()
            }
        };
        numbers.filter(|numbers| !numbers.is_empty())
    }

    /// The only or first number of an element.
    pub fn number(&self, tag: Tag) -> Option<f64> {
        self.numbers(tag)?.first().copied()
    }

    /// An element of so many numbers, all of them finite.
    pub(crate) fn finite<const N: usize>(&self, tag: Tag) -> Option<[f64; N]> {
        let numbers: [f64; N] = self.numbers(tag)?.try_into().ok()?;
        numbers.iter().all(|number| number.is_finite()).then_some(numbers)
    }

    /// A whole number from 0 on.
    pub(crate) fn count(&self, tag: Tag) -> Option<u32> {
        let number = self.number(tag)?;
        let whole = number >= 0.0 && number <= f64::from(u32::MAX) && number.fract() == 0.0;
        whole.then_some(number as u32)
    }

    /// The items of a sequence; none where it is absent.
    pub fn items(&self, tag: Tag) -> &[Self] {
        match self.elements.get(&tag).map(|element| &element.value) {
            Some(Value::Items(items)) => items,
            _ => &[],
        }
    }

    /// The only item of a sequence.
    pub(crate) fn item(&self, tag: Tag) -> Option<&Self> {
        self.items(tag).first()
    }

    /// The items of a sequence, to be changed.
    pub fn items_mut(&mut self, tag: Tag) -> &mut [Self] {
        match self.elements.get_mut(&tag).map(|element| &mut element.value) {
            Some(Value::Items(items)) => items,
            _ => &mut [],
        }
    }

    /// Whether the element is there, empty or not.
    pub fn has(&self, tag: Tag) -> bool {
        self.elements.contains_key(&tag)
    }

    /// Takes an element away.
    pub fn remove(&mut self, tag: Tag) {
        self.elements.remove(&tag);
    }

    /// Sets text, or numbers that are kept as text.
    pub fn set_text(&mut self, tag: Tag, text: &str) {
        self.set_bytes(tag, text.as_bytes().to_vec());
    }

    /// Sets decimal numbers, of 16 characters each at most.
    pub fn set_decimals(&mut self, tag: Tag, numbers: &[f64]) {
        let parts: Vec<String> = numbers.iter().map(|&number| decimal(number)).collect();
        self.set_text(tag, &parts.join("\\"));
    }

    /// Sets a number of 16 bits.
    pub fn set_u16(&mut self, tag: Tag, number: u16) {
        self.set_bytes(tag, number.to_le_bytes().to_vec());
    }

    /// Sets the bytes as they are written, padding apart.
    pub fn set_bytes(&mut self, tag: Tag, bytes: Vec<u8>) {
        let vr = vr_of(tag).unwrap_or(Vr::UNKNOWN);
        self.insert(tag, vr, Value::Bytes(bytes));
    }

    /// Sets a sequence.
    pub fn set_items(&mut self, tag: Tag, items: Vec<Self>) {
        self.insert(tag, Vr::SEQUENCE, Value::Items(items));
    }

    /// Copies an element as it is; an absent one becomes an empty one, as type 2 of the standard wants.
    pub(crate) fn copy_or_empty(&mut self, tag: Tag, from: &Self) {
        self.set_bytes(tag, from.bytes(tag).unwrap_or_default().to_vec());
    }

    /// Copies an element that is there.
    pub(crate) fn copy(&mut self, tag: Tag, from: &Self) {
        if let Some(element) = from.elements.get(&tag) {
            self.elements.insert(tag, element.clone());
        }
    }
}

fn binary<const N: usize>(bytes: &[u8], of: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes.chunks_exact(N).filter_map(|chunk| chunk.try_into().ok()).map(of).collect()
}

/// The decimal text of at most 16 characters that is nearest to a number (PS3.5, 6.2, `DS`).
fn decimal(number: f64) -> String {
    const LONGEST: usize = 16;
    let shortest = format!("{number}");
    if shortest.len() <= LONGEST {
        return shortest;
    }
    let forms = (0..LONGEST).rev().flat_map(|digits| {
        [format!("{number:.digits$}"), format!("{number:.digits$e}")].into_iter()
    });
    let error = |text: &String| (text.parse::<f64>().unwrap_or(f64::NAN) - number).abs();
    let fitting = forms.filter(|text| text.len() <= LONGEST);
    fitting.min_by(|a, b| error(a).total_cmp(&error(b))).unwrap_or_else(|| "0".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_have_at_most_sixteen_characters_and_lose_little() {
        let third = 1.0 / 3.0;
        for number in [0.0, -1.5, third, -third, 123.456_789_012_345_67, -1e-9 / 3.0, 2e20 / 3.0] {
            let text = decimal(number);
            assert!(text.len() <= 16, "{text}");
            let back: f64 = text.parse().unwrap();
            assert!((back - number).abs() <= 1e-9 * number.abs(), "{number}: {text}");
        }
    }

    #[test]
    fn numbers_are_read_as_their_representation_says() {
        let mut data = DataSet::default();
        data.set_decimals(Tag::PIXEL_SPACING, &[0.5, 1.25]);
        data.set_u16(Tag::ROWS, 258);
        data.set_text(Tag::NUMBER_OF_FRAMES, "12 ");
        data.set_text(Tag::RESCALE_SLOPE, "one");
        assert_eq!(data.numbers(Tag::PIXEL_SPACING), Some(vec![0.5, 1.25]));
        assert_eq!(data.count(Tag::ROWS), Some(258));
        assert_eq!(data.count(Tag::NUMBER_OF_FRAMES), Some(12));
        assert_eq!(data.number(Tag::RESCALE_SLOPE), None);
        assert_eq!(data.number(Tag::COLUMNS), None);
        data.set_text(Tag::IMAGE_POSITION_PATIENT, "1\\nan\\2");
        assert_eq!(data.finite::<3>(Tag::IMAGE_POSITION_PATIENT), None);
    }
}
