//! The allocator as the program installs it: contents, alignment, reuse, limits, many threads.
use std::alloc::{GlobalAlloc, Layout};
use udas_kernels::BlockCache;

#[global_allocator]
static ALLOCATOR: BlockCache = BlockCache::new(64 << 20);

const LARGE: usize = 1 << 20;

#[test]
fn a_freed_block_is_handed_out_again() {
    let cache = BlockCache::new(64 << 20);
    let layout = Layout::from_size_align(LARGE, 4).unwrap();
    // SAFETY: each block is freed once, with its layout.
    unsafe {
        let first = cache.alloc(layout);
        assert_eq!(first as usize % 64, 0, "large blocks are aligned for vectors");
        cache.dealloc(first, layout);
        // A little smaller, yet of the same size class.
        let smaller = Layout::from_size_align(LARGE - 100, 4).unwrap();
        let second = cache.alloc(smaller);
        assert_eq!(first, second);
        let third = cache.alloc(layout);
        assert_ne!(second, third, "a block in use is not handed out");
        cache.dealloc(second, smaller);
        cache.dealloc(third, layout);
    }
}

#[test]
fn zeroed_blocks_are_zero_even_when_used_before() {
    for _ in 0..3 {
        let mut block = vec![0u8; LARGE + 12_345];
        assert!(block.iter().all(|byte| *byte == 0));
        block.fill(255);
    }
}

#[test]
fn growing_keeps_the_contents() {
    let mut values: Vec<u64> = Vec::new();
    (0..2_000_000).for_each(|i| values.push(i));
    values.shrink_to_fit();
    assert!(values.iter().enumerate().all(|(i, value)| i as u64 == *value));
}

#[test]
fn nothing_is_kept_beyond_the_limit() {
    let cache = BlockCache::new(0);
    let layout = Layout::from_size_align(LARGE, 64).unwrap();
    // SAFETY: the block is freed once, with its layout.
    unsafe {
        let block = cache.alloc(layout);
        assert!(!block.is_null());
        cache.dealloc(block, layout);
    }
    // Alignments beyond the cache's own go to the system.
    let layout = Layout::from_size_align(LARGE, 4096).unwrap();
    // SAFETY: as above.
    unsafe {
        let block = cache.alloc(layout);
        assert_eq!(block as usize % 4096, 0);
        cache.dealloc(block, layout);
    }
}

#[test]
fn an_impossible_size_is_refused() {
    let cache = BlockCache::new(1 << 20);
    let layout = Layout::from_size_align(isize::MAX as usize - 4096, 8).unwrap();
    // SAFETY: the layout's size is not zero.
    assert!(unsafe { cache.alloc(layout) }.is_null());
}

#[test]
fn threads_do_not_share_blocks() {
    std::thread::scope(|scope| {
        for thread in 0..8u8 {
            scope.spawn(move || {
                for round in 0..50usize {
                    let block = vec![thread; LARGE + round * 4096];
                    std::thread::yield_now();
                    assert!(block.iter().all(|byte| *byte == thread));
                }
            });
        }
    });
}
