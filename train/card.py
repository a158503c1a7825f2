"""What is written from metrics.json: the model card beside the weights, the README's figures."""

import hashlib
import json
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from busmtl.exported import is_exported, read_stamp
from busmtl.variants import BEYOND_PAPER, VARIANTS, Variant, get_variant, marked_title
from busmtl.weights import EMBEDDED, HUB_PREFIX, Config, load_config

from .splits import read_manifest

START, END = "<!-- figures: start -->\n", "<!-- figures: end -->\n"
METRICS_FILE = "metrics.json"

CARD = """---
{metadata}
---

# {title} (`{id}`)

{what} Input: one grey breast-ultrasound image, resized to 256×256. **Research use only: not a
medical device, not a diagnosis.**

```python
from busmtl import Predictor

result = Predictor("{id}"{source}).predict("image.png")
```

## Intended use

For research: to study how such networks answer, to compare them with others, and to build on them.
Not for patients: nothing here was tested in a clinic, and no care should follow from an answer.

## Figures

{table}
Square brackets: 95 % intervals from 2,000 bootstrap draws over duplicate groups (BUSI) or patients
(BUS-BRA). BUSI test is read by `python -m train evaluate` alone, after every choice stands.
{busbra} All are computed from `predictions.csv`, the answers of PyTorch.

## Engines

{engines}

## Training

{training}

## Limits

{limits}

## Citation

- The networks: Loja, Mendez, and Huang, *Multi-Task Breast Ultrasound Image Segmentation and
  Classification Using Convolutional Neural Network and Transformer*.
- BUSI: Al-Dhabyani et al., *Dataset of breast ultrasound images*, Data in Brief 28:104863, 2020,
  [doi:10.1016/j.dib.2019.104863](https://doi.org/10.1016/j.dib.2019.104863). Its duplicates and
  contradictions after Pawłowska et al. 2023 (CC BY 4.0).
- BUS-BRA: Gómez-Flores et al., *BUS-BRA: A breast ultrasound dataset for assessing computer-aided
  diagnosis systems*, Medical Physics 2024, [doi:10.1002/mp.16812](https://doi.org/10.1002/mp.16812).

"""
SEAL = "<!-- Written by busmtl; sha256 of what stands above: {} -->\n"

# (task, metric's name for machines, row): the figures that the front matter gives
HEADLINES = (
    ("image-classification", "roc_auc", "AUC"),
    ("image-classification", "accuracy", "ACC at 0.5"),
    ("image-segmentation", "iou", "Tumour IoU, per-image mean"),
    ("image-segmentation", "dice", "Dice, per-image mean"),
)

OPTIMISTIC = """\
BUS-BRA validation served those choices (epoch, temperature, thresholds): its figures are somewhat
optimistic."""
NOT_SEEN = "BUS-BRA had no part in training or in those choices."
NOT_MEASURED = "BUS-BRA was not at hand and is not measured."

# (row, where it stands in a part's summary)
ROWS = (
    ("AUC", ("ranking", "auc")),
    ("AUPRC", ("ranking", "auprc")),
    ("ACC at 0.5", ("at_threshold", "default", "acc")),
    ("TPR at 0.5", ("at_threshold", "default", "tpr")),
    ("FPR at 0.5", ("at_threshold", "default", "fpr")),
    ("PRE at 0.5", ("at_threshold", "default", "pre")),
    ("F1 at 0.5", ("at_threshold", "default", "f1")),
    ("Brier score", ("calibration", "brier")),
    ("ECE", ("calibration", "ece")),
    ("ECE before temperature scaling", ("before_temperature", "ece")),
    ("Tumour IoU, per-image mean", ("segmentation", "tumour_iou_per_image_mean")),
    ("Tumour IoU, pooled", ("segmentation", "tumour_iou_pooled")),
    ("Dice, per-image mean", ("segmentation", "dice_per_image_mean")),
    ("Dice, pooled", ("segmentation", "dice_pooled")),
    ("Background IoU, pooled", ("segmentation", "background_iou_pooled")),
    ("Lesions missed (IoU < 0.1)", ("segmentation", "missed_share")),
)


# What is set side by side of both engines on BUSI test.
COMPARED = ("AUC", "ACC at 0.5", "Tumour IoU, per-image mean", "Dice, per-image mean")


def lookup(summary: dict, keys: tuple[str, ...]) -> dict | None:
    """The {"value", "low", "high"} under those keys; None where the variant lacks the task."""
    for key in keys:
        if key not in summary:
            return None
        summary = summary[key]
    return summary


