"""The tab "About": what the demo is for, how good the networks are, what happens to an upload.

Every figure is read from the networks' own metrics.json and from gate.json; none is typed here.
"""

import json
import platform
from html import escape
from importlib import metadata

import gradio as gr

from .. import __version__, gate, weights
from ..engines import ENGINES
from ..variants import get_variant
from . import sweep
from .networks import Networks

METRICS_FILE = "metrics.json"
HASH_LETTERS = 16  # of a sha256's 64: enough to tell two files apart
FEW_IMAGES = 20  # of one scanner, too few for a figure worth reading
UNKNOWN = '<span title="Not measured, or not a task of this network">n/a</span>'

INTENDED_USE = """<p><strong>Research use only: not a medical device, not a diagnosis.</strong> The
page is for people who study how such networks answer, compare them, or build on them. It was not
tested in a clinic, and nobody's care should follow from what it shows.</p>
<p>It expects one still breast-ultrasound image. It outlines what it takes for a lesion and says how
likely that is malignant. A good answer on one image says little about the next.</p>"""

DATA = """<ul>
<li>The networks: Loja, Mendez, and Huang, <cite>Multi-Task Breast Ultrasound Image Segmentation and
Classification Using Convolutional Neural Network and Transformer</cite>. These are new networks,
trained after that paper, not the authors' own.</li>
<li>BUSI: Al-Dhabyani et al., <cite>Dataset of breast ultrasound images</cite>, Data in Brief
28:104863, 2020, {busi}. Its duplicates and contradictions after Pawłowska et al. 2023.</li>
<li>BUS-BRA: Gómez-Flores et al., <cite>BUS-BRA: A breast ultrasound dataset for assessing
computer-aided diagnosis systems</cite>, Medical Physics 51(4), 2024, {busbra}. The examples on this
page are from it; no network learned from them.</li>
</ul>"""

UPLOAD = """<ul>
<li>Your file goes to the computer that runs this page, into a temporary folder, and nowhere else.
It is gone when you clear or replace it on the tab Analyse, and after {minutes} minutes at the
latest, with every file made from it. When the page is shut down, the whole folder goes.</li>
<li>Other visitors do not see it: it can be had only at a long random address, which your browser
alone is told.</li>
<li>It is not kept for training, and neither its name nor its content is logged. Your browser keeps
no history of it.</li>
<li>Of a DICOM file only the picture and what it needs is read, never the patient's name. Names
burned into the picture stay in it: crop them off first.</li>
<li>On a public server, such as a Hugging Face Space, it passes through that company's computers.
To avoid this, run the demo on your own.</li>
</ul>"""

LICENCE = """<p>Code and networks: Apache License 2.0, without any warranty. The example images:
Copyright © 2023 of the authors of BUS-BRA, under the terms in
<code>examples/LICENSE-BUSBRA.txt</code>.</p>"""


def build(networks: Networks) -> None:
    """Lay out the tab: plain HTML, made once."""
    measured = {variant_id: read_metrics(variant_id) for variant_id in networks.ids}
    sections = [
        ("Intended use", INTENDED_USE),
        ("How good it is", figures(measured)),
        ("Limits", limits(measured, networks.default)),
        ("Which pictures are stopped", stopped_pictures(json.loads(gate.MEASURED.read_text()))),
        ("What happens to an upload", UPLOAD.format(minutes=sweep.longest_stay_minutes())),
        (
            "Data and citations",
            DATA.format(busi=_doi("10.1016/j.dib.2019.104863"), busbra=_doi("10.1002/mp.16812")),
        ),
        ("Licence", LICENCE),
        ("Versions", versions(measured)),
    ]
    body = "".join(f"<section><h2>{title}</h2>{text}</section>" for title, text in sections)
    gr.HTML(f'<article class="about">{body}</article>', elem_id="about")


