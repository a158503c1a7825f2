"""Weights: where they are looked for, and the sentence for each way in which they can be bad."""

import hashlib
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import config_for
from fake_hub import FakeHub, hub_environment
from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file

from busmtl import Predictor, weights
from busmtl.variants import BEYOND_PAPER, VARIANTS

SMALLEST = "lite0-mtl"
TENSOR = "classifier.bias"


@pytest.fixture
def folder(weights_folder, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(weights_folder(SMALLEST), tmp_path / SMALLEST)


@pytest.fixture
def embedded(monkeypatch, tmp_path):
    """An empty place for embedded weights, and no Hub repository in the environment."""
    monkeypatch.setattr(weights, "EMBEDDED", tmp_path / "embedded")
    monkeypatch.delenv(weights.HUB_VARIABLE, raising=False)
    return tmp_path / "embedded"


def refusal(action, *arguments):
    """The sentence of the WeightsError, which must not hold a path."""
    with pytest.raises(weights.WeightsError) as caught:
        action(*arguments)
    assert "/tmp" not in str(caught.value) and str(caught.value).endswith(".")
    return str(caught.value)


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_tensors(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def test_saved_files_are_fp16_and_plain_json(folder):
    tensors = load_file(folder / "model.safetensors")
    kinds = {str(tensor.dtype) for name, tensor in tensors.items() if "running" not in name}
    assert kinds == {"torch.float16", "torch.int64"}  # batch counters stay integers
    assert json.loads((folder / "config.json").read_text())["input"] == {
        "size": 256,
        "mean": 0.449,
        "std": 0.226,
        "layout": "grey repeated to three channels",
    }
    assert weights.load_config(folder) == config_for(SMALLEST)
    content = (folder / "model.safetensors").read_bytes()
    assert weights.fingerprint(folder) == hashlib.sha256(content).hexdigest()


def test_save_refuses_what_fp16_cannot_hold(folder):
    network = weights.load_network(folder)
    network.classifier.bias.data[0] = 1e6
    with pytest.raises(ValueError, match=TENSOR):
        weights.save(folder, network, config_for(SMALLEST))


def test_running_statistics_may_be_larger_than_fp16_holds(folder):
    network = weights.load_network(folder)
    name = next(name for name in network.state_dict() if name.endswith("running_var"))
    network.state_dict()[name].fill_(1e6 + 1)
    weights.save(folder, network, config_for(SMALLEST))
    assert (weights.load_network(folder).state_dict()[name] == 1e6 + 1).all()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_missing_file(folder, name):
    (folder / name).unlink()
    assert f"{name} is missing" in refusal(weights.load_network, folder)
    assert f"{name} is missing" in refusal(weights.locate, SMALLEST, folder)


def test_missing_folder(tmp_path):
    assert "no weights folder 'nowhere'" in refusal(weights.locate, SMALLEST, tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda tensors: tensors.pop(TENSOR), f"lacks the tensor {TENSOR}"),
        (lambda tensors: tensors.update(stray=tensors[TENSOR].clone()), "does not know, stray"),
        (
            lambda tensors: tensors.update({TENSOR: tensors[TENSOR][:1].clone()}),
            f"another shape for the tensor {TENSOR}",
        ),
    ],
    ids=["missing", "extra", "shape"],
)
def test_wrong_tensors(folder, change, sentence):
    change_tensors(folder, change)
    assert sentence in refusal(weights.load_network, folder)


@pytest.mark.parametrize("kept", [0, 7, 5_000, 1_000_000])
def test_truncated_weights(folder, kept):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    sentence = refusal(weights.load_network, folder)
    assert "model.safetensors of lite0-mtl is damaged or was cut short" in sentence


def test_pickle_is_refused_and_not_run(folder):
    class Bomb:
        def __reduce__(self):
            return Path.touch, (folder / "exploded",)

    (folder / "model.safetensors").write_bytes(pickle.dumps(Bomb()))
    assert "damaged" in refusal(weights.load_network, folder)
    assert not (folder / "exploded").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"variant": "lite0-mtl"}', "\ud800"])
def test_bad_json(folder, text):
    (folder / "config.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert "config.json" in refusal(weights.load_config, folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"variant": "resnet18-mtl"},
        {"temperature": None},
        {"temperature": 0},
        {"temperature": "warm"},
        {"thresholds": {"malignant": {"balanced": 0.4}}},
        {"thresholds": {"mask": 2, "min_lesion_fraction": 0.001}},
        {"thresholds": {"mask": 0.5, "min_lesion_fraction": None}},
        {"surprise": 1},
    ],
    ids=str,
)
def test_config_that_the_variant_cannot_use(folder, changes):
    change_config(folder, **changes)
    assert "config.json" in refusal(weights.load_config, folder)


