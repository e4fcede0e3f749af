//! A global allocator that keeps large freed blocks: every training step needs the same maps again, and
//! fresh ones from the system cost a page fault for each 4 KiB.
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Smaller blocks go to the system.
const SMALLEST: usize = 256 * 1024;
/// Freed blocks kept at most.
const SLOTS: usize = 256;
/// Large blocks are aligned for cache lines and vectors.
const ALIGN: usize = 64;

/// The allocator; a program installs it with `#[global_allocator]`.
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: udas_kernels::BlockCache = udas_kernels::BlockCache::new(1 << 30);
/// # assert_eq!(vec![0u8; 1 << 20].len(), 1 << 20);
/// ```
pub struct BlockCache {
    /// Bytes kept at most.
    limit: usize,
    kept: AtomicUsize,
    slots: Mutex<[(usize, usize); SLOTS]>,
}

impl BlockCache {
    /// A cache that keeps at most `limit` bytes.
    pub const fn new(limit: usize) -> Self {
        Self { limit, kept: AtomicUsize::new(0), slots: Mutex::new([(0, 0); SLOTS]) }
    }

    /// The size class: the next multiple of an eighth of the power of two below.
    fn class(size: usize) -> usize {
        let step = (1usize << size.ilog2()) / 8;
        size.next_multiple_of(step)
    }

    fn is_large(layout: &Layout) -> bool {
        layout.size() >= SMALLEST && layout.align() <= ALIGN
    }

    fn take(&self, size: usize) -> Option<*mut u8> {
        // A poisoned lock or one that is held (by a signal handler, say) is no reason to fail.
        let mut slots = self.slots.try_lock().ok()?;
        let slot = slots.iter_mut().find(|slot| slot.0 == size)?;
        let block = slot.1;
        *slot = (0, 0);
        self.kept.fetch_sub(size, Ordering::Relaxed);
        Some(block as *mut u8)
    }

    /// True when the block was kept.
    fn keep(&self, size: usize, block: *mut u8) -> bool {
        if self.kept.load(Ordering::Relaxed) + size > self.limit {
            return false;
        }
        let Ok(mut slots) = self.slots.try_lock() else { return false };
        let Some(slot) = slots.iter_mut().find(|slot| slot.0 == 0) else { return false };
        *slot = (size, block as usize);
        self.kept.fetch_add(size, Ordering::Relaxed);
        true
    }
}

fn large(size: usize) -> Option<Layout> {
    Layout::from_size_align(size, ALIGN).ok()
}

// SAFETY: blocks come from `System` with a layout that depends on the requested one alone (its size class
// and a fixed alignment, which is at least the requested one), and go back with the same; a kept block is
// handed out once, to a request of its own class.
unsafe impl GlobalAlloc for BlockCache {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !Self::is_large(&layout) {
            // SAFETY: passed on from the caller.
            return unsafe { System.alloc(layout) };
        }
        let size = Self::class(layout.size());
        match (self.take(size), large(size)) {
            (Some(block), _) => block,
            // SAFETY: the size is not zero.
            (None, Some(layout)) => unsafe { System.alloc(layout) },
            (None, None) => std::ptr::null_mut(),
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !Self::is_large(&layout) {
            // SAFETY: passed on from the caller.
            return unsafe { System.alloc_zeroed(layout) };
        }
        let size = Self::class(layout.size());
        match (self.take(size), large(size)) {
            (Some(block), _) => {
                // SAFETY: the block has at least the requested size.
                unsafe { std::ptr::write_bytes(block, 0, layout.size()) };
                block
            }
            // SAFETY: the size is not zero.
            (None, Some(layout)) => unsafe { System.alloc_zeroed(layout) },
            (None, None) => std::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if !Self::is_large(&layout) {
            // SAFETY: passed on from the caller; a block of this layout came from `System` as it is.
            return unsafe { System.dealloc(block, layout) };
        }
        let size = Self::class(layout.size());
        if !self.keep(size, block)
            && let Some(layout) = large(size)
        {
            // SAFETY: `alloc` made the block with this very layout.
            unsafe { System.dealloc(block, layout) };
        }
    }
}
