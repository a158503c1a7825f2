"""Batches: what is read of files and zips, the figures on a visitor's own data, and the tab."""

import csv
import io
import math
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from browser import paths_in, type_into
from gradio_client import Client, handle_file
from gradio_client.utils import Status
from PIL import Image
from playwright.sync_api import expect
from typer.testing import CliRunner

from busmtl.__main__ import app as command_line
from busmtl.batch import figures, masks_zip, read_reference, run
from busmtl.collection import CollectionError, open_collection, read_labels
from busmtl.images import ImageError
from busmtl.rows import COLUMNS, csv_text
from busmtl.ui import batch as tab
from busmtl.ui import batch_api, batch_view, sweep
from busmtl.variants import DEFAULT_VARIANT

pytest_plugins = ["browser"]

SMALLEST = "lite0-mtl"
EXAMPLES = Path(__file__).parent.parent / "examples"
FILES = sorted((EXAMPLES / "images").glob("*.png"))
HTML_NAME = "<img src=x onerror=alert(1)>.png"


def png(pixels_u8):
    file = io.BytesIO()
    Image.fromarray(pixels_u8).save(file, format="PNG")
    return file.getvalue()


LARGE = png(np.full((2000, 3000), 90, np.uint8))  # small as a file, and long to analyse


@pytest.fixture
def scan_png(scan_rgb_u8):
    return png(scan_rgb_u8)


@pytest.fixture
def make_zip(tmp_path):
    """{name: bytes} → (path, "own.zip"); keywords go to ZipFile."""

    def make(members, **options):
        path = tmp_path / "own.zip"
        with zipfile.ZipFile(path, "w", **options) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return path, "own.zip"

    return make


def opened(*files):
    """The collection, to look at what needs no reading."""
    with open_collection(list(files)) as collection:
        return collection


def refusal(*files):
    with pytest.raises(CollectionError) as caught:
        opened(*files)
    sentence = str(caught.value)
    assert sentence.endswith(".") and "/" not in sentence and "own" not in sentence
    return sentence


def errors(path_and_name):
    """name → why it cannot be read, or "" """
    answers = {}
    with open_collection([path_and_name]) as collection:
        for item in collection.items:
            try:
                item.image.read()
                answers[item.name] = ""
            except ImageError as error:
                answers[item.name] = str(error)
    return answers


def patched(path, old, new):
    """Bytes of a zip changed on disk, all occurrences."""
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


# ---- zips


def test_a_zip_gives_its_images_in_natural_order(make_zip, scan_png):
    names = ("b/scan 10.png", "b/scan 2.PNG", "a/x.dcm", "__MACOSX/b/._scan 2.PNG", "b/.DS_Store")
    source = make_zip({"b/": b"", **dict.fromkeys((*names, "notes.txt"), scan_png)})
    collection = opened(source)
    assert [item.name for item in collection.items] == ["x.dcm", "scan 2.PNG", "scan 10.png"]
    assert len(collection.notes) == 1 and "1 file in the zip passed over" in collection.notes[0]


def test_dicom_under_bare_names_is_taken(make_zip, scan_png):
    dicom = bytes(128) + b"DICM" + bytes(100)
    taken = dict.fromkeys(("IM1", "1.2.840.5", "a/IM2"), dicom)
    left = {"DICOMDIR": dicom, "README": b"DICM", "empty": b"", "notes": bytes(200)}
    source = make_zip(taken | left | {"a.png": scan_png})
    with zipfile.ZipFile(source[0], "a") as archive:
        archive.writestr("odd", dicom, zipfile.ZIP_LZMA)
    collection = opened(source)
    names = {item.name for item in collection.items}
    assert names == {"IM1", "1.2.840.5", "IM2", "a.png"}
    assert "5 files in the zip passed over" in collection.notes[0]


