"""Times the surface-distance package on the pair of masks of the example score_speed.

Run where numpy and surface-distance are installed:

    python benches/peers/surface_distance_speed.py

It computes what the package offers of the example's scores (no connected components, IoU,
sensitivity, specificity or precision), so the comparison favours the package.
"""

import statistics
import time

import numpy as np
import surface_distance as sd

SHAPE_ZYX = (180, 256, 256)


def head(shift, phase):
    """The ellipsoid with waves that the example draws, indexed [z, y, x]."""
    z, y, x = np.ogrid[: SHAPE_ZYX[0], : SHAPE_ZYX[1], : SHAPE_ZYX[2]]
    x = (x - 127.5 - shift) / 72.0
    y = (y - 127.5) / 90.0
    z = (z - 89.5) / 70.0
    waves = np.sin(9.0 * x + phase) * np.sin(8.0 * y) * np.sin(7.0 * z + phase)
    return x * x + y * y + z * z < 1.0 + 0.08 * waves


def score(prediction, truth):
    """Every score of the example that the package computes."""
    distances = sd.compute_surface_distances(truth, prediction, (1.0, 1.0, 1.0))
    scores = {"dice": sd.compute_dice_coefficient(truth, prediction)}
    for tolerance in (1.0, 2.0):
        scores[f"surface_dice_{tolerance:g}mm"] = sd.compute_surface_dice_at_tolerance(
            distances, tolerance
        )
        overlaps = sd.compute_surface_overlap_at_tolerance(distances, tolerance)
        scores[f"truth_surface_overlap_{tolerance:g}mm"] = overlaps[0]
        scores[f"prediction_surface_overlap_{tolerance:g}mm"] = overlaps[1]
    averages = sd.compute_average_surface_distance(distances)
    scores["truth_to_prediction_mm"], scores["prediction_to_truth_mm"] = averages
    for percentile in (95, 100):
        scores[f"hausdorff_{percentile}_mm"] = sd.compute_robust_hausdorff(distances, percentile)
    return scores


def main():
    truth, prediction = head(0.0, 0.0), head(1.5, 0.6)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        scores = score(prediction, truth)
        seconds.append(time.perf_counter() - start)
    for name, value in scores.items():
        print(f"{name:38} {value:.6f}")
    print(f"median {statistics.median(seconds):.3f} s, min {min(seconds):.3f} s of {len(seconds)}")


if __name__ == "__main__":
    main()
