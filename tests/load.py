"""Many visitors at once on this machine alone, and no part of the tests that always run:

    python tests/load.py [--users 50] [--seconds 120] [--out busmtl/results/load.md]

It starts app.py at a loopback address. Each user has an image of a size of its own and asks again
as soon as the answer is there; every answer is held against what the package gives for that image.
It prints a Markdown table, which also goes into the file that --out names; the exit status is 1
where an answer was lost or not the user's own.
"""

import argparse
import asyncio
import io
import json
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

import httpx
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))

from browser import ROOT, App, run_app

from busmtl import Predictor

API = "/gradio_api"
PATIENCE_S = 120  # for one answer
TOLERANCE = 1e-3  # of a probability, between two runs of one network


@dataclass
class User:
    """One visitor: an image, what is right for it, and what came."""

    png: bytes
    size_hw: tuple[int, int]
    malignant_prob: float
    waited_s: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    wrong: int = 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    users = make_users(arguments.users)
    with tempfile.TemporaryDirectory() as folder, run_app(Path(folder)) as app:
        before_mb, _ = memory_mb(app)
        start = time.monotonic()
        health_s = asyncio.run(visit(app, users, start + arguments.seconds))
        took_s = time.monotonic() - start
        after_mb, peak_mb = memory_mb(app)
    waited_s = [each for user in users for each in user.waited_s]
    lost = [reason for user in users for reason in user.lost]
    wrong = sum(user.wrong for user in users)
    table = f"""| users at once, for {took_s:.0f} s | {len(users)} |
|---|---|
| answers | {len(waited_s)}, {len(waited_s) / took_s:.1f} a second |
| lost | {len(lost)} |
| not the user's own | {wrong} |
| waited: median, 95 % within, longest | {in_words(waited_s)} |
| `/health`: median, 95 % within, longest | {in_words(health_s)} |
| memory of the server: before, after, peak | {before_mb}, {after_mb}, {peak_mb} MB |
"""
    print(table)
    if arguments.out:
        arguments.out.write_text(table, encoding="utf-8")
    print(*sorted(set(lost)), sep="\n", file=sys.stderr)
    return 1 if lost or wrong else 0


def make_users(count: int) -> list[User]:
    """Each with the upper left part of an example, as wide as nobody else's."""
    predictor = Predictor("resnet50-mtl")
    pictures = [Image.open(path) for path in (ROOT / "examples" / "images").glob("*.png")]
    width = min(picture.width for picture in pictures)
    users = []
    for number in range(count):
        picture = pictures[number % len(pictures)]
        picture = picture.crop((0, 0, width - number, picture.height))
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        prob = predictor.predict(buffer.getvalue()).malignant_prob
        users.append(User(buffer.getvalue(), picture.size[::-1], prob))
    return users


async def visit(app: App, users: list[User], end: float) -> list[float]:
    """All users until that moment of `time.monotonic`; how long /health took meanwhile, in s."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=app.url, timeout=PATIENCE_S, limits=limits) as client:
        health = asyncio.create_task(watch_health(client, end))
        await asyncio.gather(*(ask_until(client, user, end) for user in users))
        return await health


async def ask_until(client: httpx.AsyncClient, user: User, end: float) -> None:
    while time.monotonic() < end:
        start = time.monotonic()
        try:
            answer = await ask(client, user)
        except (httpx.HTTPError, RuntimeError, json.JSONDecodeError) as error:
            user.lost.append(f"{type(error).__name__}: {error}")
            continue
        user.waited_s.append(time.monotonic() - start)
        same_size = tuple(answer["size_hw"]) == user.size_hw
        same_prob = abs(answer["malignant_prob"] - user.malignant_prob) < TOLERANCE
        user.wrong += not (same_size and same_prob)


async def ask(client: httpx.AsyncClient, user: User) -> dict:
    """Upload, ask, and read the answer's stream of events, as the page itself does."""
    sent = await client.post(f"{API}/upload", files={"files": ("scan.png", user.png)})
    file = {"path": sent.raise_for_status().json()[0], "meta": {"_type": "gradio.FileData"}}
    asked = await client.post(f"{API}/call/predict", json={"data": [file, "resnet50-mtl", 0, 1]})
    event = asked.raise_for_status().json()["event_id"]
    kind = None
    async with client.stream("GET", f"{API}/call/predict/{event}") as stream:
        async for line in stream.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data" and kind == "complete":
                return json.loads(value)[0]
            elif name == "data" and kind == "error":
                raise RuntimeError(value)
    raise RuntimeError("The stream ended without an answer.")


async def watch_health(client: httpx.AsyncClient, end: float) -> list[float]:
    waited_s = []
    while time.monotonic() < end:
        start = time.monotonic()
        (await client.get("/health")).raise_for_status()
        waited_s.append(time.monotonic() - start)
        await asyncio.sleep(1)
    return waited_s


def memory_mb(app: App) -> tuple[int, int]:
    """What the server's process has in memory now, and had at most. Linux only."""
    lines = Path(f"/proc/{app.pid}/status").read_text().splitlines()
    values = dict(line.split(":", 1) for line in lines)
    return tuple(int(values[key].split()[0]) // 1024 for key in ("VmRSS", "VmHWM"))


def in_words(seconds: list[float]) -> str:
    p95 = quantiles(seconds, n=20, method="inclusive")[-1]
    return f"{median(seconds):.2f}, {p95:.2f}, {max(seconds):.2f} s"


if __name__ == "__main__":
    sys.exit(main())