def test_names_that_repeat_get_their_folder_and_a_numbered_mask(make_zip, scan_png):
    items = opened(make_zip(dict.fromkeys(("a/1.png", "b/1.png", "b/2.png"), scan_png))).items
    assert [item.name for item in items] == ["a/1.png", "b/1.png", "2.png"]
    assert [item.stem for item in items] == ["1", "1_2", "2"]


def test_names_that_lead_outside_cost_their_own_row(make_zip, scan_png, tmp_path):
    names = ("/etc/1.png", "../2.png", "a/../../3.png", "C:\\4.png", "..\\5.png", "a\\6.png")
    before = sorted(tmp_path.rglob("*"))
    answers = errors(make_zip(dict.fromkeys(names, scan_png)))
    assert answers.pop("6.png") == ""
    assert answers.keys() == {"1.png", "2.png", "3.png", "4.png", "5.png"}
    assert all("leads outside" in sentence for sentence in answers.values())
    assert set(tmp_path.rglob("*")) == {*before, tmp_path / "own.zip"}


def test_what_cannot_be_unpacked_costs_its_own_row(make_zip, scan_png):
    source = make_zip({"good.png": scan_png, "odd.png": scan_png, "empty.png": b""})
    with zipfile.ZipFile(source[0], "a") as archive:
        archive.writestr("lzma.png", scan_png, zipfile.ZIP_LZMA)
        archive.writestr("large.png", bytes(21 * 1024**2), zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(source[0]) as archive:
        start = archive.getinfo("odd.png").header_offset
    data = bytearray(source[0].read_bytes())
    data[start + 60] ^= 255  # within the packed image
    source[0].write_bytes(data)
    answers = errors(source)
    assert answers["good.png"] == ""
    assert "damaged" in answers["odd.png"]
    assert "0 bytes" in answers["empty.png"]
    assert "unusual way" in answers["lzma.png"]
    assert "larger than 20 MB" in answers["large.png"]


def test_a_bomb_that_lies_about_its_size_is_not_unpacked(make_zip):
    source = make_zip({"a.png": bytes(50 * 1024**2)}, compression=zipfile.ZIP_DEFLATED)
    patched(source[0], (50 * 1024**2).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    assert "damaged in the zip" in errors(source)["a.png"]


def test_zips_beyond_the_limits(make_zip, tmp_path):
    assert "At most 200 files" in refusal(make_zip({f"{i}.png": b"x" for i in range(201)}))
    assert len(opened(make_zip({f"{i}.png": b"x" for i in range(200)})).items) == 200
    zeros = bytes(19 * 1024**2)
    bomb = make_zip({f"{i}.png": zeros for i in range(22)}, compression=zipfile.ZIP_DEFLATED)
    assert "more than 400 MB" in refusal(bomb)
    with (tmp_path / "large.zip").open("wb") as file:
        file.truncate(64 * 1024**2 + 1)
    assert "larger than 64 MB" in refusal((tmp_path / "large.zip", "large.zip"))


def test_a_list_of_countless_files_is_not_read(make_zip, monkeypatch):
    source = make_zip({f"{i}.png": b"x" for i in range(200)})
    monkeypatch.setattr("busmtl.collection._ZipFile.bytes_left", 10_000)
    assert "At most 200 files" in refusal(source)


def test_zips_that_are_none(make_zip, scan_png, tmp_path):
    path = tmp_path / "broken.zip"
    path.write_bytes(make_zip({"a.png": scan_png})[0].read_bytes()[:300])
    assert "incomplete or damaged" in refusal((path, "broken.zip"))
    assert "no longer here" in refusal((tmp_path / "gone.zip", "gone.zip"))
    assert "no images" in refusal(make_zip({"labels.csv": b"image,label\n"}))
    assert "There are no files" in refusal()


def test_a_locked_zip_is_refused_and_a_locked_file_costs_its_row(make_zip, scan_png):
    def lock(path, name):
        """Set the flag of encryption in both headers of a member."""
        data = bytearray(path.read_bytes())
        for signature, flag, start in ((b"PK\3\4", 6, 30), (b"PK\1\2", 8, 46)):
            for match in re.finditer(re.escape(signature), data):
                if data[match.start() + start :].startswith(name):
                    data[match.start() + flag] |= 1
        path.write_bytes(data)

    source = make_zip({"a.png": scan_png, "b.png": scan_png})
    lock(source[0], b"a.png")
    answers = errors(source)
    assert "password" in answers["a.png"] and answers["b.png"] == ""
    lock(source[0], b"b.png")
    assert "password" in refusal(source)


def test_files_beside_zips(make_zip, scan_png, tmp_path):
    (tmp_path / "a.bin").write_bytes(scan_png)
    items = opened((tmp_path / "a.bin", "C:\\me\\a.png"), make_zip({"a.png": scan_png})).items
    assert [(item.name, item.stem) for item in items] == [("a.png", "a"), ("own/a.png", "a_2")]
    assert items[0].image.read() == scan_png
    (tmp_path / "a.bin").unlink()
    with pytest.raises(ImageError, match="no longer here"):
        items[0].image.read()


# ---- labels and reference masks


def test_labels_by_path_name_or_stem(make_zip, scan_png):
    table = "\ufeffImage;Label\r\nb/1.png;Malignant\r\na/1.png;benign\r\nscan é;benign\r\n"
    table += "scan 3.png;normal\r\nlost.png;benign\r\n\r\n"
    names = ("a/1.png", "b/1.png", "scan é.png", "scan 3.png")
    members = dict.fromkeys(names, scan_png) | {"labels.csv": table.encode()}
    collection = opened(make_zip(members))
    labels = {item.name: item.label for item in collection.items}
    assert labels == {
        "a/1.png": "benign",
        "b/1.png": "malignant",
        "scan é.png": "benign",
        "scan 3.png": None,
    }
    assert [note for note in collection.notes if "line 5" in note]
    assert [note for note in collection.notes if "1 name without an image" in note]
    assert [note for note in collection.notes if "1 image without a label" in note]


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (b"a.png,benign\n", "first line must be image,label"),
        (b"", "first line must be image,label"),
        (b"image,label\n" + b"x" * 2**20, "first line must be image,label"),
        (b"image,label\na,benign\nA,malignant\n", "1 image with both labels"),
        (b"image,label\na\n", "neither benign nor malignant"),
    ],
    ids=["no header", "empty", "too large", "contradiction", "no label"],
)
def test_tables_that_cannot_be_used(data, note):
    notes = []
    assert read_labels(data, notes) == {}
    assert len(notes) == 1 and note in notes[0]


