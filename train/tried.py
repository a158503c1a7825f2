"""The table of what was tried: validation figures of runs, kept in train/tried.csv.

python -m train tried RUN --note "what this run was to show"
"""

import csv
import json
from pathlib import Path

FOLDER = Path(__file__).parent
TABLE = FOLDER / "tried.csv"
START, END = "<!-- tried: start -->\n", "<!-- tried: end -->\n"
FIGURES = ("busi_auc", "busi_dice", "busbra_auc", "busbra_dice")
COLUMNS = (
    "run", "network", "start", "teacher", "side", "epochs", "minutes",
    *FIGURES, "other_flips_auc", "note",
)  # fmt: skip


def add(run: Path, note: str) -> None:
    """Add a finished run to train/tried.csv, or replace it, and write the table into README.md."""
    asked = json.loads((run / "run.json").read_text())
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    validation = json.loads((run / "validation.json").read_text())
    served, plain = validation["as_configured"], validation["with_other_flips"]
    row = {
        "run": run.name,
        "network": asked["variant"],
        "start": asked["init"],
        "teacher": asked["teacher"] or "none",
        "side": asked["recipe"]["size"],
        "epochs": len(log),
        "minutes": round(sum(each["seconds"] for each in log) / 60),
        **{name: _figure(served, name) for name in FIGURES},
        "other_flips_auc": " / ".join(_figure(plain, name) for name in FIGURES[::2]),
        "note": note,
    }
    rows = {each["run"]: each for each in _read()} | {run.name: row}
    with TABLE.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows.values())
    _write_readme(list(rows.values()))


def _figure(figures: dict[str, float], name: str) -> str:
    return f"{figures[name]:.3f}" if name in figures else "–"


def _read() -> list[dict]:
    if not TABLE.exists():
        return []
    with TABLE.open(newline="") as file:
        return list(csv.DictReader(file))


def _write_readme(rows: list[dict]) -> None:
    titles = (
        "run", "network", "start", "teacher", "side, px", "epochs", "minutes", "BUSI AUC",
        "BUSI Dice", "BUS-BRA AUC", "BUS-BRA Dice", "AUC, flips otherwise", "note",
    )  # fmt: skip
    lines = [titles, ["---"] * len(titles), *([row[name] for name in COLUMNS] for row in rows)]
    table = "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)
    readme = FOLDER / "README.md"
    before, rest = readme.read_text().split(START)
    readme.write_text(before + START + table + END + rest.split(END)[1])
