"""`train publish`: pushed to a Hub on loopback and loaded from there, and every refusal."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fake_hub import TOKEN, FakeHub, hub_environment
from huggingface_hub import ModelCard

from busmtl import Predictor, weights
from train.card import is_ours

ROOT = Path(__file__).parents[1]
VARIANT = "lite0-mtl"  # the smallest
RECORDS = weights.EMBEDDED / "resnet50-mtl"  # of real weights, lent to the random ones
REPOSITORY = "org/name"

# huggingface_hub reads its address at import, so each client is a process of its own.
PUBLISH = """
import sys
from pathlib import Path
from busmtl import weights
weights.EMBEDDED = Path(sys.argv.pop(1))
from train.__main__ import app
app()
"""
PREDICT = """
import sys
from busmtl import Predictor
prediction = Predictor("lite0-mtl", weights="hub:org/name").predict(sys.argv[1])
print(prediction.malignant_prob, prediction.mask.sum(), "torch" in sys.modules)
"""


@pytest.fixture
def embedded(exported_folder, tmp_path):
    """Embedded weights of one random network, with records as `evaluate` leaves them."""
    root = tmp_path / "embedded"
    folder = shutil.copytree(exported_folder(VARIANT), root / VARIANT)
    shutil.copy(RECORDS / "validation.json", folder)
    change_json(folder / "config.json", data={"sets": ["busi", "busbra"]})
    shutil.copy(RECORDS / "metrics.json", folder)
    change_json(folder / "metrics.json", weights_sha256=weights.fingerprint(folder))
    return root


def change_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def hub_root(tmp_path):
    (tmp_path / "hub").mkdir()
    return tmp_path / "hub"


@pytest.fixture
def client(tmp_path):
    """(Hub's address, Python code, arguments, changes to the environment) → finished process."""

    def run(url, code, *arguments, **environment):
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=ROOT,
            env=hub_environment(url, tmp_path / "cache") | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def publish(client, embedded):
    """(Hub's address, options, changes to the environment) → finished process."""

    def run(url, *options, variant=VARIANT, repo_id=REPOSITORY, **environment):
        arguments = ("publish", "--variant", variant, "--repo-id", repo_id, *options)
        environment = {"HF_TOKEN": TOKEN} | environment
        return client(url, PUBLISH, embedded, *arguments, **environment)

    return run


NOWHERE = "http://127.0.0.1:9"  # nothing listens on the discard port


def refusal(done):
    """The one sentence or two on the error output of a process that failed."""
    assert done.returncode == 1, done.stderr
    assert done.stdout == "" and done.stderr.count("\n") == 1 and done.stderr.endswith(".\n")
    return done.stderr


def test_what_is_pushed_answers_as_the_local_weights(
    publish, client, hub_root, embedded, scan_rgb_u8, tmp_path
):
    from PIL import Image

    Image.fromarray(scan_rgb_u8).save(tmp_path / "scan.png")
    with FakeHub(hub_root) as hub:
        done = publish(hub.url)
        answer = client(hub.url, PREDICT, tmp_path / "scan.png")
        again = publish(hub.url)

    assert done.returncode == 0, done.stderr
    assert "/org/name/commit/" in done.stdout
    local = Predictor(VARIANT, embedded / VARIANT).predict(scan_rgb_u8)
    malignant_prob, area_px, has_torch = answer.stdout.split()
    assert has_torch == "False"  # the OpenVINO files came along
    assert float(malignant_prob) == pytest.approx(local.malignant_prob, abs=1e-6)
    assert int(area_px) == local.mask.sum()
    pushed = hub_root / "org" / "name"
    for name in ("model.safetensors", "config.json", "metrics.json", "openvino/model.bin"):
        assert (pushed / name).read_bytes() == (embedded / VARIANT / name).read_bytes()
    assert again.returncode == 0, again.stderr  # its own card does not stand in the way


def test_dry_run_writes_the_folder_without_a_network(publish, tmp_path):
    done = publish(NOWHERE, "--dry-run", tmp_path / "out", HF_HUB_OFFLINE="1", HF_TOKEN="")
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names >= {"model.safetensors", "config.json", "metrics.json", "README.md"}
    assert "exists already" in refusal(publish(NOWHERE, "--dry-run", tmp_path / "out"))


def test_card(publish, tmp_path):
    publish(NOWHERE, "--dry-run", tmp_path / "out")
    card = ModelCard.load(tmp_path / "out" / "README.md")
    test = json.loads((RECORDS / "metrics.json").read_text())["busi_test"]
    figures = {each.metric_type: each.metric_value for each in card.data.eval_results}
    assert figures == {
        "roc_auc": pytest.approx(test["ranking"]["auc"]["value"], abs=1e-4),
        "accuracy": pytest.approx(test["at_threshold"]["default"]["acc"]["value"], abs=1e-4),
        "iou": pytest.approx(test["segmentation"]["tumour_iou_per_image_mean"]["value"], abs=1e-4),
        "dice": pytest.approx(test["segmentation"]["dice_per_image_mean"]["value"], abs=1e-4),
    }
    assert {each.dataset_split for each in card.data.eval_results} == {"test"}
    assert f'Predictor("{VARIANT}", weights="hub:{REPOSITORY}")' in card.text
    for heading in ("Intended use", "Training", "Limits", "Citation"):
        assert f"## {heading}\n" in card.text
    assert "Pawłowska" in card.text and "10.1002/mp.16812" in card.text


def test_a_seal_holds_only_for_an_unchanged_card():
    text = (RECORDS / "README.md").read_text()
    assert is_ours(text)
    assert not is_ours(text.replace("Research", "Clinical", 1))
    assert not is_ours(text + "More.\n")
    assert not is_ours("")


@pytest.mark.parametrize("by", ["others", "this command, then changed"])
def test_a_card_of_others_is_kept_unless_told(publish, hub_root, by):
    repository = hub_root / "org" / "name"
    repository.mkdir(parents=True)
    sealed = (RECORDS / "README.md").read_text()
    there = "# Ours\n" if by == "others" else sealed.replace("Limits", "Bounds")
    (repository / "README.md").write_text(there)
    with FakeHub(hub_root) as hub:
        assert "--overwrite-card" in refusal(publish(hub.url))
        assert [path.name for path in repository.iterdir()] == ["README.md"]
        assert (repository / "README.md").read_text() == there
        assert publish(hub.url, "--overwrite-card").returncode == 0
    assert is_ours((repository / "README.md").read_text())


@pytest.mark.parametrize(
    ("token", "sentence"), [("hf_wrong", "does not accept the token"), ("", "There is no token")]
)
def test_token(publish, hub_root, token, sentence):
    with FakeHub(hub_root) as hub:
        assert sentence in refusal(publish(hub.url, HF_TOKEN=token))
    assert not list(hub_root.iterdir())


@pytest.mark.parametrize(
    ("step", "status", "sentence"),
    [
        ("whoami", 429, "status 429"),
        ("create", 403, "does not let this token write to org/name"),
        ("preupload", 404, "knows no org/name"),
        ("lfs", 403, "does not let this token write to org/name"),
        ("commit", 403, "does not let this token write to org/name"),
        ("commit", 404, "knows no org/name"),
        ("commit", 412, "status 412"),
    ],
)
def test_refused_push(publish, hub_root, step, status, sentence):
    with FakeHub(hub_root, {step: status}) as hub:
        assert sentence in refusal(publish(hub.url))
    assert not list(hub_root.rglob("*.*"))


def test_no_connection(publish):
    assert "could not be reached" in refusal(publish(NOWHERE))


def test_offline(publish):
    assert "HF_HUB_OFFLINE is set" in refusal(publish(NOWHERE, HF_HUB_OFFLINE="1"))


@pytest.mark.parametrize("repo_id", ["name", "a/b/c", "org/na me"])
def test_repository_name_that_cannot_be(publish, repo_id):
    assert "such as ORG/NAME" in refusal(publish(NOWHERE, repo_id=repo_id))


@pytest.mark.parametrize(
    ("variant", "sentence"),
    [("swin-mtl", "swin-mtl are not embedded"), ("resnet18", "Unknown variant")],
)
def test_weights_that_are_not_here(publish, variant, sentence):
    assert sentence in refusal(publish(NOWHERE, variant=variant))


@pytest.mark.parametrize("name", ["metrics.json", "validation.json"])
def test_missing_record(publish, embedded, name):
    (embedded / VARIANT / name).unlink()
    assert f"has no {name}" in refusal(publish(NOWHERE))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weights_sha256": "of others"}'])
def test_metrics_of_other_weights(publish, embedded, text):
    (embedded / VARIANT / "metrics.json").write_text(text)
    assert "not of the embedded weights" in refusal(publish(NOWHERE))


def test_openvino_files_of_other_weights(publish, embedded):
    change_json(embedded / VARIANT / "openvino" / "export.json", weights_sha256="of others")
    assert "made from other weights" in refusal(publish(NOWHERE))


def test_damaged_config(publish, embedded):
    (embedded / VARIANT / "config.json").write_text("{")
    assert "config.json" in refusal(publish(NOWHERE))
