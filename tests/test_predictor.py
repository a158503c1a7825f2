"""From an image to a Prediction: random networks for the plumbing, a fake engine for the sums."""

import io
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import numpy as np
import pytest
from conftest import config_for
from PIL import Image

from busmtl import Predictor, weights
from busmtl import predictor as predictor_module
from busmtl.engines import EngineError, Raw
from busmtl.images import DecodedImage, ImageError
from busmtl.measure import clean_mask, measure
from busmtl.predictor import NO_LESION, average_mirrored, lesion_prob, malignant_prob, relative_map
from busmtl.variants import BEYOND_PAPER, VARIANTS, get_variant

SMALLEST = "lite0-mtl"


class FakeEngine:
    """Answers each image of the batch with answer(grey float32 (256, 256)) → logits and map."""

    name = "fake"

    def __init__(self, answer):
        self._answer = answer

    def run(self, batch):
        answers = [self._answer(image[0]) for image in batch]
        return Raw(
            *(None if part[0] is None else np.stack(part) for part in zip(*answers, strict=True))
        )


@pytest.fixture
def fake_predictor(monkeypatch, tmp_path):
    """A predictor whose network is a function; changes go into its config."""

    def make(answer, variant_id=SMALLEST, **changes):
        monkeypatch.setattr(predictor_module, "locate", lambda *_: tmp_path)
        monkeypatch.setattr(
            predictor_module, "load_config", lambda _: config_for(variant_id, **changes)
        )
        monkeypatch.setattr(predictor_module, "load_engine", lambda *_: FakeEngine(answer))
        return Predictor(variant_id)

    return make


def outlines(lesion_logit, class_logits=(0.0, 0.0)):
    """A network's answer with these lesion logits (256, 256) over a background of 0."""
    lesion_logit = np.float32(lesion_logit)
    mask_logits = np.stack([np.zeros_like(lesion_logit), lesion_logit])
    return np.float32(class_logits), mask_logits, lesion_logit[::32, ::32]


def thresholds(mask=0.5, min_lesion_fraction=0.0):
    return weights.Thresholds(malignant={}, mask=mask, min_lesion_fraction=min_lesion_fraction)


def blank(height=256, width=256, spacing_mm=None):
    return DecodedImage(np.zeros((height, width, 3), np.uint8), spacing_mm, ("Decoded oddly.",))


def assert_same(first, second):
    assert first.malignant_prob == pytest.approx(second.malignant_prob, abs=1e-5)
    np.testing.assert_allclose(first.mask_prob, second.mask_prob, atol=1e-4)
    np.testing.assert_allclose(first.activation_map, second.activation_map, atol=1e-4)
    assert (first.mask != second.mask).mean() < 1e-3


@pytest.mark.parametrize("variant_id", list(VARIANTS | BEYOND_PAPER))
def test_every_variant_answers_in_its_tasks_at_the_images_size(
    variant_id, predictor_for, scan_rgb_u8
):
    variant = get_variant(variant_id)
    prediction = predictor_for(variant_id).predict(scan_rgb_u8)
    assert prediction.variant == variant_id
    assert prediction.latency_ms > 0
    maps = []
    if variant.classifies:
        assert isinstance(prediction.malignant_prob, float)
        assert 0 <= prediction.malignant_prob <= 1
        maps.append(prediction.activation_map)
    else:
        assert prediction.malignant_prob is None and prediction.activation_map is None
    if variant.segments:
        assert prediction.mask.dtype == bool and prediction.mask.shape == (120, 160)
        assert sum(lesion.area_px for lesion in prediction.lesions) == prediction.mask.sum()
        maps.append(prediction.mask_prob)
    else:
        assert prediction.mask is None and prediction.mask_prob is None
        assert prediction.lesions == ()
    for values in maps:
        assert values.dtype == np.float32 and values.shape == (120, 160)
        assert values.min() >= 0 and values.max() <= 1


def test_all_kinds_of_input_agree(predictor_for, scan_rgb_u8, tmp_path):
    predictor = predictor_for(SMALLEST)
    path = tmp_path / "scan.png"
    image = Image.fromarray(scan_rgb_u8)
    image.save(path)
    expected = predictor.predict(scan_rgb_u8)
    decoded = DecodedImage(scan_rgb_u8, None, ())
    same = (scan_rgb_u8[..., 0], image, image.convert("L"), path, str(path), path.read_bytes())
    for source in (*same, decoded):
        assert_same(predictor.predict(source), expected)


