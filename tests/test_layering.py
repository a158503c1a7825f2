"""Imports go one way, and the heavy ones happen only where they are used."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = sorted((ROOT / "busmtl").rglob("*.py"))
WITH_TORCH = {
    "busmtl/bench.py",
    "busmtl/models.py",
    "busmtl/weights.py",
    "busmtl/engines/torch_engine.py",
}


def imports(path, at_import_only=False):
    """Top-level names that a file imports: everywhere, or only when it is itself imported."""
    return set(_imports(ast.parse(path.read_text(encoding="utf-8")), at_import_only))


def _imports(node, at_import_only):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.level == 0:
            yield child.module.partition(".")[0]
        elif at_import_only and _is_deferred(child):
            continue
        else:
            yield from _imports(child, at_import_only)


def _is_deferred(node):
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def relative(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", PACKAGE, ids=relative)
def test_package_modules(path):
    found = imports(path)
    assert not found & {"train", "app", "examples", "tests"}
    assert not found & {"sklearn", "accelerate", "nncf"}
    if "openvino" in found:
        assert relative(path) == "busmtl/engines/openvino_engine.py"
    if "torch" in found:
        assert relative(path) in WITH_TORCH
    if "gradio" in found:
        assert relative(path).startswith("busmtl/ui/")


def test_weights_imports_torch_inside_functions_only():
    assert not imports(ROOT / "busmtl/weights.py", at_import_only=True) & {"torch", "safetensors"}


@pytest.mark.parametrize("folder", ["train", "examples"])
def test_gradio_stays_in_the_user_interface(folder):
    for path in (ROOT / folder).rglob("*.py"):
        assert "gradio" not in imports(path), relative(path)


def test_variants_need_the_standard_library_only():
    assert imports(ROOT / "busmtl/variants.py") <= sys.stdlib_module_names


def test_nothing_heavy_is_loaded_at_start_up():
    heavy = "torch timm segmentation_models_pytorch skimage scipy sklearn gradio huggingface_hub "
    heavy += "pydicom openvino"
    script = f"import sys, busmtl.__main__; print(*set({heavy.split()}) & set(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == []
