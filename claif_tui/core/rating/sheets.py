"""Rating in a spreadsheet: one sheet a rater, made from what he or she may see, and read back row by row.

The columns are those of methods 12; ``practice`` is there only where a study has practice items.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from claif_tui.core.errors import InputError, UsageError
from claif_tui.core.rating.outgoing import chosen_raters, file_word, places, write_all
from claif_tui.core.rating.sheet_files import (
    SheetFormat,
    SheetRow,
    csv_bytes,
    json_bytes,
    read_sheet_file,
    restored,
)
from claif_tui.core.rating.values import expected, read_value
from claif_tui.core.store.ratings import MAX_COMMENT
from claif_tui.core.store.returned import Batch, Cell
from claif_tui.core.text import display_text, squash, storable_text

if TYPE_CHECKING:
    from claif_tui.core.rating.models import Criterion, Desk, Shown
    from claif_tui.core.store.returned import Owner
    from claif_tui.core.store.store import Store

_SHOWN_PROBLEMS = 10
_PREFIX = "s"
"""Stands before a token: without it a spreadsheet takes some for numbers, as 1234e567."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetsOut:
    """What was written: each rater's sheet, and the page that explains the questions."""

    study: str
    sheets: dict[str, Path]
    guidelines: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetIn:
    """A sheet that was checked whole. ``dropped`` counts rows by reason; ``notes`` are to be said."""

    study: str
    batches: tuple[Batch, ...]
    rows: int
    dropped: dict[str, int]
    notes: tuple[str, ...]


def export_sheets(
    store: Store,
    study: str,
    raters: Sequence[str],
    out: Path,
    *,
    form: SheetFormat = "csv",
    delimiter: str = "comma",
    force: bool = False,
) -> SheetsOut:
    """Write one sheet a rater, in his or her order, with what was answered so far.

    Raises ``UsageError`` for a rater or place that cannot be, and where a sheet would replace another; then
    nothing is written. ``HandOutError`` for the disk.
    """
    study_id, criteria = store.ratings.criteria(study)
    chosen = chosen_raters(store.ratings.raters(study_id), raters)
    where = places(out, study, chosen, f".{form}")
    files: dict[Path, bytes] = {}
    for rater in chosen:
        desk = store.ratings.desk(study, rater)
        rows = [_row(shown, desk) for shown in store.ratings.all_shown(study_id, rater)]
        if form == "json":
            about = {"study": study, "rater": rater, "questions": [_question(one) for one in criteria]}
            files[where[rater]] = json_bytes(about, rows)
        else:
            files[where[rater]] = csv_bytes(_columns(desk), rows, delimiter)
    first = next(iter(where.values()))
    name = f"{first.stem if first == out else file_word(study)}-guidelines.txt"
    guidelines = first.with_name(name)
    files[guidelines] = _guidelines(study, criteria).encode("utf-8", "backslashreplace")
    write_all(files, force=force)
    return SheetsOut(study=study, sheets=where, guidelines=guidelines)


def read_sheet(store: Store, path: Path, study: str | None = None) -> SheetIn:
    """Check a sheet whole and return what it says.

    Raises ``InputError`` that lists what is wrong by line and column: an unknown item, one of another study or
    rater, other texts than were asked about, a value off its scale, one item answered twice.
    """
    file = read_sheet_file(path)
    tokens = {row.place: _token(row) for row in file.rows}
    owners = store.returned.owners(token for token in tokens.values() if token)
    name = study or next((owners[t].study for t in tokens.values() if t in owners), None)
    if name is None:
        raise InputError(
            f"{path}: none of its {len(file.rows):,} rows names an item of this project",
            "Was it made by another project? The column sample_id must stay as it was.",
        )
    study_id, criteria = store.ratings.criteria(name)
    lacking = [
        column
        for column in ("text_a", "text_b", *(criterion.name for criterion in criteria))
        if column not in file.columns
    ]
    if lacking:
        raise InputError(
            f"{path}: has no column {', '.join(lacking)}", f"Expected the columns of the study {name!r}."
        )
    reader = _Reader(store, name, criteria, owners)
    for row in file.rows:
        reader.read(row, tokens[row.place])
    if reader.problems:
        raise _refusal(path, reader.problems, file.notes)
    known = {*_fixed(), "practice", *(criterion.name for criterion in criteria)}
    strange = [column for column in file.columns if column and column not in known]
    notes = [*file.notes, *([f"not read: column {', '.join(strange)}"] if strange else ())]
    dropped = {"blank": file.blank, "there twice, alike": reader.twice, "without an answer": reader.unanswered}
    return SheetIn(
        study=name,
        batches=tuple(
            Batch(study_id=study_id, rater=rater, source="sheet", file=path.name, cells=tuple(cells))
            for rater, cells in reader.cells.items()
        ),
        rows=len(file.rows) + file.blank,
        dropped={reason: count for reason, count in dropped.items() if count},
        notes=tuple(notes),
    )


