"""``rate report`` on a real project, and what a snapshot and its card say of a study."""

from __future__ import annotations

import json
from pathlib import Path

from claif_tui.core.publish_rating import rating_words
from claif_tui.core.rating.models import Exclusion
from claif_tui.core.rating.session import RaterSession
from tests.cli.conftest import Cli
from tests.core import study_support

EVIL = "no\x1b[31m | `x` _y_ \\input{z}"


def test_from_answers_to_a_report_a_snapshot_and_a_card(tmp_path: Path, cli: Cli) -> None:
    folder = tmp_path / "p"
    with study_support.project(folder, 30) as store:
        study_support.study(
            store,
            "rigorous",
            sample=12,
            practice=1,
            gold=3,
            repeats=2,
            raters=("R1", "R2", "R3"),
            exclusion=Exclusion(),
        )
        for rater, count in (("R1", 99), ("R2", 99), ("R3", 7)):
            with RaterSession(store, "s", rater, who=rater) as session:
                while (shown := session.current()) is not None and shown.position <= count:
                    near = round(min(1.0, len(shown.text_b) % 7 / 10 + (rater == "R2") / 10), 1)
                    session.answer(shown.token, "fluency", 1.0 if shown.position % 5 == 0 else 4.0)
                    session.answer(shown.token, "similarity", 1.0 if shown.text_a == shown.text_b else near)
                    session.comment(shown.token, EVIL)
    found = cli("rate", "report", "-P", folder, "--json").doc
    assert [(r["rater"], r["planned"], r["state"]) for r in found["raters"]][2] == (
        "R3",
        17,
        "stopped, or is still at work, after 6 of 17",
    )
    one = found["criteria"][1]
    assert (one["name"], one["planned"], one["by"]["rater"]["R1"]["mean"]["ratings"]) == ("similarity", 36, 12)
    assert one["given"] < 36
    assert one["agreement"]["alpha_interval"]["interval"] is not None
    assert one["repeats"][0]["same"]["ratings"] >= 4
    shown_text = cli("rate", "report", "-P", folder)
    assert shown_text.code == 0
    assert "Krippendorff's alpha, interval" in shown_text.out
    assert "\x1b" not in shown_text.out
    for name, sign in (
        ("r.md", "# Study `s`"),
        ("r.tex", "\\toprule"),
        ("r.txt", "Study s"),
        ("r.json", '"hash"'),
    ):
        done = cli("rate", "report", "-P", folder, "--study", "s", "--out", tmp_path / name)
        assert done.code == 0, done.err
        assert sign in (tmp_path / name).read_text("utf-8")
    assert json.loads((tmp_path / "r.json").read_text("utf-8")) | {"file": None} == found
    refused = cli("rate", "report", "-P", folder, "--out", tmp_path / "no" / "r.md")
    assert (refused.code, "cannot write" in refused.err) == (2, True)

    made = cli("snapshot", "create", "-P", folder, "--status", "all", "--json").doc
    manifest = json.loads((Path(made["path"]) / "manifest.json").read_text("utf-8"))
    (about,) = manifest["rating"]
    assert (about["study"], about["items"], about["raters"], about["hash"]) == ("s", 12, 3, found["hash"])
    assert "R1" not in json.dumps(about)
    assert EVIL not in json.dumps(about)
    card = "\n".join(rating_words(manifest["rating"]))
    assert "12 items, 3 raters" in card
    assert "Krippendorff's alpha, interval" in card
    assert cli("snapshot", "create", "-P", folder, "--status", "all", "--json").doc["existed"]


def test_without_a_study_or_answers_the_report_says_so(tmp_path: Path, cli: Cli) -> None:
    folder = tmp_path / "p"
    with study_support.project(folder, 30) as store:
        assert "claif-tui rate new" in cli("rate", "report", "-P", folder).err
        study_support.study(store, sample=8)
    done = cli("rate", "report", "-P", folder)
    assert done.code == 0
    assert "Nobody has answered anything yet." in done.out
    made = cli("snapshot", "create", "-P", folder, "--status", "all", "--json").doc
    manifest = json.loads((Path(made["path"]) / "manifest.json").read_text("utf-8"))
    assert "rating" not in manifest
    assert "nobody rated a sample" in rating_words(manifest.get("rating"))[0]
