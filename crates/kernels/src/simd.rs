//! Vectors of f32 on several instruction sets, and the choice among them at run time.
//!
//! A kernel is written once, generic over [`Lanes`], as the body of a [`Job`]; [`InstructionSet::run`]
//! compiles it once for each set and calls the right one.
use std::cell::Cell;
use std::sync::OnceLock;

/// An instruction set that the kernels have a form for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InstructionSet {
    /// Plain Rust over groups of eight; any processor.
    Portable,
    /// x86-64 with AVX2 and fused multiply-add.
    Avx2,
    /// x86-64 with AVX-512F.
    Avx512,
}

impl InstructionSet {
    /// All sets, the best last.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// Whether this processor has it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => is_x86_feature_detected!("avx512f"),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// What is used: the best available, unless [`with_instruction_set`] says otherwise.
    pub fn current() -> Self {
        static BEST: OnceLock<InstructionSet> = OnceLock::new();
        CHOSEN.get().unwrap_or_else(|| {
            *BEST.get_or_init(|| {
                let mut sets = Self::ALL.into_iter().rev();
                sets.find(|set| set.is_available()).unwrap_or(Self::Portable)
            })
        })
    }

    /// Name for records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Values of f32 in a vector.
    pub(crate) fn lanes(self) -> usize {
        match self {
            Self::Portable | Self::Avx2 => 8,
            Self::Avx512 => 16,
        }
    }

    /// Runs a job compiled for this set.
    pub(crate) fn run<J: Job>(self, job: J) -> J::Output {
        match self {
            Self::Portable => job.run::<Portable>(),
            // SAFETY: a set other than `Portable` is only current after `is_available` said that the
            // processor has it (`current` and `with_instruction_set` see to that).
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { run_avx2(job) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { run_avx512(job) },
            #[cfg(not(target_arch = "x86_64"))]
            _ => job.run::<Portable>(),
        }
    }
}

thread_local! {
    static CHOSEN: Cell<Option<InstructionSet>> = const { Cell::new(None) };
}

/// Runs `work` with kernels called from this thread using `set`; for tests and measurements.
///
/// # Panics
/// When the processor has not got the set.
pub fn with_instruction_set<T>(set: InstructionSet, work: impl FnOnce() -> T) -> T {
    /// Sets the choice back, after a panic too.
    struct Restore(Option<InstructionSet>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CHOSEN.set(self.0);
        }
    }
    assert!(set.is_available(), "this processor has no {}", set.name());
    let _restore = Restore(CHOSEN.replace(Some(set)));
    work()
}

/// Runs `work` on a thread of the pool, with the caller's instruction set: kernels called one after the other
/// from there follow each other without a change of threads.
pub fn on_pool<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let set = InstructionSet::current();
    rayon::scope(|_| with_instruction_set(set, work))
}

/// A piece of work, generic over the vectors it is done with. `run` must be `#[inline(always)]`, and so
/// must all that it calls with vectors, so that it is compiled for the set's features.
pub(crate) trait Job {
    type Output;
    fn run<L: Lanes>(self) -> Self::Output;
}

/// # Safety
/// The processor has AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn run_avx2<J: Job>(job: J) -> J::Output {
    job.run::<x86::Avx2>()
}

/// # Safety
/// The processor has AVX-512F.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn run_avx512<J: Job>(job: J) -> J::Output {
    job.run::<x86::Avx512>()
}

/// Vectors of `N` f32.
///
/// Every method is unsafe to call for one reason: the code must run on a processor that has the set,
/// which [`InstructionSet::run`] sees to. `load` and `store` further need `N` valid f32 at the pointer, their
/// forms for a part `count`.
pub(crate) trait Lanes: Copy {
    const N: usize;
    type V: Copy;
    unsafe fn splat(value: f32) -> Self::V;
    unsafe fn load(from: *const f32) -> Self::V;
    unsafe fn store(to: *mut f32, value: Self::V);
    /// The first `count < N` values, the rest 0; nothing beyond them is read.
    unsafe fn load_part(from: *const f32, count: usize) -> Self::V;
    /// Stores the first `count < N` values.
    unsafe fn store_part(to: *mut f32, value: Self::V, count: usize);
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// a * b + c
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger; `b` where one is no number.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// `value` where `condition > 0`, else 0.
    unsafe fn where_positive(condition: Self::V, value: Self::V) -> Self::V;
}

