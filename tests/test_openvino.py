"""The OpenVINO engine: its answers, when it is chosen, what it refuses, and how it is made."""

import json
import logging
import math
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import samples

from busmtl import Predictor, weights
from busmtl.engines import EngineError, cores, load_engine
from busmtl.engines.openvino_engine import OpenVinoEngine
from busmtl.engines.torch_engine import TorchEngine
from busmtl.exported import write_stamp
from busmtl.weights import WeightsError
from train import export

ROOT = Path(__file__).parents[1]
SMALLEST = "lite0-mtl"


@pytest.fixture
def folder(exported_folder, tmp_path):
    """A weights folder with OpenVINO files, to be spoilt."""
    return shutil.copytree(exported_folder(SMALLEST), tmp_path / SMALLEST)


def batch(count):
    return np.random.default_rng(0).normal(size=(count, 3, 256, 256)).astype(np.float32)


# ---- answers


@pytest.mark.parametrize("variant_id", [SMALLEST, "swin-cls"])
def test_both_engines_answer_alike(variant_id, exported_folder):
    found, expected = (
        load_engine(name, exported_folder(variant_id)).run(batch(3))
        for name in ("openvino", "torch")
    )
    for name in found._fields:
        mine, theirs = getattr(found, name), getattr(expected, name)
        assert (mine is None) == (theirs is None)
        if mine is not None:
            assert mine.dtype == np.float32 and mine.shape == theirs.shape
            # fp16 rounds the weights once more after batch norm has gone into them, and a random
            # network makes much of it.
            assert np.corrcoef(mine.ravel(), theirs.ravel())[0, 1] > 0.98
            assert np.median(np.abs(mine - theirs)) < 0.1 * np.abs(theirs).mean()


def test_eight_threads_answer_as_one(exported_folder):
    engine = load_engine("openvino", exported_folder(SMALLEST))
    batches = list(batch(8)[:, None])
    alone = [engine.run(each) for each in batches]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(engine.run, batches * 3))
    for first, second in zip(alone * 3, together, strict=True):
        np.testing.assert_array_equal(first.class_logits, second.class_logits)
        np.testing.assert_array_equal(first.mask_logits, second.mask_logits)


def test_the_file_does_not_stay_in_memory(exported_folder):
    path = exported_folder("swin-cls") / "openvino" / "model.bin"
    engine = load_engine("openvino", exported_folder("swin-cls"))
    first = engine.run(batch(2))
    resident_kb = [
        int(line.split()[1])
        for mapping in Path("/proc/self/smaps").read_text().split("VmFlags")
        if str(path.resolve()) in mapping
        for line in mapping.splitlines()
        if line.startswith("Rss:")
    ]
    assert resident_kb and sum(resident_kb) * 1024 < path.stat().st_size / 2
    np.testing.assert_array_equal(first.class_logits, engine.run(batch(2)).class_logits)


@pytest.mark.parametrize(
    ("precision", "mode"),
    [("int8", "PERFORMANCE"), ("int8, heads fp32", "ACCURACY"), ("fp32", "ACCURACY")],
)
def test_what_had_to_stay_fp32_is_never_reckoned_in_bf16(folder, precision, mode):
    write_stamp(folder, {"precision": precision})
    model = load_engine("openvino", folder)._idle.get().get_compiled_model()
    assert model.get_property("EXECUTION_MODE_HINT").name == mode


# ---- choice


def test_auto_takes_openvino_where_its_files_are(exported_folder, weights_folder):
    assert isinstance(load_engine("auto", exported_folder(SMALLEST)), OpenVinoEngine)
    assert isinstance(load_engine("auto", weights_folder(SMALLEST)), TorchEngine)
    assert isinstance(load_engine("torch", exported_folder(SMALLEST)), TorchEngine)
    with pytest.raises(EngineError, match="no OpenVINO files beside these weights"):
        load_engine("openvino", weights_folder(SMALLEST))


def test_without_openvino_auto_takes_torch(exported_folder, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "busmtl.engines.openvino_engine")
    assert isinstance(load_engine("auto", exported_folder(SMALLEST)), TorchEngine)
    assert "PyTorch answers instead" in caplog.text
    with pytest.raises(EngineError, match="OpenVINO is not installed"):
        load_engine("openvino", exported_folder(SMALLEST))


def _cut_short(folder):
    path = folder / "openvino" / "model.bin"
    path.write_bytes(path.read_bytes()[:-1000])


def _of_other_weights(folder):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _stamp(text):
    return lambda folder: (folder / "openvino" / "export.json").write_text(text)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_of_other_weights, "made from other weights"),
        (_cut_short, "are damaged"),
        (lambda folder: (folder / "openvino" / "model.bin").unlink(), "lack the file model.bin"),
        (lambda folder: (folder / "openvino" / "export.json").unlink(), "lack the file export"),
        (_stamp("{"), "have a damaged export.json"),
        (_stamp("[]"), "have a damaged export.json"),
    ],
)
def test_files_that_do_not_belong_are_refused(folder, spoil, sentence, caplog):
    spoil(folder)
    with pytest.raises(WeightsError, match=sentence):
        load_engine("openvino", folder)
    with caplog.at_level(logging.WARNING):
        assert isinstance(load_engine("auto", folder), TorchEngine)
    assert sentence in caplog.text