def with_interval(figure: dict) -> str:
    """ "0.912 [0.870, 0.951]", or a dash where the figure is not defined for these images."""
    if figure["value"] is None:
        return "–"
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def figures_table(result: dict) -> str:
    """Markdown: every metric on BUSI test and, where it was measured, on BUS-BRA validation."""
    names = {"busi_test": "BUSI test", "busbra_validation": "BUS-BRA validation"}
    parts = [result[key] for key in names if key in result]
    titles = [
        f"{names[key]} ({result[key]['images']} images, {result[key]['malignant']} malignant)"
        for key in names
        if key in result
    ]
    lines = [f"| | {' | '.join(titles)} |", "|---" * (len(parts) + 1) + "|"]
    for title, keys in ROWS:
        figures = [lookup(part, keys) for part in parts]
        if all(figures):
            lines.append(f"| {title} | {' | '.join(map(with_interval, figures))} |")
    return "\n".join(lines) + "\n"


def write_card(folder: Path) -> None:
    """README.md of a weights folder, from its config, metrics, and validation record."""
    (folder / "README.md").write_text(card_text(folder), encoding="utf-8")


def card_text(folder: Path, repo_id: str | None = None) -> str:
    """The card of a weights folder; with a Hub repository's name, it loads the weights from there.

    Its last line seals it, so that `is_ours` knows it again.
    """
    config = load_config(folder)
    variant = get_variant(config.variant)
    result = json.loads((folder / METRICS_FILE).read_text())
    text = CARD.format(
        metadata=_metadata(variant, result["busi_test"]),
        id=variant.id,
        title=variant.title,
        what=_what(variant),
        source=f', weights="{HUB_PREFIX}{repo_id}"' if repo_id else "",
        table=figures_table(result),
        busbra=_busbra(config, result),
        engines=_engines(folder, result),
        training=_training(folder, config),
        limits=_limits(variant, result),
    )
    return text + _seal(text)


def is_ours(text: str) -> bool:
    """Whether a card was written here and not changed since."""
    *above, last = text.splitlines(keepends=True) or [""]
    return last == _seal("".join(above))


def _seal(text: str) -> str:
    return SEAL.format(hashlib.sha256(text.encode()).hexdigest())


def _metadata(variant: Variant, test: dict) -> str:
    """The front matter in YAML, its `model-index` holding the headline figures on BUSI test."""
    keys = dict(ROWS)
    figures = [(*names, lookup(test, keys[names[-1]])) for names in HEADLINES]
    return ModelCardData(
        license="apache-2.0",
        library_name="busmtl",
        pipeline_tag="image-segmentation" if variant.segments else "image-classification",
        tags=["breast-ultrasound", "medical-imaging"],
        model_name=variant.id,
        eval_results=[
            EvalResult(
                task_type=task,
                dataset_type="busi",
                dataset_name="BUSI",
                dataset_split="test",
                metric_type=metric,
                metric_name=row,
                metric_value=round(figure["value"], 4),
            )
            for task, metric, row, figure in figures
            if figure and figure["value"] is not None
        ],
    ).to_yaml()


def _busbra(config: Config, result: dict) -> str:
    if "busbra_validation" not in result:
        return NOT_MEASURED
    return OPTIMISTIC if "busbra" in config.data["sets"] else NOT_SEEN


def _engines(folder: Path, result: dict) -> str:
    """How OpenVINO's answers compare with PyTorch's, as measured by `export` and `evaluate`."""
    if not is_exported(folder):
        return "PyTorch, in fp32. There are no OpenVINO files."
    stamp = read_stamp(folder)
    found = stamp["validation"]["all"]
    lines = [
        f"OpenVINO in {_precision(stamp)} where it is installed, else PyTorch in fp32. Both on the "
        f"{found['images']} validation images{_at_most(found)}:",
        "",
        "| | PyTorch | OpenVINO |",
        "|---|---|---|",
    ]
    for title, name in (("AUC, validation", "auc"), ("Tumour IoU, validation", "iou")):
        if f"{name}_torch" in found:
            lines.append(
                f"| {title} | {found[f'{name}_torch']:.4f} | {found[f'{name}_openvino']:.4f} |"
            )
    return "\n".join(lines + _engines_on_test(stamp, result))


def _precision(stamp: dict) -> str:
    text = "fp32" if stamp["kept_fp32"] is None else "INT8"
    if stamp["precision"] == "int8":
        text += " (what has no INT8 form: bf16 on a CPU that is made for it, else fp32)"
    if stamp["kept_fp32"]:
        text += f" with fp32 from {' and '.join(f'`{part}`' for part in stamp['kept_fp32'])} on"
    if stamp["not_close_enough"]:
        missed = " and ".join(f'"{name}"' for name in stamp["not_close_enough"])
        text += f" ({missed} did not come close enough to PyTorch)"
    return text


