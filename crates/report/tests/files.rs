//! From records and volumes on disk to a folder with a page, results and figures.
mod sample;

use std::path::Path;

use sample::Pairs;
use udas_record::{Evaluation, Event, EventLog, SCORES_FILE, StartRecord, SubjectVolumes};
use udas_report::{
    Case, Experiment, Pictures, Plane, Rank, cases, figures, write_page, write_report,
    write_results,
};

/// Invented results whose cases have volumes in `folder`.
fn with_volumes(folder: &Path) -> (Experiment, Vec<Case>) {
    let mut experiment = sample::experiment(Pairs::OneSource, 1, 8);
    let cases = cases(&experiment);
    for (index, case) in cases.iter().enumerate() {
        let (image, masks) = sample::head(index as u64);
        let path = |kind: &str| format!("{kind}-{index}.nii.gz");
        udas_volume::write_volume(&folder.join(path("image")), &image).unwrap();
        for (mask, kind) in masks.iter().zip(["truth", "before", "after"]) {
            udas_volume::write_labels(&folder.join(path(kind)), mask).unwrap();
        }
        let volumes = SubjectVolumes {
            subject: case.subject.clone(),
            image: Some(path("image")),
            truth: Some(path("truth")),
            before: Some(path("before")),
            after: Some(path("after")),
            picture: Some(format!("picture-{index}.png")),
            description: "Drawn before.".into(),
            ..SubjectVolumes::default()
        };
        let outcome = experiment
            .outcomes
            .iter_mut()
            .find(|outcome| (&outcome.target, &outcome.method) == (&case.target, &case.method));
        outcome.unwrap().volumes.push(volumes);
    }
    (experiment, cases)
}

#[test]
fn a_report_is_one_page_with_overlays_drawn_from_the_volumes() {
    let (data, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (experiment, cases) = with_volumes(data.path());
    let folder = out.path().join("new/report");
    let pictures = write_report(&experiment, data.path(), Plane::Sagittal, &folder).unwrap();
    assert_eq!(pictures.missing().count(), 0);
    let page = std::fs::read_to_string(folder.join("index.html")).unwrap();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "the page stands alone");
    assert_eq!(page.matches("src=\"data:image/png;base64,").count(), 6);
    assert!(page.contains("Sagittal slice"));
    let ranks: Vec<Rank> = cases.iter().map(|case| case.rank).collect();
    let worst = (1..=5).map(Rank::Worst);
    assert_eq!(ranks, worst.chain([Rank::Best]).collect::<Vec<_>>());
    let after: Vec<f64> = cases.iter().map(|case| case.after.unwrap()).collect();
    assert!(after[..5].is_sorted() && after[5] > after[4], "{after:?}");
}

#[test]
fn the_frame_is_the_image_s_and_masks_are_a_file_a_frame() {
    let data = tempfile::tempdir().unwrap();
    let (mut experiment, cases) = with_volumes(data.path());
    let at = |name: &str| data.path().join(name);
    let drawn = |experiment: &Experiment| Pictures::draw(experiment, data.path(), Plane::Sagittal);
    let image = |index: usize| at(&format!("image-{index}.nii.gz"));
    // Series are stored as whole numbers.
    let images = [0, 1].map(|index| {
        let image = udas_volume::read(&image(index)).unwrap();
        image.map(|value| (1000.0 * value).round())
    });
    for (index, volume) in images.iter().enumerate() {
        udas_volume::write_volume(&image(index), volume).unwrap();
    }
    let alone = drawn(&experiment);
    // Both images become frame 1 of two; so do the labels of the first, those of the second stay alone.
    for (index, volume) in images.into_iter().enumerate() {
        let frames = [volume.map(|value| -value), volume];
        udas_volume::write_frames(&image(index), &frames, 30.0).unwrap();
    }
    let truth = udas_volume::read_labels(&at("truth-0.nii.gz")).unwrap();
    let frames = [truth.map(|_| 0), truth];
    udas_volume::write_label_frames(&at("truth-0.nii.gz"), &frames, 30.0).unwrap();
    let chosen: Vec<&str> = cases[..2].iter().map(|case| case.subject.as_str()).collect();
    let volumes = experiment.outcomes.iter_mut().flat_map(|outcome| &mut outcome.volumes);
    volumes.filter(|files| chosen.contains(&&*files.subject)).for_each(|files| {
        files.frame = Some(1);
    });
    let framed = drawn(&experiment);
    assert_eq!(framed.missing().count(), 0, "{:?}", framed.missing().collect::<Vec<_>>());
    let [alone, framed] = [alone, framed].map(|pictures| {
        let out = tempfile::tempdir().unwrap();
        let files = figures(&experiment, &pictures, out.path()).unwrap();
        let png = files.into_iter().filter(|file| file.extension().is_some_and(|end| end == "png"));
        png.map(|file| std::fs::read(file).unwrap()).collect::<Vec<_>>()
    });
    assert!(alone.len() == 6 && alone == framed, "other pictures than of 3-D files");
}

