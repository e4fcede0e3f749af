//! Buffers: scratch that threads keep, outputs that are written before they are read, and pointers that
//! several threads write disjoint parts through.
use std::cell::RefCell;

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// A thread's scratch, kept for the next time when dropped.
///
/// A value and not a function that takes a closure: a closure that is not inlined would be compiled without
/// the instruction set of the kernel around it, and every vector operation in it would be a call.
pub(crate) struct Scratch(Vec<f32>);

impl Scratch {
    /// At least `len` values, of any content.
    pub fn take(len: usize) -> Self {
        // Taken, not borrowed: work that waits may run another item on this thread.
        let mut buffer = SCRATCH.take();
        if buffer.len() < len {
            buffer.resize(len, 0.0);
        }
        Self(buffer)
    }

    /// The values.
    pub fn values(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        SCRATCH.set(std::mem::take(&mut self.0));
    }
}

/// A pointer through which threads write disjoint parts of one output.
#[derive(Clone, Copy)]
pub(crate) struct Shared(pub *mut f32);

// SAFETY: the pointer is only written through, at indices that work items do not share; each use says why.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// The pointer. (A method, so that closures capture the wrapper and not its field.)
    #[inline(always)]
    pub fn pointer(self) -> *mut f32 {
        self.0
    }
}

/// A vector of `len` values that `fill` writes without reading.
///
/// # Safety
/// `fill` writes all `len` values and reads none that it has not written.
pub(crate) unsafe fn written<T>(len: usize, fill: impl FnOnce(Shared) -> T) -> (Vec<f32>, T) {
    let mut values = Vec::with_capacity(len);
    let result = fill(Shared(values.as_mut_ptr()));
    // SAFETY: the capacity is `len` and `fill` has written every value.
    unsafe { values.set_len(len) };
    (values, result)
}
