//! Convolutions by cuDNN in full float32, by algorithms whose sums have a fixed order.
use crate::launch::{room, stored, values};
use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::cudnn::sys::{
    cudnnConvolutionBwdDataAlgo_t as DataAlgorithm,
    cudnnConvolutionBwdFilterAlgo_t as FilterAlgorithm, cudnnConvolutionMode_t,
    cudnnMathType_t as MathType, cudnnTensorFormat_t,
};
use candle_core::cuda_backend::cudarc::cudnn::{
    ConvBackwardData, ConvBackwardFilter, ConvDescriptor, ConvForward, Cudnn, FilterDescriptor,
    TensorDescriptor,
};
use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::cuda_backend::{CudaDevice, CudaStorage, DeviceId};
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

/// Stride and zero padding, the same along both axes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Convolution {
    /// Step between windows.
    pub stride: usize,
    /// Zeros before and after each axis.
    pub padding: usize,
}

/// `x` `[N, I, H, W]` with `weight` `[O, I, KH, KW]`.
///
/// # Errors
/// When shapes do not fit, or the tensors are not float32 on a GPU.
pub fn convolve(x: &Tensor, weight: &Tensor, convolution: Convolution) -> Result<Tensor> {
    convolution.apply(Part::Result, x, weight)
}

/// The transposed convolution of `x` `[N, I, H, W]` with `weight` `[I, O, KH, KW]`: the gradient of
/// [`convolve`] with respect to its map.
///
/// # Errors
/// As [`convolve`].
pub fn convolve_transposed(
    x: &Tensor,
    weight: &Tensor,
    convolution: Convolution,
) -> Result<Tensor> {
    let (_, _, height, width) = x.dims4()?;
    let (_, _, kernel, _) = weight.dims4()?;
    let long = |size: usize| (size - 1) * convolution.stride + kernel - 2 * convolution.padding;
    convolution.apply(Part::Map { size: (long(height), long(width)) }, x, weight)
}

/// Of result, map and weight of a convolution: the one that is computed from the two others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Part {
    /// From map and weight.
    Result,
    /// The map's gradient, or a transposed convolution, from result and weight; height and width of the map.
    Map { size: (usize, usize) },
    /// The weight's gradient, from map and result; height and width of the kernel.
    Weight { kernel: (usize, usize) },
}

struct Op {
    part: Part,
    convolution: Convolution,
}

impl Convolution {
    fn apply(self, part: Part, first: &Tensor, second: &Tensor) -> Result<Tensor> {
        first.contiguous()?.apply_op2(&second.contiguous()?, Op { part, convolution: self })
    }

    fn of_gradient(self, part: Part, first: &Tensor, second: &Tensor) -> Result<Tensor> {
        self.apply(part, &first.detach(), &second.detach())
    }
}

thread_local! {
    // A handle is for one thread, as its documentation says.
    static HANDLES: RefCell<HashMap<DeviceId, Arc<Cudnn>>> = RefCell::default();
}

fn handle(device: &CudaDevice) -> Result<Arc<Cudnn>> {
    HANDLES.with(|handles| {
        if let Some(handle) = handles.borrow().get(&device.id()) {
            return Ok(handle.clone());
        }
        let handle = Cudnn::new(device.cuda_stream())?;
        handles.borrow_mut().insert(device.id(), handle.clone());
        Ok(handle)
    })
}

/// What cuDNN is told of a convolution's three tensors.
struct Descriptors {
    map: TensorDescriptor<f32>,
    weight: FilterDescriptor<f32>,
    result: TensorDescriptor<f32>,
    convolution: ConvDescriptor<f32>,
}

impl Descriptors {
    fn new(
        device: &CudaDevice,
        convolution: Convolution,
        [map, weight, result]: [[usize; 4]; 3],
    ) -> Result<Self> {
        let handle = handle(device)?;
        let order = cudnnTensorFormat_t::CUDNN_TENSOR_NCHW;
        let sizes = |sizes: [usize; 4]| sizes.map(|size| size as i32);
        let Convolution { stride, padding } = convolution;
        let mut convolution = handle.create_conv2d::<f32>(
            [padding as i32; 2],
            [stride as i32; 2],
            [1; 2],
            cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION,
        )?;
        // The default rounds factors to 10 bits on GPUs that have TF32.
        convolution.set_math_type(MathType::CUDNN_FMA_MATH)?;
        Ok(Self {
            map: handle.create_4d_tensor(order, sizes(map))?,
            weight: handle.create_4d_filter(order, sizes(weight))?,
            result: handle.create_4d_tensor(order, sizes(result))?,
            convolution,
        })
    }
}