def _fixed() -> tuple[str, ...]:
    return "sample_id", "text_a", "text_b", "label", "explanation", "comment", "expert"


def _columns(desk: Desk) -> tuple[str, ...]:
    practice = ("practice",) if desk.practice else ()
    before, after = _fixed()[1:5], _fixed()[5:]
    return "sample_id", *practice, *before, *(criterion.name for criterion in desk.criteria), *after


def _row(shown: Shown, desk: Desk) -> dict[str, object]:
    row: dict[str, object] = {
        "sample_id": _PREFIX + shown.token,
        "practice": "practice" if shown.practice else "",
        "text_a": shown.text_a,
        "text_b": shown.text_b,
        "label": shown.score,
        "explanation": shown.explanation or "",
        **{criterion.name: _answer(shown, criterion) for criterion in desk.criteria},
        "comment": shown.comment,
        "expert": desk.rater,
    }
    return {column: row[column] for column in _columns(desk)}


def _answer(shown: Shown, criterion: Criterion) -> str:
    value = shown.mine.get(criterion.name)
    if value is None:
        return ""
    return ("no", "yes")[round(value)] if criterion.scale == "yesno" else f"{value:g}"


def _question(criterion: Criterion) -> dict[str, str]:
    return {
        "name": criterion.name,
        "question": criterion.question,
        "answers": expected(criterion),
        "guideline": criterion.guideline,
    }


def _guidelines(study: str, criteria: Sequence[Criterion]) -> str:
    parts = [
        f"{study}: how to fill in the sheet",
        "Each row is one item: text_a is the original sentence, text_b the generated one, label the score (if shown).\n"
        "Answer in the columns below; leave a cell empty where you cannot answer, and say why under comment. Don't\n"
        "change other columns. Sorting whole rows is fine. Save the sheet as CSV (UTF-8) and send it back.",
    ]
    parts += [
        f"{criterion.name}: {criterion.question}\n  Answer: {expected(criterion)}.\n  {criterion.guideline}"
        for criterion in criteria
    ]
    return "\n\n".join(parts) + "\n"


def _token(row: SheetRow) -> str:
    return row.cells.get("sample_id", "").strip().casefold().removeprefix(_PREFIX)


def _refusal(path: Path, problems: list[str], notes: tuple[str, ...]) -> InputError:
    shown = [f"  {problem}" for problem in problems[:_SHOWN_PROBLEMS]]
    if len(problems) > _SHOWN_PROBLEMS:
        shown.append(f"  and {len(problems) - _SHOWN_PROBLEMS} more")
    count = "1 thing is" if len(problems) == 1 else f"{len(problems)} things are"
    hint = "Mend them and import it again."
    if notes:
        hint += f" The file was not UTF-8 ({'; '.join(notes)}): save it as CSV UTF-8 if texts look changed."
    return InputError("\n".join([f"{path}: {count} wrong, so nothing of it was taken", *shown]), hint)


