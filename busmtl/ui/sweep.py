"""Visitors' files leave the disk when their time is up, whoever wrote them there.

Gradio's own `delete_cache` knows only of the uploads that it counted: the empty temporary files,
the folders, and the images that came inside a request stay. Looking at the disk itself finds them
all, so this is the one broom, and `delete_cache` is not used.
"""

import math
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread

VARIABLE = "BUSMTL_UPLOAD_SECONDS"
DEFAULT_UPLOAD_S = 1800
LONGEST_PAUSE_S = 600


def longest_stay_minutes() -> int:
    """How long a file may lie on the disk at most: its time, and the pause until the next look."""
    return math.ceil((_upload_s() + _pause_s()) / 60)


def start(folder: Path) -> None:
    """Look over the folder, again and again, in a thread that ends with the process."""
    Thread(target=_keep_sweeping, args=(folder,), name="sweep", daemon=True).start()


def sweep(folder: Path, before_s: float) -> None:
    """Remove what came into the folder before that moment (in s, as `time.time()` gives it).

    A folder goes once it has been empty for as long. Links are removed, not followed, so nothing
    outside is touched; the folder itself stays.
    """
    for parent, folder_names, file_names in os.walk(folder, topdown=False):
        for name in file_names + folder_names:
            with suppress(OSError):  # gone already, or a folder that still holds something
                _remove_if_older(Path(parent, name), before_s)


def _remove_if_older(path: Path, before_s: float) -> None:
    status = path.lstat()
    if status.st_ctime >= before_s:  # not mtime, which a copy takes from its original
        return
    if stat.S_ISDIR(status.st_mode):
        path.rmdir()
    else:
        path.unlink()


def _keep_sweeping(folder: Path) -> None:
    while True:
        time.sleep(_pause_s())
        sweep(folder, time.time() - _upload_s())


def _upload_s() -> float:
    text = os.environ.get(VARIABLE, str(DEFAULT_UPLOAD_S))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < math.inf:
        raise SystemExit(f"{VARIABLE} must be a number of seconds above 0, not {text!r}.")
    return seconds


def _pause_s() -> float:
    return min(_upload_s() / 3, LONGEST_PAUSE_S)