def test_masks_lie_beside_or_in_a_folder_of_their_own(make_zip, scan_png):
    names = (
        *("busi/a (1).png", "busi/a (1)_mask.png", "busi/a (1)_mask_1.png"),
        *("benign/1.png", "malignant/1.png", "masks/benign/1.png", "masks/malignant/1.png"),
        *("set/images/2.jpg", "set/masks/2.png", "masks/2.png"),
        *("alone_mask.png", "masks/nobody.png"),
    )
    collection = opened(make_zip(dict.fromkeys(names, scan_png)))
    masks = {item.name: sorted(str(m.path) for m in item.masks) for item in collection.items}
    assert masks == {
        "alone_mask.png": [],  # there is no image "alone": it is an image itself
        "benign/1.png": ["masks/benign/1.png"],
        "a (1).png": ["busi/a (1)_mask.png", "busi/a (1)_mask_1.png"],
        "malignant/1.png": ["masks/malignant/1.png"],
        "2.jpg": ["set/masks/2.png"],
    }
    assert "2 reference masks passed over: no image has that name." in collection.notes


def test_a_mask_for_two_images_is_nobodys(make_zip, scan_png):
    collection = opened(make_zip(dict.fromkeys(("a/1.png", "b/1.png", "masks/1.png"), scan_png)))
    assert [item.masks for item in collection.items] == [(), ()]
    assert "1 reference mask passed over: more than one image has that name." in collection.notes


