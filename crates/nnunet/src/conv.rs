//! Convolutions of channels-last maps `[N, D, H, W, C]` on the kernels for planes, with their gradients.
//!
//! In the fast form and for gradients, a 3-D convolution is a sum over the kernel's depth of convolutions of planes, and
//! a stride takes every so many results of the convolution without it. Weights have PyTorch's layout.
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use udas_kernels::{
    Activation, ConvKind, Finish, Gather, MapShape, Needs, SpaceConvolution, Unit, UnitGrads,
    convolve_space, unit_backward, unit_forward,
};

/// How convolutions are computed, and what predictions are added up in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arithmetic {
    /// As near to the original as rounding allows: convolutions product by product, sums in 16 bits as it has them.
    #[default]
    Exact,
    /// Winograd's form, whose roundings are some ten times as large, and sums in 32 bits.
    Fast,
}

/// Sizes of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Map {
    pub n: usize,
    pub d: usize,
    pub h: usize,
    pub w: usize,
    pub c: usize,
}

impl Map {
    pub fn of(shape: &Shape) -> Result<Self> {
        let (n, d, h, w, c) = shape.dims5()?;
        Ok(Self { n, d, h, w, c })
    }

    pub fn len(self) -> usize {
        self.n * self.slice() * self.d
    }

    /// Values of one depth of one image.
    fn slice(self) -> usize {
        self.h * self.w * self.c
    }

    fn strided(self, [d, h, w]: [usize; 3], c: usize) -> Self {
        let Self { n, .. } = self;
        Self { n, d: self.d.div_ceil(d), h: self.h.div_ceil(h), w: self.w.div_ceil(w), c }
    }

    fn shape(self) -> Shape {
        (self.n, self.d, self.h, self.w, self.c).into()
    }
}

/// A contiguous tensor's values.
pub(crate) fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("a map that is not contiguous"),
    }
}

/// A tensor's values, row by row.
pub(crate) fn to_vec(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}

/// `x * weight + bias`, padded so that strides alone make it smaller; weight `[out, in, kd, kh, kw]`, sizes 1 or 3.
pub(crate) fn convolve(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    stride: [usize; 3],
    arithmetic: Arithmetic,
) -> Result<Tensor> {
    let convolution = Convolution { stride, arithmetic };
    x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, convolution)
}

/// A convolution transposed, with its kernel as stride: each value becomes a block; weight `[in, out, kd, kh, kw]`.
pub(crate) fn enlarge(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, Enlargement)
}

struct Convolution {
    stride: [usize; 3],
    arithmetic: Arithmetic,
}

/// Sizes of a convolution's weight.
#[derive(Clone, Copy)]
struct Kernel {
    outputs: usize,
    inputs: usize,
    depth: usize,
    height: usize,
    width: usize,
}

impl Kernel {
    fn of(shape: &Shape) -> Result<Self> {
        let (outputs, inputs, depth, height, width) = shape.dims5()?;
        let kernel = Self { outputs, inputs, depth, height, width };
        if [depth, height, width].iter().any(|size| ![1, 3].contains(size)) {
            bail!("a kernel of {depth} x {height} x {width}; sizes of 1 and 3 are supported");
        }
        Ok(kernel)
    }

    fn kind(self) -> ConvKind {
        if (self.height, self.width) == (1, 1) { ConvKind::K1 } else { ConvKind::K3 }
    }

    /// Where the weights of one depth stand in a plane's kernel: `(here, there)` for each.
    fn each(self, tap: usize, mut visit: impl FnMut(usize, usize)) {
        let Self { outputs, inputs, depth, height, width } = self;
        let side = if self.kind() == ConvKind::K1 { 1 } else { 3 };
        let (top, left) = ((side - height) / 2, (side - width) / 2);
        for pair in 0..outputs * inputs {
            for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                let here = ((pair * depth + tap) * height + y) * width + x;
                visit(here, (pair * side + top + y) * side + left + x);
            }
        }
    }

    /// The plane's kernel of one depth.
    fn plane(self, weight: &[f32], tap: usize) -> Vec<f32> {
        let mut plane = vec![0.0; self.outputs * self.inputs * self.kind().taps()];
        self.each(tap, |here, there| plane[there] = weight[here]);
        plane
    }

    /// The depths of the result that one depth of the kernel reaches, and the first depth of the input they read.
    fn reach(self, tap: usize, depth: usize, stride: usize) -> (std::ops::Range<usize>, usize) {
        let pad = self.depth / 2;
        let first = pad.saturating_sub(tap).div_ceil(stride);
        let end = (depth + pad - tap).div_ceil(stride).min(depth.div_ceil(stride));
        (first..end.max(first), (first * stride + tap).saturating_sub(pad))
    }

    /// The kernel's depths, the middle one first: it reaches all of the result.
    fn taps(self) -> impl Iterator<Item = usize> {
        let middle = self.depth / 2;
        std::iter::once(middle).chain((0..self.depth).filter(move |&tap| tap != middle))
    }

    fn unit<'a>(self, weight: &'a [f32], input: MapShape, finish: Finish<'a>) -> Unit<'a> {
        Unit {
            kind: self.kind(),
            input,
            cout: self.outputs,
            norm: None,
            activation: Activation::None,
            weight,
            bias: None,
            finish,
        }
    }
}

