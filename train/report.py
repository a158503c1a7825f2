"""The paper's tables and figures, and more, from saved predictions: `busmtl/results/`.

    python -m train report --data DATA

The predictions are those that `train evaluate` saved beside the weights; the data folder is needed
for the pictures that the figures show. `results.json` is what the app reads.
"""

import hashlib
import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from safetensors import safe_open

import busmtl
from busmtl.variants import get_variant
from busmtl.weights import EMBEDDED, MODEL_FILE, available, fingerprint, load_config

from . import figures, metrics, study, tables
from .card import METRICS_FILE
from .evaluate import PREDICTIONS, calibrated, read_rows
from .splits import manifest_hashes
from .study import FIG4_RUNS, Study
from .tables import Network, Table

RESULTS = Path(busmtl.__file__).parent / "results"
RESULTS_FILE = "results.json"
# Written there by `python -m busmtl bench` and `python tests/load.py`.
MEASURED_APART = ("bench.json", "bench.md", "load.md")

PAGE = """\
# Results

Written by `python -m train report` from the predictions saved beside the weights in
`busmtl/weights/`; `results.json` holds the same figures, with the sha256 of the weights and of the
data manifests that they belong to. Square brackets: 95 % intervals from 2,000 bootstrap draws over
duplicate groups (BUSI) or patients (BUS-BRA). BUSI test has {images} images, {malignant} of them
malignant; its duplicates all lie on one side of the split.

{tables}
## Figures

{fig4}![ROC curves of the classifiers on BUSI test](fig5_roc.png)

![Two benign and two malignant test images, chosen by rank of overlap, with the reference and each
network's mask](fig6_masks.png)

![Malignant share against mean probability, before and after temperature scaling](calibration.png)

![Share of lesions by overlap](iou_distribution.png)

The ultrasound images shown here are from BUSI: Al-Dhabyani et al., *Dataset of breast ultrasound
images*, Data in Brief 28:104863, 2020,
[doi:10.1016/j.dib.2019.104863](https://doi.org/10.1016/j.dib.2019.104863) (CC BY 4.0).
"""


FIG4 = """\
![Training and validation loss of ST-Classification by epoch, without and with augmentation, weight
decay, and a falling rate](fig4_overfitting.png)

"""


def write_report(data: Path, folder: Path = RESULTS) -> None:
    """Replace the folder's content by the report on all embedded networks that were evaluated."""
    networks = [load(each) for each in available() if (EMBEDDED / each / METRICS_FILE).exists()]
    with TemporaryDirectory(prefix="results-", dir=folder.parent) as temporary:
        made = Path(temporary) / folder.name
        made.mkdir()
        _write_all(networks, made, data)
        for name in MEASURED_APART:
            if (folder / name).exists():
                shutil.copyfile(folder / name, made / name)
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)


def _write_all(networks: list[Network], folder: Path, data: Path) -> None:
    studies = study.kept()
    made = tables.all_tables(networks) + study.tables(studies)
    for table in made:
        (folder / f"{table.name}.csv").write_text(table.csv())
        (folder / f"{table.name}.md").write_text(table.markdown())
    figures.overfitting(studies, folder)
    figures.roc(networks, folder)
    figures.reliability(networks, folder)
    figures.overlap_distribution(networks, folder)
    figures.masks_grid(networks, folder, data)
    worst = figures.failures(networks, folder, data)
    (folder / RESULTS_FILE).write_text(json.dumps(as_json(networks, made, worst), indent=1) + "\n")
    (folder / "README.md").write_text(page(networks, made, studies))


def load(variant_id: str) -> Network:
    """An embedded network and what `train evaluate` saved beside it."""
    folder = EMBEDDED / variant_id
    with safe_open(folder / MODEL_FILE, framework="numpy") as file:
        sizes = [np.prod(file.get_slice(name).get_shape()) for name in file.keys()]  # noqa: SIM118
    return Network(
        variant=get_variant(variant_id),
        metrics=json.loads((folder / METRICS_FILE).read_text()),
        rows=read_rows(folder / PREDICTIONS),
        parameters=int(sum(sizes)),
        file_bytes=(folder / MODEL_FILE).stat().st_size,
        temperature=load_config(folder).temperature,
    )


def stamp(variant_id: str) -> dict[str, str]:
    """sha256 of the weights and of the predictions that a report belongs to."""
    predictions = (EMBEDDED / variant_id / PREDICTIONS).read_bytes()
    return {
        "weights_sha256": fingerprint(EMBEDDED / variant_id),
        "predictions_sha256": hashlib.sha256(predictions).hexdigest(),
    }


def as_json(networks: list[Network], made: list[Table], worst: list[dict]) -> dict:
    """What the app reads: stamps, tables, and each network's answers to the test images."""
    return {
        "manifest_sha256": manifest_hashes(),
        "made_from": {network.id: stamp(network.id) for network in networks},
        "tables": [
            {"name": each.name, "title": each.title, "header": each.header, "rows": each.rows,
             "notes": each.notes}
            for each in made
        ],
        "networks": {network.id: answers(network) for network in networks},
        "failures": worst,
    }  # fmt: skip


def answers(network: Network) -> dict:
    """Title and, for each image of BUSI test, what the page's ROC and overlap plots need."""
    malignant, margins = figures.classifier_answers(network)
    result = {"title": network.title, "malignant": malignant.tolist()}
    if network.classifies:
        result["malignant_prob"] = np.round(calibrated(margins, network.temperature), 5).tolist()
    if network.segments:
        iou = metrics.iou(figures.overlap(network.part("busi", "test")))
        result["iou"] = np.round(iou, 4).tolist()
    return result


def page(networks: list[Network], made: list[Table], studies: dict[str, Study]) -> str:
    test = networks[0].metrics["busi_test"]
    return PAGE.format(
        images=test["images"],
        malignant=test["malignant"],
        tables="\n".join(table.markdown() for table in made),
        fig4=FIG4 if FIG4_RUNS.keys() <= studies.keys() else "",
    )