impl CustomOp2 for Op {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        bail!("convolutions by cuDNN run on a GPU alone")
    }

    fn cuda_fwd(
        &self,
        first: &CudaStorage,
        first_layout: &Layout,
        second: &CudaStorage,
        second_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let device = first.device();
        let (a, b) = (values(first, first_layout)?, values(second, second_layout)?);
        let shapes = self.shapes(first_layout.shape(), second_layout.shape())?;
        let told = Descriptors::new(device, self.convolution, shapes)?;
        let Descriptors { map, weight, result, convolution: conv } = &told;
        let unit = (1.0, 0.0);
        let workspace = |bytes: usize| room::<u8>(device, bytes.max(1));
        let shape = shapes[self.part.index()];
        let mut out = room::<f32>(device, shape.iter().product())?;
        match self.part {
            Part::Result => {
                let op = ConvForward { conv, x: map, w: weight, y: result };
                let algorithm = op.pick_algorithm()?;
                let mut space = workspace(op.get_workspace_size(algorithm)?)?;
                // SAFETY: the descriptors are of these tensors.
                unsafe {
                    op.launch::<CudaSlice<u8>, _, _, _>(
                        algorithm,
                        Some(&mut space),
                        unit,
                        &a,
                        &b,
                        &mut out,
                    )
                }?;
            }
            Part::Map { .. } => {
                let op = ConvBackwardData { conv, dx: map, w: weight, dy: result };
                let algorithm = match op.pick_algorithm()? {
                    // Its sums come in no fixed order.
                    DataAlgorithm::CUDNN_CONVOLUTION_BWD_DATA_ALGO_0 => {
                        DataAlgorithm::CUDNN_CONVOLUTION_BWD_DATA_ALGO_1
                    }
                    algorithm => algorithm,
                };
                let mut space = workspace(op.get_workspace_size(algorithm)?)?;
                // SAFETY: the descriptors are of these tensors.
                unsafe {
                    op.launch::<CudaSlice<u8>, _, _, _>(
                        algorithm,
                        Some(&mut space),
                        unit,
                        &mut out,
                        &b,
                        &a,
                    )
                }?;
            }
            Part::Weight { .. } => {
                let op = ConvBackwardFilter { conv, x: map, dw: weight, dy: result };
                let algorithm = match op.pick_algorithm()? {
                    // Their sums come in no fixed order.
                    FilterAlgorithm::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0
                    | FilterAlgorithm::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3 => {
                        FilterAlgorithm::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1
                    }
                    algorithm => algorithm,
                };
                let mut space = workspace(op.get_workspace_size(algorithm)?)?;
                // SAFETY: the descriptors are of these tensors.
                unsafe {
                    op.launch::<CudaSlice<u8>, _, _, _>(
                        algorithm,
                        Some(&mut space),
                        unit,
                        &a,
                        &mut out,
                        &b,
                    )
                }?;
            }
        }
        Ok((stored(out, first), Shape::from(&shape[..])))
    }

    fn bwd(
        &self,
        first: &Tensor,
        second: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let of = |wanted: &Tensor, part: Part, a: &Tensor, b: &Tensor| {
            wanted.track_op().then(|| self.convolution.of_gradient(part, a, b)).transpose()
        };
        let plane = |tensor: &Tensor| tensor.dims4().map(|(_, _, height, width)| (height, width));
        let kernel = Part::Weight { kernel: plane(second)? };
        match self.part {
            Part::Result => {
                let map = of(first, Part::Map { size: plane(first)? }, gradient, second)?;
                Ok((map, of(second, kernel, first, gradient)?))
            }
            Part::Map { .. } => {
                let result = of(first, Part::Result, gradient, second)?;
                Ok((result, of(second, kernel, gradient, first)?))
            }
            Part::Weight { .. } => bail!("a gradient of a weight's gradient"),
        }
    }
}

impl Part {
    /// Where it stands among map, weight, result.
    fn index(self) -> usize {
        match self {
            Self::Map { .. } => 0,
            Self::Weight { .. } => 1,
            Self::Result => 2,
        }
    }
}

impl Op {
    /// Shapes of map, weight and result.
    fn shapes(&self, first: &Shape, second: &Shape) -> Result<[[usize; 4]; 3]> {
        let four = |shape: &Shape| shape.dims4().map(|(a, b, c, d)| [a, b, c, d]);
        let (first, second) = (four(first)?, four(second)?);
        let Convolution { stride, padding } = self.convolution;
        let short = |size: usize, kernel: usize| (size + 2 * padding - kernel) / stride + 1;
        let fits = |one: usize, other: usize| {
            if one != other {
                bail!("a convolution of shapes {first:?} and {second:?}");
            }
            Ok(())
        };
        Ok(match self.part {
            Part::Result => {
                let ([n, inputs, h, w], [outputs, of, kh, kw]) = (first, second);
                fits(inputs, of)?;
                [first, second, [n, outputs, short(h, kh), short(w, kw)]]
            }
            Part::Map { size: (h, w) } => {
                let ([n, outputs, _, _], [of, inputs, _, _]) = (first, second);
                fits(outputs, of)?;
                [[n, inputs, h, w], second, first]
            }
            Part::Weight { kernel: (kh, kw) } => {
                let ([n, inputs, _, _], [of, outputs, _, _]) = (first, second);
                fits(n, of)?;
                [first, [outputs, inputs, kh, kw], second]
            }
        })
    }
}
