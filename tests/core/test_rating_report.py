"""The report on a study: which answers count, what is missing, and formats that no text of data breaks."""

from __future__ import annotations

import json
import random
import re
import unicodedata
from typing import Any

import pytest

from claif_tui.core.rating.models import Comment, StudyEvent
from claif_tui.core.rating.report import report, summary
from claif_tui.core.rating.report_formats import document, latex, markdown, text
from claif_tui.core.rating.report_models import CriterionReport, Report
from claif_tui.core.rating.report_sections import sentence
from tests.core.rating_support import AT, FLUENCY, FLUENT, SIMILARITY, data, gold, item, question, said

FORMS = (text, markdown, latex)
HOSTILE = (
    "\x1b[2J\x9b31m‮ | ``` <script> [x](javascript:1) \\input{/etc/passwd} $x^2$ 100% #1 & _a_ ~ 中文\n## head"
)


def only(found: Report) -> CriterionReport:
    (one,) = found.criteria
    return one


def written(found: Report) -> str:
    """All formats; a report that one of them cannot show fails here."""
    plain = json.loads(json.dumps(document(found), allow_nan=False))
    assert plain["hash"] == found.hash
    return "".join(form(found) for form in FORMS)


def test_the_papers_study_gives_the_papers_figures_and_no_agreement() -> None:
    raters = ("R1", "R2", "R3", "R4")
    items = [item(n) for n in range(1, 101)]
    plan: Any = {rater: range(25 * k + 1, 25 * k + 26) for k, rater in enumerate(raters)}
    consistent = question("consistent", "yesno")
    answers = []
    for rater in raters:
        answers += said(rater, "fluent", {n: float(n % 25 not in (3, 4)) for n in plan[rater]})
        answers += said(rater, "consistent", {n: float(n % 10 != 0) for n in plan[rater]})
    found = report(data([FLUENT, consistent], items, answers, raters=raters, plan=plan, per_item=1))
    fluent, other = found.criteria
    assert sentence(fluent.overall.figures[0]) == "92.0 % (85.0–95.9)"
    assert sentence(other.overall.figures[0]) == "90.0 % (82.6–94.5)"
    assert [row.figures[0].ratings for row in fluent.rows if row.group == "rater"] == [25] * 4
    assert {each.estimate.reason for each in fluent.agreement} == {"no item was rated by two raters"}
    assert sum(row.figures[0].ratings for row in fluent.rows if row.group == "score") == 100
    assert [row.name for row in fluent.rows if row.group == "rate"] == ["0", "0.1", "0.2"]
    assert next(look.values for look in fluent.split) == (("R1", 0.0),)
    shown = written(found)
    assert "The CLAIF paper found 92.0 % (85.0–95.9) yes in 100 ratings." in shown
    assert "no item was rated by two raters" in shown
    assert "agreement cannot be computed" in shown


def test_practice_gold_and_repeats_are_no_ratings_and_excluded_raters_are_shown_beside() -> None:
    items = [
        item(1, "practice"),
        *(item(n) for n in range(2, 22)),
        *(gold(n, "similarity", 0.8, 1.0) for n in range(22, 26)),
    ]
    answers = []
    for rater, shift in (("ann", 0.0), ("ben", 0.1), ("cyd", 0.5)):
        answers += said(rater, "similarity", {1: 0.0})
        answers += said(rater, "similarity", {n: round(min(1.0, n % 11 / 10 + shift), 1) for n in range(2, 22)})
        answers += said(
            rater, "similarity", {n: 1.0 if rater != "cyd" or n < 24 else 0.2 for n in range(22, 26)}
        )
        answers += said(rater, "similarity", {2: 1.0, 3: round(0.3 + shift, 1)}, occurrence=1)
    study = data([SIMILARITY], items, answers, min_gold=0.75, gold=4, repeats=2, practice=1)
    found = report(study)
    one = only(found)
    assert found.excluded == ("cyd",)
    assert [(g.rater, g.passed, g.answered, g.excluded) for g in found.gold][2] == ("cyd", 2, 4, True)
    assert (one.planned, one.given) == (40, 40)
    assert (one.overall.figures[0].ratings, one.overall.figures[0].items) == (40, 20)
    (everyone,) = found.everyone
    assert everyone.overall.figures[0].ratings == 60
    kept, whole = one.overall.figures[0].estimate.value, everyone.overall.figures[0].estimate.value
    assert kept is not None and whole is not None and kept < whole
    assert [(r.rater, r.same.ratings, r.same.estimate.value) for r in one.repeats] == [
        ("", 4, 0.5),
        ("ann", 2, 0.5),
        ("ben", 2, 0.5),
    ]
    assert one.human_ai is not None and one.human_ai.estimate.value is not None
    assert one.human_ai.estimate.value > 0.9
    assert one.bias is not None and one.bias.estimate.value == pytest.approx(0.05, abs=0.01)
    shown = written(found)
    assert "cyd" in shown
    assert "without cyd" in shown
    assert "2 of 4" in shown
    assert summary(study)["excluded"] == 1