/// Depths `first`, `first + stride`, ... of one image.
fn depths(image: &[f32], slice: usize, first: usize, stride: usize, count: usize) -> Vec<f32> {
    let mut taken = Vec::with_capacity(count * slice);
    for z in 0..count {
        let start = (first + z * stride) * slice;
        taken.extend_from_slice(&image[start..start + slice]);
    }
    taken
}

/// Every `stride`th row and column of planes.
fn thin(planes: &[f32], map: Map, [_, dy, dx]: [usize; 3]) -> Vec<f32> {
    let mut kept = Vec::new();
    for plane in planes.chunks_exact(map.slice()) {
        for row in plane.chunks_exact(map.w * map.c).step_by(dy) {
            kept.extend(row.chunks_exact(map.c).step_by(dx).flatten());
        }
    }
    kept
}

/// The transposed of [`thin`]: zeros between rows and columns. `map` is the larger one.
fn spread(kept: &[f32], map: Map, [_, dy, dx]: [usize; 3]) -> Vec<f32> {
    let mut planes =
        vec![0.0; kept.len() / (map.h.div_ceil(dy) * map.w.div_ceil(dx)) * map.h * map.w];
    let mut kept = kept.chunks_exact(map.c);
    for plane in planes.chunks_exact_mut(map.slice()) {
        for row in plane.chunks_exact_mut(map.w * map.c).step_by(dy) {
            for (to, from) in row.chunks_exact_mut(map.c).step_by(dx).zip(&mut kept) {
                to.copy_from_slice(from);
            }
        }
    }
    planes
}

impl Convolution {
    fn exact(&self, x: &[f32], map: Map, weight: &[f32], kernel: Kernel, bias: &[f32]) -> Vec<f32> {
        let shape = SpaceConvolution {
            n: map.n,
            size: [map.d, map.h, map.w],
            inputs: map.c,
            outputs: kernel.outputs,
            kernel: [kernel.depth, kernel.height, kernel.width],
            stride: self.stride,
        };
        convolve_space(&shape, x, weight, bias)
    }

    fn fast(&self, x: &[f32], map: Map, weight: &[f32], kernel: Kernel, bias: &[f32]) -> Vec<f32> {
        let [stride, dy, dx] = self.stride;
        let planes: Vec<_> = (0..kernel.depth).map(|tap| kernel.plane(weight, tap)).collect();
        let wide = Map { d: map.d.div_ceil(stride), c: kernel.outputs, ..map };
        let mut out = Vec::with_capacity(map.n * wide.d * wide.slice());
        for image in x.chunks_exact(map.d * map.slice()) {
            let mut sum: Vec<f32> = Vec::new();
            for tap in kernel.taps() {
                let (reached, first) = kernel.reach(tap, map.d, stride);
                let count = reached.len();
                if count == 0 {
                    continue;
                }
                let input = depths_of(image, map, first, stride, count);
                let shape = MapShape { n: count, h: map.h, w: map.w, c: map.c };
                if sum.is_empty() {
                    let unit = kernel.unit(&planes[tap], shape, Finish::Plain);
                    sum =
                        unit_forward(&Unit { bias: Some(bias), ..unit }, &input, Gather::Nothing).0;
                    continue;
                }
                let part = &mut sum[reached.start * wide.slice()..reached.end * wide.slice()];
                let unit = kernel.unit(&planes[tap], shape, Finish::Add(part));
                let added = unit_forward(&unit, &input, Gather::Nothing).0;
                part.copy_from_slice(&added);
            }
            match (dy, dx) {
                (1, 1) => out.append(&mut sum),
                _ => out.extend(thin(&sum, wide, self.stride)),
            }
        }
        out
    }

