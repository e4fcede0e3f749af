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
    /// A name that nothing is known of, in files whose maker keeps objects of its own. Nothing is made of it.
    Opaque,
}

/// What is done with names that no state dict refers to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Foreign {
    /// The file is refused.
    #[default]
    Refused,
    /// They stand for values that nothing is known of. Names that run programs are refused all the same: whoever made
    /// such a file means harm.
    Opaque,
}

/// Types of numbers in a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    F16,
    F32,
    F64,
    I64,
    U8,
}

impl Global {
    /// What a name stands for.
    pub fn of(module: &str, name: &str, foreign: Foreign) -> Result<Self, String> {
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", "HalfStorage") => Self::Storage(Kind::F16),
            ("torch", "FloatStorage") => Self::Storage(Kind::F32),
            ("torch", "DoubleStorage") => Self::Storage(Kind::F64),
            ("torch", "LongStorage") => Self::Storage(Kind::I64),
            ("torch", "ByteStorage" | "BoolStorage") => Self::Storage(Kind::U8),
            _ if is_inert(module, name) => Self::Inert,
            ("torch", name) if name.ends_with("Storage") => {
                return Err(format!(
                    "it holds a {name}; half, float, double, long, byte and bool are read"
                ));
            }
            _ if runs_programs(module, name) => {
                return Err(format!(
                    "its pickle refers to {module}.{name}, which is not allowed: it runs programs"
                ));
            }
            _ if foreign == Foreign::Opaque => Self::Opaque,
            _ => return Err(format!("its pickle refers to {module}.{name}, which is not allowed")),
        })
    }
}

/// Names by which a pickle makes Python run something. Here nothing runs; elsewhere the file would do harm.
fn runs_programs(module: &str, name: &str) -> bool {
    const MODULES: [&str; 12] = [
        "os",
        "posix",
        "nt",
        "sys",
        "subprocess",
        "runpy",
        "importlib",
        "shutil",
        "socket",
        "pty",
        "code",
        "webbrowser",
    ];
    const BUILTINS: [&str; 8] =
        ["eval", "exec", "compile", "open", "getattr", "setattr", "__import__", "breakpoint"];
    match module {
        "builtins" | "__builtin__" => BUILTINS.contains(&name),
        _ => MODULES.contains(&module.split('.').next().unwrap_or_default()),
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
