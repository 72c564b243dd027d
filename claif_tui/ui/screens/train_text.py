"""The words and numbers of the Train screen, from plain data; no widget and no data access."""

from __future__ import annotations

from datetime import datetime

from textual.content import Content

from claif_tui.core.runs import RunRow
from claif_tui.core.text import cell_width
from claif_tui.ui import safe
from claif_tui.ui.screens.generate_text import bar, clock
from claif_tui.ui.screens.train_state import LogLine, View
from claif_tui.ui.widgets.row_source import fit

STATES: dict[str, tuple[str, str]] = {
    "waiting": ("◷", "$text-warning"),
    "running": ("▶", "$text-success"),
    "stopping": ("■", "$text-warning"),
    "finished": ("✓", "$text-success"),
    "stopped": ("■", "$text-warning"),
    "failed": ("✗", "$text-error"),
    "dead": ("✗", "$text-error"),
    "unknown": ("?", "$text-muted"),
}
"""Glyph and colour of each state of a run; the word is the state itself."""
NEXT: dict[str, str] = {
    "waiting": "x takes it out of the queue",
    "running": "x stops and saves",
    "stopping": "it saves, then ends",
    "finished": "8 evaluates it",
    "stopped": "R goes on",
    "failed": "R goes on",
    "dead": "R goes on",
    "unknown": "",
}
NO_RUNS = "No runs yet."


def run_label(row: RunRow, width: int, letter: str = "") -> Content:
    """One run in the list: the letter it has on the charts, state, name, best dev score, how far or how it ended."""
    glyph, style = STATES[row.state]
    live = row.state == "running"
    word = f"{percent(row.step, row.total)} %" if live and row.total else row.state
    best = "" if row.best_dev is None else f"{row.best_dev:.2f}"
    tail = f"{best:>6} {word:>8}"
    room = max(4, width - cell_width(tail) - 5)
    name = fit(safe.plain(row.name), room)
    return safe.join(
        (f"{letter or ' '} ", "bold"), (f"{glyph} ", style), name, " ", f"{best:>6} ", (f"{word:>8}", style)
    )


def percent(step: int, total: int) -> int:
    """Whole percent, 100 at the end only."""
    return 100 if total and step >= total else min(99, int(100 * step / total)) if total else 0


def number(value: float | None, digits: str = ".4f") -> str:
    """A value, or a dash."""
    return "–" if value is None else format(value, digits)


def facts(row: RunRow, view: View | None) -> list[str]:
    """The numbers of a run in words, the most important first."""
    if view is None:
        return []
    found = [f"loss {number(view.loss)}"]
    if view.best_loss is not None:
        found.append(f"best {view.best_loss[1]:.4f} @ {view.best_loss[0]:,}")
    found.append(f"dev {number(None if view.dev is None else view.dev.dev, '.2f')}")
    if view.best is not None:
        found.append(f"best {number(view.best.dev, '.2f')} @ {view.best.step:,}")
    return found


def now_box(row: RunRow, view: View | None, width: int) -> Content:
    """Return the box that says how a run is doing."""
    glyph, style = STATES[row.state]
    rows: list[safe.Part] = [safe.join((f"{glyph} {row.state}", style), (f"  {_where(row)}", "$text-muted"))]
    if view is not None and view.problem:
        rows.append(safe.block(view.problem, "$text-error"))
    if view is None or not view.total:
        if row.state not in ("dead", "unknown"):  # these say why below
            rows.append((_waiting(row), "$text-muted"))
        rows += _closing(row, view)
        return safe.lines(*rows)
    rows.append(bar(view.step, view.total, max(6, width - 6)))
    rows.append(f"step {view.step:,} / {view.total:,}{_epoch(view)}")
    rows.append(
        safe.join(("loss ", "$text-muted"), (number(view.loss), "bold"), (_best_loss(view), "$text-muted"))
    )
    dev = None if view.dev is None else view.dev.dev
    rows.append(
        safe.join(("dev  ", "$text-muted"), (number(dev, ".2f"), "bold"), (_best_dev(view), "$text-muted"))
    )
    rows.append(_rate(view))
    if row.state == "running":
        rows.append(_speed(view))
    if memory := _memory(view):
        rows.append(memory)
    rows.append((view.device, "$text-muted"))
    if row.snapshot:
        rows.append((f"snapshot {row.snapshot}{' · demo' if row.demo else ''}", "$text-muted"))
    if view.overlap:
        rows.append(safe.join((f"! {view.overlap}", "$text-warning"), ("  c", "bold $text-primary")))
    rows += _closing(row, view)
    return safe.lines(*rows)