def test_a_stamped_file_that_openvino_cannot_read(folder):
    (folder / "openvino" / "model.xml").write_text("<net>")
    write_stamp(folder, {})
    with pytest.raises(WeightsError, match=r"cannot read model\.xml"):
        load_engine("openvino", folder)


# ---- cores


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {}, math.inf),
        ("0::/\n", {"cpu.max": "max 100000\n"}, math.inf),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/a/b\n", {"a/b/cpu.max": "400000 100000", "a/cpu.max": "200000 100000"}, 2),
        ("0::/../elsewhere\n", {"cpu.max": "300000 100000\n"}, 3),
        (
            "4:memory:/a\n2:cpu,cpuacct:/a\n",
            {
                "cpu,cpuacct/a/cpu.cfs_quota_us": "50000",
                "cpu,cpuacct/a/cpu.cfs_period_us": "100000",
            },
            0.5,
        ),
        (  # in a container of version 1 the group's own path is not there
            "2:cpu:/docker/abc\n",
            {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"},
            2,
        ),
        ("2:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, math.inf),
    ],
)
def test_quota_of_the_control_groups(tmp_path, groups, files, expected):
    texts = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    for name, text in (texts | {"proc/self/cgroup": groups}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cores.cgroup_quota(tmp_path) == expected


@pytest.mark.parametrize(
    ("affinity", "quota", "expected"), [(8, math.inf, 8), (8, 2.0, 2), (2, 8.0, 2), (4, 0.5, 1)]
)
def test_usable_cores(monkeypatch, affinity, quota, expected):
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: range(affinity))
    monkeypatch.setattr(cores, "cgroup_quota", lambda: quota)
    assert cores.usable_cores() == expected


# ---- export


@pytest.mark.parametrize(
    ("min_mask_dice", "precision", "missed"),
    [(-1, "int8", []), (2, "fp32", ["int8, heads fp32"])],  # the first is close enough, none is
)
def test_export_takes_the_first_precision_that_is_close(
    weights_folder, tmp_path, monkeypatch, min_mask_dice, precision, missed
):
    folder = shutil.copytree(weights_folder(SMALLEST), tmp_path / SMALLEST)
    tried = {name: export.PRECISIONS[name] for name in [*missed, precision]}
    monkeypatch.setattr(export, "PRECISIONS", tried)
    monkeypatch.setattr(export, "MIN_MASK_DICE", min_mask_dice)
    monkeypatch.setattr(export, "MAX_AUC_CHANGE", 1)
    monkeypatch.setattr(export, "MAX_IOU_CHANGE", 1)
    (folder / "openvino").mkdir()
    (folder / "openvino" / "predictions.csv").touch()  # of earlier files: it must not stay
    export.export(folder, samples(6), samples(4))
    stamp = json.loads((folder / "openvino" / "export.json").read_text())
    assert stamp["weights_sha256"] == weights.fingerprint(folder)
    assert stamp["precision"] == precision and list(stamp["not_close_enough"]) == missed
    assert set(stamp["validation"]) == {"all", "busi", "busbra"}
    figures = stamp["validation"]["all"]
    assert figures["images"] == 4 and 0 <= figures["auc_torch"] <= 1
    assert not (folder / "openvino" / "predictions.csv").exists()
    quantised = "FakeQuantize" in (folder / "openvino" / "model.xml").read_text()
    assert quantised == (precision == "int8")
    if precision == "fp32":
        assert figures["mask_dice"] > 0.98 and figures["prob_change"] < 0.02
    assert isinstance(Predictor(SMALLEST, folder)._engine, OpenVinoEngine)


def test_parts_kept_in_fp32_reach_to_the_outputs(weights_folder):
    model = export.convert(weights_folder(SMALLEST))
    kinds = {node.get_friendly_name(): node.get_type_name() for node in model.get_ops()}

    def convolutions(*parts):
        return {n for n in export.operations_of(model, parts) if "Convolution" in kinds[n]}

    everything = {name for name, kind in kinds.items() if "Convolution" in kind}
    last_block, decoder = convolutions("decoder.blocks.4"), convolutions("decoder")
    assert len(last_block) == 3  # two of the block and the mask head
    assert last_block < decoder and len(decoder) == 11 and decoder < everything
    assert not convolutions("classifier") and export.operations_of(model, ("classifier",))
    assert not export.operations_of(model, ("no such part",))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"auc_openvino": 0.906}, False),
        ({"iou_openvino": 0.689}, False),
        ({"mask_dice": 0.969}, False),
    ],
)
def test_how_close_is_close_enough(changes, expected):
    figures = {"auc_torch": 0.9, "iou_torch": 0.7, "mask_dice": 0.98}
    figures |= {"auc_openvino": 0.904, "iou_openvino": 0.691}
    assert export.is_close(figures | changes) == expected
    only_classes = {"auc_torch": 0.9, "auc_openvino": 0.9}
    assert export.is_close(only_classes)


# ---- start-up


def test_the_app_answers_without_torch():
    script = """
import sys
from pathlib import Path
import app
from gradio_client import Client, handle_file
from busmtl.ui.page import build

page, settings = build(Path("examples"))
_, address, _ = page.launch(
    server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **settings
)
image = handle_file(next(Path("examples/images").glob("*.png")))
answer = Client(address, verbose=False).predict(image, api_name="/predict")
assert answer["malignant_prob"] > 0
heavy = "torch timm segmentation_models_pytorch sklearn nncf pydicom"
print("openvino" in sys.modules, *set(heavy.split()) & set(sys.modules))
"""
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["True"]
