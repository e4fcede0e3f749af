//! A lock that was given back a moment ago is waited for; one that stays held is said.
use std::fs::{File, TryLockError};
use std::thread;
use std::time::Duration;

#[test]
fn a_lock_that_is_soon_free_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let held = File::create(&path).unwrap();
    udas_files::try_lock(&held).unwrap();
    let other = File::open(&path).unwrap();
    let taken = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(60));
            held.unlock().unwrap();
        });
        udas_files::try_lock(&other)
    });
    taken.unwrap();
}

#[test]
fn a_lock_that_stays_held_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let held = File::create(&path).unwrap();
    udas_files::try_lock(&held).unwrap();
    let refused = udas_files::try_lock(&File::open(&path).unwrap());
    assert!(matches!(refused, Err(TryLockError::WouldBlock)));
}
