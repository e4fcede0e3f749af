"""Computes an ONNX file with ONNX Runtime: python3 onnx_run.py MODEL IMAGES LOGITS SIZE...

IMAGES and LOGITS are raw little-endian float32. Ends with 9 where onnxruntime is not installed."""
import sys

try:
    import numpy
    import onnxruntime
except ImportError as missing:
    print(missing)
    sys.exit(9)

model, images, logits, *sizes = sys.argv[1:]
values = numpy.fromfile(images, "<f4").reshape([int(size) for size in sizes])
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
(output,) = session.run(["logits"], {"images": values})
output.astype("<f4").tofile(logits)
print(onnxruntime.__version__, output.shape)
