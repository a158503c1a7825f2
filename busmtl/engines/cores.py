"""How many cores this process may use, which in a container is fewer than the machine has."""

import math
import os
from pathlib import Path


def usable_cores() -> int:
    """Cores that this process may run on, fewer where its control group has a smaller quota."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    return max(1, math.floor(min(allowed, cgroup_quota())))


def cgroup_quota(root: Path = Path("/")) -> float:
    """The CPU quota of this process's control groups, in cores; infinity where there is none.

    The tightest one counts, of version 2 or 1, of its own group and of those above it.
    root: where /proc and /sys lie.
    """
    quotas = [math.inf]
    for group in _cgroups(root):
        quotas += [_quota_v2(group / "cpu.max"), _quota_v1(group)]
    return min(quotas)


def _cgroups(root: Path) -> list[Path]:
    """The folders of this process's control groups that can limit the CPU, and those above them.

    In a container the group's own path may not be there, and its limits stand at the top.
    """
    mount = root / "sys/fs/cgroup"
    folders = [mount, mount / "cpu", mount / "cpu,cpuacct"]
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            folders += _with_parents(mount, path)
        elif "cpu" in controllers.split(","):
            folders += _with_parents(mount / controllers, path)
    return folders


def _with_parents(mount: Path, path: str) -> list[Path]:
    group = mount / path.strip("/")
    return [group, *(parent for parent in group.parents if parent.is_relative_to(mount))]


def _quota_v2(file: Path) -> float:
    """From "200000 100000", microseconds of CPU in each period of so many, or "max 100000"."""
    quota_us, _, period_us = _read(file).partition(" ")
    return _cores(quota_us, period_us)


def _quota_v1(group: Path) -> float:
    return _cores(_read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us"))


def _cores(quota_us: str, period_us: str) -> float:
    try:
        quota, period = int(quota_us), int(period_us)
    except ValueError:  # "max", or no such file
        return math.inf
    return quota / period if quota > 0 and period > 0 else math.inf


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
