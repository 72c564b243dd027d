"""``claif-tui report``: the tables and the figure hold what the project holds, whatever its texts are."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from claif_tui.core.latex import tex
from claif_tui.core.models import NewScore
from claif_tui.core.paper import citations, layout
from claif_tui.core.paper.figure import Panel, svg
from claif_tui.core.rating.session import RaterSession
from claif_tui.core.store.store import Store
from tests.cli.conftest import Cli
from tests.core import pair_support, study_support
from tests.llm_fixtures import Factory
from tests.ui import made_runs

EVIL = "=1+1 [b] 50% of \\input{x} & $5 {a}_#~^ 中文 `x` -- ''q'' \x1b[31m <mask> | “z”"
RATES = "0.0,0.5"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def sound(path: Path) -> None:
    """A LaTeX table has balanced braces, the same number of cells in each row, and no sign that stops pdflatex."""
    text = path.read_text("utf-8")
    plain = re.sub(r"\\[\\{}&%$#_]", lambda m: "\n" if m.group() == r"\\" else "", text)
    assert plain.count("{") == plain.count("}") and "\x1b" not in text and "中" not in text
    body = text.partition("\\toprule")[2].partition("\\bottomrule")[0]
    cells = [line.replace(r"\&", "").count("&") for line in body.splitlines() if line.endswith(r"\\")]
    assert len(set(cells)) == 1 and len(cells) > 1


@pytest.fixture
def reported(seeded: Path, llm_server: Factory, cli: Cli) -> Path:
    """A project that was generated for money, with a snapshot, a run and a study that two people began."""
    endpoint = ("--base-url", llm_server().base_url, "--model", "m", "--price-in", 1, "--price-out", 4)
    assert cli("generate", "-P", seeded, *endpoint, "--rates", RATES, "--yes").code == 0
    assert cli("snapshot", "create", "-P", seeded, "--status", "all").code == 0
    made_runs.whole(seeded, "simcse-sup-1", system="simcse-sup", model="roberta-base")
    with Store.open(seeded) as store:
        study_support.study(store, name="eval", sample=6, raters=("Ann", "Ben"), per_item=2)
    assert cli("rate", "explain", "-P", seeded, *endpoint, "--yes").code == 0
    with Store.open(seeded) as store:
        for rater, value in (("Ann", 1.0), ("Ben", 0.0)):
            with RaterSession(store, "eval", rater) as session:
                shown = session.current()
                assert shown is not None
                session.answer(shown.token, "fluent", value)
                session.answer(shown.token, "consistent", 1.0)
    return seeded


def test_the_folder_states_what_the_project_holds(reported: Path, cli: Cli) -> None:
    done = cli("report", "-P", reported, "--json")
    assert done.code == 0, done.err
    folder, doc = Path(done.doc["path"]), done.doc
    assert {path.name: path.stat().st_size for path in folder.iterdir()} == doc["files"]
    assert json.loads((folder / "report.json").read_text())["cost"] == doc["cost"]
    for name in ("table-2", "table-9", "table-10", "cost", "funnel"):
        sound(folder / f"{name}.tex")

    with Store.open(reported) as store:
        assert round(doc["cost"]["usd"] * 1e9) == store.ledger.spent()
        study, counts = store.studies.get("eval"), store.pairs.histogram(10)
    by_stage = {row["stage"]: row for row in rows(folder / "cost.csv")}
    assert {"generate", "score", "explain"} <= by_stage.keys()
    assert sum(round(float(row["usd"]) * 1e9) for row in by_stage.values()) == round(doc["cost"]["usd"] * 1e9)
    assert by_stage["explain"]["answered"] == "6" and {row["demo"] for row in by_stage.values()} == {"no"}

    snapshot = doc["snapshots"][0]
    sizes = {row["data"]: row for row in rows(folder / "table-2.csv")}
    assert sizes["CLAIF"]["samples"] == "113773"
    ours = sizes[f"snapshot {snapshot['id']}"]
    assert (int(ours["samples"]), ours["sha256"]) == (snapshot["rows"], snapshot["sha256"])
    assert [row["rows"] for row in rows(folder / "funnel.csv")] == [str(n) for n in snapshot["funnel"].values()]

    examples = rows(folder / "table-9.csv")
    assert [row["mask_rate"] for row in examples] == ["0.0", "0.5"] * 3
    assert len({row["original"] for row in examples}) == 3
    figure = [int(row["pairs"]) for row in rows(folder / "figure-2.csv")]
    assert figure == [count for rate in (0.0, 0.5) for count in counts[rate]]
    ElementTree.parse(folder / "figure-2.svg")

    shown = rows(folder / "table-10.csv")
    assert len(shown) == 5 and shown[0]["explanation"] == "They differ in a few words."
    assert (shown[0]["fluent"], shown[0]["consistent"], shown[1]["fluent"]) == ("0; 1", "1; 1", "")
    assert "yes 1 of 2 & yes 2 of 2" in (folder / "table-10.tex").read_text()
    readme = (folder / "README.md").read_text("utf-8")
    for word in (
        study.hash,
        snapshot["sha256"],
        "`claif-tui report`",
        "claif-tui 0.1.0",
        doc["dates"]["last_call"],
    ):
        assert word in readme
    assert "Ann" not in readme and doc["human_evaluation"]["raters"] == 2
    bib = (folder / "methods.bib").read_text()
    for key in (
        "cheng-etal-2023-improving",
        "gao-etal-2021-simcse",
        "liu-etal-2019-roberta",
        "gwet-2008-computing",
    ):
        assert f"{{{key}," in bib
    assert "promptbert" not in bib
    assert [one["part"] for one in doc["missing"]] == ["Results"]

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    refused = cli("report", "-P", reported)
    assert refused.code == 2 and "--force" in refused.err
    assert cli("report", "-P", reported, "--force").code == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before, (
        "the same project, the same files"
    )
    (folder / "mine.txt").write_text("x")
    assert cli("report", "-P", reported, "--force").code == 2 and (folder / "mine.txt").exists()
    if shutil.which("pdflatex") and shutil.which("kpsewhich"):
        found = subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True, check=False)
        if found.returncode == 0:
            words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-draftmode", "report.tex"]
            made = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
            assert made.returncode == 0, made.stdout[-1500:]


def test_hostile_text_stays_text_in_every_form(project: Path, cli: Cli) -> None:
    with Store.open(project) as store:
        score = NewScore(score=0.25, raw="0.25", reason=EVIL, key="k")
        pair_support.add(
            store, [pair_support.new_pair(1, text_a=EVIL, generated=f"{EVIL} too", score=score, model=EVIL)]
        )
    folder = Path(cli("report", "-P", project, "--json").doc["path"])
    sound(folder / "table-10.tex")
    (row,) = rows(folder / "table-10.csv")
    assert row["original"] == f"'{EVIL}"
    assert "[U+4E2D]" in (folder / "table-10.tex").read_text()
    assert "\x1b" not in (folder / "README.md").read_text("utf-8")
    assert tex("a--b ''c''") == "a-{}-b '{}'c'{}'"


def test_an_empty_project_says_what_to_do_next(project: Path, cli: Cli) -> None:
    done = cli("report", "-P", project, "--json")
    assert done.code == 0, done.err
    assert set(done.doc["files"]) == {"README.md", "report.json", "report.tex"}
    parts = [one["part"] for one in done.doc["missing"]]
    assert {"Pairs", "Table 2", "Table 9", "Table 10", "Figure 2", "Human evaluation"} <= set(parts)
    assert all(one["command"].startswith("claif-tui ") for one in done.doc["missing"])
    assert cli("report", "-P", project, "--study", "x", "--out", project / "other").code == 2
    assert not (project / "other").exists()


def test_money_and_figures_have_no_false_digits() -> None:
    assert [layout.usd(n) for n in (0, 12_345_678_901, 12_000_000, 123_456, 99)] == [
        *("0", "12.35", "0.01", "0.00012", "0.000000099")
    ]
    assert [layout.exact_usd(n) for n in (0, 1, 1_500_000_000)] == ["0", "0.000000001", "1.5"]
    drawn = svg([Panel(rate=0.1, counts=(0,) * 9 + (4,), n=4, mean=0.95)], "a < b", "demo & more")
    root = ElementTree.fromstring(drawn)
    assert root.findall("{*}text")[-1].text == "demo & more"
    assert root.findtext("{*}desc") == "a < b" and "mask rate 0.1 (n = 4, mean 0.95)" in drawn
    colours = set(re.findall(r"(?:fill|stroke)='([^']+)'", drawn))
    assert colours <= {"white", "black", "none", "#777", "#ccc"}, "it must print in black and white"
    for name, entry in citations.ENTRIES.items():
        assert entry.count("{") == entry.count("}") and entry.startswith("@"), name
    assert citations.of_system("clhaif-prompt") == ("claif", "promptbert")
    assert citations.of_system("simcse-unsup-bert") == ("simcse",)
