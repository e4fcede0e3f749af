//! The names that a pickle of weights may refer to; all others are refused.

/// The names that a state dict refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Kind),
    /// A type of plain values that training programs keep beside the weights. Nothing is made of it.
    Inert,
}

/// Types of numbers in a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    F32,
    F64,
    I64,
    U8,
}

impl Global {
    /// What a name stands for.
    pub fn of(module: &str, name: &str) -> Result<Self, String> {
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", "FloatStorage") => Self::Storage(Kind::F32),
            ("torch", "DoubleStorage") => Self::Storage(Kind::F64),
            ("torch", "LongStorage") => Self::Storage(Kind::I64),
            ("torch", "ByteStorage" | "BoolStorage") => Self::Storage(Kind::U8),
            _ if is_inert(module, name) => Self::Inert,
            ("torch", name) if name.ends_with("Storage") => {
                return Err(format!(
                    "it holds a {name}; float, double, long, byte and bool are read"
                ));
            }
            _ => return Err(format!("its pickle refers to {module}.{name}, which is not allowed")),
        })
    }
}

/// Types that training programs keep beside the weights: scores as numpy's numbers, settings, paths, dates. No call of
/// them is made.
fn is_inert(module: &str, name: &str) -> bool {
    match module {
        "argparse" => name == "Namespace",
        "_codecs" => name == "encode",
        "builtins" | "__builtin__" => {
            ["set", "frozenset", "slice", "bytearray", "complex", "list", "int", "float", "bool"]
                .contains(&name)
        }
        "collections" => ["defaultdict", "deque", "Counter"].contains(&name),
        "torch" => {
            ["Size", "device", "float16", "bfloat16", "float32", "float64", "int64", "uint8"]
                .contains(&name)
        }
        "datetime" | "pathlib" | "pathlib._local" | "numpy" | "numpy.dtypes" => true,
        "numpy.core.multiarray" | "numpy._core.multiarray" => true,
        _ => false,
    }
}
