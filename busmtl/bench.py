"""The product's speed against plain PyTorch, in turns in one run.

    python -m busmtl bench --out DIR

Plain PyTorch is what a demo without further ado does: eager, in evaluation and inference mode,
NCHW, fp32, with as many threads as there are cores. The work around the network is the same for
both. Run it while nothing else runs.
"""

import io
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

from . import comparison, weights
from .engines import Raw
from .engines.cores import usable_cores
from .exported import is_exported
from .images import decode
from .predictor import Predictor
from .turns import FairLock
from .variants import DEFAULT_VARIANT, VARIANTS

ROOT = Path(__file__).parent.parent
SIZE_HW = (500, 600)  # of the picture, in px, as in BUSI
BATCH = 64
STARTS = 7  # of each page: how long one takes varies most of all
# Ratio of the product to plain PyTorch, or to an empty page for the start-up.
GOALS = {
    "forward, resnet50-mtl": 0.20,
    "forward, swin-mtl": 0.17,
    "file to result, resnet50-mtl": 0.30,
    "compare all, against all forwards in PyTorch": 0.22,
    f"batch of {BATCH}, resnet50-mtl": 0.20,
    "command to first answered request": 1.3,
    "resident memory, all loaded": 0.5,
}

_EMPTY_PAGE = """
import gradio
with gradio.Blocks() as page:
    gradio.HTML("empty")
page.launch()
"""
_APP = "import runpy; runpy.run_path('app.py', run_name='__main__')"
_MEMORY = "import sys; from busmtl import bench; print(bench.memory_mb(sys.argv[1], sys.argv[2:]))"


class PlainTorch:
    """The network without any of the product's doing; the interface of `busmtl.engines.Engine`."""

    def __init__(self, folder: Path):
        import torch

        torch.set_num_threads(usable_cores())
        network = weights.load_network(folder)
        self._network = network.to(memory_format=torch.contiguous_format)

    def run(self, batch: np.ndarray) -> Raw:
        import torch

        with torch.inference_mode():
            output = self._network(torch.from_numpy(batch))
        return Raw(*(None if each is None else each.numpy() for each in output[:3]))


def load(kind: str, variant_id: str) -> Predictor:
    """kind: "product" or "torch"."""
    if kind == "product":
        return Predictor(variant_id)
    predictor = Predictor(variant_id, engine="torch")
    predictor._engine = PlainTorch(weights.locate(variant_id))
    return predictor


def run(out: Path, rounds: int) -> str:
    """Measure everything, write bench.json and bench.md into `out`; returns the Markdown."""
    ids = weights.available()
    of_paper = [each for each in ids if each in VARIANTS]
    png = _picture()
    both = {kind: {each: load(kind, each) for each in ids} for kind in ("product", "torch")}
    results = {}
    for variant_id in ids:
        for name, task in (("forward", _forward), ("file to result", _file_to_result)):
            tasks = {kind: task(loaded[variant_id], png) for kind, loaded in both.items()}
            results[f"{name}, {variant_id}"] = _in_turns(rounds, tasks)
    results["compare all, against all forwards in PyTorch"] = _in_turns(
        rounds,
        {
            "product": _compare({each: both["product"][each] for each in of_paper}, png),
            "torch": _all_forwards([both["torch"][each] for each in of_paper], png),
        },
    )
    if DEFAULT_VARIANT in ids:
        tasks = {kind: _batch(kind, loaded[DEFAULT_VARIANT], png) for kind, loaded in both.items()}
        results[f"batch of {BATCH}, {DEFAULT_VARIANT}"] = _in_turns(2, tasks, warm=False)
    pages = {"product": _APP, "empty page": _EMPTY_PAGE}
    results["command to first answered request"] = _in_turns(
        STARTS, {kind: partial(_start_ms, script) for kind, script in pages.items()}
    )
    results["resident memory, all loaded"] = {
        kind: [_in_new_process(_MEMORY, kind, *of_paper)] for kind in both
    }
    return _write(out, results, ids)


def _in_turns(
    rounds: int, tasks: dict[str, Callable[[], float]], warm: bool = True
) -> dict[str, list[float]]:
    """Name → what the task returned in each round.

    warm: every turn begins with a call that does not count, since the threads of the task before
    may still spin, and the caches hold what is its.
    """
    measured = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            if warm:
                task()
            measured[name].append(task())
    return measured


def _clock(action: Callable) -> Callable[[], float]:
    """The action as a task that returns how many ms it took."""

    def task() -> float:
        start = time.perf_counter()
        action()
        return (time.perf_counter() - start) * 1000

    return task


