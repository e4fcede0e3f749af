"""Whole-volume prediction in PyTorch and nibabel: `volume.py MODEL.pth IN.nii.gz OUT.nii.gz [THREADS]`.

Reads a volume, cuts it along its third axis, pads slices to multiples of 8, predicts in batches of 20 with
the network in evaluation mode, and writes uint8 labels on the volume's own grid. Prints the seconds from
before reading to after writing; the interpreter's start and the model's loading are not counted.
`udas convert RUN/model.safetensors MODEL.pth` makes the model file.
"""

import sys
import time

import nibabel
import numpy as np
import torch
from torch.nn.functional import pad

from unet import UNet

BATCH = 20


def main():
    model, source, target, *threads = sys.argv[1:]
    if threads:
        torch.set_num_threads(int(threads[0]))
    state = torch.load(model, weights_only=True)
    outputs, filters = state["out_path.1.layer.weight"].shape[:2]
    unet = UNet(outputs, filters)
    unet.load_state_dict(state)
    unet = unet.eval().to(memory_format=torch.channels_last)

    start = time.perf_counter()
    image = nibabel.load(source)
    volume = image.get_fdata(dtype=np.float32)
    volume = (volume - volume.min()) / max(float(np.ptp(volume)), 1e-6)
    slices = torch.from_numpy(np.ascontiguousarray(volume.transpose(2, 0, 1)))[:, None]
    height, width = slices.shape[2:]
    slices = pad(slices, (0, -width % 8, 0, -height % 8), mode="replicate")
    labels = []
    with torch.no_grad():
        for batch in slices.split(BATCH):
            logits = unet(batch.to(memory_format=torch.channels_last))
            found = logits[:, 0] > 0 if outputs == 1 else logits.argmax(1)
            labels.append(found[:, :height, :width].to(torch.uint8))
    result = torch.cat(labels).numpy().transpose(1, 2, 0)
    nibabel.save(nibabel.Nifti1Image(result, image.affine), target)
    print(f"{time.perf_counter() - start:.3f}")


main()
