"""The Rate screen: a study from the form to its freeze, and rater mode inside the app, from where nothing leads out."""

from __future__ import annotations

from pathlib import Path

from claif_tui.core.store.store import Store
from claif_tui.ui.app import ClaifApp
from claif_tui.ui.dialogs import ConfirmModal
from claif_tui.ui.screens.rate import RateScreen
from claif_tui.ui.screens.rate_new import NewStudyModal
from claif_tui.ui.screens.rater import RaterScreen
from tests.core.study_support import project
from tests.ui.conftest import idle, opened, screen_text, until


async def test_from_the_form_to_rater_mode_and_back(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    project(folder, 30).close()
    app = ClaifApp(folder)
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("6")
        await idle(pilot)
        assert "No study yet" in screen_text(app)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, NewStudyModal), "the form")
        await until(pilot, lambda: "needs 100 pairs" in screen_text(app), "what is wrong")
        form = app.screen
        assert isinstance(form, NewStudyModal)
        form._field("sample").focus_editor()
        await pilot.press("end", "backspace", "backspace", "backspace", "8")
        await until(pilot, lambda: "R1 2, R2 2, R3 2, R4 2" in screen_text(app), "the draft")
        assert "30 pairs" in screen_text(app)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, ConfirmModal), "the question")
        await pilot.press("y")
        await until(pilot, lambda: isinstance(app.screen, RateScreen), "the screen")
        await until(pilot, lambda: "human-eval-1  0 %" in screen_text(app), "the study")
        assert app.store is not None
        assert app.store.studies.get().hash in screen_text(app).replace("\n", "")
        app.clear_notifications()

        await pilot.press("r")
        await until(
            pilot, lambda: "Who rates?" in str(app.screen.query(".dialog").first().border_title), "names"
        )
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, RaterScreen), "rater mode")
        rater = app.screen
        assert isinstance(rater, RaterScreen)
        await until(pilot, lambda: "Guidelines" in screen_text(app), "the guidelines")
        app.say("a secret notice")
        app.show_error(RuntimeError("a secret error"))
        bindings = {key for key, active in rater.active_bindings.items() if active.node is app}
        assert bindings == set()
        await pilot.press("enter")
        await until(pilot, lambda: rater._in_sight and not rater._busy, "the item")
        for key in ("1", "9", "ctrl+p", "colon", "q", "f1", "escape"):
            await pilot.press(key)
            await until(pilot, lambda: not rater._busy, key)
            assert id(app.screen) == id(rater), key
            drawn = screen_text(app)
            assert "secret" not in drawn and "claif-tui ▸" not in drawn and "Review" not in drawn
        assert app.current_mode == "rate" and app.clipboard == ""
        await pilot.press("y", "y")
        await until(pilot, lambda: "2 of 2" in screen_text(app), "the second item")
        await pilot.press("escape")
        await until(pilot, lambda: not app.quiet, "the way back")
        await until(pilot, lambda: "a secret error" in screen_text(app), "what was held back")
        await pilot.press("escape")
        await until(pilot, lambda: "12 %" in screen_text(app), "the progress")
    with Store.open(folder) as store:
        assert {answer.rater for answer in store.studies.data().answers} == {"R2"}
