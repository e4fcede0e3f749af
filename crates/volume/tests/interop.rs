//! Volumes as arrays of `ndarray` and headers as those of the `nifti` crate, both ways.
use nifti::{NiftiHeader, NiftiObject, ReaderOptions};
use udas_volume::{Affine, Header, Volume, read, write_volume};

fn volume() -> Volume {
    let affine = Affine::from_codes("PSR", [0.9, 1.1, 2.5]).unwrap().with_origin([-3.0, 4.0, 5.5]);
    Volume::new((0..24).map(|v| v as f32).collect(), [2, 3, 4], affine).unwrap()
}

#[test]
fn arrays_have_the_voxels_where_they_are() {
    let mut volume = volume();
    let view = volume.view();
    for ((x, y, z), &value) in view.indexed_iter() {
        assert_eq!(Some(value), volume.get([x, y, z]));
    }
    let back = Volume::from_array(view, *volume.affine()).unwrap();
    assert_eq!(back.data(), volume.data());
    // An array that lies the other way round in memory is the same image.
    let standard = volume.view().as_standard_layout().into_owned();
    let back = Volume::from_array(standard.view(), *volume.affine()).unwrap();
    assert_eq!(back.data(), volume.data());
    volume.view_mut()[[1, 2, 3]] = -1.0;
    assert_eq!(volume.get([1, 2, 3]), Some(-1.0));
    assert_eq!(volume.clone().into_array()[[1, 2, 3]], -1.0);
    assert!(
        Volume::from_array(ndarray::Array3::zeros((0, 1, 1)).view(), *volume.affine()).is_err()
    );
}

#[test]
fn headers_go_both_ways_with_every_field() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scan.nii");
    let mut scan = volume();
    scan.header_mut().set_description("both ways");
    write_volume(&path, &scan).unwrap();
    let ours = read(&path).unwrap();
    let theirs = ReaderOptions::new().read_file(&path).unwrap();
    assert_eq!(Header::from_nifti(theirs.header()).bytes(), ours.header().bytes());
    assert_eq!(Header::affine_of_nifti(theirs.header()).unwrap(), *ours.affine());
    let again: NiftiHeader = ours.header().to_nifti().unwrap();
    assert_eq!(Header::from_nifti(&again).bytes(), ours.header().bytes());
    let singular = NiftiHeader { srow_x: [0.0; 4], ..again };
    assert!(Header::affine_of_nifti(&singular).is_err());
}
