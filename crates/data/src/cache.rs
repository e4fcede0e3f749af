//! A cache bounded by bytes that forgets what was longest unused.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Values by number, of at most `limit` bytes together; the newest is kept even if it alone is larger.
pub(crate) struct Cache<T> {
    limit: usize,
    inner: Mutex<Inner<T>>,
}

struct Inner<T> {
    entries: BTreeMap<usize, Entry<T>>,
    bytes: usize,
    clock: u64,
}

struct Entry<T> {
    value: Arc<T>,
    bytes: usize,
    used: u64,
}

impl<T> Cache<T> {
    pub(crate) fn new(limit: usize) -> Self {
        let inner = Inner { entries: BTreeMap::new(), bytes: 0, clock: 0 };
        Self { limit, inner: Mutex::new(inner) }
    }

    pub(crate) fn get(&self, key: usize) -> Option<Arc<T>> {
        let inner = &mut *self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clock += 1;
        let entry = inner.entries.get_mut(&key)?;
        entry.used = inner.clock;
        Some(Arc::clone(&entry.value))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    pub(crate) fn insert(&self, key: usize, value: Arc<T>, bytes: usize) {
        let inner = &mut *self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clock += 1;
        inner.bytes += bytes;
        if let Some(old) = inner.entries.insert(key, Entry { value, bytes, used: inner.clock }) {
            inner.bytes -= old.bytes;
        }
        while inner.bytes > self.limit && inner.entries.len() > 1 {
            let oldest =
                inner.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(&key, _)| key);
            let Some(entry) = oldest.and_then(|key| inner.entries.remove(&key)) else { break };
            inner.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_goes_first_and_the_newest_stays() {
        let cache = Cache::new(10);
        cache.insert(0, Arc::new("a"), 4);
        cache.insert(1, Arc::new("b"), 4);
        assert!(cache.get(0).is_some());
        cache.insert(2, Arc::new("c"), 4);
        assert_eq!([0, 1, 2].map(|key| cache.get(key).is_some()), [true, false, true]);
        cache.insert(3, Arc::new("huge"), 100);
        assert_eq!([0, 2, 3].map(|key| cache.get(key).is_some()), [false, false, true]);
        cache.insert(3, Arc::new("smaller"), 5);
        cache.insert(0, Arc::new("a"), 5);
        assert_eq!(cache.get(3).as_deref(), Some(&"smaller"));
    }
}
