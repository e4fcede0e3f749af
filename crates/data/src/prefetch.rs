//! Making batches on a background thread while the last one is being used.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, JoinHandle};

use crate::{Error, Result};

/// Batches that wait, besides the one in use and the one being made.
const AHEAD: usize = 2;

/// Items made on a background thread, in their order. Dropping it stops the thread after the item it is at.
pub struct Prefetch<T> {
    items: Option<Receiver<Result<T>>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Prefetch<T> {
    /// Starts making the items; ends after the first error.
    pub(crate) fn new(mut items: impl Iterator<Item = Result<T>> + Send + 'static) -> Result<Self> {
        let (sender, receiver) = sync_channel(AHEAD);
        let work = move || {
            for item in items.by_ref() {
                let failed = item.is_err();
                // Nobody listens any more once the receiver is dropped.
                if sender.send(item).is_err() || failed {
                    break;
                }
            }
        };
        let thread = Builder::new().name("prefetch".into()).spawn(work);
        let thread =
            thread.map_err(|error| Error::Setting(format!("no thread to read ahead: {error}")))?;
        Ok(Self { items: Some(receiver), thread: Some(thread) })
    }
}

impl<T> Prefetch<T> {
    fn join(&mut self) {
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

impl<T> Iterator for Prefetch<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.items.as_ref().and_then(|items| items.recv().ok());
        if item.is_none() {
            self.join();
        }
        item
    }
}

impl<T> Drop for Prefetch<T> {
    fn drop(&mut self) {
        self.items = None;
        self.join();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn the_order_stays_and_no_more_than_a_few_are_made_ahead() {
        let made = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&made);
        let items = (0..100).map(move |i| {
            counter.fetch_add(1, Ordering::SeqCst);
            Ok(i)
        });
        let mut prefetch = Prefetch::new(items).unwrap();
        assert_eq!(prefetch.next().unwrap().unwrap(), 0);
        assert_eq!(prefetch.next().unwrap().unwrap(), 1);
        drop(prefetch);
        assert!(made.load(Ordering::SeqCst) <= 2 + AHEAD + 2, "{made:?}");

        let all: Result<Vec<i32>> = Prefetch::new((0..100).map(Ok)).unwrap().collect();
        assert_eq!(all.unwrap(), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn an_error_passes_through_and_ends_it() {
        let items =
            (0..5).map(|i| if i == 2 { Err(Error::Setting("broken".into())) } else { Ok(i) });
        let mut prefetch = Prefetch::new(items).unwrap();
        assert_eq!(prefetch.next().unwrap().unwrap(), 0);
        assert_eq!(prefetch.next().unwrap().unwrap(), 1);
        assert!(prefetch.next().unwrap().is_err());
        assert!(prefetch.next().is_none());
    }

    #[test]
    fn a_panic_is_not_swallowed() {
        let outcome = std::panic::catch_unwind(|| {
            let items = (0..3).map(|i| if i == 1 { panic!("in the background") } else { Ok(i) });
            Prefetch::new(items).unwrap().count()
        });
        assert!(outcome.is_err());
    }
}