    fn backward(
        &self,
        x: &[f32],
        map: Map,
        weight: &[f32],
        kernel: Kernel,
        dy: &[f32],
        needs: Needs,
    ) -> Gradients {
        let stride = self.stride[0];
        let planes: Vec<_> = (0..kernel.depth).map(|tap| kernel.plane(weight, tap)).collect();
        let wide = Map { d: map.d.div_ceil(stride), c: kernel.outputs, ..map };
        let dy = spread(dy, wide, self.stride);
        let mut grads = Gradients {
            input: if needs.input { vec![0.0; x.len()] } else { Vec::new() },
            weight: vec![0.0; weight.len()],
            bias: vec![0.0; kernel.outputs],
        };
        let images =
            x.chunks_exact(map.d * map.slice()).zip(dy.chunks_exact(wide.d * wide.slice()));
        for (n, (image, dy)) in images.enumerate() {
            for tap in kernel.taps() {
                let (reached, first) = kernel.reach(tap, map.d, stride);
                if reached.is_empty() {
                    continue;
                }
                let input = depths_of(image, map, first, stride, reached.len());
                let shape = MapShape { n: reached.len(), h: map.h, w: map.w, c: map.c };
                let unit = kernel.unit(&planes[tap], shape, Finish::Plain);
                let dy = &dy[reached.start * wide.slice()..reached.end * wide.slice()];
                let needs = Needs { bias: needs.bias && tap == kernel.depth / 2, ..needs };
                let made = unit_backward(&unit, &input, None, dy, &needs, None);
                let starts = (0..).map(|z| (n * map.d + first + z * stride) * map.slice());
                grads.add(made, kernel, tap, map.slice(), starts);
            }
        }
        grads
    }
}

impl Gradients {
    /// Adds those of one depth of the kernel; its input's planes stand at `starts`.
    fn add(
        &mut self,
        made: UnitGrads,
        kernel: Kernel,
        tap: usize,
        slice: usize,
        starts: impl Iterator<Item = usize>,
    ) {
        if let Some(weight) = made.weight {
            kernel.each(tap, |here, there| self.weight[here] += weight[there]);
        }
        let bias = made.bias.unwrap_or_default();
        self.bias.iter_mut().zip(bias).for_each(|(sum, bias)| *sum += bias);
        let planes = made.input.unwrap_or_default();
        for (plane, start) in planes.chunks_exact(slice).zip(starts) {
            let to = &mut self.input[start..start + slice];
            to.iter_mut().zip(plane).for_each(|(to, from)| *to += from);
        }
    }
}

/// Depths of an image as they are, or gathered where they are not neighbours.
fn depths_of(
    image: &[f32],
    map: Map,
    first: usize,
    stride: usize,
    count: usize,
) -> std::borrow::Cow<'_, [f32]> {
    match stride {
        1 => image[first * map.slice()..(first + count) * map.slice()].into(),
        _ => depths(image, map.slice(), first, stride, count).into(),
    }
}

