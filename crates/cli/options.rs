//! Options that all commands share, and how a flag's word is read.
use crate::console::Console;
use crate::failure;
use candle_core::Device;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::de::value::{Error, StrDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

/// More threads a core only wait for each other, and each has memory of its own.
const THREADS_A_CORE: usize = 4;
/// As many do no harm on any machine.
const FEW_THREADS: usize = 8;

/// Options of every command.
#[derive(Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Common {
    /// Threads to compute with [default: all cores]
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<usize>,
    /// Where to compute; `cuda` and `metal` are there in builds with the feature of that name
    #[arg(long, global = true, default_value = "cpu", value_parser = word::<DeviceName>())]
    pub device: DeviceName,
    /// Say less: results and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Colours
    #[arg(long, global = true, default_value = "auto", value_parser = word::<Colour>())]
    pub color: Colour,
    /// Results on standard output as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceName {
    Cpu,
    #[cfg(feature = "cuda")]
    Cuda,
    #[cfg(feature = "metal")]
    Metal,
}

/// When the program's words have colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    Always,
    Never,
}

impl Common {
    /// Sets the number of threads, and refuses a device that this build has not got.
    pub fn apply(&self, console: &Console) -> anyhow::Result<()> {
        self.device()?;
        if let Some(threads) = self.threads {
            anyhow::ensure!(threads > 0, failure::usage("--threads 0: give at least 1"));
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let most = (THREADS_A_CORE * cores).max(FEW_THREADS);
            if threads > most {
                console.warn(format!(
                    "--threads {threads}: {cores} cores serve {most} at most; {most} are used"
                ));
            }
            rayon::ThreadPoolBuilder::new().num_threads(threads.min(most)).build_global()?;
        }
        Ok(())
    }

    pub fn device(&self) -> anyhow::Result<Device> {
        let device: candle_core::Result<Device> = match self.device {
            DeviceName::Cpu => Ok(Device::Cpu),
            #[cfg(feature = "cuda")]
            DeviceName::Cuda => Device::new_cuda(0),
            #[cfg(feature = "metal")]
            DeviceName::Metal => Device::new_metal(0),
        };
        device.map_err(|error| {
            let name = self.device;
            let text = format!("device {name:?} cannot be used ({error}); take --device cpu");
            failure::usage(&text.to_lowercase()).into()
        })
    }
}

/// Reads a flag's word by the type's own names, which help lists, completions offer, and an error has the nearest of.
pub fn word<T>() -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names::<T>().iter().copied())
        .try_map(|text| T::deserialize(StrDeserializer::<Error>::new(&text)))
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