#[test]
fn what_cannot_be_drawn_says_why_and_a_picture_stands_in() {
    let (data, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (experiment, cases) = with_volumes(data.path());
    std::fs::remove_file(data.path().join("after-0.nii.gz")).unwrap();
    std::fs::remove_file(data.path().join("image-1.nii.gz")).unwrap();
    std::fs::write(data.path().join("picture-1.png"), sample::picture(1).png().unwrap()).unwrap();
    std::fs::remove_file(data.path().join("image-2.nii.gz")).unwrap();
    std::fs::write(data.path().join("picture-2.png"), "no picture").unwrap();
    let pictures = write_report(&experiment, data.path(), Plane::Axial, out.path()).unwrap();
    let missing: Vec<(&Case, String)> =
        pictures.missing().map(|(case, error)| (case, error.to_string())).collect();
    assert_eq!(missing.len(), 2, "{missing:?}");
    assert_eq!(missing[0].0, &cases[0]);
    assert!(missing[0].1.contains("after-0.nii.gz"), "{}", missing[0].1);
    assert!(missing[1].1.contains("picture-2.png") && missing[1].1.contains("no PNG"));
    let page = std::fs::read_to_string(out.path().join("index.html")).unwrap();
    assert!(page.contains("Drawn before.") && page.contains("picture-2.png: it is no PNG file"));
    assert_eq!(page.matches("src=\"data:image/png;base64,").count(), 4);
}

#[test]
fn results_come_back_as_they_were() {
    let out = tempfile::tempdir().unwrap();
    let experiment = sample::experiment(Pairs::OneSource, 2, 7);
    let [json, csv] = write_results(&experiment, out.path()).unwrap();
    assert!(Experiment::read(&json).unwrap() == experiment, "to the last bit");
    let gathered = Experiment::gather(&[out.path().to_owned()]).unwrap();
    assert!(gathered.outcomes == experiment.outcomes, "to the last bit");
    let rows = std::fs::read_to_string(csv).unwrap().lines().count();
    // Five targets, nine methods, two seeds, seven subjects, four columns of scores.
    assert_eq!(rows, 1 + 5 * 9 * 2 * 7 * 4);
}

#[test]
fn figures_are_files_for_papers() {
    let out = tempfile::tempdir().unwrap();
    let experiment = sample::experiment(Pairs::OneSource, 1, 7);
    let files = figures(&experiment, &sample::pictures(&experiment), out.path()).unwrap();
    let with = |ending: &str| {
        files.iter().filter(|file| file.extension().is_some_and(|e| e == ending)).count()
    };
    assert_eq!(with("png"), 6);
    assert!(with("svg") > 20 && with("svg") + with("png") == files.len());
    for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "svg")) {
        let svg = std::fs::read_to_string(file).unwrap();
        assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""), "{}", file.display());
        assert!(svg.contains("<style>") && svg.contains("<title>") && svg.contains("<desc>"));
    }
}

/// What `udas adapt` leaves behind is enough for a page, with scores and without.
#[test]
fn a_single_run_folder_makes_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let invented = sample::experiment(Pairs::OneSource, 1, 8);
    let outcome = invented.outcomes.iter().find(|o| o.verdict.is_some()).unwrap();
    let start = StartRecord {
        command: "adapt".into(),
        method: Some(outcome.method.clone()),
        target: Some(outcome.target.clone()),
        ..StartRecord::default()
    };
    let mut log = EventLog::create(&run).unwrap();
    log.append(&Event::Start(start)).unwrap();
    outcome.epochs.iter().for_each(|epoch| log.append(&Event::Epoch(epoch.clone())).unwrap());
    log.append(&Event::Verdict(outcome.verdict.clone().unwrap())).unwrap();
    let page = |name: &str| {
        let experiment = Experiment::gather(std::slice::from_ref(&run)).unwrap();
        let path =
            write_page(&experiment, &Pictures::default(), &folder.path().join(name)).unwrap();
        std::fs::read_to_string(path).unwrap()
    };
    let unlabelled = page("without");
    assert!(unlabelled.contains("Not known: there are no labels to measure with."));
    assert!(unlabelled.contains("Verdicts without labels") && unlabelled.contains(">Loss</text>"));
    let classes = |value: f64| [("1".into(), [("dice".into(), Some(value))].into())].into();
    let subjects = (0..8).map(|i| udas_record::SubjectRecord {
        subject: format!("s{i}"),
        classes: classes(0.5 + 0.01 * f64::from(i)),
    });
    let scores = Evaluation { subjects: subjects.collect(), ..Evaluation::default() };
    std::fs::write(run.join(SCORES_FILE), scores.to_json()).unwrap();
    let alone = page("after");
    assert!(alone.contains("Nothing to compare with: there are no scores before."), "no headline");
    assert!(alone.contains("reaches a mean Dice of 0.535 (8 subjects in 1 target)."));
}