#[derive(Default)]
struct Gradients {
    input: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

type Three = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

impl Gradients {
    fn tensors(self, needs: Needs, x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Three> {
        let tensor = |values: Vec<f32>, like: &Tensor, needed: bool| {
            needed.then(|| Tensor::from_vec(values, like.shape(), like.device())).transpose()
        };
        Ok((
            tensor(self.input, x, needs.input)?,
            tensor(self.weight, weight, needs.weight)?,
            tensor(self.bias, bias, needs.bias)?,
        ))
    }
}

fn needs_of(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Needs {
    Needs { input: x.track_op(), norm: false, weight: weight.track_op(), bias: bias.track_op() }
}

impl CustomOp3 for Convolution {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (map, kernel) = (Map::of(l1.shape())?, Kernel::of(l2.shape())?);
        if map.c != kernel.inputs || map.len() == 0 {
            bail!("a map {:?} for a kernel of {} channels", l1.dims(), kernel.inputs);
        }
        let (x, weight, bias) = (values(s1, l1)?, values(s2, l2)?, values(s3, l3)?);
        let out = match self.arithmetic {
            Arithmetic::Exact => self.exact(x, map, weight, kernel, bias),
            Arithmetic::Fast => self.fast(x, map, weight, kernel, bias),
        };
        Ok((CpuStorage::F32(out), map.strided(self.stride, kernel.outputs).shape()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<Three> {
        let needs = needs_of(x, weight, bias);
        let (map, kernel) = (Map::of(x.shape())?, Kernel::of(weight.shape())?);
        let (xs, weights) = (to_vec(x)?, to_vec(weight)?);
        let grads = self.backward(&xs, map, &weights, kernel, &to_vec(dy)?, needs);
        grads.tensors(needs, x, weight, bias)
    }
}

struct Enlargement;

/// A transposed convolution as a product: weights `[taps * out, in]`, and back.
fn as_product(weight: &[f32], inputs: usize, outputs: usize, taps: usize) -> Vec<f32> {
    let mut product = vec![0.0; weight.len()];
    for_each_weight(inputs, outputs, taps, |here, there| product[there] = weight[here]);
    product
}

fn for_each_weight(
    inputs: usize,
    outputs: usize,
    taps: usize,
    mut visit: impl FnMut(usize, usize),
) {
    for i in 0..inputs {
        for o in 0..outputs {
            for tap in 0..taps {
                visit((i * outputs + o) * taps + tap, (tap * outputs + o) * inputs + i);
            }
        }
    }
}

/// Calls `visit(place of the block's value, place in the enlarged map)`, both in runs of `c` values.
fn for_each_block(map: Map, [kd, kh, kw]: [usize; 3], mut visit: impl FnMut(usize, usize)) {
    let mut block = 0;
    for z in 0..map.n * map.d {
        for (y, x) in (0..map.h).flat_map(|y| (0..map.w).map(move |x| (y, x))) {
            for (a, b) in (0..kd).flat_map(|a| (0..kh).map(move |b| (a, b))) {
                let row = (z * kd + a) * map.h * kh + y * kh + b;
                for c in 0..kw {
                    visit(block, row * map.w * kw + x * kw + c);
                    block += 1;
                }
            }
        }
    }
}

fn kernel_of(weight: &Shape) -> Result<(usize, usize, [usize; 3])> {
    let (inputs, outputs, d, h, w) = weight.dims5()?;
    Ok((inputs, outputs, [d, h, w]))
}

fn product_unit(map: Map, weight: &[f32]) -> Unit<'_> {
    Unit {
        kind: ConvKind::K1,
        input: MapShape { n: map.n * map.d, h: map.h, w: map.w, c: map.c },
        cout: weight.len() / map.c,
        norm: None,
        activation: Activation::None,
        weight,
        bias: None,
        finish: Finish::Plain,
    }
}

impl CustomOp3 for Enlargement {
    fn name(&self) -> &'static str {
        "enlargement"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (map, (inputs, outputs, kernel)) = (Map::of(l1.shape())?, kernel_of(l2.shape())?);
        if map.c != inputs || map.len() == 0 {
            bail!("a map {:?} for a kernel of {inputs} channels", l1.dims());
        }
        let taps = kernel.iter().product();
        let product = as_product(values(s2, l2)?, inputs, outputs, taps);
        let bias = values(s3, l3)?.repeat(taps);
        let unit = Unit { bias: Some(&bias), ..product_unit(map, &product) };
        let blocks = unit_forward(&unit, values(s1, l1)?, Gather::Nothing).0;
        let mut out = vec![0.0; blocks.len()];
        for_each_block(map, kernel, |from, to| {
            let (from, to) = (from * outputs, to * outputs);
            out[to..to + outputs].copy_from_slice(&blocks[from..from + outputs]);
        });
        let [d, h, w] = kernel;
        let shape = (map.n, map.d * d, map.h * h, map.w * w, outputs);
        Ok((CpuStorage::F32(out), shape.into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<Three> {
        let needs = needs_of(x, weight, bias);
        let (map, (inputs, outputs, kernel)) = (Map::of(x.shape())?, kernel_of(weight.shape())?);
        let taps = kernel.iter().product();
        let dy = to_vec(dy)?;
        let mut blocks = vec![0.0; dy.len()];
        for_each_block(map, kernel, |to, from| {
            let (from, to) = (from * outputs, to * outputs);
            blocks[to..to + outputs].copy_from_slice(&dy[from..from + outputs]);
        });
        let product = as_product(&to_vec(weight)?, inputs, outputs, taps);
        let unit = product_unit(map, &product);
        let made = unit_backward(&unit, &to_vec(x)?, None, &blocks, &needs, None);
        let mut grads = Gradients { input: made.input.unwrap_or_default(), ..Gradients::default() };
        if let Some(product) = made.weight {
            grads.weight = vec![0.0; product.len()];
            let weight = &mut grads.weight;
            for_each_weight(inputs, outputs, taps, |here, there| weight[here] = product[there]);
        }
        let sums = made.bias.unwrap_or_default();
        let summed = |o: usize| sums.iter().skip(o).step_by(outputs).sum();
        grads.bias = (0..outputs).map(summed).collect();
        grads.tensors(needs, x, weight, bias)
    }
}