def _at_most(found: dict) -> str:
    """The differences image by image, of the tasks that the network has."""
    parts = []
    if "mask_dice" in found:
        parts.append(f"mean Dice of their masks with each other {found['mask_dice']:.3f}")
    if "prob_change" in found:
        parts.append(f"largest difference in a probability {found['prob_change']:.3f}")
    return f" ({', '.join(parts)})"


def _engines_on_test(stamp: dict, result: dict) -> list[str]:
    """Rows of the table; none before `evaluate` has measured these very OpenVINO files."""
    measured = result.get("openvino", {})
    if measured.get("files_sha256") != stamp["files_sha256"]:
        return []
    rows, keys = [], dict(ROWS)
    for title in COMPARED:
        figures = [lookup(each["busi_test"], keys[title]) for each in (result, measured)]
        if all(figures):
            rows.append(f"| {title}, BUSI test | {' | '.join(map(with_interval, figures))} |")
    return rows


def _what(variant: Variant) -> str:
    tasks = {
        (True, True): "Outlines lesions and gives a calibrated probability of malignancy.",
        (True, False): "Gives a calibrated probability of malignancy.",
        (False, True): "Outlines lesions.",
    }
    return tasks[variant.classifies, variant.segments]


def _training(folder: Path, config: Config) -> str:
    counts = {
        name: sum(entry.part == "train" for entry in read_manifest(name))
        for name in config.data["sets"]
    }
    sources = {
        "busi_random": "{} images of BUSI (Al-Dhabyani et al., Data in Brief 28:104863, 2020), "
        "split at random as in the paper, so that duplicates straddle the parts",
        "busi": "{} images of BUSI (Al-Dhabyani et al., Data in Brief 28:104863, 2020), split so "
        "that no duplicate group (Pawłowska et al. 2023) straddles two parts",
        "busbra": "{} images of BUS-BRA (Gómez-Flores et al., Medical Physics 2024), its official "
        "folds 1–3",
    }
    text = "Learned from " + "; ".join(sources[name].format(n) for name, n in counts.items())
    text += (
        f". {_start(config.training)} Recipe: `config.json`; course: `log.jsonl` and `curve.png`. "
    )
    changes = json.loads(_validation(folder).read_text())["fp16_largest_change"]
    text += "Weights are stored in fp16; against fp32, the largest change on validation is "
    names = {
        "malignant_prob": "an image's probability of malignant",
        "lesion_prob": "a pixel's of lesion",
    }
    return text + " and ".join(f"{changes[key]:.4f} in {names[key]}" for key in changes) + "."


STARTS = {
    "none": "random weights",
    "local": "random weights, with attention that begins local",
    "imagenet": "ImageNet weights",
}


def _start(training: dict) -> str:
    init, teacher = training["init"], training["teacher"]
    start = STARTS.get(init, f"the weights `{init}`")
    taught = "without a teacher" if teacher == "none" else f"under the teacher `{teacher}`"
    return f"It started from {start}, {taught} (`train/README.md` lists the runs)."


def _validation(folder: Path) -> Path:
    """The validation record: beside embedded weights, or above those still in their run."""
    beside = folder / "validation.json"
    return beside if beside.exists() else folder.parent / "validation.json"


def _limits(variant: Variant, result: dict) -> str:
    test, normal = result["busi_test"], result.get("busi_normal")
    lines = ["- Trained on still images that show a lesion, from a handful of scanners."]
    if variant.classifies:
        share = test["malignant"] / test["images"]
        lines.append(
            f"- The probability is calibrated to BUSI's malignant share of {share:.0%}; where "
            "malignancy is rarer, it is too high."
        )
    if normal:
        lines.append(
            f"- It outlines something in {normal['given_a_mask_share']:.0%} of "
            f"{normal['images']} normal images, a kind that it never saw in training."
        )
    return "\n".join(lines)


def write_readme_figures(readme: Path) -> None:
    """Replace what stands between the two markers in the README by a table of all networks."""
    lines = [
        "| network | AUC | ACC | tumour IoU | Dice | file |",
        "|---|---|---|---|---|---|",
    ]
    for variant in (VARIANTS | BEYOND_PAPER).values():
        folder = EMBEDDED / variant.id
        if not (folder / METRICS_FILE).exists():
            continue
        test = json.loads((folder / METRICS_FILE).read_text())["busi_test"]
        keys = dict(ROWS)
        figures = [lookup(test, keys[name]) for name in COMPARED]
        cells = [with_interval(each) if each else "–" for each in figures]
        size = (folder / "model.safetensors").stat().st_size / 2**20
        title = marked_title(variant.id)
        lines.append(f"| {title}, `{variant.id}` | {' | '.join(cells)} | {size:.0f} MB |")
    before, rest = readme.read_text().split(START)
    _, after = rest.split(END)
    readme.write_text(before + START + "\n".join(lines) + "\n" + END + after)
