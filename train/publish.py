"""An embedded network on the Hugging Face Hub: its weights, its records, and its model card.

    python -m train publish --variant resnet50-mtl --repo-id ORG/NAME

The token is the one of `hf auth login` or of the environment variable HF_TOKEN.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2  # huggingface_hub lets its client's own errors through
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    RemoteEntryNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from busmtl import weights
from busmtl.variants import get_variant

from .card import METRICS_FILE, card_text, is_ours

CARD_FILE = "README.md"
RECORDS = {
    METRICS_FILE: "Run `python -m train evaluate --variant {}` first.",
    "validation.json": "Run `python -m train embed RUN` again.",
}
REFUSALS = {
    401: "The Hub does not accept the token. Log in again with `hf auth login`, or correct "
    "HF_TOKEN.",
    403: "The Hub does not let this token write to {}. Use a token with write access there, or "
    "another --repo-id.",
    404: "The Hub knows no {}, or hides it from this token. Check --repo-id and the token.",
}


class PublishError(Exception):
    """Why a network was not published; the text is a sentence for the user."""


def prepare(variant_id: str, repo_id: str, target: Path) -> Path:
    """Write what `push` would send into the new folder `target`, without a network.

    PublishError or WeightsError where something is missing or does not belong together.
    """
    _check_repo_id(repo_id)
    folder = _embedded_folder(variant_id)
    card = card_text(folder, repo_id)
    try:
        shutil.copytree(folder, target)
        (target / CARD_FILE).write_text(card, encoding="utf-8")
    except FileExistsError as error:
        raise PublishError(f"{target} exists already. Choose a new folder.") from error
    except OSError as error:
        raise PublishError(f"{target} could not be written. Choose another folder.") from error
    return target


def push(variant_id: str, repo_id: str, overwrite_card: bool = False) -> str:
    """Send an embedded network to the Hub in one commit, as a repository made if need be.

    Returns the commit's address. A card that others wrote or changed there is replaced only with
    `overwrite_card`; otherwise, and where the Hub cannot be used, PublishError.
    """
    if constants.HF_HUB_OFFLINE:
        raise PublishError("HF_HUB_OFFLINE is set, so nothing can be published. Unset it.")
    with tempfile.TemporaryDirectory() as scratch:
        folder = prepare(variant_id, repo_id, Path(scratch) / variant_id)
        with _sentences(repo_id):
            api = HfApi()
            api.whoami()
            api.create_repo(repo_id, exist_ok=True)
            head = api.model_info(repo_id).sha
            if not overwrite_card:
                _check_card(_card_there(api, repo_id, head, scratch), folder, repo_id)
            commit = api.upload_folder(
                repo_id=repo_id,
                folder_path=folder,
                commit_message=f"Weights, records, and card of {variant_id}",
                parent_commit=head,  # refused where another commit came in between
            )
    return commit.commit_url


def _check_repo_id(repo_id: str) -> None:
    try:
        validate_repo_id(repo_id)
    except HFValidationError:
        valid = False
    else:
        valid = "/" in repo_id
    if not valid:
        raise PublishError(f"--repo-id must be a name such as ORG/NAME, not {repo_id!r}.")


def _embedded_folder(variant_id: str) -> Path:
    """The variant's folder in the package, with figures that belong to its weights."""
    try:
        folder = weights.EMBEDDED / get_variant(variant_id).id
    except ValueError as error:
        raise PublishError(str(error)) from error
    if variant_id not in weights.available():
        raise PublishError(
            f"The weights of {variant_id} are not embedded. Run `python -m train embed RUN` first."
        )
    for name, remedy in RECORDS.items():
        if not (folder / name).is_file():
            raise PublishError(f"{variant_id} has no {name}. {remedy.format(variant_id)}")
    if _measured_weights(folder) != weights.fingerprint(folder):
        raise PublishError(
            f"{METRICS_FILE} is not of the embedded weights of {variant_id}. "
            + RECORDS[METRICS_FILE].format(variant_id)
        )
    return folder


def _measured_weights(folder: Path) -> str | None:
    """The sha256 of the weights that metrics.json tells of; None where it is damaged."""
    try:
        return json.loads((folder / METRICS_FILE).read_text())["weights_sha256"]
    except (ValueError, KeyError, TypeError):
        return None


def _card_there(api: HfApi, repo_id: str, head: str | None, scratch: str) -> str | None:
    """The card in the repository at the commit `head`; None where it has none."""
    try:
        path = api.hf_hub_download(repo_id, CARD_FILE, revision=head, local_dir=scratch)
    except RemoteEntryNotFoundError:
        return None
    return Path(path).read_bytes().decode(errors="replace")


def _check_card(there: str | None, folder: Path, repo_id: str) -> None:
    known = there is None or is_ours(there)
    if not known and there != (folder / CARD_FILE).read_text(encoding="utf-8"):
        raise PublishError(
            f"{repo_id} has a {CARD_FILE} that was written or changed by others. Give "
            "--overwrite-card to replace it."
        )


@contextmanager
def _sentences(repo_id: str) -> Iterator[None]:
    """Turn what goes wrong between here and the Hub into a PublishError."""
    try:
        yield
    except LocalTokenNotFoundError as error:
        raise PublishError(
            "There is no token for the Hub. Log in with `hf auth login`, or set HF_TOKEN."
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        other = f"The Hub refused to publish {{}} (status {status}). Try again later."
        raise PublishError(REFUSALS.get(status, other).format(repo_id)) from error
    except (httpx2.HTTPError, OSError) as error:
        raise PublishError(
            "The Hub could not be reached. Check the connection and try again."
        ) from error
    except (RuntimeError, ValueError) as error:
        raise PublishError(
            f"The upload to {repo_id} broke off, and nothing was published. Try again."
        ) from error