def read_metrics(variant_id: str) -> dict:
    """What `python -m train evaluate` wrote beside the weights; {} where it has not run."""
    path = weights.EMBEDDED / variant_id / METRICS_FILE
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def figures(measured: dict[str, dict]) -> str:
    """One row a network: what it reached on BUSI's test part, with 95 % intervals."""
    head = "".join(
        f'<th scope="col">{title}</th>'
        for title in (
            "Network",
            "AUC",
            "Malignant found (at 0.5)",
            "Benign cleared (at 0.5)",
            "Dice of the outline",
            "Lesions missed",
            "Normal images outlined",
        )
    )
    rows = "".join(_figures_row(*item) for item in measured.items())
    return f"""<div class="wide" role="region" aria-label="Figures of each network" tabindex="0">
<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>
<p class="aside">{_test_set(measured)} In square brackets: 95 % intervals. A lesion counts as missed
where outline and reference share less than a tenth (IoU below 0.1). "Normal images" show no lesion,
and any outline there is false.</p>"""


def _figures_row(variant_id: str, metrics: dict) -> str:
    test = metrics.get("busi_test", {})
    at_half = test.get("at_threshold", {}).get("default", {})
    segmentation = test.get("segmentation", {})
    normal = metrics.get("busi_normal", {})
    cells = (
        _interval(test.get("ranking", {}).get("auc"), "{:.3f}"),
        _interval(at_half.get("tpr"), "{:.0%}"),
        _interval(_complement(at_half.get("fpr")), "{:.0%}"),
        _interval(segmentation.get("dice_per_image_mean"), "{:.3f}"),
        _interval(segmentation.get("missed_share"), "{:.0%}"),
        f"{normal['given_a_mask_share']:.0%} of {normal['images']}"
        if normal.get("given_a_mask_share") is not None
        else UNKNOWN,
    )
    title = escape(get_variant(variant_id).title)
    return f'<tr><th scope="row">{title}</th>' + "".join(f"<td>{c}</td>" for c in cells) + "</tr>"


def _test_set(measured: dict[str, dict]) -> str:
    test = next((m["busi_test"] for m in measured.values() if "busi_test" in m), None)
    if test is None:
        return "No network here has been measured."
    return (
        f"Measured on the test part of BUSI: {test['images']} images, {test['malignant']} of them "
        "malignant, none of which the networks learned from."
    )


def limits(measured: dict[str, dict], default_id: str) -> str:
    """What the figures say against the networks, in sentences."""
    metrics = measured.get(default_id, {})
    title = escape(get_variant(default_id).title)
    points = [
        "The networks learned from still images that show a lesion, taken with a handful of "
        "scanners, mostly of women in Egypt and Brazil. On other scanners and other people they "
        "may do worse.",
        *_points_on_normals(metrics, title),
        *_points_on_misses(metrics, title),
        *_points_on_scanners(metrics, title),
        *_points_on_prevalence(metrics),
        "The map of what the network looked at compares places within one image. It does not "
        "explain the answer.",
    ]
    return "<ul>" + "".join(f"<li>{point}</li>" for point in points) + "</ul>"


def _points_on_normals(metrics: dict, title: str) -> list[str]:
    normal = metrics.get("busi_normal", {})
    if normal.get("given_a_mask_share") is None:
        return []
    return [
        f"They expect a lesion. {title} outlined something in {normal['given_a_mask_share']:.0%} "
        f"of {normal['images']} images that show none."
    ]


def _points_on_misses(metrics: dict, title: str) -> list[str]:
    found = metrics.get("busi_test", {}).get("at_threshold", {}).get("default", {}).get("tpr")
    if found is None:
        return []
    return [
        f"They miss cancers. At a threshold of 0.5, {title} calls {1 - found['value']:.0%} of the "
        f"malignant test images benign (95 % interval {1 - found['high']:.0%} to "
        f"{1 - found['low']:.0%})."
    ]


def _points_on_scanners(metrics: dict, title: str) -> list[str]:
    by_device = {
        device: part["ranking"]["auc"]["value"]
        for device, part in metrics.get("busbra_validation_by_device", {}).items()
        if part["images"] >= FEW_IMAGES and "ranking" in part
    }
    if len(by_device) < 2:
        return []
    worst, best = min(by_device, key=by_device.get), max(by_device, key=by_device.get)
    return [
        f"The scanner matters. On BUS-BRA's validation part the AUC of {title} goes from "
        f"{by_device[worst]:.2f} ({escape(worst)}) to {by_device[best]:.2f} ({escape(best)})."
    ]