def test_a_reference_is_all_that_its_masks_outline(make_zip):
    first, second = np.zeros((40, 50), np.uint8), np.zeros((40, 50), np.uint8)
    first[:10], second[:, :5] = 255, 1  # some tools write 1 for white
    members = {"a.png": png(first), "a_mask.png": png(first), "a_mask_1.png": png(second)}
    with open_collection([make_zip(members)]) as collection:
        masks = collection.items[0].masks
        expected = (first > 0) | (second > 0)
        np.testing.assert_array_equal(read_reference(masks, (40, 50)), expected)
        with pytest.raises(ImageError, match="differ in size"):
            read_reference(masks, (50, 40))


# ---- a run


@pytest.fixture
def own_data(make_zip, scan_rgb_u8, predictor_for):
    """A zip of two labelled scans with masks, one that agrees fully, and of a bad file."""
    mask = predictor_for(SMALLEST).predict(scan_rgb_u8).mask
    assert mask.any() and not mask.all()
    half = mask.copy()
    half[: np.flatnonzero(mask.any(axis=1)).mean().astype(int)] = False
    return make_zip(
        {
            "a.png": png(scan_rgb_u8),
            "b.png": png(scan_rgb_u8),
            "c.png": png(scan_rgb_u8),
            "bad.png": b"no image",
            "masks/a.png": png(mask.astype(np.uint8) * 255),
            "masks/b.png": png(half.astype(np.uint8) * 255),
            "masks/c.png": png(np.zeros_like(mask, dtype=np.uint8)),
            "labels.csv": b"image,label\na,benign\nb,malignant\nbad,malignant\n",
        }
    ), (mask.sum(), half.sum())


def run_zip(source, predictor):
    with open_collection([source]) as collection:
        return list(run(predictor, collection.items))


def test_a_run_gives_rows_masks_and_figures(own_data, predictor_for, scan_rgb_u8):
    source, (outlined, half) = own_data
    outcomes = run_zip(source, predictor_for(SMALLEST))
    rows = list(csv.DictReader(io.StringIO(csv_text(outcome.row for outcome in outcomes))))
    assert [row["image"] for row in rows] == ["a.png", "b.png", "bad.png", "c.png"]
    assert [bool(row["error"]) for row in rows] == [False, False, True, False]
    prediction = predictor_for(SMALLEST).predict(scan_rgb_u8)
    assert rows[0]["malignant_prob"] == f"{prediction.malignant_prob:.6f}"
    with zipfile.ZipFile(io.BytesIO(masks_zip(outcomes))) as archive:
        assert archive.namelist() == [f"masks/{SMALLEST}/{stem}.png" for stem in "abc"]
        mask = np.asarray(Image.open(io.BytesIO(archive.read(archive.namelist()[0]))))
    np.testing.assert_array_equal(mask, prediction.mask * np.uint8(255))

    answer = figures(outcomes)
    overlap = answer["segmentation"]
    assert (overlap["images"], overlap["images_without_lesion"]) == (2, 1)
    assert overlap["outlined_without_lesion"] == 1
    assert overlap["iou_per_image_mean"] == pytest.approx((1 + half / outlined) / 2)
    assert overlap["iou_pooled"] == pytest.approx((outlined + half) / (2 * outlined))
    labels = answer["classification"]
    assert (labels["benign"], labels["malignant"]) == (1, 1)  # the bad file has no answer
    assert labels["auc"]["value"] == 0.5 and labels["acc"]["value"] == 0.5
    assert labels["tp"] + labels["fn"] == labels["fp"] + labels["tn"] == 1
    assert [warning[:3] for warning in answer["warnings"]] == ["Few", "Few"]


