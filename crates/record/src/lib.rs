//! Plain records of runs: configurations, epoch events, scores and the file formats of a run folder.
#![forbid(unsafe_code)]
