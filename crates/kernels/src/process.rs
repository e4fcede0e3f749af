//! The process that the kernels run in.

/// Sets an environment variable that a library reads when it is first used, unless it is set already. Only where this is
/// the process's one thread, at the program's start: elsewhere another thread might read the environment meanwhile. Says
/// whether it was set.
pub fn set_variable(name: &str, value: &str) -> bool {
    if std::env::var_os(name).is_some() || !is_alone() {
        return false;
    }
    // SAFETY: the process has no other thread, so that nobody else reads or writes the environment.
    unsafe { std::env::set_var(name, value) };
    true
}

/// Whether the process is known to have one thread.
fn is_alone() -> bool {
    let threads = std::fs::read_dir("/proc/self/task");
    cfg!(target_os = "linux") && threads.is_ok_and(|threads| threads.count() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_set_beside_other_threads() {
        let name = "UDAS_KERNELS_TEST_OF_VARIABLES";
        let (told, wait) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || wait.recv().is_err());
        assert!(!set_variable(name, "1") && std::env::var_os(name).is_none());
        drop(told);
        assert!(other.join().unwrap());
    }
}
