"""Writes probabilities as nnU-Net saves them, and what a mask of them has: `python make.py` in this folder.

Needs numpy. nnU-Net's export_prediction.py calls np.savez_compressed(FILE, probabilities=ARRAY), axes class, z, y, x.
"""
import json
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent
logits = np.random.default_rng(22).normal(size=(3, 2, 4, 5)).astype(np.float32) * 2
softmax = np.exp(logits) / np.exp(logits).sum(axis=0)
np.savez_compressed(HERE / "case.npz", probabilities=softmax.astype(np.float32))
np.savez(HERE / "case_half.npz", probabilities=softmax.astype(np.float16))
labels = softmax.argmax(axis=0)
expected = {"labels": labels.ravel().tolist(), "classes": {}}
for label in (1, 2):
    probability = softmax[label].astype(np.float64)
    inside = labels == label
    expected["classes"][label] = {
        "mean": float(probability[inside].mean()),
        "soft-volume": float(probability.sum() / inside.sum()),
    }
(HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
print(expected)
