//! Plots and overlays as files, for papers and slides.
use std::fs;
use std::path::{Path, PathBuf};

use crate::markup::slug;
use crate::page::{
    all_methods, changes, course_plots, focus_plot, intensity_plots, prediction_plot, slope_plots,
    volume_plots,
};
use crate::plot::Svg;
use crate::{Error, Experiment, Overview, Pictures, Rank, Result};

/// Writes every plot of the page as SVG and every overlay as PNG into a folder, which is made where it is
/// missing. Returns the files in the order of the page.
///
/// # Errors
/// [`Error::Write`] names the file or folder.
pub fn figures(
    experiment: &Experiment,
    pictures: &Pictures,
    folder: &Path,
) -> Result<Vec<PathBuf>> {
    let error = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Write { path, source }
    };
    fs::create_dir_all(folder).map_err(error(folder))?;
    let mut written = Vec::new();
    let mut write = |name: String, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(error(&path))?;
        written.push(path);
        Ok::<(), Error>(())
    };
    if let Some(overview) = Overview::of(experiment) {
        for (name, svg) in plots(&overview) {
            write(format!("{name}.svg"), svg.file().as_bytes())?;
        }
    }
    for (case, picture) in pictures.iter() {
        let rank = match case.rank {
            Rank::Worst(n) => format!("lowest-{n}"),
            Rank::Best => "highest".into(),
        };
        let name = format!("{rank}-{}-{}-{}", slug(&case.target), slug(&case.subject), case.seed);
        write(format!("{name}.png"), &picture.png)?;
    }
    Ok(written)
}

/// All plots with a file name each; the number keeps names apart that differ in other letters only.
fn plots(overview: &Overview) -> Vec<(String, Svg)> {
    let mut plots: Vec<(String, Svg)> = Vec::new();
    plots.extend(all_methods(overview).map(|svg| ("methods".into(), svg)));
    plots.extend(changes(overview).map(|svg| ("changes".into(), svg)));
    plots.extend(prediction_plot(overview).map(|svg| ("predicted-scores".into(), svg)));
    for (index, (_, svg)) in intensity_plots(overview).into_iter().enumerate() {
        plots.push((format!("intensities-{}", index + 1), svg));
    }
    for (number, pair) in overview.pairs.iter().enumerate() {
        let name = format!("{:02}-{}-to-{}", number + 1, slug(pair.0), slug(pair.1));
        let mut add = |what: &str, svgs: Vec<Svg>| {
            for (index, svg) in svgs.into_iter().enumerate() {
                plots.push((format!("{name}-{what}-{}", index + 1), svg));
            }
        };
        add("subjects", focus_plot(overview, *pair).into_iter().collect());
        add("slopes", slope_plots(overview, *pair));
        add("course", course_plots(overview, *pair));
        add("volumes", volume_plots(overview, *pair));
    }
    plots
}
