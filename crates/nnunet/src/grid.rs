//! Arrays `[z, y, x]`: boxes cut out and pasted, axes exchanged.
use std::ops::Range;

/// A box of an array.
pub(crate) type Box3 = [Range<usize>; 3];

pub(crate) fn shape_of(part: &Box3) -> [usize; 3] {
    part.clone().map(|range| range.len())
}

/// Calls `visit(start of a row in the box, its start in the whole, its length)`.
fn each_row(shape: [usize; 3], part: &Box3, mut visit: impl FnMut(usize, usize, usize)) {
    let [zs, ys, xs] = part.clone();
    let mut at = 0;
    for (z, y) in zs.flat_map(|z| ys.clone().map(move |y| (z, y))) {
        visit(at, (z * shape[1] + y) * shape[2] + xs.start, xs.len());
        at += xs.len();
    }
}

/// The values of a box.
pub(crate) fn cut<T: Copy>(whole: &[T], shape: [usize; 3], part: &Box3) -> Vec<T> {
    let mut values = Vec::with_capacity(shape_of(part).iter().product());
    each_row(shape, part, |_, from, count| values.extend_from_slice(&whole[from..from + count]));
    values
}

/// Writes the values of a box.
pub(crate) fn paste<T: Copy>(values: &[T], whole: &mut [T], shape: [usize; 3], part: &Box3) {
    each_row(shape, part, |from, to, count| {
        whole[to..to + count].copy_from_slice(&values[from..from + count]);
    });
}

/// The order of axes exchanged: axis `i` of the result is axis `order[i]` of the array.
pub(crate) fn transpose<T: Copy>(
    values: Vec<T>,
    shape: [usize; 3],
    order: [usize; 3],
) -> (Vec<T>, [usize; 3]) {
    let out = order.map(|axis| shape[axis]);
    if order == [0, 1, 2] {
        return (values, out);
    }
    let steps = [shape[1] * shape[2], shape[2], 1];
    let [a, b, c] = order.map(|axis| steps[axis]);
    let mut moved = Vec::with_capacity(values.len());
    for (i, j) in (0..out[0]).flat_map(|i| (0..out[1]).map(move |j| (i, j))) {
        moved.extend((0..out[2]).map(|k| values[i * a + j * b + k * c]));
    }
    (moved, out)
}

/// Marks what is not reached from outside through unmarked voxels that share a face (scipy's `binary_fill_holes`).
pub(crate) fn fill_holes(mask: &mut [bool], shape: [usize; 3]) {
    let [nz, ny, nx] = shape;
    let mut outside = vec![false; mask.len()];
    let mut left = Vec::new();
    let mut reach = |at: usize, left: &mut Vec<usize>| {
        if !mask[at] && !outside[at] {
            outside[at] = true;
            left.push(at);
        }
    };
    for (z, y) in (0..nz).flat_map(|z| (0..ny).map(move |y| (z, y))) {
        let row = (z * ny + y) * nx;
        if z == 0 || y == 0 || z + 1 == nz || y + 1 == ny {
            (row..row + nx).for_each(|at| reach(at, &mut left));
        } else {
            reach(row, &mut left);
            reach(row + nx - 1, &mut left);
        }
    }
    while let Some(at) = left.pop() {
        let (z, y, x) = (at / (ny * nx), at / nx % ny, at % nx);
        for (place, count, step) in [(z, nz, ny * nx), (y, ny, nx), (x, nx, 1)] {
            if place > 0 {
                reach(at - step, &mut left);
            }
            if place + 1 < count {
                reach(at + step, &mut left);
            }
        }
    }
    mask.iter_mut().zip(outside).for_each(|(mask, outside)| *mask = !outside);
}

/// The smallest box that holds all marked voxels; everything where none is.
pub(crate) fn bounds(mask: &[bool], shape: [usize; 3]) -> Box3 {
    let [nz, ny, nx] = shape;
    let mut low = [usize::MAX; 3];
    let mut high = [0; 3];
    for (row, voxels) in mask.chunks_exact(nx).enumerate() {
        let Some(first) = voxels.iter().position(|&marked| marked) else { continue };
        let last = voxels.iter().rposition(|&marked| marked).unwrap_or(first);
        for (axis, (from, to)) in
            [(row / ny, row / ny), (row % ny, row % ny), (first, last)].into_iter().enumerate()
        {
            low[axis] = low[axis].min(from);
            high[axis] = high[axis].max(to + 1);
        }
    }
    if low[0] == usize::MAX {
        return [0..nz, 0..ny, 0..nx];
    }
    [0, 1, 2].map(|axis| low[axis]..high[axis])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_filled_and_what_is_open_is_not() {
        let shape = [5, 5, 5];
        let at = |z: usize, y: usize, x: usize| (z * 5 + y) * 5 + x;
        let mut shell = vec![false; 125];
        for (z, y, x) in (0..125).map(|i| (i / 25, i / 5 % 5, i % 5)) {
            shell[i_of(z, y, x)] =
                [z, y, x].iter().all(|c| (1..4).contains(c)) && [z, y, x] != [2; 3];
        }
        let mut filled = shell.clone();
        fill_holes(&mut filled, shape);
        assert!(filled[at(2, 2, 2)] && filled.iter().filter(|&&marked| marked).count() == 27);
        shell[at(2, 2, 3)] = false;
        let mut open = shell.clone();
        fill_holes(&mut open, shape);
        assert_eq!(open, shell);
        // A slice alone is outside everywhere.
        let mut ring = vec![true, true, true, true, false, true, true, true, true];
        fill_holes(&mut ring, [1, 3, 3]);
        assert!(!ring[4]);
        assert_eq!(bounds(&filled, shape), [1..4, 1..4, 1..4]);
        assert_eq!(bounds(&[false; 8], [2, 2, 2]), [0..2, 0..2, 0..2]);
    }

    fn i_of(z: usize, y: usize, x: usize) -> usize {
        (z * 5 + y) * 5 + x
    }

    #[test]
    fn axes_go_there_and_back_and_boxes_in_and_out() {
        let values: Vec<usize> = (0..24).collect();
        let (moved, shape) = transpose(values.clone(), [2, 3, 4], [2, 0, 1]);
        assert_eq!((shape, moved[0], moved[1], moved[3], moved[6]), ([4, 2, 3], 0, 4, 12, 1));
        assert_eq!(transpose(moved, shape, [1, 2, 0]).0, values);
        let part = [0..2, 1..3, 1..2];
        let inner = cut(&values, [2, 3, 4], &part);
        assert_eq!(inner, [5, 9, 17, 21]);
        let mut whole = vec![0; 24];
        paste(&inner, &mut whole, [2, 3, 4], &part);
        assert_eq!(cut(&whole, [2, 3, 4], &part), inner);
    }
}