def test_weights_of_another_variant(folder):
    assert "those of lite0-mtl, not of swin-mtl" in refusal(Predictor, "swin-mtl", folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"input": {"size": 224, "mean": 0.449, "std": 0.226, "layout": "grey"}},
        {"class_names": ["malignant", "benign"]},
    ],
    ids=["input", "classes"],
)
def test_weights_for_another_input_or_other_classes(folder, changes):
    change_config(folder, **changes)
    assert "config.json of lite0-mtl" in refusal(Predictor, SMALLEST, folder)


def test_search_order(folder, embedded, monkeypatch):
    downloads = []
    monkeypatch.setattr(weights, "_download", lambda name: downloads.append(name) or folder)

    assert "no model.safetensors for lite0-mtl" in refusal(weights.locate, SMALLEST)
    monkeypatch.setenv("BUSMTL_HUB_REPO", "org/busmtl-{variant}")
    assert weights.locate(SMALLEST) == folder and downloads == ["org/busmtl-lite0-mtl"]

    shutil.copytree(folder, embedded / SMALLEST)
    assert weights.locate(SMALLEST) == embedded / SMALLEST
    assert weights.locate(SMALLEST, folder) == folder
    assert weights.locate(SMALLEST, str(folder)) == folder
    assert len(downloads) == 1
    weights.locate(SMALLEST, "hub:other/name")
    assert downloads[1:] == ["other/name"]


def test_a_damaged_embedded_folder_is_not_passed_over(folder, embedded, monkeypatch):
    monkeypatch.setenv("BUSMTL_HUB_REPO", "org/busmtl-{variant}")
    shutil.copytree(folder, embedded / SMALLEST)
    (embedded / SMALLEST / "config.json").unlink()
    assert "config.json is missing" in refusal(weights.locate, SMALLEST)


def test_available_lists_complete_folders_in_the_papers_order(embedded):
    assert weights.available() == []
    for variant_id in reversed(VARIANTS | BEYOND_PAPER):
        (embedded / variant_id).mkdir(parents=True)
        (embedded / variant_id / "config.json").touch()
    for variant_id in ("lite0-mtl", "swin-seg", "resnet50-cls"):
        (embedded / variant_id / "model.safetensors").touch()
    assert weights.available() == ["resnet50-cls", "swin-seg", "lite0-mtl"]


def test_hub_offline():
    assert "HF_HUB_OFFLINE is set" in refusal(weights.locate, SMALLEST, "hub:org/not-downloaded")


def test_hub_unreachable(monkeypatch):
    def unreachable(*_, **__):
        raise LocalEntryNotFoundError("The server did not answer.")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert "Check the connection" in refusal(weights.locate, SMALLEST, "hub:org/name")


@pytest.mark.parametrize("name", ["", "a/b/c", "org/na me"])
def test_hub_name_that_cannot_be(name):
    assert "need a name such as hub:org/name" in refusal(weights.locate, SMALLEST, f"hub:{name}")


CLIENT = """
import json, sys
from busmtl import Predictor, weights
from PIL import Image
weights.EMBEDDED = weights.EMBEDDED / "none"
answer = {}
for name in ("hub:org/none", "hub:org/incomplete"):
    try:
        weights.locate("lite0-mtl", name)
    except weights.WeightsError as error:
        answer[name] = str(error)
folder = weights.locate("lite0-mtl")
answer["files"] = sorted(path.name for path in folder.iterdir())
answer["malignant_prob"] = Predictor("lite0-mtl").predict(sys.argv[1]).malignant_prob
print(json.dumps(answer))
"""


def test_download_from_the_hub(folder, scan_rgb_u8, predictor_for, embedded, tmp_path):
    from PIL import Image

    Image.fromarray(scan_rgb_u8).save(tmp_path / "scan.png")
    hub_root = tmp_path / "hub"
    shutil.copytree(folder, hub_root / "org" / "busmtl-lite0-mtl")
    (hub_root / "org" / "busmtl-lite0-mtl" / "pytorch_model.bin").write_bytes(b"not wanted")
    (hub_root / "org" / "incomplete").mkdir()
    shutil.copy(folder / "config.json", hub_root / "org" / "incomplete")

    with FakeHub(hub_root) as hub:
        answer = ask_hub(hub.url, tmp_path)

    assert answer["files"] == ["config.json", "model.safetensors"]
    local = predictor_for(SMALLEST).predict(scan_rgb_u8)
    assert answer["malignant_prob"] == pytest.approx(local.malignant_prob, abs=1e-6)
    assert "hub:org/none do not exist on the Hub" in answer["hub:org/none"]
    assert "hub:org/incomplete lack the file model.safetensors" in answer["hub:org/incomplete"]


def ask_hub(url, tmp_path):
    environment = hub_environment(url, tmp_path / "cache")
    client = subprocess.run(
        [sys.executable, "-c", CLIENT, str(tmp_path / "scan.png")],
        cwd=Path(__file__).parents[1],
        env=environment | {"BUSMTL_HUB_REPO": "org/busmtl-{variant}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert client.returncode == 0, client.stderr
    return json.loads(client.stdout)