def _points_on_prevalence(metrics: dict) -> list[str]:
    test = metrics.get("busi_test")
    if test is None or "calibration" not in test:
        return []
    return [
        f"The probability fits a place where about {test['malignant'] / test['images']:.0%} of the "
        "lesions are malignant, as in BUSI. Where cancer is rarer it is too high."
    ]


def stopped_pictures(measured: dict) -> str:
    """measured: gate.json. One row for each data set and each kind of other picture."""
    kinds = measured["heldout"]
    rows = [_stopped_row(f"Ultrasound, {title}", n) for title, n in measured["ultrasound"].items()]
    rows += [
        _stopped_row(kind.capitalize() if kind.islower() else kind, kinds[kind]) for kind in kinds
    ]
    head = "".join(
        f'<th scope="col">{title}</th>'
        for title in ("Kind", "Pictures", "Stopped", "Told rightly what it is")
    )
    pictures, stopped = (sum(n[key] for n in kinds.values()) for key in ("pictures", "stopped"))
    notes = " ".join(
        f"{name.capitalize()}: of {counts['looked_at']} validation images, {counts['noted']} got a "
        f"note, {counts['right']} of them rightly."
        for name, counts in measured["notes"].items()
    )
    return f"""<p>On Analyse and Compare, an upload that does not look like ultrasound is stopped
with the reason, and you may go on all the same. In Batch it gets a warning in its row. The check
cannot tell breast ultrasound from other ultrasound.</p>
<div class="wide" role="region" aria-label="Pictures stopped, by kind" tabindex="0">
<table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>
<p class="aside">Ultrasound: none of them should be stopped. The others:
pictures from sources not used while building the check; {stopped} of {pictures} were stopped
({stopped / pictures:.1%}), those of the last column with the right reason. None at hand, so not
measured: {", ".join(measured["not_at_hand"])}.</p>
<p class="aside">What is burned into an image gets a note on Analyse and Compare. {notes} Two views
in one picture get none: the images at hand show none, so such a note could not be measured.</p>"""


def _stopped_row(kind: str, counts: dict) -> str:
    share = counts["stopped"] / counts["pictures"]
    right = counts.get("right_reason", "–")
    return (
        f'<tr><th scope="row">{kind}</th><td>{counts["pictures"]}</td>'
        f"<td>{counts['stopped']} ({share:.1%})</td><td>{right}</td></tr>"
    )


def versions(measured: dict[str, dict]) -> str:
    """Software, and which file of weights each network is."""
    engines = [f"{name} {_installed(name)}" for name in ENGINES if _installed(name)]
    rows = [
        ("busmtl", __version__),
        ("Gradio", gr.__version__),
        ("Engines", ", ".join(engines)),
        ("Python", platform.python_version()),
        *((get_variant(each).title, _weights_hash(each, measured[each])) for each in measured),
    ]
    cells = "".join(f"<div><dt>{escape(name)}</dt><dd>{text}</dd></div>" for name, text in rows)
    return (
        f"<dl>{cells}</dl><p class='aside'>Behind a network's name: how the sha256 of its weights "
        "begins.</p>"
    )


def _weights_hash(variant_id: str, metrics: dict) -> str:
    """As measured; a network that has no figures is hashed here, which takes a moment."""
    folder = weights.EMBEDDED / variant_id
    if not (folder / weights.MODEL_FILE).is_file():
        return "no weights here"
    sha256 = metrics.get("weights_sha256") or weights.fingerprint(folder)
    return f"<code title='{sha256}'>{sha256[:HASH_LETTERS]}</code>"


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _interval(figure: dict | None, form: str) -> str:
    if figure is None:
        return UNKNOWN
    value, low, high = (form.format(figure[key]) for key in ("value", "low", "high"))
    return f"{value} <small>[{low}, {high}]</small>"


def _complement(figure: dict | None) -> dict | None:
    if figure is None:
        return None
    return {"value": 1 - figure["value"], "low": 1 - figure["high"], "high": 1 - figure["low"]}


def _doi(doi: str) -> str:
    return f'<a href="https://doi.org/{doi}" target="_blank" rel="noopener">doi:{doi}</a>'
