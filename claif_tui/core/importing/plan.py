"""What one file is and what would become of it: what preview and import share. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from claif_tui.core.errors import InputError
from claif_tui.core.importing.columns import Columns, resolve
from claif_tui.core.importing.extract import Extractor, PairRules
from claif_tui.core.importing.opening import FileFacts, examine
from claif_tui.core.importing.readers import Row, read_rows
from claif_tui.core.importing.sniff import OWN_COLUMNS, Guess, guess_layout
from claif_tui.core.importing.splits import SplitGuess, decide_split
from claif_tui.core.importing.survey import Survey
from claif_tui.core.importing.types import ImportOptions, Issue, Preview, Progress, ProgressFn, Tally
from claif_tui.core.models import Source
from claif_tui.core.text import text_hash

SAMPLE_ROWS = 20_000
_EXACT_BYTES = 32 << 20
_SNIFF_ROWS = 200
_TICK = 2_000
_ISSUES_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An examined file with its layout, its columns and its split."""

    facts: FileFacts
    options: ImportOptions
    guess: Guess
    columns: Columns
    split: SplitGuess
    total_rows: int

    @property
    def column_note(self) -> str:
        """Say in one line which column becomes what; two imports of a file differ if this differs."""
        used = self.columns.used(self.guess.layout.columns)
        return "columns: " + ", ".join(f"{name} → {what}" for what, name in used)

    @property
    def notes(self) -> tuple[str, ...]:
        """Everything worth saying before the rows are read."""
        return (*self.facts.notes, *self.guess.notes, *self.columns.notes, self.column_note)

    def rows(self, stage: str = "", progress: ProgressFn | None = None) -> Iterator[Row]:
        """Yield all rows, reporting progress under the name ``stage`` now and then."""
        for count, row in enumerate(read_rows(self.facts, self.guess.layout), 1):
            if progress is not None and not count % _TICK:
                progress(Progress(stage, min(count, self.total_rows), self.total_rows, count))
            yield row
        if progress is not None:
            progress(Progress(stage, self.total_rows, self.total_rows, self.total_rows))

    def extractor(self) -> Extractor:
        """Return a fresh extractor for this file."""
        layout = self.guess.layout
        return Extractor(
            self.columns,
            self.split.split,
            marked_split=self.options.split is not None,
            neutralised=layout.format == "csv" and set(layout.columns) >= OWN_COLUMNS,
        )


def make_plan(path: Path, options: ImportOptions, progress: ProgressFn | None = None) -> Plan:
    """Examine ``path`` and decide how it would be read; raises ``InputError`` or ``UsageError``."""
    facts = examine(path, options.encoding, progress)
    guess = guess_layout(facts, options)
    head = list(islice(read_rows(facts, guess.layout), _SNIFF_ROWS))
    columns = resolve(str(path), guess.layout, options, [row for row in head if not row.problem])
    split = decide_split(facts, guess.layout.format, options)
    total = facts.lines
    if facts.binary:
        from claif_tui.core.importing.readers import open_parquet

        with open_parquet(facts) as file:
            total = int(file.metadata.num_rows)
    return Plan(
        facts=facts, options=options, guess=guess, columns=columns, split=split, total_rows=max(1, total)
    )


def survey(plan: Plan, rows: Iterator[Row]) -> tuple[PairRules, list[str]]:
    """Look at the numbers of ``rows`` and decide how they are read."""
    found = Survey(plan.columns)
    if Survey.needed(plan.columns, plan.options):
        for row in rows:
            found.add(row)
    return found.rules(str(plan.facts.path), plan.guess.layout, plan.options)


def imported_before(plan: Plan, sources: Sequence[Source]) -> Source | None:
    """Return the earlier import of the same bytes in the same role, split and columns, if there is one."""
    for source in sources:
        if (
            source.sha256 == plan.facts.sha256
            and (source.role, source.split) == (plan.options.role, plan.split.split)
            and plan.column_note in source.notes
        ):
            return source
    return None


