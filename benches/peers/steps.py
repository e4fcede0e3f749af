"""The worker's counterpart in PyTorch: `steps.py WORK BATCH SIZE CHANNELS THREADS`.

Prepares one piece of work, then does it once for every line on its input and answers with the
seconds; at the end, its peak memory in bytes. Tensors are float32 and channels_last.
UDAS_BENCH_DEVICE=cuda measures on the GPU, in full float32; UDAS_BENCH_PRECISION=tf32 or bf16 in fewer bits;
UDAS_BENCH_ORDER=contiguous_format puts channels before pixels.
"""

import os
import resource
import sys
import time

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from unet import EarlyHead, UNet

DEVICE = os.environ.get("UDAS_BENCH_DEVICE", "cpu")
PRECISION = os.environ.get("UDAS_BENCH_PRECISION", "float32")
ORDER = os.environ.get("UDAS_BENCH_ORDER", "channels_last")


def images(batch, size):
    generator = torch.Generator().manual_seed(3)
    return torch.rand(batch, 1, size, size, generator=generator) * 2 - 1


def fast(value):
    return value.to(DEVICE, memory_format=getattr(torch, ORDER))


def finish():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def forward(x, channels):
    unet = fast(UNet(1, channels)).eval()

    def work():
        with torch.no_grad():
            unet(x)
        finish()

    return work


def source(x, channels):
    unet = fast(UNet(1, channels)).train()
    target = fast((x > 0).float())
    adam = torch.optim.Adam(unet.parameters(), lr=1e-3)

    def work():
        loss = binary_cross_entropy_with_logits(unet(x), target)
        adam.zero_grad()
        loss.backward()
        adam.step()
        loss.item()

    return work


def head(x, channels):
    unet, early = fast(UNet(1, channels)).eval(), fast(EarlyHead(channels))
    target = fast((x > 0).float())
    adam = torch.optim.Adam(early.parameters(), lr=1e-3)

    def work():
        with torch.no_grad():
            features = unet.init_path(x)
        loss = binary_cross_entropy_with_logits(early(features), target)
        adam.zero_grad()
        loss.backward()
        adam.step()
        loss.item()

    return work


def refine(frozen, detached):
    """One refinement step at level 0. The published form runs the early layers twice, leaves the
    gradient of the pseudo-label attached, and lets PyTorch compute gradients of frozen weights too;
    `frozen` switches the last off, `detached` the one before it."""

    def prepare(x, channels):
        unet, early = fast(UNet(1, channels)).train(), fast(EarlyHead(channels))
        if frozen:
            unet.requires_grad_(False)
            early.requires_grad_(False)
            unet.init_path.requires_grad_(True)
        adam = torch.optim.Adam(unet.init_path.parameters(), lr=1e-3)

        def work():
            if detached:
                with torch.no_grad():
                    label = torch.sigmoid(unet(x))
            else:
                label = torch.sigmoid(unet(x))
            loss = binary_cross_entropy_with_logits(early(unet.init_path(x)), label)
            unet.zero_grad()
            early.zero_grad()
            loss.backward()
            adam.step()
            loss.item()

        return work

    return prepare


WORKS = {
    "forward": forward,
    "source": source,
    "head": head,
    "refine-published": refine(frozen=False, detached=False),
    "refine-attached": refine(frozen=True, detached=False),
    "refine-detached": refine(frozen=True, detached=True),
}


def main():
    name = sys.argv[1]
    batch, size, channels, threads = map(int, sys.argv[2:])
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    if name.startswith("nnunet"):
        # Imported here alone: its package need not be there for the rest.
        import nnunet

        work = nnunet.prepare(name, batch, size, channels)
    else:
        work = WORKS[name](fast(images(batch, size)), channels)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = PRECISION == "tf32"
    reduced = torch.autocast(DEVICE, torch.bfloat16, enabled=PRECISION == "bf16")
    for _ in sys.stdin:
        start = time.perf_counter()
        with reduced:
            work()
        finish()
        print(time.perf_counter() - start, flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, flush=True)


main()