def test_the_mask_has_the_size_after_exif_rotation(predictor_for, scan_rgb_u8):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    file = io.BytesIO()
    Image.fromarray(scan_rgb_u8).save(file, "PNG", exif=exif)
    prediction = predictor_for(SMALLEST).predict(file.getvalue())
    assert prediction.mask.shape == (160, 120)
    upright = np.ascontiguousarray(np.rot90(scan_rgb_u8, -1))
    assert_same(prediction, predictor_for(SMALLEST).predict(upright))


def test_predict_many_goes_on_past_bad_items(predictor_for, scan_rgb_u8, tmp_path):
    images = [scan_rgb_u8, b"not an image", tmp_path / "missing.png", None, scan_rgb_u8[:, ::-1]]
    answers = list(predictor_for(SMALLEST).predict_many(iter(images)))
    assert [isinstance(answer, ImageError) for answer in answers] == [
        False,
        True,
        True,
        True,
        False,
    ]
    with pytest.raises(ImageError):
        predictor_for(SMALLEST).predict(b"not an image")


def test_predict_many_decodes_the_next_image_meanwhile(fake_predictor, monkeypatch):
    both_decoded = Barrier(2)

    def decode(source):
        both_decoded.wait(timeout=30)  # as long as nothing else decodes, this one is not done
        return blank()

    monkeypatch.setattr(predictor_module, "decode", decode)
    predictor = fake_predictor(lambda _: outlines(np.zeros((256, 256))))
    assert len(list(predictor.predict_many([b"first", b"second"]))) == 2


def test_predict_many_keeps_the_order(fake_predictor):
    def answer(grey):
        first_was_late.wait(timeout=0.2 if grey.mean() < 0 else 0)
        return outlines(np.zeros((256, 256)), (0, grey.mean()))

    first_was_late = Event()  # never set: dark images take longer
    predictor = fake_predictor(answer, temperature=1.0)
    images = [np.full((64, 64), grey, np.uint8) for grey in (0, 255, 10, 200, 250)]
    probs = [each.malignant_prob for each in predictor.predict_many(images)]
    assert [prob > 0.5 for prob in probs] == [False, True, False, True, True]
    assert np.argsort(probs).tolist() == [0, 2, 3, 4, 1]


def test_predict_many_takes_images_only_a_little_ahead(fake_predictor):
    taken = []

    def images():
        for number in range(100):
            taken.append(number)
            yield blank()

    answers = fake_predictor(lambda _: outlines(np.zeros((256, 256)))).predict_many(images())
    assert not taken
    for wanted in range(1, 4):
        next(answers)
        assert len(taken) <= wanted + predictor_module.AT_ONCE
    answers.close()
    assert len(taken) < 10 and next(answers, None) is None


def test_eight_threads_answer_as_one(predictor_for, scan_rgb_u8):
    predictor = predictor_for(SMALLEST)
    images = [np.roll(scan_rgb_u8, 40 * shift, axis=1) for shift in range(4)]
    alone = [predictor.predict(image) for image in images]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(predictor.predict, images * 2))
    for first, second in zip(alone * 2, together, strict=True):
        assert_same(first, second)


def test_a_mirrored_image_gives_the_mirrored_answer(predictor_for, scan_rgb_u8):
    predictor = predictor_for(SMALLEST)
    prediction, of_mirrored = (
        predictor.predict(scan_rgb_u8),
        predictor.predict(scan_rgb_u8[:, ::-1]),
    )
    assert prediction.malignant_prob == pytest.approx(of_mirrored.malignant_prob, abs=1e-5)
    np.testing.assert_allclose(prediction.mask_prob, of_mirrored.mask_prob[:, ::-1], atol=1e-3)
    np.testing.assert_allclose(
        prediction.activation_map, of_mirrored.activation_map[:, ::-1], atol=1e-3
    )