def preview(
    path: Path,
    options: ImportOptions,
    sources: Sequence[Source] = (),
    *,
    first: int = 20,
    progress: ProgressFn | None = None,
) -> Preview:
    """Say what importing ``path`` would do, without writing anything.

    ``sources`` are the project's imports so far, ``first`` how many rows to show. Files up to 32 MiB are read
    whole; of larger ones the first 20,000 rows are, and the counts are a sample's. Raises as ``make_plan``.
    """
    plan = make_plan(path, options, progress)
    exact = plan.facts.size <= _EXACT_BYTES
    limit = None if exact else SAMPLE_ROWS
    notes = list(plan.notes)
    rules: PairRules | None = None
    if options.role != "seeds":
        rules, said = survey(plan, islice(plan.rows(), limit))
        notes += said
    look = _look(plan, rules, islice(plan.rows("looking", progress), limit), first)
    tally = look.tally
    refusal, hint = plan.split.refusal, plan.split.hint
    if not refusal and not tally.sentences:
        error = nothing_usable(plan, tally)
        refusal, hint = error.message, error.hint
    earlier = imported_before(plan, sources)
    if earlier is not None:
        notes.append(f"this file was imported on {earlier.created[:10]}: importing it again adds nothing")
    layout = plan.guess.layout
    return Preview(
        path=path,
        role=options.role,
        format=layout.format,
        format_reason=plan.guess.why,
        encoding=plan.facts.encoding,
        columns=layout.columns,
        used=plan.columns.used(layout.columns),
        rows=look.rows,
        tally=tally,
        issues=look.issues,
        exact=exact,
        share=min(1.0, tally.rows / plan.total_rows),
        split=plan.split.split,
        split_reason=plan.split.why,
        refusal=refusal,
        refusal_hint=hint,
        notes=tuple(notes),
        sha256=plan.facts.sha256,
    )


class _Look(NamedTuple):
    """What going through some rows showed: the first ones as they are, the counts, the first dropped ones."""

    rows: tuple[tuple[int, tuple[str, ...]], ...]
    tally: Tally
    issues: tuple[Issue, ...]


def _look(plan: Plan, rules: PairRules | None, rows: Iterator[Row], first: int) -> _Look:
    """Do with ``rows`` what an import would, and keep nothing but figures; ``rules`` None means seeds."""
    extractor = plan.extractor()
    shown: list[tuple[int, tuple[str, ...]]] = []
    issues: list[Issue] = []
    seen: set[str] = set()
    for row in rows:
        if len(shown) < first:
            shown.append((row.line, tuple("" if cell is None else str(cell) for cell in row.cells)))
        if rules is None:
            seen.update(text_hash(text) for text, _ in extractor.texts(row))
        elif (pair := extractor.pair(row, rules)) is not None:
            seen.add(text_hash("\x00".join((pair.text_a, pair.text_b, pair.hard_negative or ""))))
        if len(issues) < _ISSUES_SHOWN:
            issues += extractor.issues
        extractor.issues.clear()
    tally = extractor.tally(len(seen), extractor.sentences - len(seen))
    return _Look(tuple(shown), tally, tuple(issues[:_ISSUES_SHOWN]))


def nothing_usable(plan: Plan, tally: Tally) -> InputError:
    """Return the error for a file that has rows, but none that can be used."""
    reasons = [f"{count:,} {reason}" for reason, count in tally.dropped.items()]
    reasons += [f"{tally.empty:,} empty"] if tally.empty else []
    held_out = sum(count for reason, count in tally.dropped.items() if reason.startswith("held_out"))
    hint = "Name another --format or --column."
    if held_out == tally.rows:
        hint = "All belong to a held-out split. To keep them apart: --split dev, or --split test --allow-test"
    return InputError(
        f"{plan.facts.path}: none of its {tally.rows:,} rows can be used ({', '.join(reasons) or 'no rows'})",
        hint,
    )