def test_who_stopped_who_never_began_and_what_is_missing_are_told() -> None:
    items = [item(0, "practice"), *(item(n) for n in range(1, 13))]
    answers = [
        *said("ann", "fluent", dict.fromkeys(range(13), 1.0)),
        *said("ann", "fluency", dict.fromkeys(range(13), 4.0)),
        *said("ben", "fluent", {n: float(n % 2) for n in range(1, 6)}, elapsed=None, source="packet"),
        *said("ben", "fluency", {1: 3.0, 2: 5.0}, elapsed=2.0, source="packet"),
        *said("cyd", "fluent", {0: 1.0}),
        *said("eve", "fluent", {7: 0.0}),
    ]
    study = data([FLUENT, FLUENCY], items, answers, raters=("ann", "ben", "cyd", "dan"))
    found = report(study)
    assert [(p.rater, p.done, p.partly, p.words) for p in found.progress] == [
        ("ann", 12, 0, "finished"),
        ("ben", 2, 3, "stopped, or is still at work, after 2 of 12"),
        ("cyd", 0, 0, "did practice items only, and none of 12"),
        ("dan", 0, 0, "never began"),
        ("eve", 0, 1, "answered without being in the plan"),
    ]
    assert found.progress[0].seconds == 8.0
    assert (found.criteria[0].planned, found.criteria[0].given) == (48, 18)
    shown = written(found)
    assert "fluent: 18 of 48 ratings of the sample were given; 30 are missing." in shown
    assert "determined to forge" in shown
    assert summary(study)["raters"] == 3


@pytest.mark.parametrize("raters", [0, 1, 2, 3])
@pytest.mark.parametrize("criterion", [FLUENT, FLUENCY, SIMILARITY], ids=lambda one: one.scale)
def test_nothing_one_rater_and_unanimity_make_a_report_with_reasons(criterion: Any, raters: int) -> None:
    names = ("ann", "ben", "cyd")
    items = [item(n) for n in range(1, 6)]
    answers = [
        one for name in names[:raters] for one in said(name, criterion.name, dict.fromkeys(range(1, 6), 1.0))
    ]
    found = report(data([criterion], items, answers, raters=names, stratify=("score",), min_gold=0.5))
    one = only(found)
    reasons = {each.estimate.reason for each in one.agreement}
    if raters == 0:
        assert reasons == {"nobody has rated anything"}
        assert one.overall.figures[0].estimate.reason == "nothing was rated"
    elif raters == 1:
        assert reasons == {"there are ratings of one rater only, and agreement takes two"}
    else:
        assert any("every rating is the same value" in reason for reason in reasons)
        assert any("kappa" in each.title for each in one.agreement)
        cohen = any(each.measure.startswith("cohen") for each in one.agreement)
        assert cohen == (raters == 2)
    written(found)
    assert json.dumps(summary(data([criterion], [], [])), allow_nan=False)


def test_a_contrast_finds_a_known_difference_and_tells_what_a_small_one_needs() -> None:
    draw = random.Random(4)
    items = [item(n, model="good" if n % 2 else "bad") for n in range(1, 81)]
    answers = []
    for rater in ("ann", "ben", "cyd"):
        values = {n: float(draw.choice([4, 5, 5] if n % 2 else [1, 2, 3])) for n in range(1, 81)}
        answers += said(rater, "fluency", values)
    (clear,) = only(report(data([FLUENCY], items, answers))).contrasts
    assert (clear.first, clear.second, clear.more) == ("claif · bad", "claif · good", "")
    assert clear.difference.high is not None and clear.difference.high < -2
    assert clear.p is not None and clear.p < 0.01
    answers = []
    for rater in ("ann", "ben", "cyd"):
        values = {
            n: float(draw.choice([1, 2, 3, 4, 5]) if n % 2 else draw.choice([1, 2, 3, 4, 4]))
            for n in range(1, 81)
        }
        answers += said(rater, "fluency", values)
    (close,) = only(report(data([FLUENCY], items, answers))).contrasts
    needed = re.fullmatch(r"about ([\d,]+) more items would separate them .*", close.more)
    assert needed and 50 < int(needed.group(1).replace(",", "")) < 5000
    # Raters who see the difference in opposite directions are not settled by more items.
    answers = []
    for rater, sign in (("ann", 1), ("ben", -1), ("cyd", 1)):
        answers += said(rater, "fluency", {n: 3.0 + sign * (1 if n % 2 else -1) for n in range(1, 81)})
    (split,) = only(report(data([FLUENCY], items, answers))).contrasts
    assert "more raters are needed" in split.more
    alone = only(report(data([FLUENCY], [item(n) for n in range(1, 81)], answers)))
    assert alone.contrasts == ()
    assert "no two conditions" in alone.no_contrasts