def test_flip_average_takes_the_mean_over_the_mirror_image(fake_predictor):
    calls = []

    def answer(_grey):
        calls.append(
            1
        )  # to the image a lesion on the left and 3, to its mirror image nothing and 1
        is_mirrored = len(calls) % 2 == 0
        left = np.full((256, 256), -20.0)
        left[:, :64] = -20 if is_mirrored else 20
        return outlines(left, (0, 1 if is_mirrored else 3))

    averaged = fake_predictor(answer, temperature=2.0).predict(blank())
    assert len(calls) == 2
    assert averaged.malignant_prob == pytest.approx(1 / (1 + np.exp(-2 / 2)))  # mean of the logits
    assert averaged.mask_prob[0, 0] == pytest.approx(0.5)  # mean of the probabilities
    assert averaged.mask_prob[0, -1] == pytest.approx(0, abs=1e-6)

    plain = fake_predictor(answer, temperature=2.0, flip_average=False).predict(blank())
    assert len(calls) == 3
    assert plain.malignant_prob == pytest.approx(1 / (1 + np.exp(-3 / 2)))


def test_maps_of_the_mirror_image_are_mirrored_back(fake_predictor):
    def follows_the_image(grey):
        return outlines(40 * (grey > 0))

    image = np.zeros((256, 256), np.uint8)
    image[64:128, 32:96] = 255
    prediction = fake_predictor(follows_the_image, thresholds=thresholds(0.9)).predict(image)
    assert (prediction.mask == (image > 0)).all()
    assert prediction.activation_map[80, 64] > 0.9 > prediction.activation_map[80, 192]


def test_the_mask_is_thresholded_after_resizing(fake_predictor):
    half = np.full((256, 256), -20.0)
    half[:, 128:] = 20
    predictor = fake_predictor(
        lambda _: outlines(half), thresholds=thresholds(0.9), flip_average=False
    )
    prediction = predictor.predict(blank(256, 2560))
    np.testing.assert_array_equal(prediction.mask, prediction.mask_prob >= 0.9)
    # The probability climbs over ten px round column 1280; a mask resized from 256 px jumps there.
    first = int(prediction.mask[0].argmax())
    assert 1280 < first < 1290
    assert prediction.mask[:, first:].all()


def test_specks_are_dropped_by_their_share_of_the_image(fake_predictor):
    logits = np.full((256, 256), -20.0)
    logits[100:140, 100:140] = 20  # 2.4 %
    logits[10:14, 10:14] = 20  # 0.02 %
    with_specks = fake_predictor(
        lambda _: outlines(logits), thresholds=thresholds(0.5, 0.0), flip_average=False
    ).predict(blank())
    without = fake_predictor(
        lambda _: outlines(logits), thresholds=thresholds(0.5, 0.01), flip_average=False
    ).predict(blank())
    assert [lesion.area_px for lesion in with_specks.lesions] == [1600, 16]
    assert [lesion.area_px for lesion in without.lesions] == [1600]
    assert without.mask.sum() == 1600


def test_an_empty_mask_says_so(fake_predictor):
    predictor = fake_predictor(lambda _: outlines(np.full((256, 256), -20.0)))
    prediction = predictor.predict(blank(64, 48))
    assert prediction.mask.shape == (64, 48) and not prediction.mask.any()
    assert prediction.lesions == ()
    assert prediction.warnings == ("Decoded oddly.", NO_LESION)


def test_lesions_are_in_mm_where_the_spacing_is_known(fake_predictor):
    logits = np.full((256, 256), -20.0)
    logits[100:140, 100:120] = 20
    predictor = fake_predictor(lambda _: outlines(logits), flip_average=False)
    known, unknown = predictor.predict(blank(spacing_mm=(0.1, 0.1))), predictor.predict(blank())
    assert known.spacing_mm == (0.1, 0.1)
    assert known.lesions[0].area_mm2 == pytest.approx(8.0)
    assert known.lesions[0].major_axis_mm == pytest.approx(known.lesions[0].major_axis_px / 10)
    assert known.lesions[0].minor_axis_mm == pytest.approx(known.lesions[0].minor_axis_px / 10)
    assert unknown.lesions[0].area_px == 800 and unknown.lesions[0].area_mm2 is None


