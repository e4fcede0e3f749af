//! Area of the surface inside each of the 256 neighbourhoods of 2x2x2 voxels.
//!
//! The marching-cubes surface of W. Lorensen and H. Cline, "Marching Cubes", SIGGRAPH 1987, through
//! the middles of the edges between set and unset corners. Where a face is ambiguous, the corners
//! of the rarer value are kept apart, so a code and its complement have the same area.

/// Area in mm² by neighbourhood code, for voxels of `spacing_mm` along x, y, z.
///
/// Corner `(x, y, z)` of the neighbourhood, each 0 or 1, sets bit `7 - (4z + 2y + x)` of the code.
/// Codes 0 and 255 hold no surface.
pub fn surface_element_areas_mm2(spacing_mm: [f64; 3]) -> [f64; 256] {
    let [dx, dy, dz] = spacing_mm;
    // Scaling an axis scales the components of an area vector across it.
    let scale = [dy * dz, dx * dz, dx * dy];
    let norm = |v: &[f64; 3]| v.iter().zip(scale).map(|(v, s)| (v * s).powi(2)).sum::<f64>().sqrt();
    std::array::from_fn(|code| {
        let corners = (code as u8).reverse_bits();
        let rarer = if corners.count_ones() > 4 { !corners } else { corners };
        connected_parts(rarer).iter().flat_map(|&part| planar_pieces(part)).map(|v| norm(&v)).sum()
    })
}

/// Corners reached along one edge of the cube from those in `corners`. Corner `4z + 2y + x` is a
/// bit of that number, so axis 0, 1, 2 joins bits 1, 2, 4 apart.
fn neighbours(corners: u8, axis: usize) -> u8 {
    const LOWER: [u8; 3] = [0x55, 0x33, 0x0f];
    let step = 1 << axis;
    (corners & LOWER[axis]) << step | corners >> step & LOWER[axis]
}

fn connected_parts(mut corners: u8) -> Vec<u8> {
    let mut parts = Vec::new();
    while corners != 0 {
        let mut part = corners & corners.wrapping_neg();
        loop {
            let grown = (0..3).fold(part, |grown, axis| grown | neighbours(part, axis)) & corners;
            if grown == part {
                break;
            }
            part = grown;
        }
        parts.push(part);
        corners &= !part;
    }
    parts
}

/// Area vectors of the planar pieces that separate up to four connected corners from the others,
/// in a cube of side 1 and up to the sign of each component.
fn planar_pieces(part: u8) -> Vec<[f64; 3]> {
    let joined = [0, 1, 2].map(|axis| neighbours(part, axis) & part);
    let along = |length: f64, selected: [bool; 3]| selected.map(|s| if s { length } else { 0.0 });
    let unused = joined.map(|corners| corners == 0);
    let edges: u32 = joined.map(|corners| corners.count_ones() / 2).iter().sum();
    let hub = joined[0] & joined[1] & joined[2] != 0;
    match (part.count_ones(), edges) {
        // One corner: a triangle.
        (1, _) => vec![[0.125; 3]],
        // Two: a rectangle parallel to their edge.
        (2, _) => vec![along(0.5, unused)],
        // Three on a face: a triangle parallel to the face, and half a hexagon.
        (3, _) => vec![along(0.5, unused), [0.375; 3]],
        // A whole face: a square.
        (4, 4) => vec![along(1.0, unused)],
        // A corner and its three neighbours: a hexagon.
        (4, _) if hub => vec![[0.75; 3]],
        // A path along all three axes: two triangles, and one along each of the path's end edges.
        _ => {
            let middle = joined.map(|corners| {
                let others = joined.iter().filter(|&&o| o != corners).fold(0, |all, o| all | o);
                corners & others == corners
            });
            let end = |axis: usize| along(0.25, [0, 1, 2].map(|other| other != axis));
            let ends = (0..3).filter(|&axis| !middle[axis]).map(end);
            [[0.25; 3], [0.25; 3]].into_iter().chain(ends).collect()
        }
    }
}