def test_figures_of_the_papers_confusion_matrix():
    outcomes = [
        labelled(label, prob)
        for label, prob, count in (
            ("malignant", 0.9, 35),
            ("malignant", 0.1, 4),
            ("benign", 0.9, 3),
            ("benign", 0.1, 88),
        )
        for _ in range(count)
    ]
    numbers = figures(outcomes)["classification"]
    assert [numbers[key] for key in ("tp", "fn", "fp", "tn")] == [35, 4, 3, 88]
    assert numbers["tpr"]["value"] == pytest.approx(0.8974, abs=1e-4)
    assert (numbers["tpr"]["part"], numbers["tpr"]["whole"]) == (35, 39)
    assert numbers["tpr"]["low"] == pytest.approx(0.764, abs=1e-3)
    assert numbers["tpr"]["high"] == pytest.approx(0.9594, abs=1e-3)
    assert numbers["f1"]["value"] == pytest.approx(0.909, abs=1e-3)
    assert not figures(outcomes)["warnings"]
    assert figures(outcomes[:20])["classification"]["auc"]["value"] is None


def labelled(label, prob):
    from busmtl.batch import Outcome
    from busmtl.collection import Item

    return Outcome(Item("a", "a", None, label, ()), {}, prob)


def test_an_unforeseen_failure_costs_its_own_row(own_data, predictor_for, monkeypatch):
    predictor, real = predictor_for(SMALLEST), predictor_for(SMALLEST).predict
    answers = iter([1, 0, 1])  # the bad file never comes that far
    monkeypatch.setattr(predictor, "predict", lambda image, _scale: next(answers) and real(image))
    outcomes = run_zip(own_data[0], predictor)
    assert [outcome.failed for outcome in outcomes] == [False, True, True, False]
    assert "Something went wrong" in outcomes[1].row["error"]


@pytest.mark.parametrize("variant_id", ["resnet50-cls", "resnet50-seg"])
def test_networks_with_one_task(own_data, predictor_for, variant_id):
    outcomes = run_zip(own_data[0], predictor_for(variant_id))
    answer = figures(outcomes)
    assert (answer["classification"] is None) == variant_id.endswith("seg")
    assert (answer["segmentation"] is None) == variant_id.endswith("cls")
    assert bool(outcomes[0].mask_png) == variant_id.endswith("seg")
    html = batch_view.table(outcomes, sortable=True) + batch_view.figures(answer)
    assert html.count("<tr") >= 5 and not re.search(">(None|nan)", html)


def test_known_images_are_told_in_the_rows_and_with_the_figures(make_zip, scan_png, predictor_for):
    members = {"own.png": scan_png, "theirs.png": FILES[0].read_bytes()}
    labels = b"image,label\nown,benign\ntheirs,benign\n"
    outcomes = run_zip(make_zip(members | {"labels.csv": labels}), predictor_for(SMALLEST))
    warnings = {outcome.row["image"]: outcome.row["warnings"] for outcome in outcomes}
    assert "This image is in the validation data" in warnings["theirs.png"]
    assert "validation data" not in warnings["own.png"]
    first, *_ = figures(outcomes)["warnings"]
    assert first.startswith("Known images: 1 of 2 are in the networks' own data (1 validation)")
    assert not [each for each in figures(outcomes[:1])["warnings"] if "Known" in each]


def test_a_run_keeps_no_masks_once_they_can_be_downloaded(
    make_zip, scan_png, predictor_for, tmp_path
):
    outcomes = run_zip(make_zip({"a.png": scan_png}), predictor_for(SMALLEST))
    current = tab.Run(tmp_path / "downloads", total=1, outcomes=outcomes)
    page = tab.Page(*vars(tab.Page)["__dataclass_fields__"])
    for _ in range(2):  # the run's own end, and that of Cancel
        shown = tab._last(page, current)
        assert shown["run"] is current and "a.png" in shown["table"]
        assert [outcome.mask_png for outcome in current.outcomes] == [None]
        with zipfile.ZipFile(current.downloads[1]) as archive:
            assert archive.namelist() == [f"masks/{SMALLEST}/a.png"]


def test_the_hint_promises_what_the_sweep_keeps(monkeypatch):
    monkeypatch.setenv(sweep.VARIABLE, "7200")
    assert "otherwise both within 130 minutes" in tab._hint()


