"""A report as one folder, whole or not at all: which files it has, and what stands in the README and the JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claif_tui import __version__
from claif_tui.core import publish_text
from claif_tui.core.atomic import replacing_folder
from claif_tui.core.data_fetch import disk_error
from claif_tui.core.errors import UsageError
from claif_tui.core.models import NANO
from claif_tui.core.paper import citations, figure, layout, tables
from claif_tui.core.paper.facts import Facts, facts

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

FOLDER = "exports/report"
README, DOCUMENT, WHOLE, BIB = "README.md", "report.json", "report.tex", "methods.bib"
_PREAMBLE = r"""% All tables of the report in one document: pdflatex report.tex
\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{textcomp}
\usepackage[margin=2.5cm]{geometry}
\usepackage{array}
\usepackage{booktabs}
\begin{document}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written: the folder, its files with their bytes, and the content as plain data."""

    path: Path
    files: tuple[tuple[str, int], ...]
    document: Mapping[str, Any]


def write(
    store: Store, out: Path | None = None, *, study: str | None = None, replace: bool = False, command: str = ""
) -> Written:
    """Write the report on a project to ``out`` (default: ``exports/report`` in it). Blocks.

    ``UsageError`` for a folder that is there, unless ``replace`` is set and it holds nothing but a report.
    """
    place = out or store.folder / FOLDER
    _check(place, replace)
    found = facts(store, study)
    content = document(found)
    texts = _texts(found, content, command)
    _put(place, texts)
    sizes = tuple((name, len(text.encode())) for name, text in sorted(texts.items()))
    return Written(path=place, files=sizes, document=content)


def document(found: Facts) -> dict[str, Any]:
    """The whole report as plain data."""
    money = {(one.profile, one.asked) for one in found.spending} & found.unpriced
    calls = [one for one in found.spending if one.first]
    return {
        "made_by": f"claif-tui {__version__}",
        "project": found.project,
        "status": found.standing.to_dict(),
        "cost": {
            "usd": sum(one.cost_nano for one in found.spending) / NANO,
            "complete": not money,
            "by_stage_and_model": [
                {
                    **asdict(one),
                    "usd": one.cost_nano / NANO,
                    "priced": (one.profile, one.asked) not in found.unpriced,
                }
                for one in found.spending
            ],
        },
        "dates": {
            "first_call": min((one.first for one in calls), default=None),
            "last_call": max((one.last for one in calls), default=None),
        },
        "models": sorted({one.model for one in found.spending if one.model is not None}),
        "recipes": [{"id": version, "stored": made} for version, made in found.recipes],
        "snapshots": [
            {
                "id": one.snapshot.id,
                "made": one.snapshot.made,
                "rows": one.snapshot.rows,
                "sha256": one.snapshot.manifest.get("sha256"),
                "recipe": (one.snapshot.manifest.get("recipe") or {}).get("id"),
                "made_with": one.snapshot.manifest.get("made_with"),
                "funnel": one.snapshot.manifest.get("funnel"),
                "smoothing": one.snapshot.manifest.get("smoothing"),
                "models": [{"stage": s, "model": m, "answers": n} for s, m, n in one.models],
                "demo": one.demo,
            }
            for one in found.frozen
        ],
        "runs": [
            {
                "name": run.name,
                "system": run.system,
                "model": publish_text.without_path(run.model),
                "state": run.state,
                "begun": _iso(run.begun),
                "snapshot": run.snapshot or None,
                "best": None if run.best_step is None else {"step": run.best_step, "dev": run.best_dev},
            }
            for run in found.runs
        ],
        "evaluations": [
            {"name": one.name, "made": one.made, "identity": one.identity, "demo": one.demo}
            for one in found.evaluations
        ],
        "figure_2": [asdict(panel) for panel in found.panels],
        "human_evaluation": found.summary,
        "missing": [asdict(one) for one in found.missing],
        "warnings": list(found.warnings),
    }


def _iso(seconds: float) -> str | None:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else None


def _texts(found: Facts, content: Mapping[str, Any], command: str) -> dict[str, str]:
    made = layout.tables(found)
    texts = {
        DOCUMENT: json.dumps(content, ensure_ascii=True, indent=2) + "\n",
        WHOLE: _whole(made, bool(found.because)),
        README: _readme(found, content, made, command),
    }
    for table in made:
        texts[f"{table.name}.tex"] = tables.latex(table)
        texts[f"{table.name}.csv"] = tables.csv_text(table.data_head, table.data)
    if found.panels:
        texts["figure-2.svg"] = figure.svg(found.panels, layout.about_figure(found), layout.figure_mark(found))
        texts["figure-2.csv"] = tables.csv_text(*layout.histogram(found))
    if found.because:
        texts[BIB] = citations.bibtex(found.because)
    return texts


def _whole(made: list[tables.Table], cited: bool) -> str:
    body = "".join(f"\\input{{{table.name}}}\n\\clearpage\n" for table in made) or "No table could be made.\n"
    bib = (
        f"\\nocite{{*}}\n\\bibliographystyle{{plain}}\n\\bibliography{{{BIB.removesuffix('.bib')}}}\n"
        if cited
        else ""
    )
    return f"{_PREAMBLE}{body}{bib}\\end{{document}}\n"


def _readme(found: Facts, content: Mapping[str, Any], made: list[tables.Table], command: str) -> str:
    code = publish_text.code
    parts = [
        f"# Report on {code(found.project)}",
        f"Made by claif-tui {__version__} with {code(command or 'claif-tui report')}. The same project gives the same "
        "files. Numbers are those of the app; `report.json` has all of them in full.",
    ]
    if found.missing:
        rows = [(one.part, one.why, code(one.command)) for one in found.missing]
        parts += ["## What is missing", publish_text.table(("part", "why", "next step"), rows)]
    if found.warnings:
        parts += ["## To be minded", "\n".join(f"- {code(one)}" for one in found.warnings)]
    if made:
        rows = [(code(f"{one.name}.tex"), code(f"{one.name}.csv"), one.caption) for one in made]
        parts += [
            "## Tables",
            "LaTeX for booktabs; `report.tex` compiles them together. What pdflatex has no letter for is written as "
            "[U+4E2D] there; the CSV has the texts as they are.",
            publish_text.table(("LaTeX", "CSV", "what"), rows),
        ]
        parts += [f"### {one.caption}\n\n{tables.markdown(one)}" for one in made]
    if found.panels:
        parts += [
            "## Figure 2",
            f"![Scores at each mask rate](figure-2.svg)\n\n{layout.about_figure(found)} Numbers: `figure-2.csv`. For "
            "LaTeX turn it into PDF, for instance with `rsvg-convert -f pdf -o figure-2.pdf figure-2.svg`.",
        ]
    parts += _origins(found, content)
    if found.summary is not None:
        parts += _people(found.summary)
    if found.because:
        parts += ["## Citing", "`methods.bib` names what the project stands on, and why."]
    return "\n\n".join(parts) + "\n"


def _origins(found: Facts, content: Mapping[str, Any]) -> list[str]:
    """Dates, models and hashes."""
    code, dates = publish_text.code, content["dates"]
    rows: list[tuple[str, str]] = []
    if dates["first_call"]:
        rows.append(("first and last request", f"{code(dates['first_call'])} to {code(dates['last_call'])}"))
    rows += [("model as it named itself", code(publish_text.without_path(name))) for name in content["models"]]
    for one in content["snapshots"]:
        rows.append(
            (f"snapshot {code(one['id'])}", f"made {code(one['made'])}, SHA-256 {code(str(one['sha256']))}")
        )
    rows += [("recipe", f"{code(one['id'])}, stored {code(one['stored'])}") for one in content["recipes"]]
    for run in content["runs"]:
        best = (
            ""
            if run["best"] is None
            else f", best dev {run['best']['dev']:.2f} at step {run['best']['step']:,}"
        )
        begun = f", begun {code(run['begun'])}" if run["begun"] else ""
        rows.append((f"run {code(run['name'])}", f"{code(run['system'])}, {run['state']}{begun}{best}"))
    if found.summary is not None:
        rows.append((f"study {code(str(found.summary['study']))}", f"hash {code(str(found.summary['hash']))}"))
    return ["## Dates, models and hashes", publish_text.table(("what", "which"), rows)] if rows else []


def _people(summary: Mapping[str, Any]) -> list[str]:
    """The main figures of a study."""
    from claif_tui.core.rating.agreement import TITLES

    code = publish_text.code
    lead = (
        f"Study {code(str(summary['study']))} (preset {code(str(summary['preset']))}): {summary['items']:,} items, "
        f"{summary['raters']:,} raters, {summary['excluded']:,} of them excluded by the frozen rule, "
        f"{summary['deviations']:,} deviations from the frozen plan, {summary['changed_since']:,} pairs changed since."
    )
    apart = summary["explanations_apart"]
    if apart:
        lead += (
            f" {apart:,} explanations came with a score more than 0.1 from the stored one, which raters see."
        )
    rows = [
        (code(one["name"]), code(str(TITLES.get(label, label))), _figure(values))
        for one in summary["criteria"]
        for group in ("figures", "agreement")
        for label, values in one[group].items()
    ]
    table = [publish_text.table(("question", "figure", "value (95 % interval)"), rows)] if rows else []
    return ["## Human evaluation", lead, *table, "The whole of it: `claif-tui rate report --format latex`."]


def _figure(found: Mapping[str, Any]) -> str:
    """A figure with its interval: shares in percent, all else on its own scale."""
    percent = found["unit"] == "share"

    def told(value: float) -> str:
        return f"{value * 100:.1f} %" if percent else f"{value:.2f}"

    interval = found["interval"]
    around = "" if interval is None else f" ({told(interval[0])} to {told(interval[1])})"
    return f"{told(found['value'])}{around}"


def _check(place: Path, replace: bool) -> None:
    """Refuse a place that is taken; with ``replace`` only what is no report."""
    if place.is_dir() and not any(place.iterdir()):
        return
    if not place.exists():
        return
    if not place.is_dir():
        raise UsageError(f"{place} is a file", "Name a folder with --out.")
    if not replace:
        raise UsageError(f"{place} is there already", "--force writes it anew; --out names another folder.")
    others = sorted(path.name for path in place.iterdir() if not _ours(path))
    if others or not (place / DOCUMENT).is_file():
        what = f"{others[0]}, which no report has" if others else f"no {DOCUMENT}"
        raise UsageError(f"{place} holds {what}", "Move it away, or name another folder with --out.")


def _ours(path: Path) -> bool:
    names = {README, DOCUMENT, WHOLE, BIB, "figure-2.svg", "figure-2.csv"}
    stems = ("table-2", "table-9", "table-10", "cost", "funnel")
    return path.is_file() and (path.name in names or (path.stem in stems and path.suffix in (".tex", ".csv")))


def _put(place: Path, texts: Mapping[str, str]) -> None:
    """Fill a folder beside its place, then give it its name; what was there goes when the new one stands."""
    try:
        with replacing_folder(place) as staged:
            for name, text in texts.items():
                (staged / name).write_bytes(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise disk_error(place, error) from error
