//! Data sets on disk: names, folders and tables as the loaders of CC-359 and M&Ms expect them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use udas_phantom::{Error, MNMS_TABLE, PhantomConfig, Summary, Task, generate};
use udas_volume::{probe, read, read_label_frames, read_labels};

fn config(task: Task, out: &Path, domains: &[&str], subjects_per_domain: usize) -> PhantomConfig {
    PhantomConfig {
        task,
        out: out.to_owned(),
        domains: domains.iter().map(|&name| name.to_owned()).collect(),
        subjects_per_domain,
        matrix: 40,
        seed: 11,
        format: udas_phantom::Format::Nifti,
    }
}

fn write(config: &PhantomConfig) -> Summary {
    generate(config, &|_| ()).expect("a sound configuration and a writable folder")
}

/// Every file below a folder, with its bytes.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below the folder").to_owned();
                files.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    files
}

#[test]
fn heads_are_laid_out_as_cc359() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let steps = AtomicUsize::new(0);
    let config = config(Task::Head, folder.path(), &[], 1);
    let summary = generate(&config, &|progress| {
        assert!(progress.done <= progress.total && progress.name.starts_with("PH"));
        steps.fetch_add(1, Ordering::Relaxed);
    })
    .expect("a sound configuration");
    assert_eq!((summary.subjects.len(), steps.into_inner()), (6, 6));
    for written in &summary.subjects {
        let (vendor, field) = written.domain.split_once('_').expect("vendor and field");
        let stem = udas_volume::stem(&written.image);
        let parts: Vec<&str> = stem.split('_').collect();
        let [_, file_vendor, file_field, age, sex] = parts[..] else { panic!("{stem}") };
        assert_eq!((file_vendor, file_field), (vendor.to_lowercase().as_str(), field));
        assert!((29..=80).contains(&age.parse::<u8>().expect("an age")) && "FM".contains(sex));
        let original = folder.path().join("Original").join(written.domain);
        assert_eq!(written.image, original.join(format!("{stem}.nii.gz")));
        let masks = folder.path().join("Silver-standard").join(written.domain);
        assert_eq!(written.labels, masks.join(format!("{stem}_ss.nii.gz")));
        let (image, mask) = (read(&written.image).unwrap(), read_labels(&written.labels).unwrap());
        assert_eq!(image.grid(), mask.grid());
        assert!(image.data().iter().all(|v| v.fract() == 0.0));
        assert!(mask.data().contains(&1) && mask.data().iter().all(|&l| l <= 1));
    }
    assert!(fs::read_to_string(folder.path().join("README.txt")).unwrap().contains("Synthetic"));
}

#[test]
fn hearts_are_laid_out_as_mnms() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let summary = write(&config(Task::Heart, folder.path(), &[], 1));
    let table = fs::read_to_string(folder.path().join(MNMS_TABLE)).expect("the table");
    let mut rows = table.lines();
    let columns: Vec<&str> = rows.next().expect("a header").split(',').collect();
    assert_eq!(columns[..6], ["External code", "VendorName", "Vendor", "Centre", "ED", "ES"]);
    for (row, written) in rows.zip(&summary.subjects) {
        let cells: Vec<&str> = row.split(',').collect();
        assert_eq!(cells.len(), columns.len());
        assert_eq!(cells[2], written.domain);
        let folder = folder.path().join("Training/Labeled").join(cells[0]);
        assert_eq!(written.image, folder.join(format!("{}_sa.nii.gz", cells[0])));
        assert_eq!(written.labels, folder.join(format!("{}_sa_gt.nii.gz", cells[0])));
        let (image, labels) = (probe(&written.image).unwrap(), probe(&written.labels).unwrap());
        assert_eq!((&image.grid, image.frames), (&labels.grid, labels.frames));
        let annotated = [cells[4], cells[5]].map(|cell| cell.parse::<usize>().expect("a frame"));
        assert_ne!(annotated[0], annotated[1]);
        let all: Vec<usize> = (0..labels.frames).collect();
        for (frame, labels) in read_label_frames(&written.labels, &all).unwrap().iter().enumerate()
        {
            for label in 1..=3 {
                let there = labels.data().contains(&label);
                assert_eq!(there, annotated.contains(&frame), "{row}: frame {frame}");
            }
        }
    }
    assert_eq!(summary.subjects.len(), 4);
}

#[test]
fn subjects_do_not_depend_on_company_or_threads() {
    for (task, domain) in [(Task::Head, "Philips_3"), (Task::Heart, "C")] {
        let (alone, company) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        one_thread.install(|| write(&config(task, alone.path(), &[domain], 1)));
        let three_threads = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let names = task.domains();
        let domains = [names[0], domain];
        three_threads.install(|| write(&config(task, company.path(), &domains, 2)));
        let (few, many) = (contents(alone.path()), contents(company.path()));
        let mut images = 0;
        for (name, bytes) in few.iter().filter(|(name, _)| name.to_string_lossy().ends_with(".gz"))
        {
            assert_eq!(Some(bytes), many.get(name), "{}", name.display());
            images += 1;
        }
        assert_eq!(images, 2);
    }
}

#[test]
fn unsound_configurations_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("data");
    let refused = |config: PhantomConfig| generate(&config, &|_| ()).expect_err("unsound");
    let error = refused(config(Task::Head, &out, &["GE_7"], 1));
    assert!(matches!(error, Error::Domain { .. }) && error.to_string().contains("Siemens_3"));
    assert!(matches!(refused(config(Task::Heart, &out, &[], 0)), Error::Subjects { subjects: 0 }));
    assert!(matches!(refused(config(Task::Heart, &out, &[], 1000)), Error::Subjects { .. }));
    let large = PhantomConfig { matrix: 4096, ..config(Task::Head, &out, &[], 1) };
    assert!(matches!(refused(large), Error::Matrix { matrix: 4096 }));
    assert!(!out.exists());
    fs::write(&out, "a file in the way").unwrap();
    let error = refused(config(Task::Head, &out, &["GE_3"], 1));
    assert!(error.to_string().contains("data"), "{error}");
}

#[test]
fn a_folder_with_something_else_is_left_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mine = folder.path().join("scan.nii.gz");
    fs::write(&mine, "somebody's scan").unwrap();
    let config = config(Task::Head, folder.path(), &["GE_3"], 1);
    let error = generate(&config, &|_| ()).expect_err("not empty");
    assert!(matches!(error, Error::Occupied { .. }), "{error}");
    assert_eq!(contents(folder.path()).len(), 1);

    fs::remove_file(&mine).unwrap();
    generate(&config, &|_| ()).expect("an empty folder");
    let made = contents(folder.path());
    // One that was cut off is made again; another one does not mix with it.
    generate(&config, &|_| ()).expect("the same phantom");
    assert_eq!(contents(folder.path()), made);
    let other = PhantomConfig { matrix: 48, ..config };
    assert!(matches!(generate(&other, &|_| ()), Err(Error::Occupied { .. })));
}
