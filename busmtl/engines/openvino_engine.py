"""The network in OpenVINO on the CPU, in the precision that `train export` found good enough."""

import ctypes
import mmap
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

import numpy as np
import openvino as ov

from ..exported import FOLDER, GRAPH_FILE, REMEDY, WEIGHTS_FILE, read_stamp
from ..variants import INPUT_SIZE
from ..weights import WeightsError, load_config
from . import Raw
from .cores import usable_cores

# Two threads that hand OpenVINO's Python binding its first array at the same time can wait for each
# other for ever (seen in 2026.4.1). So the first one comes from a single thread.
_FIRST_CALL = Lock()


class OpenVinoEngine:
    """A compiled network. Each image of a batch is a request of its own.

    In a network that is INT8 throughout, what has no INT8 form, such as Swin-T's norms, is reckoned
    in bfloat16 by cores that are made for it. One that had to keep parts in fp32 has them so
    everywhere.

    An image and its mirror image are answered at the same time, each by its share of the cores,
    which takes less time than both one after the other by all cores. Requests are answered in the
    order in which they come, whoever sends them.
    """

    def __init__(self, folder: Path):
        """Raises WeightsError unless the folder's OpenVINO files belong to its weights."""
        precision = read_stamp(folder).get("precision")
        cores = usable_cores()
        streams = min(cores, 2 if load_config(folder).flip_average else 1)
        model = _compile(folder / FOLDER / GRAPH_FILE, precision, cores, streams)
        self._outputs = {name for output in model.outputs for name in output.names}
        self._idle = SimpleQueue()
        for _ in range(streams):
            self._idle.put(model.create_infer_request())
        with _FIRST_CALL:
            self._infer(np.zeros((3, INPUT_SIZE, INPUT_SIZE), np.float32))
        _let_go(folder / FOLDER / WEIGHTS_FILE)
        self._workers = ThreadPoolExecutor(streams, "openvino")

    def run(self, batch: np.ndarray) -> Raw:
        """batch: float32 (B, 3, 256, 256); see `busmtl.engines.Raw` for what returns."""
        answers = list(self._workers.map(self._infer, batch))
        return Raw(
            **{
                name: np.concatenate([answer[name] for answer in answers])
                if name in self._outputs
                else None
                for name in Raw._fields
            }
        )

    def _infer(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """(3, 256, 256) → arrays with a batch of 1."""
        request = self._idle.get()
        try:
            answer = request.infer(image[None])  # a copy: the request's own memory is used again
            return {name: answer[name] for name in self._outputs}
        finally:
            self._idle.put(request)


def _compile(path: Path, precision: str | None, cores: int, streams: int) -> ov.CompiledModel:
    settings = {
        "EXECUTION_MODE_HINT": "PERFORMANCE" if precision == "int8" else "ACCURACY",
        "INFERENCE_NUM_THREADS": cores,
        "NUM_STREAMS": streams,
        "ENABLE_CPU_PINNING": False,  # several networks would share a core and leave others idle
    }
    try:
        return ov.Core().compile_model(path, "CPU", settings)
    except RuntimeError as error:
        raise WeightsError(f"OpenVINO cannot read {path.name}. {REMEDY}") from error


def _let_go(path: Path) -> None:
    """Take the file's pages out of this process's memory; any that is needed again is read again.

    OpenVINO maps the whole file and keeps it mapped, but compiles nearly all of it into a layout
    of its own.
    """
    if sys.platform != "linux":
        return
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, rights, *_, mapped = line.split(maxsplit=5)
        if mapped == str(path.resolve()) and "w" not in rights:
            start, end = (int(each, 16) for each in addresses.split("-"))
            madvise(start, end - start, mmap.MADV_DONTNEED)
