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
    box = _bounding_box(mask)
    components = _label(mask[box])
    areas_px = np.bincount(components.ravel())
    keep = areas_px >= min_area_px
    keep[0] = False  # the background
    cleaned = np.zeros_like(mask)
    cleaned[box] = keep[components]
    return cleaned


def measure(mask: np.ndarray, spacing_mm: tuple[float, float] | None) -> tuple[Lesion, ...]:
    """The 8-connected components of a bool (H, W) mask, largest first.

    spacing_mm: (between rows, between columns), or None where it is unknown. Where the two differ,
    the ellipse is fitted in mm anew: its axes may lie otherwise than those in px.
    """
    from skimage.measure import regionprops

    components = _label(mask[_bounding_box(mask)])
    sizes_px = [_sizes(region) for region in regionprops(components)]
    sizes_mm = [(None, None, None)] * len(sizes_px)
    if spacing_mm is not None:
        sizes_mm = [_sizes(region) for region in regionprops(components, spacing=spacing_mm)]
    lesions = [
        Lesion(int(area_px), *axes_px, *sizes)
        for (area_px, *axes_px), sizes in zip(sizes_px, sizes_mm, strict=True)
    ]
    return tuple(sorted(lesions, key=lambda lesion: lesion.area_px, reverse=True))


def _sizes(region) -> tuple[float, float, float]:
    """(area, major axis, minor axis) in the unit of the region's spacing."""
    return float(region.area), float(region.axis_major_length), float(region.axis_minor_length)


def _bounding_box(mask: np.ndarray) -> tuple[slice, slice]:
    """The part of the mask that holds all of it, a pixel of an empty one: to label the rest as well
    would take most of the time.
    """
    spans = []
    for axis in (1, 0):
        inside = np.flatnonzero(mask.any(axis=axis))
        spans.append(slice(inside[0], inside[-1] + 1) if inside.size else slice(1))
    return tuple(spans)


def _label(mask: np.ndarray) -> np.ndarray:
    from skimage.measure import label  # slow to import, and classification never needs it

    return label(mask, connectivity=2)