class _Reader:
    """Reads the rows of one sheet, and collects everything that is wrong with them."""

    def __init__(
        self, store: Store, study: str, criteria: Sequence[Criterion], owners: dict[str, Owner]
    ) -> None:
        self._store = store
        self._study = study
        self._criteria = criteria
        self._owners = owners
        self._shown: dict[str, dict[str, Shown]] = {}
        self._answers: dict[str, tuple[str, dict[str | None, float | str | None]]] = {}
        self.cells: dict[str, list[Cell]] = defaultdict(list)
        self.problems: list[str] = []
        self.twice = 0
        self.unanswered = 0

    def read(self, row: SheetRow, token: str) -> None:
        """Check one row and keep its answers."""
        before = len(self.problems)
        owner = self._owners.get(token)
        if owner is None:
            said = display_text(row.cells.get("sample_id", ""), limit=40, one_line=True)
            self._wrong(row, "sample_id", f"{said!r} is no item of this project")
            return
        if owner.study != self._study:
            self._wrong(row, "sample_id", f"an item of the study {owner.study!r}, not of {self._study!r}")
            return
        shown = self._of(owner)[token]
        self._check_expert(row, owner)
        self._check_texts(row, shown)
        answers = self._read_answers(row, shown)
        if len(self.problems) > before:
            return
        place, earlier = self._answers.setdefault(token, (row.place, answers))
        if place != row.place:
            if earlier == answers:
                self.twice += 1
            else:
                self._wrong(row, "sample_id", f"the same item as in {place}, answered otherwise")
            return
        self.unanswered += not any(value is not None for name, value in answers.items() if name is not None)
        self.cells[owner.rater] += [
            Cell(token=token, criterion=name, value=value, place=row.place) for name, value in answers.items()
        ]

    def _of(self, owner: Owner) -> dict[str, Shown]:
        if owner.rater not in self._shown:
            everything = self._store.ratings.all_shown(owner.study_id, owner.rater)
            self._shown[owner.rater] = {shown.token: shown for shown in everything}
        return self._shown[owner.rater]

    def _check_expert(self, row: SheetRow, owner: Owner) -> None:
        named = restored(row.cells.get("expert", "")).strip()
        if named and named.casefold() != owner.rater.casefold():
            said = display_text(named, limit=40, one_line=True)
            self._wrong(row, "expert", f"{said!r}, but this item was given to {owner.rater!r}")

    def _check_texts(self, row: SheetRow, shown: Shown) -> None:
        for column, text in (("text_a", shown.text_a), ("text_b", shown.text_b)):
            cell = row.cells[column]
            # Some spreadsheets take the quote before a formula away themselves.
            if _bare(text) not in (_bare(restored(cell)), _bare(cell)):
                said = display_text(restored(cell), limit=40, one_line=True)
                self._wrong(row, column, f"not the text that was asked about: {said!r}")
        label = row.cells.get("label", "").strip().replace(",", ".", 1)
        try:
            moved = shown.score is not None and bool(label) and abs(float(label) - shown.score) > 1e-6
        except ValueError:
            moved = False  # a spreadsheet made a date of it; nobody's answer depends on that
        if moved:
            self._wrong(row, "label", f"{label}, but the rater was asked about {shown.score:g}")

    def _read_answers(self, row: SheetRow, shown: Shown) -> dict[str | None, float | str | None]:
        answers: dict[str | None, float | str | None] = {}
        for criterion in self._criteria:
            cell = restored(row.cells[criterion.name]).strip()
            answers[criterion.name] = None
            if cell:
                try:
                    answers[criterion.name] = read_value(cell, criterion)
                except ValueError:
                    said = display_text(cell, limit=40, one_line=True)
                    self._wrong(row, criterion.name, f"{said!r}: expected {expected(criterion)}")
        comment = storable_text(restored(row.cells.get("comment", "")).strip())[0]
        if len(comment) > MAX_COMMENT:
            self._wrong(row, "comment", f"{len(comment):,} characters: at most {MAX_COMMENT:,} are kept")
        same = _bare(comment) == _bare(shown.comment)
        answers[None] = (shown.comment if same else comment) or None
        return answers

    def _wrong(self, row: SheetRow, column: str, what: str) -> None:
        self.problems.append(f"{row.place}, {column}: {what}")


def _bare(text: str) -> str:
    """Return a text without what spreadsheets change on their way: composition, blanks, line ends, controls."""
    kept = (" " if unicodedata.category(char) == "Cc" else char for char in unicodedata.normalize("NFC", text))
    return squash("".join(kept))


def check_sheets(store: Store, files: Sequence[Path], study: str | None) -> list[SheetIn]:
    """Check several sheets; ``UsageError`` where one is named twice."""
    if len({path.resolve() for path in files}) < len(files):
        raise UsageError("a file is named twice", "Name each sheet once.")
    return [read_sheet(store, path, study) for path in files]