/// The first values of a vector, the rest 0: all of them when `FULL`, else `count`.
///
/// # Safety
/// That many values are valid at `from`; as for the methods of [`Lanes`].
#[inline(always)]
pub(crate) unsafe fn load_first<L: Lanes, const FULL: bool>(
    from: *const f32,
    count: usize,
) -> L::V {
    // SAFETY: passed on from the caller.
    unsafe { if FULL { L::load(from) } else { L::load_part(from, count) } }
}

/// Stores the first values of a vector: all of them when `FULL`, else `count`.
///
/// # Safety
/// There is room for that many values at `to`; as for the methods of [`Lanes`].
#[inline(always)]
pub(crate) unsafe fn store_first<L: Lanes, const FULL: bool>(
    to: *mut f32,
    value: L::V,
    count: usize,
) {
    // SAFETY: passed on from the caller.
    unsafe { if FULL { L::store(to, value) } else { L::store_part(to, value, count) } }
}

/// Eight f32 in plain Rust.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl Lanes for Portable {
    const N: usize = 8;
    type V = [f32; 8];

    #[inline(always)]
    unsafe fn splat(value: f32) -> [f32; 8] {
        [value; 8]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> [f32; 8] {
        // SAFETY: the caller gives eight valid values.
        unsafe { from.cast::<[f32; 8]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, value: [f32; 8]) {
        // SAFETY: the caller gives room for eight values.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(value) }
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f32, count: usize) -> [f32; 8] {
        // SAFETY: the caller gives `count` valid values.
        std::array::from_fn(|i| if i < count { unsafe { *from.add(i) } } else { 0.0 })
    }

    #[inline(always)]
    unsafe fn store_part(to: *mut f32, value: [f32; 8], count: usize) {
        for (i, value) in value.into_iter().enumerate().take(count) {
            // SAFETY: the caller gives room for `count` values.
            unsafe { *to.add(i) = value };
        }
    }

    #[inline(always)]
    unsafe fn add(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    unsafe fn sub(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|i| a[i] - b[i])
    }

    #[inline(always)]
    unsafe fn mul(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|i| a[i] * b[i])
    }

    #[inline(always)]
    unsafe fn fma(a: [f32; 8], b: [f32; 8], c: [f32; 8]) -> [f32; 8] {
        // In one rounding where that is an instruction (aarch64), as the other sets have it.
        if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
            std::array::from_fn(|i| a[i].mul_add(b[i], c[i]))
        } else {
            std::array::from_fn(|i| a[i] * b[i] + c[i])
        }
    }

    #[inline(always)]
    unsafe fn max(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    unsafe fn where_positive(condition: [f32; 8], value: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|i| if condition[i] > 0.0 { value[i] } else { 0.0 })
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! The x86-64 sets.
    use super::Lanes;
    use std::arch::x86_64::*;

    macro_rules! lanes {
        ($name:ident, $n:literal, $v:ty, $splat:ident, $load:ident, $store:ident, $load_part:ident,
         $store_part:ident, $add:ident, $sub:ident, $mul:ident, $fma:ident, $max:ident, $positive:ident) => {
            #[derive(Clone, Copy)]
            pub struct $name;

            // SAFETY (of every block): the processor has the instructions, which the caller of a `Lanes`
            // method answers for; pointers are valid for the vector, or for `count` values, which the
            // caller answers for too.
            #[allow(clippy::undocumented_unsafe_blocks)]
            impl Lanes for $name {
                const N: usize = $n;
                type V = $v;
                #[inline(always)]
                unsafe fn splat(value: f32) -> $v {
                    unsafe { $splat(value) }
                }
                #[inline(always)]
                unsafe fn load(from: *const f32) -> $v {
                    unsafe { $load(from) }
                }
                #[inline(always)]
                unsafe fn store(to: *mut f32, value: $v) {
                    unsafe { $store(to, value) }
                }
                #[inline(always)]
                unsafe fn load_part(from: *const f32, count: usize) -> $v {
                    unsafe { $load_part(from, count) }
                }
                #[inline(always)]
                unsafe fn store_part(to: *mut f32, value: $v, count: usize) {
                    unsafe { $store_part(to, value, count) }
                }
                #[inline(always)]
                unsafe fn add(a: $v, b: $v) -> $v {
                    unsafe { $add(a, b) }
                }
                #[inline(always)]
                unsafe fn sub(a: $v, b: $v) -> $v {
                    unsafe { $sub(a, b) }
                }
                #[inline(always)]
                unsafe fn mul(a: $v, b: $v) -> $v {
                    unsafe { $mul(a, b) }
                }
                #[inline(always)]
                unsafe fn fma(a: $v, b: $v, c: $v) -> $v {
                    unsafe { $fma(a, b, c) }
                }
                #[inline(always)]
                unsafe fn max(a: $v, b: $v) -> $v {
                    unsafe { $max(a, b) }
                }
                #[inline(always)]
                unsafe fn where_positive(condition: $v, value: $v) -> $v {
                    unsafe { $positive(condition, value) }
                }
            }
        };
    }

    /// All bits of the first `count` of eight lanes.
    #[inline(always)]
    unsafe fn first_256(count: usize) -> __m256i {
        // SAFETY: called through `Lanes` only, whose caller answers for the instruction set.
        unsafe {
            let lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), lane)
        }
    }

    #[inline(always)]
    unsafe fn load_part_256(from: *const f32, count: usize) -> __m256 {
        // SAFETY: as above; lanes beyond `count` are not read.
        unsafe { _mm256_maskload_ps(from, first_256(count)) }
    }

    #[inline(always)]
    unsafe fn store_part_256(to: *mut f32, value: __m256, count: usize) {
        // SAFETY: as above; lanes beyond `count` are not written.
        unsafe { _mm256_maskstore_ps(to, first_256(count), value) }
    }

    #[inline(always)]
    unsafe fn load_part_512(from: *const f32, count: usize) -> __m512 {
        // SAFETY: as above; lanes beyond `count` are not read.
        unsafe { _mm512_maskz_loadu_ps((1u16 << count) - 1, from) }
    }

    #[inline(always)]
    unsafe fn store_part_512(to: *mut f32, value: __m512, count: usize) {
        // SAFETY: as above; lanes beyond `count` are not written.
        unsafe { _mm512_mask_storeu_ps(to, (1u16 << count) - 1, value) }
    }

    #[inline(always)]
    unsafe fn positive_256(condition: __m256, value: __m256) -> __m256 {
        // SAFETY: called through `Lanes` only, whose caller answers for the instruction set.
        unsafe {
            let mask = _mm256_cmp_ps::<_CMP_GT_OQ>(condition, _mm256_setzero_ps());
            _mm256_and_ps(mask, value)
        }
    }

    #[inline(always)]
    unsafe fn positive_512(condition: __m512, value: __m512) -> __m512 {
        // SAFETY: called through `Lanes` only, whose caller answers for the instruction set.
        unsafe {
            let mask = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(condition, _mm512_setzero_ps());
            _mm512_maskz_mov_ps(mask, value)
        }
    }

    lanes!(
        Avx2,
        8,
        __m256,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        load_part_256,
        store_part_256,
        _mm256_add_ps,
        _mm256_sub_ps,
        _mm256_mul_ps,
        _mm256_fmadd_ps,
        _mm256_max_ps,
        positive_256
    );
    lanes!(
        Avx512,
        16,
        __m512,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        load_part_512,
        store_part_512,
        _mm512_add_ps,
        _mm512_sub_ps,
        _mm512_mul_ps,
        _mm512_fmadd_ps,
        _mm512_max_ps,
        positive_512
    );
}

/// The smallest multiple of a vector's length that holds `channels`. Sixteen for every set, so that
/// buffers fit all of them.
pub(crate) fn padded(channels: usize) -> usize {
    channels.next_multiple_of(16)
}
