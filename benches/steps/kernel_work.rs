//! Single kernels on one map `[batch, size, size, channels]`.
use crate::{Sizes, Work, noise};
use udas_kernels::{
    Activation, ConvKind, Finish, Gather, MapShape, Needs, Norm, Statistics, Unit, moments,
    norm_backward, unit_backward, unit_forward, upsample_bilinear, upsample_bilinear_backward,
};

const NOTHING: Needs = Needs { input: false, norm: false, weight: false, bias: false };

/// The kernel called `name`; none where there is no such kernel.
pub fn find(name: &str, sizes: Sizes) -> Option<Work> {
    let (kind, pass) = name.split_once('/')?;
    let kind = match kind {
        "conv3x3" => ConvKind::K3,
        "conv1x1" => ConvKind::K1,
        "down2x2" => ConvKind::Down2,
        "up2x2" => ConvKind::Up2,
        "norm" | "upsample" => return whole_map(kind, pass, sizes),
        _ => return None,
    };
    let input = shape(sizes);
    let cout = match kind {
        ConvKind::Down2 => 2 * input.c,
        ConvKind::Up2 => input.c / 2,
        _ => input.c,
    };
    let data = Data {
        kind,
        input,
        cout,
        x: noise(input.len(), 1),
        weight: noise(cout * input.c * kind.taps(), 2),
        dy: noise(kind.output_shape(input, cout).len(), 3),
        norm: norm(input.c),
    };
    Some(match pass {
        "forward" => Box::new(move || {
            unit_forward(&data.unit(None, Finish::Plain), &data.x, Gather::Nothing);
            Ok(())
        }),
        "unit-forward" => Box::new(move || {
            unit_forward(
                &data.unit(Some(&data.norm), Finish::Add(&data.dy)),
                &data.x,
                Gather::Moments,
            );
            Ok(())
        }),
        "input-gradient" => backward(data, Needs { input: true, ..NOTHING }),
        "weight-gradient" => backward(data, Needs { weight: true, ..NOTHING }),
        "unit-backward" => Box::new(move || {
            let needs = Needs { input: true, norm: true, weight: true, bias: false };
            let unit = data.unit(Some(&data.norm), Finish::Plain);
            unit_backward(&unit, &data.x, None, &data.dy, &needs, None);
            Ok(())
        }),
        _ => return None,
    })
}

fn shape(Sizes { batch, size, channels }: Sizes) -> MapShape {
    MapShape { n: batch, h: size, w: size, c: channels }
}

fn norm(channels: usize) -> Norm {
    Norm {
        mean: noise(channels, 4),
        inv_std: vec![1.5; channels],
        gamma: noise(channels, 5),
        beta: noise(channels, 6),
        statistics: Statistics::Batch,
    }
}

struct Data {
    kind: ConvKind,
    input: MapShape,
    cout: usize,
    x: Vec<f32>,
    weight: Vec<f32>,
    dy: Vec<f32>,
    norm: Norm,
}

impl Data {
    fn unit<'a>(&'a self, norm: Option<&'a Norm>, finish: Finish<'a>) -> Unit<'a> {
        Unit {
            kind: self.kind,
            input: self.input,
            cout: self.cout,
            norm,
            activation: if norm.is_some() { Activation::Relu } else { Activation::None },
            weight: &self.weight,
            bias: None,
            finish,
        }
    }
}

fn backward(data: Data, needs: Needs) -> Work {
    Box::new(move || {
        unit_backward(&data.unit(None, Finish::Plain), &data.x, None, &data.dy, &needs, None);
        Ok(())
    })
}

/// Kernels without a convolution.
fn whole_map(kind: &str, pass: &str, sizes: Sizes) -> Option<Work> {
    let shape = shape(sizes);
    let x = noise(shape.len(), 1);
    Some(match (kind, pass) {
        ("norm", "moments") => Box::new(move || {
            moments(&x, shape);
            Ok(())
        }),
        ("norm", "backward") => {
            let (norm, dy) = (norm(shape.c), noise(shape.len(), 2));
            let needs = Needs { input: true, norm: true, ..NOTHING };
            Box::new(move || {
                norm_backward(&x, shape, &norm, &dy, &needs);
                Ok(())
            })
        }
        ("upsample", "forward") => Box::new(move || {
            upsample_bilinear(&x, shape, 2);
            Ok(())
        }),
        ("upsample", "backward") => {
            let dy = noise(shape.len() * 4, 2);
            Box::new(move || {
                upsample_bilinear_backward(&dy, shape, 2);
                Ok(())
            })
        }
        _ => return None,
    })
}
