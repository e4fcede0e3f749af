"""Adapts a medical segmentation network to a new scanner without labels.

Arrays are ``[x, y, z]`` with an affine to RAS+ millimetres, as nibabel has them::

    import udas

    model = udas.load_model("runs/source")
    image, affine = udas.read("case.nii.gz")
    mask = model.predict(image, affine=affine)
    udas.write_labels("mask.nii.gz", mask, affine=affine)

    run = udas.adapt(model="runs/source", images="new_scanner", method="adabn", out="runs/adapted")
    print(udas.metrics.scores(mask, truth, spacing=(1, 1, 1))[1]["dice"])

What runs for long is the program's work: `train`, `head`, `adapt`, `judge` and `predict` start it, give what it says to
`progress` line by line, and return its result. Ctrl-C ends a run in order; ``resume=True`` goes on to the same bits.
"""

from . import metrics
from ._program import BadInput, Refused, UsageError, adapt, evaluate, head, judge, predict, program, run, train
from ._udas import Model, UdasError, __version__, read, read_labels, write, write_labels

load_model = Model.load

__all__ = [
    "BadInput",
    "Model",
    "Refused",
    "UdasError",
    "UsageError",
    "__version__",
    "adapt",
    "evaluate",
    "head",
    "judge",
    "load_model",
    "metrics",
    "predict",
    "program",
    "read",
    "read_labels",
    "run",
    "train",
    "write",
    "write_labels",
]
