//! Synthetic heads and hearts as several scanners would show them.
//!
//! For trying out domain adaptation without downloading anything: brain extraction on the six domains of CC-359,
//! ventricles and myocardium on the four vendors of M&Ms. A subject is drawn once, in millimetres; a scanner images
//! it with its own sequence, field strength, coil, voxels, sharpness and noise. What differs between domains is what
//! differs between scanners.
//!
//! - [`generate`] writes data sets in the layouts of CC-359 and M&Ms.
//! - [`head`] and [`heart`] scan one subject in memory; the same subject can go to several scanners.
//! - [`tissue`], [`scanner`] and [`signal`] hold the constants with their sources, and the equations.
//!
//! # What it can and cannot show
//!
//! The data are synthetic. They show whether a method copes with shifts of contrast, shading, noise, sharpness and
//! voxel size whose causes are known, on anatomy that varies. They cannot show how well it does on patients: there
//! is no pathology but thick and wide ventricles, no motion, no flow, no susceptibility artefact, no vessels in the
//! head, and masks are exact where experts disagree. All constants come from published sources or are marked as
//! typical; they were fixed before any method was run, and are never tuned to one.
//!
//! # How an image arises
//!
//! 1. Anatomy: implicit shapes, folded by the zero sheets of band-limited random fields, deformed smoothly, give
//!    the tissue at any point; points at most 1.4 mm apart within a voxel are averaged (partial volume).
//! 2. Signal: spoiled, inversion-prepared or balanced gradient echo in its steady state, with the transmit field
//!    of a head and the off-resonance of a chest.
//! 3. Reception: shading of the coil's loops, point spread, complex noise of which the magnitude is taken (Rician),
//!    whole grey levels on the scanner's scale.
//!
//! ```
//! use udas_phantom::{HeadSubject, head, scanner::HeadScanner};
//!
//! let subject = HeadSubject::new(7);
//! let scanner = HeadScanner::named("Siemens_15").expect("a domain of CC-359");
//! let (volume, mask) = head(&subject, scanner, 32)?;
//! assert_eq!(volume.shape(), [17, 32, 32]); // sagittal slices on axis 0
//! assert_eq!(volume.grid(), mask.grid());
//! let brain = mask.data().iter().filter(|&&label| label == 1).count();
//! let litres = brain as f64 * volume.spacing().iter().product::<f64>() * 1e-6;
//! assert!((1.0..2.0).contains(&litres));
//! # Ok::<(), udas_phantom::Error>(())
//! ```
#![forbid(unsafe_code)]

mod acquire;
mod brain;
mod error;
mod field;
mod head;
mod heart;
mod scan;
pub mod scanner;
pub mod signal;
mod thorax;
pub mod tissue;
mod write;

pub use error::{Error, Result};
pub use head::{HeadSubject, Sex};
pub use heart::{HeartSubject, Pathology};
pub use scan::{Cine, FULL_MATRIX, MATRIX_RANGE, head, heart};
pub use write::{Format, MNMS_TABLE, PhantomConfig, Progress, Summary, Task, Written, generate};
