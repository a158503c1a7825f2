"""`python -m busmtl bench`: what it writes. How fast anything is, no test says."""

import json
import statistics

import numpy as np

from busmtl import bench
from busmtl.variants import DEFAULT_VARIANT


def test_plain_torch_gives_the_same_answers_as_the_torch_engine():
    picture = bench._picture()
    plain = bench.load("torch", DEFAULT_VARIANT).predict(picture)
    expected = bench.Predictor(DEFAULT_VARIANT, engine="torch").predict(picture)
    np.testing.assert_allclose(plain.mask_prob, expected.mask_prob, atol=1e-4)
    np.testing.assert_allclose(plain.activation_map, expected.activation_map, atol=1e-3)


def test_both_reports_hold_every_measurement(tmp_path, monkeypatch):
    starts = iter([9000, 1500, 6000, 1000, 9000, 1200, 6000, 1000, 9000, 1800, 6000, 1000])
    memory = {"product": 300.0, "torch": 900.0}
    monkeypatch.setattr(bench.weights, "available", lambda: [DEFAULT_VARIANT])  # one is enough
    monkeypatch.setattr(bench, "BATCH", 2)
    monkeypatch.setattr(bench, "STARTS", 3)
    monkeypatch.setattr(bench, "_start_ms", lambda _: next(starts))
    monkeypatch.setattr(bench, "_in_new_process", lambda _script, kind, *_ids: memory[kind])
    text = bench.run(tmp_path / "new", rounds=1)
    assert (tmp_path / "new" / "bench.md").read_text() == text
    report = json.loads((tmp_path / "new" / "bench.json").read_text())
    results = report["results"]
    assert f"forward, {DEFAULT_VARIANT}" in results and f"batch of 2, {DEFAULT_VARIANT}" in results
    assert results["command to first answered request"] == {
        "product": [1500, 1200, 1800],  # of each turn the second counts
        "empty page": [1000, 1000, 1000],
    }
    assert "| 1,500 ms (1,200 to 1,800) | 1,000 ms (1,000 to 1,000) | 1.50 | ≤ 1.3 |" in text
    assert "| 300 MB | 900 MB | 0.33 | ≤ 0.5 |" in text
    forward = results[f"forward, {DEFAULT_VARIANT}"]
    ratio = statistics.median(forward["product"]) / statistics.median(forward["torch"])
    (row,) = [line for line in text.splitlines() if f"| forward, {DEFAULT_VARIANT} |" in line]
    assert f"| {ratio:.2f} |" in row
    assert report["machine"]["cores"] >= 1
