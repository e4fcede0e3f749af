"""Tests of the module as a user calls it; `module.rs` runs them on what cargo has built."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest
import warnings

import numpy

import udas


class Volumes(unittest.TestCase):
    def test_what_is_written_is_read(self):
        image = numpy.random.default_rng(1).normal(size=(5, 6, 7)).astype("float32")
        affine = numpy.diag([-2.0, 1.5, 3.0, 1.0])
        affine[:3, 3] = [10, -20, 30]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "image.nii.gz")
            # Whatever the order in memory.
            for array in (image, numpy.asfortranarray(image), image[::1, ::1, ::1]):
                udas.write(path, array, affine=affine)
                again, where = udas.read(path)
                self.assertTrue((again == image).all())
                self.assertTrue(numpy.allclose(where, affine))
            mask = (image > 0).astype("uint8")
            udas.write_labels(path, mask, spacing=(2, 1.5, 3))
            again, where = udas.read_labels(path)
            self.assertTrue((again == mask).all())
            self.assertEqual(again.dtype, numpy.uint8)
            self.assertTrue(numpy.allclose(numpy.diag(where), [2, 1.5, 3, 1]))

    def test_what_cannot_be_is_said(self):
        with self.assertRaisesRegex(udas.UdasError, "nowhere.nii.gz"):
            udas.read("nowhere.nii.gz")
        image = numpy.zeros((2, 2, 2), "float32")
        with self.assertRaisesRegex(udas.UdasError, "leave one"):
            udas.write("x.nii", image, affine=numpy.eye(4), spacing=(1, 1, 1))
        with self.assertRaisesRegex(udas.UdasError, r"\(4, 4\)"):
            udas.write("x.nii", image, affine=numpy.eye(3))
        with self.assertRaisesRegex(udas.BadInput, "array: is of shape"):
            udas.write("x.nii", image[0])
        with self.assertRaisesRegex(udas.BadInput, "array: holds values of type complex64; give real numbers"):
            udas.write("x.nii", image.astype("complex64"))
        with self.assertRaisesRegex(udas.BadInput, "array: is of type list"):
            udas.write_labels("x.nii", [[[1]]])

    def test_numbers_of_other_types_are_taken(self):
        image = numpy.random.default_rng(2).normal(size=(3, 4, 5))
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "image.nii")
            for array in (image, (image * 100).astype("int16"), image.astype(">f4")):
                udas.write(path, array, affine=numpy.diag([2, 2, 2, 1]))
                again, where = udas.read(path)
                self.assertTrue((again == array.astype("float32")).all())
                self.assertEqual(where[0, 0], 2)
            udas.write_labels(path, numpy.floor(abs(image)))
            self.assertTrue((udas.read_labels(path)[0] == numpy.floor(abs(image))).all())
            with self.assertRaisesRegex(udas.BadInput, "array: holds -?[0-9.]+; labels are whole numbers"):
                udas.write_labels(path, image)


class Metrics(unittest.TestCase):
    def test_scores_are_their_formulas(self):
        truth = numpy.zeros((12, 12, 12), "uint8")
        truth[3:8, 3:8, 3:8] = 1
        mask = numpy.zeros_like(truth)
        mask[3:9, 3:8, 3:8] = 1
        self.assertAlmostEqual(udas.metrics.dice(mask, truth), 2 * 125 / (125 + 150))
        self.assertEqual(udas.metrics.surface_dice(mask, truth, (1, 1, 1), tolerance=1.0), 1.0)
        self.assertLess(udas.metrics.surface_dice(mask, truth, (2, 1, 1), tolerance=1.0), 1.0)
        self.assertEqual(udas.metrics.hausdorff(mask, truth, (2, 1, 1), percentile=100), 2.0)
        self.assertEqual(set(udas.metrics.scores(mask, truth)), {1})
        empty = numpy.zeros_like(truth)
        self.assertTrue(numpy.isnan(udas.metrics.dice(empty, empty)))
        self.assertTrue(numpy.isinf(udas.metrics.hausdorff(empty, truth, (1, 1, 1))))
        with self.assertRaisesRegex(udas.BadInput, "one grid"):
            udas.metrics.dice(mask, truth[1:])

    def test_labels_of_other_types_are_taken(self):
        truth = numpy.zeros((6, 6, 6), "uint8")
        truth[1:4, 1:4, 1:4] = 2
        mask = numpy.roll(truth, 1, axis=0)
        expected = udas.metrics.dice(mask, truth, label=2)
        for kind in ("float64", "float32", "int64", "int16"):
            self.assertEqual(udas.metrics.dice(mask.astype(kind), truth, label=2), expected)
        self.assertEqual(udas.metrics.dice(mask > 0, truth > 0), expected)
        with self.assertRaisesRegex(udas.BadInput, "truth: holds 0.5"):
            udas.metrics.dice(mask, truth / 4)
        with self.assertRaisesRegex(udas.BadInput, "prediction: holds 512"):
            udas.metrics.dice(mask.astype("int64") * 256, truth)

    def test_statistics(self):
        statistic, p = udas.metrics.wilcoxon([1.0, 2.0, 3.0, 4.0, 5.0])
        self.assertEqual((statistic, p), (0.0, 2 / 2**5))
        self.assertEqual(udas.metrics.holm([0.01, 0.04]), [0.02, 0.04])
        low, high = udas.metrics.bootstrap_mean([0.1, 0.2, 0.3, 0.4])
        self.assertTrue(0.1 <= low < 0.25 < high <= 0.4)
        self.assertEqual(udas.metrics.auroc([2, 3], [0, 1]), 1.0)
        self.assertIsNone(udas.metrics.auroc([], [1]))
        with self.assertRaises(udas.UdasError):
            udas.metrics.wilcoxon([1.0], alternative="larger")


class Models(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.said = []
        data = cls.at("brains")
        udas.run("phantom", "--task", "head", "--out", data, "--domain", "GE_3", "--subjects", "2", "--matrix", "32")
        udas.train(
            data=data, domain="GE_3", out=cls.at("source"), filters=2, epochs=1, batch_size=8, hold_out="none",
            progress=cls.said.append,
        )

    @classmethod
    def at(cls, name):
        return os.path.join(cls.folder.name, name)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_masks_are_the_program_s(self):
        self.assertTrue(any("epoch 1" in line for line in self.said), self.said)
        model = udas.load_model(self.at("source"))
        result = udas.predict(
            model=self.at("source"), data=self.at("brains"), domain="GE_3", out=self.at("masks"), probabilities=True,
        )
        masks = [path for path in result["written"] if "prob" not in path]
        self.assertEqual(len(masks), 2)
        for path in masks:
            array, affine = udas.read(self.image_of(os.path.basename(path)))
            mask, (probability,) = model.predict(array, affine=affine, probabilities=True)
            written, _ = udas.read_labels(path)
            self.assertTrue((mask == written).all())
            self.assertTrue((model.predict(array, affine=affine) == mask).all())
            self.assertTrue(((probability > 0.5) == (mask == 1)).all())

    def test_an_array_without_a_place_is_warned_of(self):
        model = udas.load_model(self.at("source"))
        files = (os.path.join(folder, name) for folder, _, names in os.walk(self.at("brains")) for name in sorted(names))
        array, affine = udas.read(next(path for path in files if path.endswith(".gz") and "mask" not in path.lower()))
        with self.assertWarnsRegex(UserWarning, "neither affine nor spacing .* give affine="):
            assumed = model.predict(array)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.assertTrue((model.predict(array, spacing=(1, 1, 1)) == assumed).all())
            mask = model.predict(array, affine=affine)
            # As nibabel gives arrays unless told otherwise.
            self.assertTrue((model.predict(array.astype("float64"), affine=affine) == mask).all())

    def test_what_is_wrong_with_an_array_names_the_argument(self):
        model = udas.load_model(self.at("source"))
        array = numpy.ones((16, 16, 16), "float32")
        with self.assertRaisesRegex(udas.BadInput, "^array: every voxel is 1"):
            model.predict(array, spacing=(1, 1, 1))
        array[3, 4, 5] = numpy.nan
        with self.assertRaisesRegex(udas.BadInput, "^array: 1 voxels are NaN"):
            model.predict(array, spacing=(1, 1, 1))
        with self.assertRaisesRegex(udas.BadInput, r"^array\[1\]: is of shape"):
            model.predict([numpy.zeros_like(array), array[0]], spacing=(1, 1, 1))
        with self.assertRaisesRegex(udas.BadInput, "nowhere"):
            udas.load_model(self.at("nowhere"))

    def image_of(self, name):
        places = [os.path.join(folder, name) for folder, _, names in os.walk(self.at("brains")) if name in names]
        return next(place for place in places if "mask" not in place.lower())

    def test_weights_go_both_ways(self):
        model = udas.load_model(self.at("source"))
        state = model.state_dict()
        self.assertEqual(state["init_path.0.weight"].shape, (2, 1, 3, 3))
        same = model.with_state_dict(state)
        same.save(self.at("same.safetensors"))
        again = udas.load_model(self.at("same.safetensors")).state_dict()
        self.assertTrue(all((again[name] == value).all() for name, value in state.items()))
        said = json.loads(same.info_json())
        self.assertEqual(said["network"]["outputs"], 1)
        self.assertEqual(said["provenance"]["command"], "with_state_dict")
        with self.assertRaisesRegex(udas.UdasError, "leave it out"):
            udas.load_model(self.at("source"), plane="axial")
        state.pop("init_path.0.weight")
        with self.assertRaisesRegex(udas.UdasError, "init_path.0.weight"):
            model.with_state_dict(state)
        with self.assertRaisesRegex(udas.UdasError, "float32"):
            model.with_state_dict({"init_path.0.weight": numpy.zeros((2, 1, 3, 3))})

    def test_a_file_that_says_nothing_is_warned_of(self):
        udas.run("convert", self.at("source"), self.at("bare.pth"))
        with self.assertWarnsRegex(UserWarning, "plane="):
            udas.load_model(self.at("bare.pth"))

    def test_an_interrupt_ends_a_run_in_order(self):
        script = (
            "import signal, udas\n"
            # A process in the background of a shell has Ctrl-C switched off, and hands that on.
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "try:\n"
            f"    udas.train(data={self.at('brains')!r}, domain='GE_3', out={self.at('cut')!r}, filters=2, epochs=100,"
            " batch_size=8, hold_out='none', progress=lambda line: print(line, flush=True))\n"
            "except KeyboardInterrupt:\n"
            "    print('interrupted', flush=True)\n"
        )
        child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        said = []
        for line in child.stdout:
            said.append(line)
            if line.startswith("epoch 2/"):
                child.send_signal(signal.SIGINT)
        child.stdout.close()
        child.wait()
        self.assertIn("interrupted\n", said[-3:])
        self.assertTrue(os.path.exists(os.path.join(self.at("cut"), "state.safetensors")), said)

    def test_errors_are_exceptions_with_their_remedy(self):
        with self.assertRaises(udas.UsageError):
            udas.adapt(model=self.at("source"), images=[self.at("brains")], method="magic", out=self.at("x"))
        with self.assertRaisesRegex(udas.BadInput, "nothing_here"):
            udas.predict(model=self.at("nothing_here"), images=[self.at("brains")], out=self.at("y"))
        with self.assertRaises(ZeroDivisionError):
            udas.adapt(
                model=self.at("source"), data=self.at("brains"), domain="GE_3", method="adabn", out=self.at("z"),
                progress=lambda line: 1 / 0,
            )
        with self.assertRaisesRegex(udas.UdasError, "plane"):
            udas.load_model(self.at("source"), plane="oblique")


class OfNnunet(unittest.TestCase):
    def test_a_folder_predicts_what_the_original_predicts(self):
        golden = os.path.join(os.environ["UDAS_GOLDEN"], "nnunet", "plain3d")
        model = udas.load_model(os.path.join(golden, "model"))
        name = next(name for name in os.listdir(os.path.join(golden, "input")) if name.endswith(".nii.gz"))
        array, affine = udas.read(os.path.join(golden, "input", name))
        expected, _ = udas.read_labels(os.path.join(golden, "expected", "case.nii.gz"))
        mask = model.predict(array, affine=affine)
        self.assertLessEqual(int((mask != expected).sum()), 1)


if __name__ == "__main__":
    unittest.main()
