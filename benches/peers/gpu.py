"""Steps on a GPU, ours beside PyTorch's in alternating rounds: `gpu.py WORKER [ROUNDS]`.

WORKER is the bench `steps` of a build with the feature `cudnn` (or `cuda`):
    cargo bench --features cudnn --bench steps --no-run
Prints a table in Markdown: medians in milliseconds, and how many times faster ours is.
"""

import os
import statistics
import subprocess
import sys
from pathlib import Path

WARM_UP = 5
WORKS = [
    ("forward", 4, 256, 16),
    ("source", 4, 256, 16),
    ("source", 20, 256, 16),
    ("refine-attached", 20, 256, 16),
    ("refine-detached", 20, 256, 16),
    ("source", 4, 192, 8),
    ("source", 4, 64, 8),
]
# Name, precision, order of memory.
PEERS = [
    ("float32", "float32", "contiguous_format"),
    ("float32, channels last", "float32", "channels_last"),
    ("TF32, channels last", "tf32", "channels_last"),
    ("bfloat16, channels last", "bf16", "channels_last"),
]


class Worker:
    def __init__(self, command, **settings):
        environment = os.environ | {"UDAS_BENCH_DEVICE": "cuda"} | settings
        pipe = subprocess.PIPE
        self.child = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)

    def once(self):
        self.child.stdin.write("\n")
        self.child.stdin.flush()
        return float(self.child.stdout.readline())

    def end(self):
        self.child.stdin.close()
        self.child.wait()


def main():
    worker, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 20
    peer = [sys.executable, str(Path(__file__).with_name("steps.py"))]
    names = " | ".join(name for name, _, _ in PEERS)
    print(f"| work | ours, ms | {names} |\n|---|---|" + "---|" * len(PEERS))
    for name, batch, size, channels in WORKS:
        sizes = [str(number) for number in (batch, size, channels, 1)]
        workers = [Worker([worker, name, *sizes])]
        for _, precision, order in PEERS:
            settings = {"UDAS_BENCH_PRECISION": precision, "UDAS_BENCH_ORDER": order}
            workers.append(Worker([*peer, name, *sizes], **settings))
        times = [[] for _ in workers]
        for turn in range(WARM_UP + rounds):
            for one, kept in zip(workers, times):
                seconds = one.once()
                if turn >= WARM_UP:
                    kept.append(seconds)
        ours, *others = [statistics.median(kept) * 1000 for kept in times]
        cells = " | ".join(f"{other:.2f} ({other / ours:.2f})" for other in others)
        print(f"| {name} {batch} x {size}^2, {channels} filters | {ours:.2f} | {cells} |", flush=True)
        for one in workers:
            one.end()


main()
