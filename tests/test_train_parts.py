"""The parts of training that need no run: splits, data, augmentation, losses, metrics, fitting."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score
from synthetic import make

from busmtl.metrics import at_threshold, dice, iou, overlap_counts
from busmtl.models import Output
from busmtl.predictor import malignant_prob
from train import augment, calibrate, metrics, splits
from train.augment import Augmentation
from train.data import image_path, load, read_mask
from train.fit import EpochSampler, moving_average
from train.losses import Target, dice_loss, label_losses, teacher_losses
from train.recipe import PAPER, PRETRAIN, RECIPES

# ---- splits: the committed manifests themselves


@pytest.fixture(scope="module")
def busi():
    return splits.read_manifest("busi")


@pytest.mark.parametrize("name", ["busi", "busbra"])
def test_no_group_straddles_two_parts(name):
    parts_of = {}
    for entry in splits.read_manifest(name):
        if entry.part not in ("excluded", "normal"):
            parts_of.setdefault(entry.group, set()).add(entry.part)
    assert len(parts_of) > 400
    assert all(len(parts) == 1 for parts in parts_of.values())


def test_busi_parts_have_their_sizes_and_shares(busi):
    used = [entry for entry in busi if entry.part in ("train", "validation", "test")]
    for part, share in (("train", 0.7), ("validation", 0.1), ("test", 0.2)):
        chosen = [entry for entry in used if entry.part == part]
        assert len(chosen) / len(used) == pytest.approx(share, abs=0.01)
        malignant = np.mean([entry.label == "malignant" for entry in chosen])
        assert malignant == pytest.approx(0.32, abs=0.02)


def test_contradictions_and_normals_are_kept_out(busi):
    for entry in busi:
        assert (entry.objection == "multiclass") == (entry.part == "excluded")
        assert (entry.label == "normal") == (entry.part == "normal") or entry.part == "excluded"


def test_identical_pictures_share_a_part(busi):
    parts_of = {}
    for entry in busi:
        parts_of.setdefault(entry.sha256, set()).add(entry.part)
    assert all(len(parts) == 1 for parts in parts_of.values())


def test_pixel_hash_ignores_grey_or_colour_but_not_shape(tmp_path):
    grey = np.arange(64 * 32, dtype=np.uint8).reshape(64, 32)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey).convert("RGB").save(tmp_path / "colour.png")
    Image.fromarray(grey.reshape(32, 64)).save(tmp_path / "wide.png")
    hashes = [splits.pixel_hash(tmp_path / f"{name}.png") for name in ("grey", "colour", "wide")]
    assert hashes[0] == hashes[1] != hashes[2]


# ---- data


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    folder = make(tmp_path_factory.mktemp("data"))
    with pytest.MonkeyPatch.context() as patch:
        (folder / "splits").mkdir()
        patch.setattr(splits, "SPLITS_FOLDER", folder / "splits")
        splits.write_manifest("busi", splits.make_busi(folder, folder / "groups.csv"))
        splits.write_manifest("busbra", splits.make_busbra(folder))
        yield folder


def test_load_unites_masks_and_keeps_sets_apart(synthetic):
    samples = load(synthetic, {"busi": "train", "busbra": "train"}, size=64)
    assert samples.images_u8.shape == samples.masks_u8.shape == (len(samples), 1, 64, 64)
    assert samples.images_u8.dtype == np.uint8
    assert [bool(entry.device) for entry in samples.entries] == (~samples.from_busi).tolist()
    left, right = np.split(samples.masks_u8[samples.from_busi] > 127, 2, axis=3)
    for half in (left, right):  # each from a file of its own
        assert half.any(axis=(1, 2, 3)).mean() > 0.7
    entry = samples.entries[0]
    grey = np.asarray(Image.open(image_path(synthetic, entry)))
    mask = read_mask(synthetic, entry, grey.shape)
    assert grey[mask].mean() < 60 < 100 < grey[~mask].mean()


def test_load_says_what_is_missing_or_differs(synthetic, caplog, tmp_path):
    with pytest.raises(FileNotFoundError, match="does --data hold both"):
        load(tmp_path, {"busbra": "train"}, size=64)
    entry = next(each for each in splits.read_manifest("busbra") if each.part == "validation")
    path = synthetic / "BUSBRA" / "Images" / f"{entry.image}.png"
    original = path.read_bytes()
    Image.fromarray(np.full((72, 96), 9, np.uint8)).save(path)
    load(synthetic, {"busbra": "validation"}, size=64)
    path.write_bytes(original)
    assert "1 pictures differ" in caplog.text and entry.image in caplog.text


def test_epochs_are_shuffled_alike_for_a_seed_and_repeat_busi(synthetic):
    samples = load(synthetic, {"busi": "train", "busbra": "train"}, size=32)
    first, again, other = (EpochSampler(samples, 2, seed) for seed in (0, 0, 1))
    assert list(first) == list(again) != list(other)
    counts = np.bincount(list(first), minlength=len(samples))
    assert (counts[samples.from_busi] == 2).all() and (counts[~samples.from_busi] == 1).all()
    before, first.epoch = list(first), 1
    assert list(first) != before


# ---- augmentation


def test_no_augmentation_changes_nothing():
    images = torch.randint(0, 256, (2, 1, 32, 32), dtype=torch.uint8)
    out, masks = augment.augment(images, images, augment.NONE, 32)
    assert torch.equal(out, images.float()) and torch.equal(masks, (images > 127).float())


def test_mask_moves_with_the_image():
    torch.manual_seed(0)
    square = torch.zeros(16, 1, 96, 96, dtype=torch.uint8)
    square[:, :, 30:60, 36:70] = 255
    geometry = Augmentation(rotation=15, shift=0.1, zoom=0.2, stretch=0.1)
    images, masks = augment.augment(square, square, geometry, 96)
    assert torch.equal((images > 127.5).float(), masks)
    assert not torch.equal(masks, (square > 127).float())
    areas = masks.sum((1, 2, 3)) / (30 * 34)
    assert areas.std() > 0.05 and 0.5 < areas.mean() < 1.6


def test_rotation_keeps_shapes_and_flip_mirrors():
    torch.manual_seed(0)
    image = torch.zeros(200, 1, 64, 64, dtype=torch.uint8)
    image[:, :, :, :32] = 255
    flipped, _ = augment.augment(image, image, Augmentation(), 64)
    left = (flipped[..., :32].mean((1, 2, 3)) > 127).float().mean()
    assert 0.35 < left < 0.65
    turned, _ = augment.augment(image, image, Augmentation(flip=False, rotation=15), 64)
    column = turned[:, 0, 32, 30:34]  # the edge still passes through the centre
    assert (column[:, 0] > 100).all() and (column[:, 3] < 155).all()


def test_closer_shows_a_part_up_to_that_much_larger_and_no_place_outside():
    torch.manual_seed(0)
    ramp = torch.arange(128).expand(400, 1, 128, 128).to(torch.uint8)  # grey tells the column
    closer = Augmentation(flip=False, closer=2)
    images, _ = augment.augment(ramp, ramp, closer, 64)
    assert images.shape == (400, 1, 64, 64)
    row = images[:, 0, 32]
    step = (row[:, 60] - row[:, 4]) / 56  # columns of the source a pixel, from 2 down to 1
    assert 0.99 < step.min() < 1.1 and 1.9 < step.max() < 2.01
    assert row[:, 1].min() > 1 and row[:, -2].max() < 126


def test_intensity_leaves_the_mask_and_the_range():
    torch.manual_seed(0)
    images = torch.randint(0, 256, (8, 1, 64, 64), dtype=torch.uint8)
    strong = Augmentation(flip=False, gamma=0.5, contrast=0.5, brightness=0.3)
    out, masks = augment.augment(images, images, strong, 64)
    assert torch.equal(masks, (images > 127).float())
    assert out.min() >= 0 and out.max() <= 255 and not torch.equal(out, images.float())


def test_mixup_blends_all_tensors_alike_and_keeps_the_larger_share():
    torch.manual_seed(0)
    marks = torch.eye(64)  # entry i is the i-th unit vector, so what it was blended with shows
    images, labels = augment.mix(0.4, marks.view(64, 1, 8, 8), marks)
    assert torch.equal(images.view(64, 64), labels)
    assert torch.allclose(labels.sum(dim=1), torch.ones(64))
    own = labels.diagonal()
    assert (own >= 0.5).all() and (own < 0.9).sum() > 10
    assert augment.mix(0, marks)[0] is marks


# ---- recipes


def test_the_paper_recipe_is_the_paper():
    assert (PAPER.sets, PAPER.size, PAPER.epochs, PAPER.batch) == (("busi",), 256, 70, 16)
    assert (PAPER.lr, PAPER.betas, PAPER.weight_decay) == (1e-4, (0.9, 0.99), 1e-4)
    steps = [PAPER.lr_factor(epoch / 70) for epoch in (0, 19.9, 20, 39.9, 40, 60, 69.9)]
    assert steps == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.001, 0.001])
    assert (PAPER.dice, PAPER.mixup, PAPER.ema, PAPER.smoothing, PAPER.flip_average) == (0,) * 5


def test_cosine_schedule_warms_up_and_ends_at_zero():
    factors = [PRETRAIN.lr_factor(progress) for progress in np.linspace(0, 1, 101)]
    assert max(factors) == pytest.approx(1) and factors[0] < 0.1 and factors[-1] < 1e-3
    assert all(0 <= PRETRAIN.lr_factor(1 + extra) <= 1e-3 for extra in (0, 0.1))
    assert set(RECIPES) >= {"paper", "release"}


# ---- losses


def test_dice_loss_at_its_ends():
    masks = torch.zeros(2, 16, 16)
    masks[:, 4:9, 4:9] = 1
    right = torch.stack([-20 * (2 * masks - 1), 20 * (2 * masks - 1)], dim=1)
    assert dice_loss(right, masks) == pytest.approx(0, abs=1e-4)
    assert dice_loss(-right, masks) > 0.95
    nothing = torch.zeros_like(masks)
    assert dice_loss(torch.stack([nothing + 20, nothing - 20], 1), nothing) < 1e-3


def test_losses_are_named_and_follow_the_tasks():
    target = Target(torch.eye(2), torch.zeros(2, 1, 16, 16))
    both = Output(torch.zeros(2, 2), torch.zeros(2, 2, 16, 16), None, torch.zeros(2, 4, 1, 1))
    losses = label_losses(both, target, PAPER)
    assert losses.keys() == {"cls", "seg"}  # equation 1
    assert [float(loss) for loss in losses.values()] == pytest.approx([math.log(2)] * 2)
    assert label_losses(both, target, PRETRAIN).keys() == {"cls", "seg", "dice"}
    assert label_losses(both._replace(mask_logits=None), target, PRETRAIN).keys() == {"cls"}
    assert label_losses(both._replace(class_logits=None), target, PAPER).keys() == {"seg"}


def test_a_pupil_that_equals_its_teacher_has_nothing_to_learn():
    torch.manual_seed(0)
    features = torch.randn(4, 3, 4, 4), torch.randn(4, 5, 2, 2)
    teacher = Output(torch.randn(4, 2), torch.randn(4, 2, 8, 8), None, features)
    same = teacher_losses(teacher, teacher.features, teacher)
    assert same.keys() == {"taught_cls", "taught_seg", "taught_features"}
    assert same["taught_cls"] == pytest.approx(0, abs=1e-6)
    assert same["taught_features"] == pytest.approx(0, abs=1e-6)
    other = teacher._replace(class_logits=-teacher.class_logits, mask_logits=-teacher.mask_logits)
    worse = teacher_losses(other, [-each for each in features], teacher)
    assert all(worse[name] > same[name] for name in same)
    assert worse["taught_features"] == pytest.approx(2 + 2, abs=1e-5)  # both maps the other way


def test_moving_average_follows_and_copies_counters():
    update = moving_average(0.9)
    averaged, current = [torch.zeros(3)], [torch.ones(3)]
    for step in range(1, 200):
        update(averaged, current, torch.tensor(step))
    assert torch.allclose(averaged[0], current[0], atol=1e-4)
    counter = [torch.tensor(3)]
    update(counter, [torch.tensor(7)], torch.tensor(1))
    assert counter[0] == 7


# ---- metrics


def test_overlap_metrics_by_hand():
    predicted, reference = np.zeros((2, 4, 4), bool), np.zeros((2, 4, 4), bool)
    predicted[0, :2, :2] = reference[0, :2, :4] = True  # TP 4, FP 0, FN 4, TN 8
    counts = overlap_counts(predicted, reference)
    assert counts.tolist() == [[4, 0, 4, 8], [0, 0, 0, 16]]
    assert iou(counts).tolist() == [0.5, 1.0]
    assert dice(counts) == pytest.approx([2 / 3, 1])
    assert metrics.background_iou(counts) == pytest.approx([8 / 12, 1])
    summary = metrics.segmentation(np.array([[4, 0, 4, 8], [0, 4, 4, 8]]))
    assert summary["tumour_iou_per_image_mean"] == pytest.approx(0.25)
    assert summary["tumour_iou_pooled"] == pytest.approx(4 / 16)
    assert summary["dice_pooled"] == pytest.approx(8 / 20)
    assert summary["missed_share"] == 0.5


def test_table_one_of_the_paper_from_its_confusion_matrix():
    labels = np.repeat([1, 0], [39, 91])
    prob = np.concatenate([np.repeat([0.9, 0.1], [35, 4]), np.repeat([0.9, 0.1], [3, 88])])
    row = at_threshold(labels, prob, 0.5)
    assert row["tpr"] == pytest.approx(0.8974, abs=1e-4)
    assert row["fpr"] == pytest.approx(0.0330, abs=1e-4)
    assert row["acc"] == pytest.approx(0.9461, abs=1e-4)
    assert row["pre"] == pytest.approx(0.9210, abs=1e-4)
    assert row["f1"] == pytest.approx(0.909, abs=1e-3)


def test_calibration_error():
    labels = np.array([0, 0, 0, 1])
    assert metrics.expected_calibration_error(labels, np.full(4, 0.25)) == 0
    assert metrics.expected_calibration_error(labels, np.full(4, 0.95)) == pytest.approx(0.7)


def test_groups_are_resampled_whole_and_intervals_hold_the_value():
    groups = np.repeat(np.arange(50), 2)
    resamples = metrics.bootstrap_groups(groups)[:200]
    for chosen in resamples:
        twins = np.bincount(chosen, minlength=100).reshape(50, 2)
        assert twins.sum() == 100 and (twins[:, 0] == twins[:, 1]).all()
    values = np.random.default_rng(0).normal(size=100)
    figure = metrics.with_intervals(lambda i: {"mean": values[i].mean()}, resamples, 100)["mean"]
    assert figure["low"] < figure["value"] < figure["high"]
    absent = metrics.with_intervals(lambda i: {"auc": float("nan")}, resamples, 100)["auc"]
    assert absent == {"value": None, "low": None, "high": None}


# ---- what is fitted on validation


def test_temperature_is_found_again():
    random = np.random.default_rng(0)
    margin = random.normal(0, 2, 20_000)
    labels = (random.random(20_000) < 1 / (1 + np.exp(-margin))).astype(int)
    logits = np.stack([np.zeros_like(margin), 3 * margin], axis=1)
    assert calibrate.fit_temperature(logits, labels, np.ones(20_000)) == pytest.approx(3, rel=0.05)


def test_operating_points():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 2000)
    prob = malignant_prob(random.normal(size=(2000, 2)) + 2 * np.eye(2)[labels], 1.0)
    points = calibrate.fit_operating_points(prob, labels, np.ones(2000))
    sensitive = at_threshold(labels, prob, points["high_sensitivity"])
    balanced = at_threshold(labels, prob, points["balanced"])
    assert 0.95 <= sensitive["tpr"] < 0.96
    assert points["high_sensitivity"] < points["balanced"]
    assert balanced["tpr"] - balanced["fpr"] > sensitive["tpr"] - sensitive["fpr"]
    assert roc_auc_score(labels, prob) > 0.95


def test_both_sets_weigh_the_same(synthetic):
    samples = load(synthetic, {"busi": "validation", "busbra": "validation"}, size=32)
    weights = calibrate.set_weights(samples)
    assert weights[samples.from_busi].sum() == pytest.approx(weights[~samples.from_busi].sum())


def test_specks_and_threshold_are_chosen_by_dice(synthetic):
    samples = load(synthetic, {"busi": "validation", "busbra": "validation"}, size=64)
    reference = samples.masks_u8[:, 0] > 127
    prob = np.where(reference, 0.52, 0.46).astype(np.float32)
    prob[:, 1:3, 1:3] = 0.99  # a speck of 4 px: above 0.0005 of the image, below 0.001
    threshold, speck = calibrate.fit_mask(prob, samples)
    assert threshold == 0.5 and speck == 0.001
