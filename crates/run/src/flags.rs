//! How a flag's word is read, for settings that are flags of a command line.
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::de::value::{Error, StrDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

/// Reads a flag's word by the type's own names, which help lists, completions offer, and an error has the nearest of.
pub fn word<T>() -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names::<T>().iter().copied())
        .try_map(|text| T::deserialize(StrDeserializer::<Error>::new(&text)))
}

/// Reads the name of a method; an error has the nearest of those that there are.
pub(crate) fn method() -> PossibleValuesParser {
    PossibleValuesParser::new(udas_adapt::METHODS.iter().map(|method| method.name()))
}

/// The names of an enum's variants: what serde asks its source for.
fn names<T: DeserializeOwned>() -> &'static [&'static str] {
    struct Probe<'a>(&'a mut &'static [&'static str]);

    impl<'de> Deserializer<'de> for Probe<'_> {
        type Error = Error;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            Err(Error::custom("no enum"))
        }

        fn deserialize_enum<V: Visitor<'de>>(
            self,
            _: &'static str,
            names: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Error> {
            *self.0 = names;
            Err(Error::custom("only its names are asked for"))
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map struct identifier ignored_any
        }
    }

    let mut names: &'static [&'static str] = &[];
    let _ = T::deserialize(Probe(&mut names));
    names
}