def test_programs_are_told_the_types_of_rows_and_figures(own_data, predictor_for):
    assert tuple(batch_api.Row.__annotations__) == COLUMNS
    answer = figures(run_zip(own_data[0], predictor_for(SMALLEST)))
    assert answer.keys() == batch_api.Figures.__annotations__.keys()
    for part, types in (
        ("classification", batch_api.Classification),
        ("segmentation", batch_api.Segmentation),
    ):
        assert answer[part].keys() == types.__annotations__.keys()
    assert answer["classification"]["tpr"].keys() == batch_api.Rate.__annotations__.keys()


# ---- the tab


@pytest.fixture
def batch_page(open_page):
    page = open_page()
    page.get_by_role("tab", name="Batch").click()
    expect(page.locator("#batch-start")).to_be_visible()
    return page


def choose(page, *paths):
    page.set_input_files("#batch-files input[type=file]", paths)
    expect(page.locator("#batch-files .file")).to_have_count(len(paths))


def save_download(page, selector, path):
    with page.expect_download() as download:
        page.locator(selector).click()
    download.value.save_as(path)
    return download.value.suggested_filename


def without_time(text):
    rows = list(csv.DictReader(io.StringIO(text)))
    return [{key: row[key] for key in row if key != "latency_ms"} for row in rows]


def test_a_batch_gives_what_the_command_line_gives(batch_page, app, tmp_path):
    bad = tmp_path / HTML_NAME
    bad.write_bytes(b"no image")
    paths = [FILES[0], bad, FILES[-1]]
    out = ["--out", str(tmp_path / "out")]
    arguments = ["predict", *map(str, paths), "--mm-per-px", "0.1", *out]
    assert CliRunner().invoke(command_line, arguments).exit_code == 1

    page = batch_page
    choose(page, *paths)
    type_into(page.locator("#batch-scale input"), "0.1")
    page.locator("#batch-start").click()
    expect(page.get_by_text("Done: 3 images. 1 of them could not be used")).to_be_visible()
    expect(page.locator("#batch-table .failed")).to_contain_text(f"{HTML_NAME}Not analysed.")
    expect(page.locator("#batch-files input[type=file]")).to_be_attached()  # ready for the next
    assert not any(app.keeps(path.read_bytes()) for path in paths)

    assert save_download(page, "#batch-csv", tmp_path / "own.csv") == "predictions.csv"
    expected = (tmp_path / "out" / "predictions.csv").read_text("utf-8")
    assert without_time((tmp_path / "own.csv").read_text("utf-8")) == without_time(expected)
    assert save_download(page, "#batch-masks", tmp_path / "masks.zip") == "masks.zip"
    with zipfile.ZipFile(tmp_path / "masks.zip") as archive:
        written = sorted((tmp_path / "out" / "masks").rglob("*.png"))
        names = [path.relative_to(tmp_path / "out").as_posix() for path in written]
        assert sorted(archive.namelist()) == names and len(names) == 2
        for name, path in zip(names, written, strict=True):
            assert archive.read(name) == path.read_bytes()

    head = page.get_by_role("columnheader", name="Malignant")
    first_names = page.locator("#batch-table tbody th span")
    for direction in ("ascending", "descending"):
        head.get_by_role("button").press("Enter")
        expect(head).to_have_attribute("aria-sort", direction)
        rows = [row for row in without_time(expected) if row["malignant_prob"]]
        rows.sort(key=lambda row: float(row["malignant_prob"]), reverse=direction == "descending")
        expect(first_names).to_have_text([*(row["image"] for row in rows), HTML_NAME])

    page.locator("#batch-clear").click()
    expect(page.locator("#batch-table .empty")).to_be_visible()
    expect(page.locator("#batch-csv")).to_have_count(0)
    assert not [path for path in paths_in(app.uploads) if path.suffix in (".csv", ".zip")]


