"""Writes statistics.json (SciPy) and contour_metrics.json (surface-distance, 2-D masks).

Run where numpy, scipy and surface-distance are installed: python make_metrics.py
"""

import json
from pathlib import Path

import numpy as np
import scipy
import surface_distance
from scipy import ndimage, stats

HERE = Path(__file__).parent


def wilcoxon_cases(rng):
    """Differences with and without ties and zeros, tested exactly and approximately."""
    continuous = {n: rng.normal(0.3, 1.0, n) for n in (1, 2, 5, 13, 25, 50, 51, 200)}
    tied = {n: np.round(rng.normal(0.4, 1.0, n), 1) for n in (6, 12, 13, 40, 90)}
    cases = []
    for differences in [*continuous.values(), *tied.values()]:
        used = differences[differences != 0]
        plain = len(np.unique(np.abs(differences))) == len(differences) == len(used)
        methods = ["asymptotic"] if len(differences) > 2 else []
        # SciPy enumerates signs (exactly, tied or not) up to 13 differences.
        if (plain and len(differences) <= 50) or len(differences) <= 13:
            methods.append("auto")
        for method in methods:
            for alternative in ("two-sided", "greater", "less"):
                result = stats.wilcoxon(differences, alternative=alternative, method=method)
                cases.append(
                    {
                        "differences": differences.tolist(),
                        "alternative": alternative.replace("-", "_"),
                        "distribution": "exact" if method == "auto" else "normal",
                        "statistic": float(result.statistic),
                        "p_value": float(result.pvalue),
                    }
                )
    return cases


def bootstrap_cases(rng):
    """Intervals from so many resamples that another generator gives nearly the same ones."""
    cases = []
    for values in (rng.normal(0.05, 0.1, 30), rng.exponential(1.0, 12), rng.lognormal(0, 1, 60)):
        for method in ("percentile", "BCa"):
            interval = stats.bootstrap(
                (values,), np.mean, n_resamples=200_000, method=method, rng=rng
            ).confidence_interval
            cases.append(
                {
                    "values": values.tolist(),
                    "kind": {"BCa": "bias_corrected_accelerated"}.get(method, method),
                    "low": float(interval.low),
                    "high": float(interval.high),
                }
            )
    return cases


def number(value):
    """JSON has neither: null is undefined, "inf" infinite."""
    value = float(value)
    return None if np.isnan(value) else "inf" if np.isinf(value) else value


def contour_cases(rng):
    """Pairs of 2-D masks, rows of text with '#' for the set pixels."""
    cases = []
    for index in range(6):
        shape = rng.integers(8, 20, 2)
        spacing = np.round(rng.uniform(0.5, 3.0, 2), 3)
        noise = rng.normal(size=(2, *shape))
        if index < 4:
            shared = ndimage.gaussian_filter(noise[0], 2)
            noise = shared + 0.4 * ndimage.gaussian_filter(noise, (0, 1, 1))
        truth, prediction = noise > 0
        distances = surface_distance.compute_surface_distances(truth, prediction, spacing)
        cases.append(
            {
                "spacing_yx_mm": spacing.tolist(),
                "truth": ["".join(".#"[v] for v in row) for row in truth.astype(int)],
                "prediction": ["".join(".#"[v] for v in row) for row in prediction.astype(int)],
                "surface_dice_1mm": number(
                    surface_distance.compute_surface_dice_at_tolerance(distances, 1.0)
                ),
                "average_distances_mm": [
                    number(d) for d in surface_distance.compute_average_surface_distance(distances)
                ],
                "hausdorff_95_mm": number(
                    surface_distance.compute_robust_hausdorff(distances, 95)
                ),
            }
        )
    return cases


def main():
    rng = np.random.default_rng(5)
    statistics = {
        "scipy": scipy.__version__,
        "wilcoxon": wilcoxon_cases(rng),
        "bootstrap": bootstrap_cases(rng),
    }
    (HERE / "statistics.json").write_text(json.dumps(statistics) + "\n")
    (HERE / "contour_metrics.json").write_text(json.dumps(contour_cases(rng), indent=1) + "\n")


if __name__ == "__main__":
    main()
