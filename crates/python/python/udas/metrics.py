"""Scores of masks (arrays ``[x, y, z]`` of whole numbers from 0 to 255), and statistics of paired values."""

from ._udas import auroc, bootstrap_mean, holm, scores, wilcoxon

__all__ = ["auroc", "bootstrap_mean", "dice", "hausdorff", "holm", "scores", "surface_dice", "wilcoxon"]


def _of_class(prediction, truth, spacing, label, **settings):
    return scores(prediction, truth, spacing=tuple(spacing), classes=[label], **settings)[label]


def dice(prediction, truth, label=1):
    """Dice of one class; nan where both masks are empty."""
    return _of_class(prediction, truth, (1, 1, 1), label)["dice"]


def surface_dice(prediction, truth, spacing, tolerance=1.0, label=1):
    """Share of both surfaces that lies within `tolerance` mm of the other one."""
    own = _of_class(prediction, truth, spacing, label, tolerances=[tolerance])
    return next(value for name, value in own.items() if name.startswith("surface_dice"))


def hausdorff(prediction, truth, spacing, percentile=95.0, label=1):
    """Distance in mm that this percentage of the surfaces does not exceed; inf where one mask is empty."""
    own = _of_class(prediction, truth, spacing, label, percentiles=[percentile])
    return next(value for name, value in own.items() if name.startswith("hausdorff"))
