"""Visitors' files leave the disk: the broom itself, and a running demo that sweeps in seconds."""

import os
import time
from pathlib import Path

import httpx
import pytest
from browser import ANSWER_S, ROOT, paths_in, run_app

from busmtl.ui import sweep

IMAGE = next((ROOT / "examples" / "images").glob("*.png"))
UPLOAD_S = 6
PATIENCE_S = 60


@pytest.fixture
def folder(tmp_path):
    """An upload folder as Gradio leaves it, beside something that is not to be touched."""
    kept = tmp_path / "outside"
    kept.mkdir()
    (kept / "thesis.txt").write_text("do not delete")
    uploads = tmp_path / "uploads"
    (uploads / "hash").mkdir(parents=True)
    (uploads / "hash" / "scan.png").write_bytes(b"picture")
    (uploads / "tmpabc").touch()
    (uploads / "empty" / "deeper").mkdir(parents=True)
    (uploads / "link-to-folder").symlink_to(kept)
    (uploads / "link-to-file").symlink_to(kept / "thesis.txt")
    return uploads


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in paths_in(folder))


def test_what_is_old_goes_and_what_lies_outside_stays(folder):
    later = time.time() + 1
    sweep.sweep(folder, later)
    assert names(folder) == []
    assert folder.is_dir()
    assert (folder.parent / "outside" / "thesis.txt").read_text() == "do not delete"


def test_what_is_young_stays_whatever_time_it_was_copied_with(folder):
    os.utime(folder / "hash" / "scan.png", (0, 0))
    before = names(folder)
    sweep.sweep(folder, time.time() - 3600)
    assert names(folder) == before


def test_a_folder_stays_as_long_as_a_file_in_it(folder):
    time.sleep(0.05)
    moment = time.time()
    time.sleep(0.05)
    (folder / "hash" / "young.png").write_bytes(b"picture")
    sweep.sweep(folder, moment)
    assert {"hash", "hash/young.png"} <= set(names(folder))
    assert "hash/scan.png" not in names(folder)


@pytest.mark.parametrize(
    "seconds, minutes", [(None, 40), ("1800", 40), ("7200", 130), ("60", 2), ("3", 1)]
)
def test_the_page_promises_no_less_than_it_takes(monkeypatch, seconds, minutes):
    monkeypatch.delenv(sweep.VARIABLE, raising=False)
    if seconds is not None:
        monkeypatch.setenv(sweep.VARIABLE, seconds)
    assert sweep.longest_stay_minutes() == minutes


@pytest.mark.parametrize("seconds", ["soon", "0", "-5", "inf", "nan", ""])
def test_a_time_that_is_none_is_refused_in_a_sentence(monkeypatch, seconds):
    monkeypatch.setenv(sweep.VARIABLE, seconds)
    with pytest.raises(SystemExit, match="must be a number of seconds above 0"):
        sweep.longest_stay_minutes()


def test_a_running_demo_sweeps_its_own_folder_and_takes_it_along(tmp_path):
    with run_app(tmp_path, BUSMTL_UPLOAD_SECONDS=str(UPLOAD_S)) as app:
        bystander = app.uploads / "not-ours.txt"
        bystander.write_text("lay here before")
        os.utime(bystander, (0, 0))
        (own,) = (path for path in app.uploads.iterdir() if path.is_dir())
        assert own.stat().st_mode & 0o077 == 0
        leave_behind(own, tmp_path)
        files = {"files": IMAGE.open("rb")}
        sent = httpx.post(f"{app.url}/gradio_api/upload", files=files, timeout=ANSWER_S)
        assert own in Path(sent.json()[0]).parents
        deadline = time.monotonic() + PATIENCE_S
        while names(own) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert names(own) == []
    assert names(app.uploads) == ["not-ours.txt"]


def leave_behind(folder, workshop):
    """What Gradio writes without counting it, whole at once so that none is swept meanwhile."""
    (workshop / "datahash").mkdir()
    (workshop / "datahash" / "image.png").write_bytes(IMAGE.read_bytes()[:-1])
    (workshop / "datahash").rename(folder / "datahash")
    (folder / "tmpxyz").touch()