def now_lines(row: RunRow, view: View | None, width: int) -> Content:
    """Return the same as two lines, for a narrow terminal; the next key is left out where there is no room."""
    glyph, style = STATES[row.state]
    head = safe.join((f"{glyph} {row.state} ", style), (row.name, "bold"))
    if row.state == "waiting":
        return safe.lines(head, safe.join(row.why, "   ", (NEXT[row.state], "bold $text-primary")))
    if view is None or not view.total:
        closing = safe.join(*_closing(row, view), separator=" ")
        return safe.lines(head, closing if closing.plain else safe.line(_waiting(row), "$text-muted"))
    speed = ""
    if row.state == "running" and view.rows_per_second:
        speed = f" · {view.rows_per_second:,.0f} rows/s · ETA {clock(view.eta_seconds)}"
    first = safe.join(head, "  ", bar(view.step, view.total, 8), f"  {view.step:,}/{view.total:,}{speed}")
    key = NEXT[row.state]
    if row.state == "failed":
        return safe.lines(first, safe.join(*_closing(row, view), separator="  "))
    memory = f" · {_memory(view)}" if _memory(view) else ""
    words = (
        f"loss {number(view.loss)}{_best_loss(view)} · dev {number(view.dev.dev if view.dev else None, '.2f')}"
    )
    second = f"{words}{_best_dev(view)}{memory}"
    room = cell_width(second) + 3 + len(key) <= width
    return safe.lines(first, safe.join(second, (f"   {key}" if key and room else "", "bold $text-primary")))


def _where(row: RunRow) -> str:
    return " ".join(filter(None, (row.job and f"job {row.job}", row.host and f"on {row.host}")))


def _waiting(row: RunRow) -> str:
    return "loading the data and the model …" if row.state == "running" else row.why


def _epoch(view: View) -> str:
    if not view.steps_per_epoch:
        return ""
    epochs = max(1, round(view.total / view.steps_per_epoch))
    return f" · epoch {min(epochs, view.step // view.steps_per_epoch + 1)}/{epochs}"


def _best_loss(view: View) -> str:
    return "" if view.best_loss is None else f" · best {view.best_loss[1]:.4f} @ {view.best_loss[0]:,}"


def _best_dev(view: View) -> str:
    return "" if view.best is None else f" · best {number(view.best.dev, '.2f')} @ {view.best.step:,}"


def _rate(view: View) -> str:
    parts = []
    for name, label in (("lr", "lr"), ("grad_norm", "gradient")):
        value = view.latest.get(name)
        if isinstance(value, int | float):
            parts.append(f"{label} {value:.3g}")
    return " · ".join(parts)


def _speed(view: View) -> str:
    if not view.rows_per_second:
        return "ETA –"
    return f"{view.rows_per_second:,.0f} rows/s · ETA {clock(view.eta_seconds)}"


def _memory(view: View) -> str:
    """GPU memory, where the run tells it."""
    used = view.latest.get("gpu_memory_bytes")
    return f"GPU memory {used / 2**30:.1f} GiB" if isinstance(used, int | float) else ""


def _closing(row: RunRow, view: View | None) -> list[safe.Part]:
    """How a run ended, and the key that is useful next."""
    parts: list[safe.Part] = []
    if row.state == "failed":
        parts.append(safe.line(view.message if view is not None and view.message else row.why, "$text-error"))
    elif row.state in ("dead", "unknown") or (row.state == "waiting" and view is not None and view.total):
        parts.append(safe.line(row.why, "$text-warning"))
    if key := NEXT[row.state]:
        parts.append((key, "bold $text-primary"))
    return parts


def title(row: RunRow, view: View | None) -> Content:
    """What the main chart is of."""
    demo = "demo: made with the offline model" if row.demo else ""
    of = f" / {view.total:,}" if view is not None and view.total else ""
    step = f" · step {view.step:,}{of}" if view is not None and view.step else ""
    return safe.line(" · ".join(filter(None, ("loss", row.system, _short(row.model), demo))) + step)


def _short(model: str) -> str:
    return model.rstrip("/").rpartition("/")[2]


def log_rows(lines: tuple[LogLine, ...], said: str, count: int) -> Content:
    """The last ``count`` lines of the log: what the run told, then what its process wrote."""
    rows: list[safe.Part] = [
        safe.join((f"{clock_time(line.t)} ", "$text-muted"), (line.text, line.style)) for line in lines[-count:]
    ]
    wrote = [text for text in said.splitlines() if text.strip()][-count:]
    rows += [(f"│ {text}", "$text-muted") for text in wrote]
    return safe.lines(*rows[-count:]) if rows else safe.line("Nothing yet.", "$text-muted")


def log_text(lines: tuple[LogLine, ...], said: str) -> str:
    """The whole log as text to copy."""
    told = "\n".join(f"{clock_time(line.t)} {line.text}" for line in lines)
    return f"{told}\n\nstderr.log\n{said}" if said else told


def clock_time(t: float | None) -> str:
    """``14:07:02`` in local time."""
    if t is None:
        return "        "
    try:
        return f"{datetime.fromtimestamp(t):%H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return "        "
