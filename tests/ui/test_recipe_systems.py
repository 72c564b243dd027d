"""Every system on the Recipe screen: what the preview shows of it, what the form keeps, and what it says cannot run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from claif_tui.core import recipe_file
from claif_tui.core.models import Seed
from claif_tui.core.recipe_presets import ABOUT, SYSTEM_NAMES
from claif_tui.core.recipes import Recipe, preset_recipe, presets_of
from claif_tui.core.systems.registry import SYSTEMS
from claif_tui.ui import recipe_preview
from claif_tui.ui.app import ClaifApp
from claif_tui.ui.recipe_draft import RecipeDraft
from claif_tui.ui.recipe_preview import Subject, Triplet, drawn, look
from tests.ui.conftest import SEEDS, idle, opened, screen_text, until
from tests.ui.hostile import HOSTILE, leaks
from tests.ui.test_recipe import SIZE, field, lab, write

SEED = Seed(id=1, text="a man is playing a large flute .", split="train", source_id=1, line=1)
TRIPLET = Triplet(anchor="A cat sits.", positive="An animal rests.", hard_negative="A cat runs.")
SUBJECT = Subject(seed=SEED, seeds=9)
WITH_TRIPLETS = replace(SUBJECT, triplet=TRIPLET, triplets=7, at=3)


def shown(preset: str, subject: Subject = SUBJECT, index: int = 0) -> str:
    return drawn(look(preset_recipe(preset), subject), index, 100).plain


def about(app: ClaifApp) -> str:
    """What stands under the preset."""
    return " ".join(str(lab(app).query_one("#about").render()).split())


def test_every_system_can_be_chosen() -> None:
    assert tuple(SYSTEMS) == SYSTEM_NAMES


@pytest.mark.parametrize("preset", ABOUT)
def test_every_preset_has_a_preview_that_ends_with_its_scoring(preset: str) -> None:
    preview = look(preset_recipe(preset), SUBJECT)
    assert not preview.problem and preview.entries
    for index, entry in enumerate(preview.entries):
        text = drawn(preview, index, 100).plain
        assert f"─ request {entry.title} · " in text
        for _, said in entry.ask.messages:
            assert said in text, "every message, whole"
        assert recipe_preview.sampling_line(entry.ask.sampling) in text
        assert entry.scores or "─ scoring" in text
        assert entry.ask.messages[-1][1] in recipe_preview.request_text(preview, index)


def test_dino_shows_a_line_a_label_and_what_each_is_damped_by() -> None:
    api = shown("dino-api")
    for label, words in (("1", "mean the same"), ("0.5", "somewhat similar"), ("0", "completely different")):
        assert any(f"label {label} " in line and words in line and "× 2" in line for line in api.splitlines())
    assert "No score is asked: the label is the score." in api and "against" not in api
    local = shown("dino-local", index=2)
    assert "top_k 5 · min_tokens 40 · max_tokens 40" in local
    assert "self-debiasing λ 100, floor 0.01" in local
    below = local.partition("against 1 of 2:")[2]
    assert "mean the same" in below and "against 2 of 2:" in below and "somewhat similar" in below
    assert "similarity score" in shown("dino-api+check"), "the check's own question"


def test_syncse_shows_the_whole_dialogue_of_either_side() -> None:
    positive, negative = shown("syncse-partial"), shown("syncse-partial", index=1)
    assert positive.count("assistant: ") == 1 + 5, "the acknowledgement and five exemplars"
    assert "─ request for the hard negative · chat" in negative
    assert "triplets are trained on without scores" in negative
    assert shown("syncse-naive").count("assistant: ") == 0
    scratch = shown("syncse-scratch", Subject())
    assert "─ request for sentences" in scratch and "positive" in scratch


def test_multicsr_shows_two_shots_or_the_opposite_instruction_and_scores_from_0_to_5() -> None:
    two = shown("multicsr")
    assert two.count("Premise: ") == 3 and "─ scoring · from 0-5" in two and "5.0 (the same meaning)" in two
    assert "imported triplet" not in two and "imported triplet 4 of 7" in shown("multicsr", WITH_TRIPLETS)
    lines = two.splitlines()
    assert any("positive" in line and "must be true" in line for line in lines), (
        "the part that tells them apart"
    )
    local = shown("multicsr-local", index=1)
    assert "contrastive decoding ω 0.3, plausibility 0.1" in local
    assert "must be true" in local.partition("against 1 of 1:")[2]


def test_systems_that_read_triplets_show_an_imported_one_or_say_that_there_is_none() -> None:
    own = shown("clhaif", WITH_TRIPLETS)
    assert "imported triplet 4 of 7" in own and "A cat sits." in own and "A cat runs.  not scored" in own
    assert "an example triplet, as the project has none" in shown("clhaif")
    assert "'A cat sits.' and 'A cat runs.'" in shown("clhaif-negatives", WITH_TRIPLETS, 1)
    scaled = look(preset_recipe("claif-scaled"), WITH_TRIPLETS)
    assert [entry.label for entry in scaled.entries][-3:] == ["0.8", "positive", "hard negative"]


def test_material_that_cannot_give_what_is_drawn_is_said_in_the_preview() -> None:
    recipe = replace(preset_recipe("syncse-partial"), syncse_exemplars=50)
    assert "syncse.exemplars is 50" in drawn(look(recipe, SUBJECT), 0, 80).plain


@pytest.mark.parametrize("preset", [presets_of(system)[0] for system in SYSTEM_NAMES])
def test_hostile_sentences_are_shown_as_text(preset: str) -> None:
    for text in HOSTILE:
        subject = replace(
            WITH_TRIPLETS,
            seed=replace(SEED, text=text),
            triplet=Triplet(anchor=text, positive=text, hard_negative=text),
        )
        assert not leaks(drawn(look(preset_recipe(preset), subject), 0, 60).plain)


def test_a_system_that_is_left_keeps_its_edits_until_it_is_chosen_again() -> None:
    draft = RecipeDraft()
    draft.load(Recipe(merge=0.25), 5.0)
    assert not draft.edit("masks.rates", "0.4") and not draft.edit("system", "dino")
    assert draft.recipe == preset_recipe("dino-api") and list(draft.waiting) == ["claif"]
    assert not draft.edit("dino.samples", "3") and not draft.edit("seed", "7")
    assert not draft.edit("system", "syncse") and list(draft.waiting) == ["claif", "dino"]
    assert draft.recipe == replace(preset_recipe("syncse-partial"), seed=7), "the seed is every system's"
    assert not draft.edit("system", "dino") and draft.recipe.dino_samples == 3
    assert not draft.edit("system", "claif") and list(draft.waiting) == ["dino"]
    assert draft.recipe == Recipe(merge=0.25, rates=(0.4,), seed=7)
    draft.load(Recipe(), None)
    assert not draft.waiting, "what is on disk starts anew"


async def test_systems_are_chosen_in_the_form_and_say_what_keeps_them_from_running(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("3")
        await idle(pilot)
        assert ABOUT["claif"][:40] in screen_text(app)
        await write(pilot, "masks.rates", "0.4")
        field(app, "system").focus_editor()
        await pilot.pause()
        await pilot.press("right")
        await until(pilot, lambda: "label 0.5" in screen_text(app), "Dino's preview")
        keys = {one.key for one in lab(app).query(type(field(app, "system")))}
        assert "dino.samples" in keys and not {"masks.rates", "score.prompt", "dino.decay"} & keys
        assert field(app, "system").has_focus_within, "the next key goes on choosing"
        await until(pilot, lambda: "calls 30 " in screen_text(app), "its own estimate")
        assert "Unsaved edits to claif are kept" in about(app)
        field(app, "preset").focus_editor()
        await pilot.pause()
        await pilot.press("right")
        await until(pilot, lambda: "gives none" in about(app), "the refusal")
        assert "self-debiasing needs the model's next-token logits" in about(app)
        assert "Dino runs as dino-api (the instruction alone) and dino-api+check" in about(app)
        assert field(app, "dino.decay").text == "100.0"
        await pilot.press("escape", "down", "down", "down")
        assert "self-debiasing λ 100" in " ".join(screen_text(app).split())
        field(app, "system").focus_editor()
        await pilot.pause()
        await pilot.press("left")
        await until(pilot, lambda: "request at 0.4" in screen_text(app), "CLAIF as it was left")
        assert "gives none" not in about(app)
        await pilot.press("left", "left")
        await until(pilot, lambda: "clhaif scores imported ones" in about(app), "what lacks")
        assert "example triplet" in screen_text(app) and not lab(app).draft.problems


async def test_a_saved_system_comes_back_with_its_own_fields(project: Path) -> None:
    wanted = replace(preset_recipe("multicsr-local"), omega=0.5)
    recipe_file.save(project / "recipe.toml", wanted)
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("3")
        await idle(pilot)
        await until(pilot, lambda: "against 1 of 1:" in screen_text(app), "the opposite instruction")
        assert field(app, "multicsr.omega").text == "0.5" and SEEDS[0] in screen_text(app)
        await write(pilot, "post.alpha", "2.5")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "✓ saved" in screen_text(app), "the save")
    assert recipe_file.load(project / "recipe.toml") == replace(wanted, alpha=2.5)
