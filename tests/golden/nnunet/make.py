#!/usr/bin/env python3
"""Golden data for reading and running nnU-Net v2 models, made by nnU-Net itself.

  python3 -m venv VENV && VENV/bin/pip install nnunetv2 safetensors
  OMP_NUM_THREADS=1 VENV/bin/python make.py            # every kind, then hostile/
  OMP_NUM_THREADS=1 VENV/bin/python make.py ct regions # only these
  OMP_NUM_THREADS=1 VENV/bin/python make.py hostile
  OMP_NUM_THREADS=1 VENV/bin/python make.py verify     # predict again, compare with what lies here

Kept for each kind (one folder beside this file):
  model/                 plans.json dataset.json fold_N/checkpoint_final.pth
                         (= nnUNet_results/DATASET/TRAINER__PLANS__CONFIG, see meta.json "folder_name")
  input/CASE_0000.nii.gz ...
  expected/CASE.nii.gz         nnUNetv2_predict, default options of the model
  expected_plain/CASE.nii.gz   the same with --disable_tta
  stages.safetensors     (first case; further cases: stages_CASE.safetensors)
    preprocessed   f32 [C,z,y,x]  after transpose, crop, normalise, resample
    patch_input    f32 [1,C,..]   one window of the (padded) preprocessed input
    patch_logits   f32 [1,K,..]   the torch network (first fold) on it: no mirroring, no Gaussian
    patch_skip_S   f32 [1,F,..]   encoder stage S on it (plain2d, plain3d, resenc2d, resenc3d only)
    logits         f16 [K,z,y,x]  sliding window result before resampling, default options
    logits_plain   f16            the same with --disable_tta (only the kinds with patch_skip, padded, mirrored)
    probabilities  f32 [K,z,y,x]  --save_probabilities, default options (original geometry)
  meta.json              commands, versions, what is covered, counts

The weights are random (He initialised by the original trainer class, perturbed, the last layer
scaled so that every class wins somewhere): nothing is trained, nothing is meant to look right.
All from fixed seeds.

hostile/NAME/: folders that must give an error (or, where README.json says VALID, the labels in
hostile/expected/NAME.nii.gz) for hostile/input; README.json also says what nnU-Net does with each
(by fold 0 only). Never a crash, never a call from the pickle, never memory by a declared size.
"""
import copy, io, json, os, shutil, struct, sys, zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORK = Path(os.environ.get("NNUNET_GOLDEN_WORK", "/tmp/nnunet-golden-work"))
for var, sub in (("nnUNet_raw", "raw"), ("nnUNet_preprocessed", "pre"), ("nnUNet_results", "res")):
    os.environ[var] = str(WORK / sub)
    (WORK / sub).mkdir(parents=True, exist_ok=True)
