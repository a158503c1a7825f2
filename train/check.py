"""Whether a copy of the data is complete, and whether it is the one that the manifests describe.

python -m train check --data DATA
"""

from dataclasses import dataclass
from pathlib import Path

from .data import TITLES, image_path, mask_paths, present
from .splits import Entry, pixel_hash, read_manifest


@dataclass(frozen=True)
class Check:
    """What was found of one data set. Names of images without their ending.

    missing: no picture. unmasked: a lesion without a mask file. differing: other pixels than the
    manifest's.
    """

    title: str
    images: int
    missing: list[str]
    unmasked: list[str]
    differing: list[str]

    @property
    def complete(self) -> bool:
        """Whether nothing that training or evaluation reads is absent."""
        return not self.missing and not self.unmasked

    def report(self) -> str:
        """A line on each finding, with its consequence."""
        lines = [f"{self.title}: {self.images - len(self.missing)} of {self.images} pictures."]
        for names, finding in (
            (self.missing, "missing; get the whole data set again"),
            (self.unmasked, "without a mask; get the whole data set again"),
            (self.differing, "not those of the manifest; figures will not be comparable"),
        ):
            if names:
                some = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
                lines.append(f"  {len(names)} {finding}: {some}")
        return "\n".join(lines)


def check(data_folder: Path, name: str) -> Check | None:
    """Look at every picture of "busi" or "busbra" that is used; None where the set is absent."""
    if not present(data_folder, name):
        return None
    entries = [entry for entry in read_manifest(name) if entry.part != "excluded"]
    missing, unmasked, differing = [], [], []
    for entry in entries:
        path = image_path(data_folder, entry)
        if not path.exists():
            missing.append(entry.image)
            continue
        if entry.label != "normal" and not _has_masks(data_folder, entry):
            unmasked.append(entry.image)
        if pixel_hash(path) != entry.sha256:
            differing.append(entry.image)
    return Check(TITLES[name], len(entries), missing, unmasked, differing)


def _has_masks(data_folder: Path, entry: Entry) -> bool:
    paths = mask_paths(data_folder, entry)
    return bool(paths) and all(path.exists() for path in paths)
