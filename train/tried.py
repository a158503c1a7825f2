"""The table of what was tried: validation figures of runs, kept in train/tried.csv.

python -m train tried RUN --note "what this run was to show"
"""

import csv
import json
import shutil
from pathlib import Path

FOLDER = Path(__file__).parent
TABLE = FOLDER / "tried.csv"
LOGS = FOLDER / "logs"
START, END = "<!-- tried: start -->\n", "<!-- tried: end -->\n"
FIGURES = ("busi_auc", "busi_dice", "busbra_auc", "busbra_dice")
# column in tried.csv → title in the README
COLUMNS = {
    "run": "run",
    "network": "network",
    "start": "start",
    "teacher": "teacher",
    "side": "side, px",
    "epochs": "epochs",
    "minutes": "minutes",
    "busi_auc": "BUSI AUC",
    "busi_dice": "BUSI Dice",
    "busbra_auc": "BUS-BRA AUC",
    "busbra_dice": "BUS-BRA Dice",
    "with_flips": "the four with flips",
    "note": "note",
}


def add(run: Path, note: str) -> None:
    """Add a run to train/tried.csv, or replace it, and write the table into README.md.

    The run's log is kept as train/logs/NAME.jsonl.
    A run that was stopped early counts with its best epoch so far.
    """
    asked = json.loads((run / "run.json").read_text())
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    best = max(log, key=lambda row: row["steer"])
    row = {
        "run": run.name,
        "network": asked["variant"],
        "start": asked["init"],
        "teacher": asked["teacher"] or "none",
        "side": asked["recipe"]["size"],
        "epochs": f"{len(log)} of {asked['recipe']['epochs']}",
        "minutes": round(sum(each["seconds"] for each in log) / 60),
        **{name: _figure(best, name) for name in FIGURES},
        "with_flips": _with_flips(run),
        "note": note,
    }
    LOGS.mkdir(exist_ok=True)
    shutil.copyfile(run / "log.jsonl", LOGS / f"{run.name}.jsonl")
    rows = {each["run"]: each for each in _read()} | {run.name: row}
    with TABLE.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows.values())
    _write_readme(list(rows.values()))


def _with_flips(run: Path) -> str:
    if not (run / "validation.json").exists():
        return "–"
    validation = json.loads((run / "validation.json").read_text())
    return " / ".join(_figure(validation["with_flips"], name) for name in FIGURES)


def _figure(figures: dict[str, float], name: str) -> str:
    return f"{figures[name]:.3f}" if name in figures else "–"


def _read() -> list[dict]:
    if not TABLE.exists():
        return []
    with TABLE.open(newline="") as file:
        return list(csv.DictReader(file))


def _write_readme(rows: list[dict]) -> None:
    lines = [COLUMNS.values(), ["---"] * len(COLUMNS), *([row[n] for n in COLUMNS] for row in rows)]
    table = "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)
    readme = FOLDER / "README.md"
    before, rest = readme.read_text().split(START)
    readme.write_text(before + START + table + END + rest.split(END)[1])