def test_a_given_scale_counts_where_the_image_states_none(fake_predictor):
    logits = np.full((256, 256), -20.0)
    logits[100:140, 100:120] = 20
    predictor = fake_predictor(lambda _: outlines(logits), flip_average=False)
    given = predictor.predict(blank(), mm_per_px=0.1)
    assert given.spacing_mm == (0.1, 0.1)
    assert given.lesions[0].area_mm2 == pytest.approx(8.0)
    assert next(predictor.predict_many([blank()], mm_per_px=0.1)).lesions == given.lesions
    assert predictor.predict(blank(spacing_mm=(0.2, 0.3)), 0.1).spacing_mm == (0.2, 0.3)
    for mm_per_px in (0, -0.1, 5.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="at most 5 mm"):
            predictor.predict(blank(), mm_per_px)


def test_unknown_variant_and_engine(weights_folder):
    with pytest.raises(ValueError, match="Choose one of: resnet50-cls, resnet50-seg"):
        Predictor("vgg-cls")
    with pytest.raises(EngineError, match="Unknown engine 'tpu'"):
        Predictor(SMALLEST, weights_folder(SMALLEST), engine="tpu")


def test_probabilities_of_batches():
    logits = np.float32([[0, 2], [500, -500], [-500, 500]])
    np.testing.assert_allclose(malignant_prob(logits, 2.0), [0.7310586, 0, 1], atol=1e-6)
    maps = lesion_prob(logits[:, :, None, None] * np.ones((1, 1, 4, 5), np.float32))
    assert maps.shape == (3, 4, 5) and maps.dtype == np.float32
    np.testing.assert_allclose(maps[:, 0, 0], [0.880797, 0, 1], atol=1e-6)
    rows = np.float32([[[0, 1]], [[2, 3]]])
    np.testing.assert_array_equal(average_mirrored(rows, rows), [[[0.5, 0.5]], [[2.5, 2.5]]])


def test_relative_map_spans_zero_to_one_or_is_zero():
    ramp = np.tile(np.linspace(-7, -3, 8, dtype=np.float32), (8, 1))
    relative = relative_map(ramp, (40, 80))
    assert relative.shape == (40, 80) and relative.dtype == np.float32
    assert relative.min() == 0 and relative.max() == 1
    assert (np.diff(relative, axis=1) >= 0).all()
    assert not relative_map(np.full((8, 8), 3.0, np.float32), (40, 80)).any()


def test_measure_an_ellipse_and_a_smaller_square():
    rows, columns = np.mgrid[:200, :300]
    mask = (rows - 100) ** 2 / 30**2 + (columns - 150) ** 2 / 60**2 <= 1
    mask[5:15, 5:15] = True
    ellipse, square = measure(mask, None)
    assert ellipse.area_px == pytest.approx(np.pi * 30 * 60, rel=0.01)
    assert ellipse.major_axis_px == pytest.approx(120, rel=0.01)
    assert ellipse.minor_axis_px == pytest.approx(60, rel=0.01)
    assert square.area_px == 100
    assert measure(np.zeros((20, 20), bool), None) == ()


def test_measure_in_mm_with_pixels_that_are_not_square():
    rows, columns = np.mgrid[:200, :300]
    mask = (rows - 100) ** 2 / 80**2 + (columns - 150) ** 2 / 60**2 <= 1
    (ellipse,) = measure(mask, (0.1, 0.3))  # upright in px, lying in mm
    assert ellipse.area_mm2 == pytest.approx(np.pi * 8 * 18, rel=0.01)
    assert ellipse.major_axis_mm == pytest.approx(36, rel=0.01)
    assert ellipse.minor_axis_mm == pytest.approx(16, rel=0.01)
    assert ellipse.area_px == mask.sum()
    assert ellipse.major_axis_px == pytest.approx(160, rel=0.01)
    assert ellipse.minor_axis_px == pytest.approx(120, rel=0.01)


def test_clean_mask_joins_diagonal_neighbours_and_keeps_the_limit_itself():
    mask = np.zeros((10, 10), bool)
    mask[[1, 2, 3], [1, 2, 3]] = True  # 3 px by their corners
    mask[7, 7:9] = True  # 2 px
    assert clean_mask(mask, 3).sum() == 3
    assert clean_mask(mask, 2).sum() == 5
    assert clean_mask(mask, 0).sum() == 5
    assert not clean_mask(mask, 4).any()
