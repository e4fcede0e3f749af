"""The paper's network in PyTorch, written from its description: the peer that benchmarks compare with."""
import torch
from torch import nn


class Unit(nn.Module):
    """Batch norm, ReLU, convolution."""

    def __init__(self, inputs, outputs, kernel, bias=False):
        super().__init__()
        self.bn = nn.BatchNorm2d(inputs)
        self.layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias)

    def forward(self, x):
        return self.layer(torch.relu(self.bn(x)))


class Residual(nn.Module):
    """x + unit(unit(x))"""

    def __init__(self, channels, kernel=3):
        super().__init__()
        self.conv_path = nn.Sequential(Unit(channels, channels, kernel), Unit(channels, channels, kernel))

    def forward(self, x):
        return x + self.conv_path(x)


def stem(n):
    blocks = [Residual(n) for _ in range(3)]
    return nn.Sequential(nn.Conv2d(1, n, 3, padding=1, bias=False), nn.ReLU(), *blocks)


def down(c):
    first = [nn.BatchNorm2d(c), nn.Conv2d(c, 2 * c, 2, stride=2, bias=False), nn.ReLU(), nn.Identity()]
    return nn.Sequential(*first, *[Residual(2 * c) for _ in range(3)])


def up(c):
    blocks = [Residual(2 * c) for _ in range(3)]
    last = [nn.BatchNorm2d(2 * c), nn.ConvTranspose2d(2 * c, c, 2, stride=2, bias=False), nn.ReLU()]
    return nn.Sequential(*blocks, *last)


class UNet(nn.Module):
    """`[N, 1, H, W]` to logits `[N, outputs, H, W]`."""

    def __init__(self, outputs=1, n=16):
        super().__init__()
        self.init_path = stem(n)
        self.down1, self.down2, self.down3 = down(n), down(2 * n), down(4 * n)
        self.shortcut0, self.shortcut1 = nn.Conv2d(n, n, 1), nn.Conv2d(2 * n, 2 * n, 1)
        self.shortcut2 = nn.Conv2d(4 * n, 4 * n, 1)
        self.up3, self.up2, self.up1 = up(4 * n), up(2 * n), up(n)
        self.out_path = nn.Sequential(
            Residual(n, 1), Unit(n, outputs, 1, bias=True), nn.BatchNorm2d(outputs)
        )

    def forward(self, x):
        x0 = self.init_path(x)
        x1 = self.down1(x0)
        x2 = self.down2(x1)
        x = self.up3(self.down3(x2)) + self.shortcut2(x2)
        x = self.up2(x) + self.shortcut1(x1)
        return self.out_path(self.up1(x) + self.shortcut0(x0))


class EarlyHead(nn.Module):
    """Three convolutions on the stem's output (level 0)."""

    def __init__(self, channels=16, outputs=1):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 12, 3, padding=1)
        self.conv2 = nn.Conv2d(12, 8, 3, padding=1)
        self.conv3 = nn.Conv2d(8, outputs, 3, padding=1)

    def forward(self, x):
        return self.conv3(torch.relu(self.conv2(torch.relu(self.conv1(x)))))