def _picture() -> bytes:
    """A grey PNG with speckle and a dark ellipse."""
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    inside = ((y - 250) / 90) ** 2 + ((x - 280) / 130) ** 2 < 1
    speckle = np.random.default_rng(0).gamma(8, 1 / 8, SIZE_HW)
    grey = (np.where(inside, 40, 130) * speckle).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "PNG")
    return file.getvalue()


def _forward(predictor: Predictor, png: bytes) -> Callable[[], float]:
    """The network alone: the image and, where the predictor uses it, its mirror image."""
    batch = predictor._batch(decode(png))
    return _clock(lambda: predictor._engine.run(batch))


def _file_to_result(predictor: Predictor, png: bytes) -> Callable[[], float]:
    return _clock(lambda: predictor.predict(png))


@dataclass(frozen=True)
class _Loaded:
    """`busmtl.comparison.Networks` of networks in memory."""

    predictors: dict[str, Predictor]

    @property
    def ids(self) -> list[str]:
        return list(self.predictors)

    def get(self, variant_id: str) -> Predictor:
        return self.predictors[variant_id]


def _compare(loaded: dict[str, Predictor], png: bytes) -> Callable[[], float]:
    """As the page does it, from the file on: the networks take turns."""
    turn = FairLock()
    in_turns = {variant_id: copy(predictor) for variant_id, predictor in loaded.items()}
    for predictor in in_turns.values():
        predictor._turn = turn
    return _clock(lambda: list(comparison.answers(_Loaded(in_turns), decode(png))))


def _all_forwards(predictors: list[Predictor], png: bytes) -> Callable[[], float]:
    forwards = [_forward(predictor, png) for predictor in predictors]
    return lambda: sum(forward() for forward in forwards)


def _batch(kind: str, predictor: Predictor, png: bytes) -> Callable[[], float]:
    if kind == "product":
        return _clock(lambda: list(predictor.predict_many([png] * BATCH)))
    return _clock(lambda: [predictor.predict(png) for _ in range(BATCH)])


def memory_mb(kind: str, ids: list[str]) -> float:
    """Resident MB of this process with those networks loaded and used once."""
    png = _picture()
    loaded = [load(kind, each) for each in ids]
    for predictor in loaded:
        predictor.predict(png)
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def _in_new_process(script: str, *arguments: str) -> float:
    command = [sys.executable, "-c", script, *arguments]
    return float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)


def _start_ms(script: str) -> float:
    """From starting the server to its first answer, whereupon it is ended."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = os.environ | {"GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False"}
    start = time.perf_counter()
    command = [sys.executable, "-c", script]
    server = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
    try:
        while not _answers(f"http://127.0.0.1:{port}/"):
            if server.poll() is not None:
                raise RuntimeError("The page ended before it answered.")
            time.sleep(0.02)
        return (time.perf_counter() - start) * 1000
    finally:
        server.terminate()
        server.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            return answer.status == 200
    except OSError:
        return False


def _write(out: Path, results: dict[str, dict[str, list[float]]], ids: list[str]) -> str:
    engines = {each: "OpenVINO" if is_exported(weights.locate(each)) else "torch" for each in ids}
    report = {"machine": _machine(), "networks": engines, "results": results}
    lines = ["| | product | against | ratio | goal |", "|---|---|---|---|---|"]
    for name, measured in results.items():
        product, other = measured.values()
        unit = "MB" if "memory" in name else "ms"
        ratio = statistics.median(product) / statistics.median(other)
        goal = f"≤ {GOALS[name]}" if name in GOALS else ""
        cells = [name, _spread(product, unit), _spread(other, unit), f"{ratio:.2f}", goal]
        lines.append(f"| {' | '.join(cells)} |")
    machine = "; ".join(f"{name} {value}" for name, value in report["machine"].items())
    text = (
        f"Networks and what the product serves them with: "
        f"{', '.join(f'{each} ({engine})' for each, engine in engines.items())}. Median (lowest to "
        "highest). Against: plain PyTorch; for the start, a page with nothing on it. All: the "
        "paper's networks. Machine: "
        f"{machine}.\n\n" + "\n".join(lines) + "\n"
    )
    out.mkdir(parents=True, exist_ok=True)
    (out / "bench.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (out / "bench.md").write_text(text, encoding="utf-8")
    return text


def _spread(values: list[float], unit: str) -> str:
    median = f"{statistics.median(values):,.0f} {unit}"
    return median if len(values) == 1 else f"{median} ({min(values):,.0f} to {max(values):,.0f})"


def _machine() -> dict[str, str | int]:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    packages = {name: version(name) for name in ("openvino", "torch", "gradio", "numpy")}
    return {"CPU": cpu, "cores": usable_cores(), "Python": platform.python_version(), **packages}
