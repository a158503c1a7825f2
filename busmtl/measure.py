"""Lesions in a binary mask: which components count, and how large each is."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Lesion:
    """One connected component of a mask.

    major_axis, minor_axis: lengths of the axes of the ellipse that has the component's second
    moments (scikit-image's axis_major_length), not the longest distance between two edge points:
    a ragged outline changes them little. Lengths are in px of the image; the mm values are None
    where the pixel spacing is unknown.
    """

    area_px: int
    major_axis_px: float
    minor_axis_px: float
    area_mm2: float | None
    major_axis_mm: float | None
    minor_axis_mm: float | None


def clean_mask(mask: np.ndarray, min_area_px: float) -> np.ndarray:
    """bool (H, W) → bool (H, W) without the 8-connected components below min_area_px."""
    components = _label(mask)
    areas_px = np.bincount(components.ravel())
    keep = areas_px >= min_area_px
    keep[0] = False  # the background
    return keep[components]


def measure(mask: np.ndarray, spacing_mm: float | None) -> tuple[Lesion, ...]:
    """The 8-connected components of a bool (H, W) mask, largest first.

    spacing_mm: side of one square pixel in mm, or None where it is unknown.
    """
    from skimage.measure import regionprops

    lesions = [_lesion(region, spacing_mm) for region in regionprops(_label(mask))]
    return tuple(sorted(lesions, key=lambda lesion: lesion.area_px, reverse=True))


def _lesion(region, spacing_mm: float | None) -> Lesion:
    area_px = int(region.area)
    major_px = float(region.axis_major_length)
    minor_px = float(region.axis_minor_length)
    if spacing_mm is None:
        return Lesion(area_px, major_px, minor_px, None, None, None)
    return Lesion(
        area_px,
        major_px,
        minor_px,
        area_mm2=area_px * spacing_mm**2,
        major_axis_mm=major_px * spacing_mm,
        minor_axis_mm=minor_px * spacing_mm,
    )


def _label(mask: np.ndarray) -> np.ndarray:
    from skimage.measure import label  # slow to import, and classification never needs it

    return label(mask, connectivity=2)
