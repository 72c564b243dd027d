"""A new study as a form: what it would be is shown while one chooses, and freezing asks with the hash in sight."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Static

from claif_tui.core.errors import ClaifError, InputError
from claif_tui.core.rating.models import Exclusion, Protocol
from claif_tui.core.rating.presets import PRESETS, protocol_of
from claif_tui.ui import safe
from claif_tui.ui.base import ClaifModal
from claif_tui.ui.dialogs import ConfirmModal
from claif_tui.ui.screens import rate_text
from claif_tui.ui.screens.train_settle import Settled
from claif_tui.ui.widgets.fields import Field

if TYPE_CHECKING:
    from claif_tui.core.rating.freezing import Draft
    from claif_tui.core.store.store import Store
    from claif_tui.ui.app import ClaifApp

PAUSE_SECONDS = 0.3
_COUNTS = {"sample": 1, "per_item": 1, "practice": 0, "gold": 0, "repeats": 0, "seed": 0}
_STRATA: dict[str, tuple[Literal["score", "rate"], ...]] = {
    "no": (),
    "score": ("score",),
    "rate": ("rate",),
    "score and rate": ("score", "rate"),
}


class NewStudyModal(ClaifModal["Draft | None"]):
    """Gives the study as it would be frozen, or None."""

    nothing = None
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "freeze", "Freeze", id="rate-new.freeze", tooltip="Freeze the study; asks first"),
    ]

    def __init__(self, store: Store, name: str) -> None:
        super().__init__()
        self._store, self._suggested = store, name
        self._drawing = Settled(self, self._draw, pause=PAUSE_SECONDS, name="draw a sample")

    def compose(self) -> ComposeResult:
        """The choices, and below them what they come to."""
        with VerticalScroll(classes="dialog reading", can_focus=False) as box:
            box.border_title = "New study"
            yield Field("preset", "preset", options=tuple(PRESETS))
            yield Field("name", "name")
            yield Field("raters", "raters", placeholder="names, with commas: ANNA, BEN")
            yield Field("sample", "sample", placeholder="pairs to rate")
            yield Field("per_item", "per item", placeholder="raters on each")
            yield Field("population", "filter", placeholder="all pairs; as in score >= 0.2 and rate = 0.3")
            yield Field("with_rejected", "rejected", options=("no", "yes"))
            yield Field("with_zero", "zero pairs", options=("no", "yes"))
            yield Field("stratify", "stratify", options=tuple(_STRATA))
            yield Field("practice", "practice")
            yield Field("gold", "gold")
            yield Field("repeats", "repeats")
            yield Field("min_gold", "gold to pass", placeholder="0 to 1; empty: no rule")
            yield Field("seed", "seed")
            yield Static("", classes="problem", id="new-problem", markup=False)
            yield Static("", id="new-draft", markup=False)
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Begin with the paper's protocol."""
        self._take_over("paper")
        self._field("name").show(self._suggested)
        self._field("preset").focus_editor()

    def _field(self, key: str) -> Field:
        return next(field for field in self.query(Field) if field.key == key)

    def _take_over(self, preset: str) -> None:
        """Show what a preset says."""
        protocol = protocol_of(cast("Any", preset), "x")
        texts: dict[str, str] = {key: str(getattr(protocol, key)) for key in _COUNTS}
        texts |= {
            "preset": preset,
            "raters": ", ".join(protocol.raters),
            "with_rejected": "no",
            "with_zero": "no",
        }
        texts["stratify"] = next(name for name, value in _STRATA.items() if value == protocol.stratify)
        texts["min_gold"] = "" if protocol.exclusion.min_gold is None else f"{protocol.exclusion.min_gold:g}"
        for key, text in texts.items():
            self._field(key).show(text)
        self._drawing.ask()

    @on(Field.Edited)
    def _edited(self, event: Field.Edited) -> None:
        event.stop()
        if event.key == "preset":
            self._take_over(event.text)
        self._drawing.ask()

    def protocol(self) -> Protocol:
        """Return what is chosen; ``InputError`` names the field that does not read."""
        texts = {field.key: field.text.strip() for field in self.query(Field)}
        raters = tuple(name.strip() for name in texts["raters"].split(",") if name.strip())
        counts = {key: _count(key, texts[key], least) for key, least in _COUNTS.items()}
        changes: dict[str, Any] = dict(counts)
        return replace(
            protocol_of(cast("Any", texts["preset"]), texts["name"], raters),
            raters=raters,
            population=texts["population"],
            with_rejected=texts["with_rejected"] == "yes",
            with_zero=texts["with_zero"] == "yes",
            stratify=_STRATA[texts["stratify"]],
            exclusion=Exclusion(min_gold=_share(texts["min_gold"])),
            **changes,
        )

    async def _draw(self) -> None:
        await self._drafted()

    async def _drafted(self) -> Draft | None:
        """Make the study, show it or what is wrong with it."""
        try:
            made = await self.shell.background(partial(_draft, self._store, self.protocol()))
        except ClaifError as error:
            self._said(f"✗ {error.message} {error.hint}".rstrip(), Content(""))
            return None
        self._said("", rate_text.draft(made))
        return made

    def _said(self, problem: str, found: Content) -> None:
        self.query_one("#new-problem", Static).update(safe.line(problem))
        self.query_one("#new-draft", Static).update(found)

    def action_freeze(self) -> None:
        """Ask, then give the study."""
        self.run_worker(
            self._freeze(), group="freeze", exclusive=True, exit_on_error=False, description="freeze a study"
        )

    async def _freeze(self) -> None:
        made = await self._drafted()
        if made is None:
            self.query_one("#new-problem").scroll_visible(animate=False)
            return
        question = f"Freeze {made.protocol.name}? Nothing of it changes later; what departs from it is listed."
        asked = ConfirmModal("New study", question, yes="Freeze", detail=f"hash {made.hash}")
        if await self.app.push_screen_wait(asked):
            self.dismiss(made)


async def new_study(app: ClaifApp, store: Store) -> bool:
    """Ask for a study and freeze it; False if the user walked away."""
    from claif_tui.core.rating.freezing import freeze, next_name

    made = await app.push_screen_wait(NewStudyModal(store, await app.background(partial(next_name, store))))
    if made is None:
        return False
    await app.background(partial(freeze, store, made))
    app.say(f"Frozen: {made.protocol.name}. r rates here; elsewhere: claif-tui rate take --rater NAME")
    return True


def _draft(store: Store, protocol: Protocol) -> Draft:
    from claif_tui.core.rating.freezing import draft
    from claif_tui.core.session import load_recipe

    return draft(store, protocol, load_recipe(store.folder))


def _count(name: str, text: str, least: int) -> int:
    value = int(text) if text.isascii() and text.isdigit() else -1
    if value < least:
        raise InputError(f"{name.replace('_', ' ')} is {text[:20]!r}, expected a whole number from {least}")
    return value


def _share(text: str) -> float | None:
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise InputError(f"gold to pass is {text[:20]!r}, expected 0 to 1") from None