os.environ["nnUNet_def_n_proc"] = "1"
os.environ["nnUNet_n_proc_DA"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import SimpleITK as sitk
import torch
from safetensors.torch import save_file, load_file

torch.set_num_threads(1)

from nnunetv2.inference import predict_from_raw_data as prd
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from acvl_utils.cropping_and_padding.padding import pad_nd_image

KINDS = {}


def kind(f):
    KINDS[f.__name__] = f
    return f


# ---------------------------------------------------------------- inputs

def blobs(shape, seed, n=4, noise=0.25):
    """Ellipsoids of different brightness on a ramp, with noise. f64 array."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(s, dtype=float) for s in shape], indexing="ij"))
    out = 0.3 * grid[-1] / shape[-1] + noise * rng.standard_normal(shape)
    for i in range(n):
        centre = rng.uniform(0.2, 0.8, len(shape)) * shape
        radius = rng.uniform(0.12, 0.3, len(shape)) * shape
        d = sum(((grid[a] - centre[a]) / radius[a]) ** 2 for a in range(len(shape)))
        out = out + (d < 1) * (1.0 if i % 2 == 0 else -0.8)
    return out


def write_nifti(path, array, spacing_zyx=(1, 1, 1), origin=(0, 0, 0), direction=None):
    img = sitk.GetImageFromArray(array)
    img.SetSpacing([float(s) for s in spacing_zyx[::-1]])
    img.SetOrigin([float(o) for o in origin])
    if direction is not None:
        img.SetDirection([float(d) for d in np.asarray(direction).ravel()])
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(img, str(path), useCompression=True)


# ---------------------------------------------------------------- plans

def template():
    """plans.json of the original planners for a small synthetic dataset, made once:
    {"plain": nnUNetPlans, "resenc": nnUNetResEncUNetMPlans}."""
    ds = "Dataset901_Tiny"
    files = {"plain": WORK / "pre" / ds / "nnUNetPlans.json",
             "resenc": WORK / "pre" / ds / "nnUNetResEncUNetMPlans.json"}
    if not all(f.exists() for f in files.values()):
        raw = WORK / "raw" / ds
        for i in range(5):
            a = blobs((12, 24, 24), i)
            write_nifti(raw / "imagesTr" / f"c{i}_0000.nii.gz", a.astype(np.float32))
            write_nifti(raw / "labelsTr" / f"c{i}.nii.gz", (a > 0.7).astype(np.uint8))
        (raw / "dataset.json").write_text(json.dumps({
            "channel_names": {"0": "MRI"}, "labels": {"background": 0, "a": 1},
            "numTraining": 5, "file_ending": ".nii.gz"}))
        from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments
        extract_fingerprints([901], num_processes=1)
        plan_experiments([901])
        plan_experiments([901], experiment_planner_class_name="nnUNetPlannerResEncM")
    return {k: json.loads(f.read_text()) for k, f in files.items()}


def make_plans(dataset, config, patch, spacing, features, kernels=3, strides=2, family="plain", blocks=None,
               decoder=None, norm=("ZScoreNormalization",), mask=None, **top):
    """The planner's plans with one configuration, made tiny."""
    dim = len(patch)
    base = "2d" if dim == 2 else "3d_fullres"
    p = copy.deepcopy(template()[family])
    p["dataset_name"] = dataset
    p.update(top)
    n = len(features)
    c = p["configurations"][base]
    c["patch_size"] = list(patch)
    c["spacing"] = list(spacing)
    c["normalization_schemes"] = list(norm)
    c["use_mask_for_norm"] = list(mask) if mask else [False] * len(norm)
    c["batch_size"] = 2
    k = c["architecture"]["arch_kwargs"]
    k["n_stages"] = n
    k["features_per_stage"] = list(features)
    k["kernel_sizes"] = kernels if isinstance(kernels, list) else [[kernels] * dim] * n
    k["strides"] = strides if isinstance(strides, list) else [[1] * dim] + [[strides] * dim] * (n - 1)
    if family == "plain":
        k["n_conv_per_stage"] = blocks or [2] * n
        k["n_conv_per_stage_decoder"] = decoder or [2] * (n - 1)
    else:
        k["n_blocks_per_stage"] = blocks or [1] + [2] * (n - 1)
        k["n_conv_per_stage_decoder"] = decoder or [1] * (n - 1)
    p["configurations"] = {base: c}
    if config != base:  # like a user's own configuration: inherits everything but what it overwrites
        p["configurations"][config] = {"inherits_from": base, "patch_size": c["patch_size"],
                                       "architecture": copy.deepcopy(c["architecture"])}
        c["patch_size"] = [2 * x for x in patch]
        k["features_per_stage"] = [8 * x for x in features]
    return p


def dataset_json(labels=None, channels=("MRI",), ending=".nii.gz", **more):
    return {"channel_names": {str(i): c for i, c in enumerate(channels)},
            "labels": labels or {"background": 0, "a": 1}, "numTraining": 5, "file_ending": ending, **more}


# ---------------------------------------------------------------- models

def case_files(folder, ending):
    cases = {}
    for f in sorted(Path(folder).iterdir()):
        cases.setdefault(f.name[:-len(ending) - 5], []).append(str(f))
    return cases


def preprocess(files, plans, config, dj):
    pm = PlansManager(copy.deepcopy(plans))
    cm = pm.get_configuration(config)
    return cm.preprocessor_class(verbose=False).run_case(files, None, pm, cm, dj)


def windows(data, patch):
    """Padded data and a batch of windows of the patch's size, as the network sees them."""
    padded, _ = pad_nd_image(torch.from_numpy(data), patch, "constant", {"value": 0}, True, None)
    if len(patch) == 2:
        return padded, padded[:, :, :patch[0], :patch[1]].transpose(0, 1).contiguous()
    return padded, padded[None, :, :patch[0], :patch[1], :patch[2]].contiguous()


def make_model(name, plans, config, dj, folds=(0,), trainer="nnUNetTrainer", seed=0, spread=3.0,
               after=None, as_saved=False, input_dir=None):
    """Trainer class -> perturbed weights -> checkpoint_final.pth, in the results folder."""
    data, _, _ = preprocess(next(iter(case_files(input_dir, dj["file_ending"]).values())), plans, config, dj)
    cls = recursive_find_trainer_class_by_name(trainer)
    pre = WORK / "pre" / plans["dataset_name"]
    probe = PlansManager(copy.deepcopy(plans)).get_configuration(config)
    for sub in {probe.data_identifier}:
        (pre / sub).mkdir(parents=True, exist_ok=True)
        (pre / sub / "x.b2nd").touch()   # the trainer looks what kind of files are here
    for fold in folds:
        torch.manual_seed(1000 * seed + fold)
        np.random.seed(seed)
        t = cls({**copy.deepcopy(plans), "continue_training": False}, config, fold, copy.deepcopy(dj),
                device=torch.device("cpu"))
        t.initialize()
        t.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        _, x = windows(data, t.configuration_manager.patch_size)
        if as_saved:
            pretend_training(t, x)
        perturb(t, x, spread)
        folder = Path(t.output_folder)
        if after:
            after(t)
        t.save_checkpoint(str(folder / "checkpoint_final.pth"))
        if not as_saved:
            strip(folder / "checkpoint_final.pth")
    top = Path(t.output_folder_base)
    (top / "plans.json").write_text(json.dumps(plans, indent=2))
    (top / "dataset.json").write_text(json.dumps(dj, indent=2))
    return top


def perturb(t, x, spread):
    net = t.network
    with torch.no_grad():
        for n, p in net.named_parameters():   # each storage once
            if p.ndim > 1:
                p += 0.2 * p.std() * torch.randn_like(p)
            elif n.endswith("weight"):
                p += 0.3 * torch.randn_like(p)
            else:
                p += 0.2 * torch.randn_like(p)
        net.decoder.deep_supervision = False
        if any("running_mean" in n for n, _ in net.named_buffers()):
            net.train()
            for i in range(12):               # running means and variances that are not 0 and 1
                net(x + 0.1 * torch.randn_like(x))
        net.eval()
        y = net(x).transpose(0, 1).flatten(1)
        head = net.decoder.seg_layers[-1]
        scale = spread / y.std(1).clamp(min=1e-6)
        level = torch.quantile(y, 0.6, 1) if t.label_manager.has_regions else y.mean(1)
        head.weight *= scale.reshape(-1, *[1] * (head.weight.ndim - 1))
        head.bias.copy_((head.bias - level) * scale)
        net.decoder.deep_supervision = True


def pretend_training(t, x):
    """Two epochs of a few steps on one batch: optimizer state, numpy scalars in the log."""
    target = (x[:, :1] > 0.5).float()
    scales = t._get_deep_supervision_scales() or [[1] * (x.ndim - 2)]
    small = [torch.nn.functional.interpolate(target, scale_factor=[float(s) for s in sc], mode="nearest")
             for sc in scales]
    for _ in range(2):
        t.on_epoch_start()
        t.on_train_epoch_start()
        t.on_train_epoch_end([t.train_step({"data": x, "target": small}) for _ in range(3)])
        with torch.no_grad():
            t.on_validation_epoch_start()
            t.on_validation_epoch_end([t.validation_step({"data": x, "target": [s.clone() for s in small]})])
        t.on_epoch_end()


def strip(path):
    c = torch.load(path, map_location="cpu", weights_only=False)
    torch.save({k: c[k] for k in ("network_weights", "init_args", "trainer_name", "current_epoch",
                                  "inference_allowed_mirroring_axes")}, path)


# ---------------------------------------------------------------- predictions

def run_predict(argv):
    """The command nnUNetv2_predict, in this process."""
    old = sys.argv
    sys.argv = ["nnUNetv2_predict"] + argv
    try:
        prd.predict_entry_point()
    finally:
        sys.argv = old


def read_labels(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def versions():
    import importlib.metadata as m
    v = {p: m.version(p) for p in ("nnunetv2", "dynamic_network_architectures", "torch", "numpy", "scipy",
                                   "scikit-image", "SimpleITK", "nibabel", "safetensors", "batchgenerators",
                                   "acvl_utils")}
    v["python"] = sys.version.split()[0]
    return v


def finish(name, plans, config, dj, top, covers, folds=(0,), skips=False, plain_logits=False):
    """Predictions, stages and meta.json of a kind; everything copied beside this file."""
    out = HERE / name
    ending = dj["file_ending"]
    shutil.rmtree(out / "model", ignore_errors=True)
    trainer, plans_name, _ = top.name.split("__")
    for f in folds:
        (out / "model" / f"fold_{f}").mkdir(parents=True)
        shutil.copy(top / f"fold_{f}" / "checkpoint_final.pth", out / "model" / f"fold_{f}")
    for f in ("plans.json", "dataset.json"):
        shutil.copy(top / f, out / "model" / f)

    work = WORK / "out" / name
    shutil.rmtree(work, ignore_errors=True)
    number = plans["dataset_name"][7:10]
    base = ["-d", number, "-c", config, "-tr", trainer, "-p", plans_name, "-f", *map(str, folds),
            "-device", "cpu", "-npp", "0", "-nps", "0", "--disable_progress_bar", "-i", str(out / "input")]
    runs = {"tta": [], "plain": ["--disable_tta"], "prob": ["--save_probabilities"]}
    commands = []
    for run, extra in runs.items():
        run_predict(base + ["-o", str(work / run)] + extra)
        commands.append("nnUNetv2_predict " + " ".join(base).replace(str(out) + "/", "")
                        + f" -o {run} " + " ".join(extra))
    cases = case_files(out / "input", ending)
    for run, kept in (("tta", "expected"), ("plain", "expected_plain")):
        shutil.rmtree(out / kept, ignore_errors=True)
        (out / kept).mkdir()
        for c in cases:
            shutil.copy(work / run / (c + ending), out / kept)

    meta = {"kind": name, "covers": covers, "folder_name": top.name, "dataset_name": plans["dataset_name"],
            "trainer": trainer, "configuration": config, "folds": list(folds), "commands": commands,
            "versions": versions(), "cases": {}}
    for old in out.glob("stages*.safetensors"):
        old.unlink()
    for i, (c, files) in enumerate(cases.items()):
        tensors, about = stages(out / "model", files, folds, skips)
        if not (skips or plain_logits):
            del tensors["logits_plain"]   # for the size
        p = np.load(work / "prob" / (c + ".npz"))["probabilities"]
        tensors["probabilities"] = torch.from_numpy(p.astype(np.float32))
        save_file({k: v.contiguous().clone() for k, v in tensors.items()},
                  out / ("stages.safetensors" if i == 0 else f"stages_{c}.safetensors"))
        logit = np.log(np.clip(p, 1e-30, 1)) - (np.log(np.clip(1 - p, 1e-30, 1)) if "regions_class_order" in dj else 0)
        if "regions_class_order" in dj:
            margin = np.abs(logit).min(0)
        else:
            s = np.sort(logit, 0)
            margin = s[-1] - s[-2]
        for run in ("expected", "expected_plain"):
            values, counts = np.unique(read_labels(out / run / (c + ending)), return_counts=True)
            about[run] = {str(v): int(n) for v, n in zip(values, counts)}
            assert (counts > 0.01 * counts.sum()).sum() >= 2, (name, c, run, about[run])
        about["voxels_with_margin_below_0.004"] = int((margin < 0.004).sum())
        about["differ_tta_plain"] = int((read_labels(out / "expected" / (c + ending)) !=
                                         read_labels(out / "expected_plain" / (c + ending))).sum())
        meta["cases"][c] = about
    (out / "meta.json").write_text(json.dumps(meta, indent=1))
    size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    print(f"DONE {name} {size // 1024} KiB {json.dumps(meta['cases'])}", flush=True)


def predictor(model, folds, tta):
    p = prd.nnUNetPredictor(use_mirroring=tta, device=torch.device("cpu"), allow_tqdm=False)
    p.initialize_from_trained_model_folder(str(model), folds, "checkpoint_final.pth")
    return p


def stages(model, files, folds, skips):
    p = predictor(model, folds, True)
    pre = p.configuration_manager.preprocessor_class(verbose=False)
    data, _, props = pre.run_case(files, None, p.plans_manager, p.configuration_manager, p.dataset_json)
    t = {"preprocessed": torch.from_numpy(data)}
    padded, _ = windows(data, p.configuration_manager.patch_size)
    slicers = p._internal_get_sliding_window_slicers(padded.shape[1:])
    s = slicers[len(slicers) // 2]
    x = padded[s][None].contiguous()
    p.network.eval()
    with torch.no_grad():
        t["patch_input"], t["patch_logits"] = x, p.network(x)
        if skips:
            for i, f in enumerate(p.network.encoder(x)):
                t[f"patch_skip_{i}"] = f
    t["logits"] = p.predict_logits_from_preprocessed_data(torch.from_numpy(data))
    t["logits_plain"] = predictor(model, folds, False).predict_logits_from_preprocessed_data(torch.from_numpy(data))
    about = {"preprocessed_shape": list(data.shape), "padded_shape": list(padded.shape), "windows": len(slicers),
             "patch_start": [q if isinstance(q, int) else q.start for q in s[1:]],
             "spacing_zyx": [float(q) for q in props["spacing"]],
             "shape_before_cropping": [int(q) for q in props["shape_before_cropping"]],
             "bbox_used_for_cropping": [[int(w) for w in q] for q in props["bbox_used_for_cropping"]],
             "mirroring_axes": p.allowed_mirroring_axes}
    return t, about


def fresh(name):
    shutil.rmtree(HERE / name, ignore_errors=True)
    (HERE / name / "input").mkdir(parents=True)
    return HERE / name / "input"


# ================================================================ the kinds

@kind
def plain2d():
    i = fresh("plain2d")
    write_nifti(i / "casea_0000.nii.gz", blobs((5, 22, 26), 1).astype(np.float32), (3, 1, 1), (-10, 5, 2.5))
    write_nifti(i / "caseb_0000.nii.gz", (100 * blobs((4, 18, 15), 2)).astype(np.int16), (3, 1.3, 1.25))
    dj = dataset_json()
    p = make_plans("Dataset911_Plain2d", "2d", [16, 16], [1.0, 1.0], [4, 8])
    top = make_model("plain2d", p, "2d", dj, seed=1, input_dir=i)
    finish("plain2d", p, "2d", dj, top, "PlainConvUNet 2d on volumes, several windows a slice, mirroring (0,1); casea: "
           "plan's spacing; caseb: int16, resampled in plane (2d: the case's own slice spacing)", skips=True)


@kind
def plain3d():
    i = fresh("plain3d")
    write_nifti(i / "case_0000.nii.gz", blobs((12, 22, 20), 3).astype(np.float32))
    dj = dataset_json()
    p = make_plans("Dataset912_Plain3d", "3d_tiny", [8, 16, 16], [1.0, 1.0, 1.0], [4, 8, 16],
                   strides=[[1, 1, 1], [2, 2, 2], [1, 2, 2]], decoder=[2, 1])
    top = make_model("plain3d", p, "3d_tiny", dj, seed=2, input_dir=i, as_saved=True)
    finish("plain3d", p, "3d_tiny", dj, top, "PlainConvUNet 3d, three stages, configuration with inherits_from; "
           "checkpoint exactly as nnU-Net saves it (optimizer state, numpy scalars in the log); decoder convs 2,1",
           skips=True)


@kind
def resenc2d():
    i = fresh("resenc2d")
    write_nifti(i / "case_0000.nii.gz", blobs((5, 24, 20), 4).astype(np.float32), (4, 0.8, 0.8))
    dj = dataset_json({"background": 0, "a": 1, "b": 3})
    p = make_plans("Dataset913_Resenc2d", "2d", [16, 16], [0.8, 0.8], [4, 8, 8], family="resenc", blocks=[1, 2, 1])
    top = make_model("resenc2d", p, "2d", dj, seed=3, input_dir=i)
    finish("resenc2d", p, "2d", dj, top, "ResidualEncoderUNet 2d, three stages, one skip without channel change; "
           "labels 0,1,3: the argmax index 2 is written, not 3", skips=True)


@kind
def resenc3d():
    i = fresh("resenc3d")
    write_nifti(i / "case_0000.nii.gz", blobs((8, 22, 24), 5).astype(np.float32), (2.5, 1, 1))
    dj = dataset_json()
    p = make_plans("Dataset914_Resenc3d", "3d_fullres", [6, 16, 16], [2.5, 1.0, 1.0], [4, 8],
                   kernels=[[1, 3, 3], [3, 3, 3]], strides=[[1, 1, 1], [1, 2, 2]], family="resenc")
    top = make_model("resenc3d", p, "3d_fullres", dj, seed=4, input_dir=i)
    finish("resenc3d", p, "3d_fullres", dj, top, "ResidualEncoderUNet 3d, anisotropic kernels [1,3,3] and strides "
           "[1,2,2]", skips=True)


@kind
def padded():
    i = fresh("padded")
    write_nifti(i / "case_0000.nii.gz", blobs((7, 13, 21), 6).astype(np.float32))
    dj = dataset_json()
    p = make_plans("Dataset915_Padded", "3d_fullres", [12, 16, 16], [1.0, 1.0, 1.0], [4, 8])
    top = make_model("padded", p, "3d_fullres", dj, seed=5, input_dir=i)
    finish("padded", p, "3d_fullres", dj, top, "volume smaller than the patch in two axes (odd differences), larger in one",
           plain_logits=True)


@kind
def mirrored():
    i = fresh("mirrored")
    write_nifti(i / "case_0000.nii.gz", blobs((13, 21, 19), 7).astype(np.float32))
    dj = dataset_json({"background": 0, "a": 1, "b": 2, "c": 3})
    p = make_plans("Dataset916_Mirrored", "3d_fullres", [8, 12, 12], [1.0, 1.0, 1.0], [4, 8])
    top = make_model("mirrored", p, "3d_fullres", dj, seed=6, input_dir=i)
    finish("mirrored", p, "3d_fullres", dj, top, "mirroring axes (0,1,2), eight passes a window, many windows, four classes",
           plain_logits=True)


@kind
def isotropic():
    i = fresh("isotropic")
    write_nifti(i / "case_0000.nii.gz", blobs((13, 17, 15), 8).astype(np.float32), (1.25, 1.1, 1.4))
    dj = dataset_json()
    p = make_plans("Dataset917_Isotropic", "3d_fullres", [12, 12, 16], [1.0, 1.0, 1.2], [4, 8])
    top = make_model("isotropic", p, "3d_fullres", dj, seed=7, input_dir=i)
    finish("isotropic", p, "3d_fullres", dj, top, "3-D resampling, order 3 in, order 1 out (no separate z)")


@kind
def separate_z():
    i = fresh("separate_z")
    write_nifti(i / "casea_0000.nii.gz", blobs((7, 18, 17), 9).astype(np.float32), (5, 1.2, 1.1))
    write_nifti(i / "caseb_0000.nii.gz", blobs((6, 14, 15), 10).astype(np.float32), (4, 1.3, 1.3))
    dj = dataset_json()
    p = make_plans("Dataset918_SeparateZ", "3d_fullres", [6, 12, 12], [4.0, 1.0, 1.0], [4, 8],
                   kernels=[[1, 3, 3], [3, 3, 3]], strides=[[1, 1, 1], [1, 2, 2]])
    top = make_model("separate_z", p, "3d_fullres", dj, seed=8, input_dir=i)
    finish("separate_z", p, "3d_fullres", dj, top, "separate-z resampling; casea: the slice axis changes too (nearest), "
           "caseb: only in plane")


@kind
def ct():
    i = fresh("ct")
    hu = np.clip(150 * blobs((10, 20, 22), 11) - 20, -1024, 900).astype(np.int16)
    hu[:, :2] = -1024
    write_nifti(i / "case_0000.nii.gz", hu, (1.5, 1, 1))
    dj = dataset_json({"background": 0, "liver": 1, "tumour": 2}, channels=("CT",))
    p = make_plans("Dataset919_Ct", "3d_fullres", [8, 16, 16], [1.5, 1.0, 1.0], [4, 8], norm=["CTNormalization"],
                   foreground_intensity_properties_per_channel={"0": {
                       "max": 871.0, "mean": 61.25, "median": 70.0, "min": -300.0, "percentile_00_5": -88.5,
                       "percentile_99_5": 212.0, "std": 57.75}})
    top = make_model("ct", p, "3d_fullres", dj, seed=9, input_dir=i)
    finish("ct", p, "3d_fullres", dj, top, "CTNormalization (clip, the plan's mean and deviation), int16 input, labels 0..2")


@kind
def regions():
    i = fresh("regions")
    write_nifti(i / "case_0000.nii.gz", blobs((10, 20, 18), 12).astype(np.float32))
    dj = dataset_json({"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3},
                      regions_class_order=[1, 2, 3])
    p = make_plans("Dataset920_Regions", "3d_fullres", [8, 16, 16], [1.0, 1.0, 1.0], [4, 8])
    top = make_model("regions", p, "3d_fullres", dj, seed=10, input_dir=i)
    finish("regions", p, "3d_fullres", dj, top, "region-based labels: three sigmoid heads, regions_class_order")


@kind
def folds3():
    i = fresh("folds3")
    write_nifti(i / "case_0000.nii.gz", blobs((10, 18, 20), 13).astype(np.float32))
    dj = dataset_json({"background": 0, "a": 1, "b": 2})
    p = make_plans("Dataset921_Folds3", "3d_fullres", [8, 16, 16], [1.0, 1.0, 1.0], [4, 8])
    top = make_model("folds3", p, "3d_fullres", dj, folds=(0, 1, 2), seed=11, input_dir=i)
    finish("folds3", p, "3d_fullres", dj, top, "three folds averaged (-f 0 1 2)", folds=(0, 1, 2))


@kind
def batchnorm():
    i = fresh("batchnorm")
    write_nifti(i / "case_0000.nii.gz", blobs((10, 18, 20), 14).astype(np.float32))
    dj = dataset_json()
    p = make_plans("Dataset922_BatchNorm", "3d_fullres", [8, 16, 16], [1.0, 1.0, 1.0], [4, 8])
    top = make_model("batchnorm", p, "3d_fullres", dj, trainer="nnUNetTrainerBN", seed=12, input_dir=i)
    finish("batchnorm", p, "3d_fullres", dj, top, "nnUNetTrainerBN: batch norm with running statistics although the "
           "plans say InstanceNorm")


@kind
def oldplans():
    i = fresh("oldplans")
    write_nifti(i / "case_0000.nii.gz", blobs((10, 18, 20), 15).astype(np.float32))
    dj = dataset_json()
    dj["modality"] = dj.pop("channel_names")
    p = make_plans("Dataset923_OldPlans", "3d_fullres", [8, 16, 16], [1.0, 1.0, 1.0], [4, 8])
    c = p["configurations"]["3d_fullres"]
    k = c.pop("architecture")["arch_kwargs"]
    c.update(UNet_class_name="PlainConvUNet", UNet_base_num_features=4, unet_max_num_features=320,
             n_conv_per_stage_encoder=k["n_conv_per_stage"], n_conv_per_stage_decoder=k["n_conv_per_stage_decoder"],
             num_pool_per_axis=[1, 1, 1], pool_op_kernel_sizes=k["strides"], conv_kernel_sizes=k["kernel_sizes"])
    p["foreground_intensity_properties_by_modality"] = p.pop("foreground_intensity_properties_per_channel")
    top = make_model("oldplans", p, "3d_fullres", dj, seed=13, input_dir=i)
    # the checkpoint as an old one written on a GPU: numpy 1.x names, storages and device on cuda:0, unpack_dataset
    f = top / "fold_0" / "checkpoint_final.pth"
    d = torch.load(f, weights_only=False)
    d["init_args"]["unpack_dataset"] = True
    d["init_args"]["device"] = torch.device("cuda", 0)
    d["_best_ema"] = np.float64(0.5)
    d["logging"] = {"mean_fg_dice": [np.float64(0.5)], "train_losses": [np.float32(0.25)]}
    d["grad_scaler_state"] = {"scale": 65536.0, "growth_factor": 2.0, "backoff_factor": 0.5,
                              "growth_interval": 2000, "_growth_tracker": 17}
    torch.save(d, f)

    def old(pkl):
        assert b"cnumpy._core.multiarray\n" in pkl and b"X\x03\x00\x00\x00cpu" in pkl
        return pkl.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n") \
                  .replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
    rewrite_zip(f, old)
    finish("oldplans", p, "3d_fullres", dj, top, "plans.json of v2.0-2.2.1 (no architecture), dataset.json with "
           "modality, checkpoint with numpy.core names, cuda:0 storages, torch.device('cuda', 0), unpack_dataset, "
           "grad scaler state")


@kind
def channels2():
    i = fresh("channels2")
    a, b = blobs((12, 22, 22), 16), blobs((12, 22, 22), 17)
    inside = np.zeros(a.shape, bool)
    inside[1:-2, 3:-2, 2:-4] = True
    inside[1:-2, 3:7, 2:6] = False           # a zero corner inside the box, open to outside
    inside[5:7, 10:13, 9:12] = False         # a hole: closed, so filled
    write_nifti(i / "case_0000.nii.gz", (a * inside).astype(np.float32))
    write_nifti(i / "case_0001.nii.gz", np.where(inside, 40 + 30 * b, 0).clip(0, 200).astype(np.uint8))
    dj = dataset_json(channels=("T1", "rescale_to_0_1"))
    p = make_plans("Dataset924_Channels2", "3d_fullres", [8, 16, 16], [1.0, 1.0, 1.0], [4, 8],
                   norm=["ZScoreNormalization", "RescaleTo01Normalization"], mask=[True, False])
    p["foreground_intensity_properties_per_channel"]["1"] = p["foreground_intensity_properties_per_channel"]["0"]
    top = make_model("channels2", p, "3d_fullres", dj, seed=14, input_dir=i)
    finish("channels2", p, "3d_fullres", dj, top, "two channels (f32, uint8), crop to nonzero, holes filled, z-score on "
           "the mask only (use_mask_for_norm), rescale to 0..1")


# ---- more than was asked, each for one thing that is easy to get wrong

@kind
def transposed():
    i = fresh("transposed")
    a = blobs((16, 17, 9), 18)
    a[:, :2] = 0
    a[:, :, -1:] = 0
    write_nifti(i / "case_0000.nii.gz", a.astype(np.float32), (1.2, 1.1, 4), (3, -4, 5.5),
                [[-1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]])
    dj = dataset_json({"background": 0, "a": 1, "b": 2})
    p = make_plans("Dataset925_Transposed", "3d_fullres", [6, 12, 12], [3.5, 1.0, 1.0], [4, 8],
                   kernels=[[1, 3, 3], [3, 3, 3]], strides=[[1, 1, 1], [1, 2, 2]],
                   transpose_forward=[2, 0, 1], transpose_backward=[1, 2, 0])
    top = make_model("transposed", p, "3d_fullres", dj, trainer="nnUNetTrainer_onlyMirror01", seed=15, input_dir=i)
    finish("transposed", p, "3d_fullres", dj, top, "transpose_forward [2,0,1] with crop, separate-z resampling and "
           "mirroring over (0,1) only; oblique direction and origin")


@kind
def reorient():
    i = fresh("reorient")
    write_nifti(i / "case_0000.nii.gz", blobs((9, 16, 18), 19).astype(np.float32), (2, 1.1, 1), (3, -4, 5.5),
                [[0, 1, 0], [-1, 0, 0], [0, 0, -1]])
    dj = dataset_json()
    p = make_plans("Dataset926_Reorient", "3d_fullres", [8, 12, 12], [2.0, 1.0, 1.0], [4, 8],
                   image_reader_writer="NibabelIOWithReorient")
    top = make_model("reorient", p, "3d_fullres", dj, seed=16, input_dir=i)
    finish("reorient", p, "3d_fullres", dj, top, "NibabelIOWithReorient: read to RAS, written back in the input's axes")


@kind
def png2d():
    from skimage import io as skio
    i = fresh("png2d")
    rgb = np.stack([blobs((26, 30), s) for s in (20, 21, 22)], -1)
    skio.imsave(str(i / "case_0000.png"), np.clip(110 + 60 * rgb, 0, 255).astype(np.uint8), check_contrast=False)
    dj = dataset_json(channels=("R", "G", "B"), ending=".png")
    p = make_plans("Dataset927_Png2d", "2d", [16, 16], [1.0, 1.0], [4, 8], norm=["RGBTo01Normalization"] * 3,
                   image_reader_writer="NaturalImage2DIO")
    f = p["foreground_intensity_properties_per_channel"]
    f["1"] = f["2"] = f["0"]
    top = make_model("png2d", p, "2d", dj, trainer="nnUNetTrainerNoMirroring", seed=17, input_dir=i)
    finish("png2d", p, "2d", dj, top, "NaturalImage2DIO (RGB png), RGBTo01, nnUNetTrainerNoMirroring: axes None")


# ================================================================ hostile folders

def rewrite_zip(path, change=None, drop=(), add=(), method=zipfile.ZIP_STORED):
    """Copy a checkpoint's zip with data.pkl changed."""
    old = zipfile.ZipFile(io.BytesIO(Path(path).read_bytes()))
    buf = io.BytesIO()
    with zipfile.ZipFile(buf, "w", method) as new:
        for n in old.namelist():
            if n.split("/", 1)[1] in drop:
                continue
            d = old.read(n)
            if change and n.endswith("/data.pkl"):
                d = change(d)
            new.writestr(zipfile.ZipInfo(n, (1980, 1, 1, 0, 0, 0)), d, method)
        for n, d in add:
            new.writestr(zipfile.ZipInfo(n, (1980, 1, 1, 0, 0, 0)), d, method)
    Path(path).write_bytes(buf.getvalue())


def hostile_base(out):
    """hostile/valid: as small as it gets (one conv a stage; of init_args only what prediction needs)."""
    (out / "input").mkdir(parents=True)
    write_nifti(out / "input" / "case_0000.nii.gz", blobs((3, 18, 16), 30).astype(np.float32), (3, 1, 1))
    dj = dataset_json()
    p = make_plans("Dataset930_Valid", "2d", [16, 16], [1.0, 1.0], [4, 8], blocks=[1, 1], decoder=[1])
    c = p["configurations"]["2d"]
    keep = ("preprocessor_name", "batch_size", "patch_size", "spacing", "normalization_schemes", "use_mask_for_norm",
            "resampling_fn_data", "resampling_fn_data_kwargs", "resampling_fn_seg", "resampling_fn_seg_kwargs",
            "resampling_fn_probabilities", "resampling_fn_probabilities_kwargs", "architecture", "data_identifier",
            "batch_dice")
    p["configurations"] = {"2d": {k: c[k] for k in keep}}
    p = {k: p[k] for k in ("dataset_name", "plans_name", "image_reader_writer", "transpose_forward", "transpose_backward",
                           "foreground_intensity_properties_per_channel", "label_manager", "configurations")}
    top = make_model("valid", p, "2d", dj, seed=20, input_dir=out / "input")
    (out / "valid" / "fold_0").mkdir(parents=True)
    c = torch.load(top / "fold_0" / "checkpoint_final.pth", weights_only=False)
    c["init_args"] = {"configuration": "2d", "fold": 0}
    c["network_weights"] = type(c["network_weights"])(c["network_weights"])   # without _metadata: smaller
    torch.save(c, out / "valid" / "fold_0" / "checkpoint_final.pth")
    rewrite_zip(out / "valid" / "fold_0" / "checkpoint_final.pth")   # without padding: smaller
    for f in ("plans.json", "dataset.json"):
        (out / "valid" / f).write_text(json.dumps(json.loads((top / f).read_text())))
    return out / "valid"


def probe(model, case, target):
    """What nnU-Net itself does with a folder: in a child with little memory and time. The labels, if any, are kept."""
    import resource
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            import signal
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.alarm(20)
            q = predictor(model, [0], True)
            q.predict_from_files_sequential([[str(case)]], [str(target)])
            said = "predicts"
        except BaseException as e:
            said = f"{type(e).__name__}: {e}"
        os.write(w, " ".join(said.split())[:160].encode())
        os._exit(0)
    os.close(w)
    said = b""
    while chunk := os.read(r, 4096):
        said += chunk
    os.close(r)
    _, status = os.waitpid(pid, 0)
    return said.decode(errors="replace") or f"killed by signal {os.WTERMSIG(status)}"


def hostile():
    out = HERE / "hostile"
    shutil.rmtree(out, ignore_errors=True)
    src = hostile_base(out)
    about = {"valid": "VALID: what all others were made from"}

    def folder(name, why):
        about[name] = why
        d = out / name
        shutil.copytree(src, d)
        return d, d / "fold_0" / "checkpoint_final.pth"

    def plans_edit(name, why, edit):
        d, _ = folder(name, why)
        p = json.loads((d / "plans.json").read_text())
        p = edit(p, p["configurations"]["2d"]) or p
        (d / "plans.json").write_text(p if isinstance(p, str) else json.dumps(p))

    def arch(**kw):
        return lambda p, c: c["architecture"]["arch_kwargs"].update(kw) and None

    # -- folders
    d, f = folder("missing_fold", "fold_1 is there without a checkpoint, fold_2 is not there; only fold_0 is whole")
    (d / "fold_1").mkdir(); (d / "fold_1" / "NOT_TRAINED").touch()
    d, f = folder("no_fold", "no fold at all")
    shutil.rmtree(d / "fold_0")
    d, f = folder("no_dataset_json", "dataset.json is missing")
    (d / "dataset.json").unlink()

    # -- plans.json, dataset.json
    plans_edit("shapes_contradict", "plans say features 4,16; the file has 4,8", arch(features_per_stage=[4, 16]))
    plans_edit("more_stages", "plans say three stages; the file has two",
               arch(n_stages=3, features_per_stage=[4, 8, 16], kernel_sizes=[[3, 3]] * 3, n_conv_per_stage=[1] * 3,
                    strides=[[1, 1], [2, 2], [2, 2]], n_conv_per_stage_decoder=[1, 1]))
    plans_edit("lengths_contradict", "n_stages 2 but one stride", arch(strides=[[1, 1]]))
    plans_edit("huge_plans", "n_stages and features 10^18, kernels 10^9",
               arch(n_stages=10**18, features_per_stage=[10**18, 10**18], kernel_sizes=[[10**9, 10**9]] * 2))
    plans_edit("zero_stride", "strides 0", arch(strides=[[1, 1], [0, 0]]))
    plans_edit("even_kernel", "kernels of 2 (the file has 3)", arch(kernel_sizes=[[2, 2], [2, 2]]))
    plans_edit("nan_spacing", "NaN as a spacing (Python's json reads and writes NaN)",
               lambda p, c: json.dumps({**p, "configurations": {"2d": {**c, "spacing": [float("nan"), 1.0]}}}))
    plans_edit("nan_harmless", "VALID: NaN only in numbers that prediction does not use; must be read",
               lambda p, c: p.update(original_median_spacing_after_transp=[float("nan"), 1.0, float("inf")]))
    plans_edit("zero_spacing", "spacing 0 and negative", lambda p, c: c.update(spacing=[0.0, -1.0]))
    plans_edit("tiny_spacing", "spacing 1e-9: the resampled volume would be 10^18 times larger",
               lambda p, c: c.update(spacing=[1e-9, 1e-9]))
    plans_edit("odd_patch", "patch 15x16 is not a multiple of the stride products", lambda p, c: c.update(patch_size=[15, 16]))
    plans_edit("zero_patch", "patch 0x16", lambda p, c: c.update(patch_size=[0, 16]))
    plans_edit("huge_patch", "patch 2^40 x 2^40", lambda p, c: c.update(patch_size=[2**40, 2**40]))
    plans_edit("bad_transpose", "transpose_forward [0,0,7]", lambda p, c: p.update(transpose_forward=[0, 0, 7]))
    plans_edit("circular", "inherits_from itself", lambda p, c: c.update(inherits_from="2d"))
    plans_edit("no_configuration", "the configuration that the checkpoint names is not in the plans",
               lambda p, c: p.update(configurations={"3d_fullres": c}))
    plans_edit("cascade", "previous_stage: a cascade, to be refused", lambda p, c: c.update(previous_stage="3d_lowres"))
    plans_edit("primus", "another network class: Primus", lambda p, c: c["architecture"].update(
        network_class_name="dynamic_network_architectures.architectures.primus.PrimusM"))
    plans_edit("residual_unet", "another network class: ResidualUNet", lambda p, c: c["architecture"].update(
        network_class_name="dynamic_network_architectures.architectures.unet.ResidualUNet"))
    plans_edit("torch_resampling", "resample_torch_fornnunet: to be refused",
               lambda p, c: c.update(resampling_fn_data="resample_torch_fornnunet"))
    plans_edit("other_preprocessor", "preprocessor_name of a user: to be refused",
               lambda p, c: c.update(preprocessor_name="MyPreprocessor"))
    plans_edit("other_normalization", "a normalization scheme that is unknown",
               lambda p, c: c.update(normalization_schemes=["MyNormalization"]))
    plans_edit("deep_json", "5,000 nested lists", lambda p, c: "[" * 5000 + "]" * 5000)
    plans_edit("cut_json", "plans.json cut in the middle", lambda p, c: json.dumps(p)[:700])
    plans_edit("not_an_object", "plans.json is a list", lambda p, c: "[1, 2]")
    d, f = folder("regions_no_order", "regions in dataset.json without regions_class_order")
    (d / "dataset.json").write_text(json.dumps(dataset_json({"background": 0, "w": [1, 2], "c": [2]})))
    d, f = folder("more_labels", "dataset.json has five labels, the file two heads")
    (d / "dataset.json").write_text(json.dumps(dataset_json({"background": 0, "a": 1, "b": 2, "c": 3, "d": 4})))

    # -- the pickle
    def pickle_edit(name, why, edit, **kw):
        _, f = folder(name, why)
        rewrite_zip(f, edit, **kw)

    call = b"cposix\nsystem\n(X" + struct.pack("<I", 11) + b"echo PWNED!" + b"tR0"
    pickle_edit("pickle_system", "the pickle calls os.system('echo PWNED!') first", lambda b: b[:2] + call + b[2:])
    pickle_edit("pickle_eval", "the pickle calls builtins.eval", lambda b: b[:2] + b"cbuiltins\neval\n(X\x03\x00\x00\x001+1tR0" + b[2:])
    pickle_edit("pickle_cut", "data.pkl ends in the middle", lambda b: b[:len(b) // 2])
    pickle_edit("pickle_empty_stack", "pops from an empty stack", lambda b: b"\x80\x020000.")
    pickle_edit("pickle_bad_memo", "reads a memo entry that was not written", lambda b: b"\x80\x02j\xff\xff\xff\xff.")
    pickle_edit("pickle_long_string", "a string of declared length 2^32-1", lambda b: b"\x80\x02X\xff\xff\xff\xffabc.")
    pickle_edit("pickle_long_int", "LONG4 with declared length 2^31-1", lambda b: b"\x80\x02\x8b\xff\xff\xff\x7fabc.")
    pickle_edit("pickle_deep", "30,000 nested tuples (a recursive reader or dropper overflows its stack)",
                lambda b: b"\x80\x02)" + b"\x85" * 30000 + b".")
    # memo n = (memo n-1, memo n-1), 60 levels: 2^60 leaves when copied
    bomb = b"\x80\x02)q\x00" + b"".join(b"h" + bytes([n]) + b"h" + bytes([n]) + b"\x86q" + bytes([n + 1]) for n in range(60)) + b"."
    pickle_edit("pickle_bomb", "shared tuples: 2^60 leaves for a reader that copies", lambda b: bomb)
    pickle_edit("pickle_self", "a list that holds itself, as the root", lambda b: b"\x80\x02]q\x00h\x00a.")

    # tensors: a small file whose only weight has given storage and shape
    def tensor(numel, offset, size, stride, key="900", kind_=b"FloatStorage", loc=b"cpu"):
        def n(v):
            return b"\x8a" + bytes([(v.bit_length() // 8 + 1)]) + v.to_bytes(v.bit_length() // 8 + 1, "little", signed=True)
        def s(v):
            v = v if isinstance(v, bytes) else v.encode()
            return b"X" + struct.pack("<I", len(v)) + v
        def tup(v):
            return b"(" + b"".join(n(q) for q in v) + b"t"
        return (b"ctorch._utils\n_rebuild_tensor_v2\n((" + s("storage") + b"ctorch\n" + kind_ + b"\n" + s(key) + s(loc)
                + n(numel) + b"tQ" + n(offset) + tup(size) + tup(stride) + b"\x89ccollections\nOrderedDict\n)RtR")

    def weights_edit(name, why, *args, **kw):
        """A whole, valid file but for one weight, with all its aliases, put in front of the others' keys."""
        d, f = folder(name, why)
        c = torch.load(f, weights_only=False)
        first = "encoder.stages.0.0.convs.0.conv.weight"
        marker = "REPLACE-ME-REPLACE-ME"
        ptr = c["network_weights"][first].data_ptr()
        for k in list(c["network_weights"]):
            if c["network_weights"][k].data_ptr() == ptr:
                c["network_weights"][k] = marker
        torch.save(c, f)
        m = b"X" + struct.pack("<I", len(marker)) + marker.encode()

        def edit(b):
            i = b.index(m)
            at = b[i + len(m):i + len(m) + 2]
            assert at[:1] in (b"q", b"r"), at
            return b.replace(m, tensor(*args, **kw), 1)
        values = 0.3 * np.random.default_rng(1).standard_normal(36)
        rewrite_zip(f, edit, add=[("checkpoint_final/data/900", values.astype("<f4").tobytes())])

    weights_edit("tensor_valid", "VALID: the control: made like the next ones, with right numbers", 36, 0, [4, 1, 3, 3], [9, 9, 3, 1])
    weights_edit("tensor_permuted", "VALID for torch: strides of a permuted tensor", 36, 0, [4, 1, 3, 3], [9, 9, 1, 3])
    weights_edit("tensor_2_62", "shape [2^62] over a storage that says 2^62 elements", 2**62, 0, [2**62], [1])
    weights_edit("tensor_product", "shape [2^31,2^31,4]: the product overflows 64 bits", 2**63 - 1, 0, [2**31, 2**31, 4], [2**33, 4, 1])
    weights_edit("tensor_stride", "strides reach far behind the storage", 36, 0, [4, 1, 3, 3], [2**60, 9, 3, 1])
    weights_edit("tensor_offset", "offset behind the storage", 36, 2**61, [4, 1, 3, 3], [9, 9, 3, 1])
    weights_edit("tensor_negative", "negative size and stride", 36, 0, [-4, 1, 3, 3], [-9, 9, 3, 1])
    weights_edit("tensor_zero_stride", "stride 0: 10^15 elements from one", 36, 0, [10**15], [0])
    weights_edit("tensor_no_record", "the storage has no record in the zip", 36, 0, [4, 1, 3, 3], [9, 9, 3, 1], key="99999")
    weights_edit("tensor_path_key", "storage key ../../../../etc/passwd", 36, 0, [4, 1, 3, 3], [9, 9, 3, 1], key="../../../../etc/passwd")
    weights_edit("tensor_numel", "the storage says 10^6 elements, its record is shorter", 10**6, 0, [4, 1, 3, 3], [9, 9, 3, 1])

    # -- the zip
    d, f = folder("zip_cut", "the file ends in the middle")
    f.write_bytes(f.read_bytes()[:f.stat().st_size // 2])
    d, f = folder("zip_empty", "a file of no bytes")
    f.write_bytes(b"")
    d, f = folder("zip_deflated", "VALID for torch: the same file with deflated records (nnU-Net never writes this)")
    rewrite_zip(f, method=zipfile.ZIP_DEFLATED)
    d, f = folder("zip_bomb", "data.pkl deflated: 16 MiB of zeros in 16 KiB, declared so")
    rewrite_zip(f, lambda b: b"", drop=("data.pkl",))
    raw = zipfile.ZipFile(f).namelist()[0].split("/")[0]
    rewrite_zip(f, add=[(f"{raw}/data.pkl", bytes(16 << 20))], method=zipfile.ZIP_DEFLATED)
    d, f = folder("zip_size_lie", "the central directory says that data.pkl has 2^32-2 bytes")
    rewrite_zip(f)
    b = bytearray(f.read_bytes())
    i = b.rindex(b"PK\x01\x02", 0, b.rindex(b"data.pkl"))
    b[i + 20:i + 28] = struct.pack("<II", 2**32 - 2, 2**32 - 2)
    f.write_bytes(b)
    d, f = folder("zip_offset_lie", "the central directory says that data.pkl begins behind the end")
    rewrite_zip(f)
    b = bytearray(f.read_bytes())
    i = b.rindex(b"PK\x01\x02", 0, b.rindex(b"data.pkl"))
    b[i + 42:i + 46] = struct.pack("<I", 2**32 - 2)
    f.write_bytes(b)
    d, f = folder("nan_weights", "loads, but a weight is NaN: the prediction has to be an error or one class, no panic")
    c = torch.load(f, weights_only=False)
    c["network_weights"]["encoder.stages.0.0.convs.0.conv.weight"].view(-1)[0] = float("nan")
    torch.save(c, f)
    rewrite_zip(f)
    d, f = folder("inf_logits", "loads, but the logits exceed f16: nnU-Net stops with 'Encountered inf'")
    c = torch.load(f, weights_only=False)
    c["network_weights"]["decoder.seg_layers.0.bias"].fill_(1e5)
    torch.save(c, f)
    rewrite_zip(f)
    d, f = folder("half_weights", "VALID elsewhere: weights as HalfStorage (nnU-Net loads them into f32)")
    c = torch.load(f, weights_only=False)
    for k, v in c["network_weights"].items():
        c["network_weights"][k] = v.half()
    torch.save(c, f)
    rewrite_zip(f)
    d, f = folder("aliases_differ", "VALID: the names of one weight do not agree; decoder.encoder...all_modules wins")
    c = torch.load(f, weights_only=False)
    names = [k for k in c["network_weights"] if k.endswith("stages.0.0.convs.0.conv.weight")
             or k.endswith("stages.0.0.convs.0.all_modules.0.weight")]
    assert len(names) == 4, names
    for i, k in enumerate(names):   # not only scaled: instance norm would hide that
        noise = np.random.default_rng(40 + i).standard_normal((4, 1, 3, 3))
        c["network_weights"][k] = c["network_weights"][k] + torch.from_numpy(noise).float()
    torch.save(c, f)
    rewrite_zip(f)

    (out / "expected").mkdir()
    (WORK / "out" / "hostile").mkdir(parents=True, exist_ok=True)
    report = {}
    for n, why in about.items():
        said = probe(out / n, out / "input" / "case_0000.nii.gz", WORK / "out" / "hostile" / n)
        report[n] = {"what": why, "nnunet (fold 0)": said}
        if said == "predicts":
            shutil.copy(WORK / "out" / "hostile" / f"{n}.nii.gz", out / "expected")
            report[n]["labels"] = {str(v): int(k) for v, k in zip(*np.unique(
                read_labels(out / "expected" / f"{n}.nii.gz"), return_counts=True))}
    (out / "README.json").write_text(json.dumps(report, indent=1))
    print("DONE hostile", sum(q.stat().st_size for q in out.rglob("*") if q.is_file()) // 1024, "KiB", flush=True)


# ================================================================ verify

def verify(names):
    """Predict again from the kept folders; compare labels, patch logits and stages with what lies here."""
    bad = 0
    for name in names:
        d = HERE / name
        meta = json.loads((d / "meta.json").read_text())
        ending = json.loads((d / "model" / "dataset.json").read_text())["file_ending"]
        for kept, extra in (("expected", []), ("expected_plain", ["--disable_tta"])):
            o = WORK / "verify" / name / kept
            shutil.rmtree(o, ignore_errors=True)
            # (nnUNetv2_predict_from_modelfolder has no -npp 0 -nps 0 in 2.8.1, so the class behind it)
            o.mkdir(parents=True)
            predictor(d / "model", meta["folds"], not extra).predict_from_files_sequential(str(d / "input"), str(o))
            for c in meta["cases"]:
                a, b = read_labels(d / kept / (c + ending)), read_labels(o / (c + ending))
                ok = a.dtype == b.dtype and np.array_equal(a, b)
                share = [round(float(n) / a.size, 3) for n in np.unique(a, return_counts=True)[1]]
                bad += not ok
                print("VERIFY", name, kept, c, "same" if ok else f"DIFFER {(a != b).sum()}", share, flush=True)
        for i, (c, files) in enumerate(case_files(d / "input", ending).items()):
            old = load_file(d / ("stages.safetensors" if i == 0 else f"stages_{c}.safetensors"))
            new, _ = stages(d / "model", files, meta["folds"], False)
            for k, v in new.items():
                if k in old and not torch.equal(v, old[k]):
                    print("VERIFY", name, c, k, "DIFFERS by", (v.float() - old[k].float()).abs().max().item(), flush=True)
                    bad += 1
    print("VERIFY", "all the same" if not bad else f"{bad} differences")


if __name__ == "__main__":
    want = sys.argv[1:] or [*KINDS, "hostile"]
    if want[0] == "verify":
        verify(want[1:] or [k for k in KINDS if (HERE / k / "meta.json").exists()])
    else:
        for w in want:
            hostile() if w == "hostile" else KINDS[w]()