def test_a_scale_that_no_image_has_is_refused(batch_page):
    choose(batch_page, FILES[0])
    type_into(batch_page.locator("#batch-scale input"), "9")
    batch_page.locator("#batch-start").click()
    expect(batch_page.locator("#batch-table")).to_contain_text("at most 5 mm per pixel")


def test_a_batch_can_be_cancelled_and_keeps_what_is_done(batch_page, app, make_zip):
    source, _ = make_zip({f"{number}.png": LARGE for number in range(200)})
    page = batch_page
    choose(page, source)
    expect(page.locator("#batch-cancel")).to_be_disabled()
    page.locator("#batch-start").click()
    expect(page.locator("#batch-table tbody tr").first).to_be_visible()
    page.locator("#batch-cancel").click()
    expect(page.get_by_text(re.compile(r"Stopped after \d+ of 200 images"))).to_be_visible()
    expect(page.locator("#batch-csv")).to_be_visible()
    assert not app.keeps(source.read_bytes())
    expect(page.locator("#batch-start")).to_be_enabled()


def test_a_long_batch_of_one_caller_does_not_hold_up_another(app, make_zip):
    source, _ = make_zip({f"{number}.png": LARGE for number in range(60)})
    batch = Client(app.url, verbose=False).submit(
        handle_file(source), DEFAULT_VARIANT, api_name="/batch"
    )
    while batch.status().code not in (Status.PROCESSING, Status.ITERATING):
        assert not batch.done()
    other = Client(app.url, verbose=False)
    for _ in range(3):
        other.predict(handle_file(FILES[0]), api_name="/predict")
    other.predict(handle_file(FILES[0]), api_name="/compare")
    assert not batch.done()
    text, _ = batch.result(timeout=300)
    assert text.count("\n") == 61


def test_a_long_batch_of_one_visitor_does_not_hold_up_another(batch_page, open_page, make_zip):
    source, _ = make_zip({f"{number}.png": LARGE for number in range(200)})
    choose(batch_page, source)
    batch_page.locator("#batch-start").click()
    expect(batch_page.locator("#batch-table tbody tr").first).to_be_visible()
    other = open_page()
    other.locator("#examples label").first.click()
    expect(other.locator("#picture .name")).to_have_text("Example: benign 1")
    other.locator("#clear").click()
    expect(other.locator("#picture .empty")).to_be_visible()
    expect(batch_page.get_by_role("progressbar")).to_be_visible()
    expect(batch_page.locator("#batch-cancel")).to_be_enabled()
    batch_page.locator("#batch-clear").click()
    expect(batch_page.locator("#batch-table .empty")).to_be_visible()


def test_programs_get_rows_and_figures(app, make_zip):
    images = {path.name: path.read_bytes() for path in (FILES[0], FILES[-1])}
    masks = {f"masks/{name}": (EXAMPLES / "masks" / name).read_bytes() for name in images}
    labels = "".join(f"{name},{name.partition('-')[0]}\n" for name in images)
    source, _ = make_zip(images | masks | {"labels.csv": "image,label\n" + labels})
    client = Client(app.url, verbose=False)
    text, answer = client.predict(handle_file(source), DEFAULT_VARIANT, api_name="/batch")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["image"] for row in answer["rows"]] == list(images)
    for row, typed in zip(rows, answer["rows"], strict=True):
        assert typed.keys() == row.keys() and typed["error"] is None
        assert math.isclose(float(row["malignant_prob"]), typed["malignant_prob"])
        assert typed["lesion_count"] == int(row["lesion_count"])
    assert answer["figures"]["classification"]["malignant"] == 1
    assert answer["figures"]["segmentation"]["images"] == 2
    assert not app.keeps(source.read_bytes())
    types = client.view_api(return_format="dict")["named_endpoints"]["/batch"]["returns"]
    assert "malignant_prob: None | float" in types[1]["python_type"]["type"]
    with pytest.raises(Exception, match="There are no files"):
        client.predict(None, DEFAULT_VARIANT, api_name="/batch")
