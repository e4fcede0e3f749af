"""nnU-Net's plain network by its own package, as its planner makes it for one size of patch: the peer of `nnunet_work.rs`."""
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from torch import nn

CLASSES = 4


def network(axes, size, channels):
    stages = (max(size // 4, 2)).bit_length()
    most = 512 if axes == 2 else 320
    features = [min(channels << stage, most) for stage in range(stages)]
    conv, norm = (nn.Conv2d, nn.InstanceNorm2d) if axes == 2 else (nn.Conv3d, nn.InstanceNorm3d)
    return PlainConvUNet(
        1,
        stages,
        features,
        conv,
        3,
        [1] + [2] * (stages - 1),
        2,
        CLASSES,
        2,
        conv_bias=True,
        norm_op=norm,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        deep_supervision=False,
    )


class Head(nn.Module):
    """Three convolutions on the first stage's features."""

    def __init__(self, axes, channels):
        super().__init__()
        conv = nn.Conv2d if axes == 2 else nn.Conv3d
        self.layers = nn.Sequential(
            conv(channels, 12, 3, padding=1),
            nn.ReLU(),
            conv(12, 8, 3, padding=1),
            nn.ReLU(),
            conv(8, CLASSES, 3, padding=1),
        )

    def forward(self, x):
        return self.layers(x)


def refine(unet, head, images):
    """A step of early features: the head on the first stage is taught by the network's prediction, the first stage moves;
    one pass through it, all else frozen, the gradient of the prediction attached."""
    unet.requires_grad_(False)
    head.requires_grad_(False)
    first = unet.encoder.stages[0]
    first.requires_grad_(True)
    adam = torch.optim.Adam(first.parameters(), lr=1e-3)

    def work():
        features = [first(images)]
        for stage in unet.encoder.stages[1:]:
            features.append(stage(features[-1]))
        taught = torch.softmax(unet.decoder(features), 1)
        loss = nn.functional.cross_entropy(head(features[0]), taught)
        adam.zero_grad()
        loss.backward()
        adam.step()
        loss.item()

    return work


def prepare(name, batch, size, channels):
    """Work called `nnunet2d-forward`, `nnunet3d-step` and so on; `channels_last` where the name ends in `-last`."""
    kind, what, *last = name.split("-")
    axes = 2 if kind == "nnunet2d" else 3
    form = torch.channels_last if axes == 2 else torch.channels_last_3d
    fast = (lambda value: value.to(memory_format=form)) if last else (lambda value: value)
    unet = fast(network(axes, size, channels))
    generator = torch.Generator().manual_seed(3)
    images = fast(torch.rand(batch, 1, *[size] * axes, generator=generator) * 2 - 1)
    if what == "forward":
        unet.eval()

        def work():
            with torch.no_grad():
                unet(images)

        return work
    pixels = size**axes
    labels = (torch.arange(pixels) * CLASSES // pixels).reshape(1, *[size] * axes)
    labels = labels.expand(batch, *[size] * axes).contiguous()
    unet.train()
    if what == "refine":
        return refine(unet, fast(Head(axes, channels)), images)
    adam = torch.optim.Adam(unet.parameters(), lr=1e-3)

    def work():
        loss = nn.functional.cross_entropy(unet(images), labels)
        adam.zero_grad()
        loss.backward()
        adam.step()
        loss.item()

    return work