def test_the_items_to_look_at_are_those_farthest_apart() -> None:
    items = [item(n, score=0.5) for n in range(1, 31)]
    answers = said("ann", "similarity", dict.fromkeys(range(1, 31), 0.5))
    answers += said("ben", "similarity", {n: 0.5 if n != 17 else 1.0 for n in range(1, 31)})
    answers += said("cyd", "similarity", {n: 0.5 if n not in (17, 5) else 0.3 for n in range(1, 31)})
    comment = Comment(rater="ben", item=17, occurrence=0, text="odd", at=AT)
    one = only(report(data([SIMILARITY], items, answers, comments=[comment])))
    assert [look.item for look in one.split] == [17, 5]
    assert one.split[0].comments == ("ben: odd",)
    assert one.split[0].values == (("ann", 0.5), ("ben", 1.0), ("cyd", 0.3))
    assert [look.item for look in one.against_ai] == [17, 5]


def test_no_text_of_data_is_markup_in_any_format() -> None:
    names = (f"ann {HOSTILE}", "b|n")
    items = [item(n, text_a=HOSTILE, text_b=HOSTILE, model=f"m{n % 2} {HOSTILE}") for n in range(1, 9)]
    criterion = question(f"fluent {HOSTILE}", "yesno")
    answers = said(names[0], criterion.name, {n: float(n % 2) for n in range(1, 9)})
    answers += said(names[1], criterion.name, {n: float(n % 3 == 0) for n in range(1, 9)})
    found = report(
        data(
            [criterion],
            items,
            answers,
            raters=names,
            name=HOSTILE,
            population=HOSTILE,
            comments=[Comment(rater=names[0], item=1, occurrence=0, text=HOSTILE, at=AT)],
            events=[StudyEvent(at=AT, author=HOSTILE, kind="packet", detail=HOSTILE, deviation=True)],
            changed={1: HOSTILE},
        )
    )
    for form in FORMS:
        shown = form(found)
        unsafe = {c for c in shown if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs")}
        assert unsafe == set(), form
    lines = markdown(found).split("\n")
    assert not [line for line in lines if line.startswith("## head")]
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in lines if line.startswith("|")]
    heads = [n for n, line in enumerate(lines) if re.fullmatch(r"\|( ---:? \|)+", line)]
    for n in heads:
        rows = lines[n:]
        rows = rows[: next((k for k, line in enumerate(rows) if not line.startswith("|")), len(rows))]
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in rows}) == 1
    assert widths
    # Outside of code spans no sign is left that Markdown reads as a tag, a link or emphasis.
    outside = re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", markdown(found))
    assert not re.search(r"(?<!\\)<|(?<!\\)\]\(|(?<!\\)_", outside)
    tex = latex(found)
    assert "\\input" not in tex.replace("\\textbackslash{}input", "")
    body = re.sub(r"(?m)^%.*$", "", tex)
    assert not re.search(r"(?<!\\)[%#_]|(?<!\\)\^", body)
    assert body.count("$") == body.count("\\$") + 2 * body.count("$-$")
    assert set(re.findall(r"[^\x00-\u017f]", body)) == set()
    assert re.sub(r"\\[{}]", "", body).count("{") == re.sub(r"\\[{}]", "", body).count("}")
    for table in re.findall(r"\\begin\{tabular\}\{@\{\}([lr]+)@\{\}\}(.*?)\\end\{tabular\}", body, re.DOTALL):
        cells = [
            len(re.findall(r"(?<!\\)&", line)) + 1 for line in table[1].split("\n") if line.endswith(r"\\")
        ]
        assert set(cells) == {len(table[0])}
