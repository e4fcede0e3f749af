//! The commands, a file each.
pub mod adapt;
pub mod calibrate;
pub mod compare;
pub mod convert;
pub mod doctor;
pub mod evaluate;
pub mod head;
pub mod judge;
pub mod methods;
pub mod phantom;
pub mod predict;
pub mod report;
pub mod serve;
pub mod shell;
pub mod train;
pub mod verify;
