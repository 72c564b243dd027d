from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.schedule import evaluation_steps, linear_factor, warmup_steps


def test_the_rates_of_the_reference(data_dir: Path) -> None:
    case = json.loads((data_dir / "loss_reference.json").read_text())["cases"]["warmup_linear"]
    total, warmup = case["total_steps"], case["warmup_steps"]
    found = [case["base_lr"] * linear_factor(step, total, warmup) for step in range(total)]
    assert found == pytest.approx(case["lr_used_at_update"], rel=1e-9, abs=0)
    assert warmup_steps(0.1, total) == warmup


@given(total=st.integers(1, 3000), share=st.integers(0, 100))
def test_the_factor_rises_to_one_and_falls_to_zero_at_the_last_step(total: int, share: int) -> None:
    warmup = warmup_steps(share / 100, total)
    assert warmup == -(-share * total // 100)
    factors = [linear_factor(step, total, warmup) for step in range(total + 1)]
    assert factors[0] == (0.0 if warmup else 1.0)
    assert factors[:warmup] == sorted(factors[:warmup])
    assert factors[warmup:] == sorted(factors[warmup:], reverse=True)
    assert factors[total] == 0.0
    if warmup < total:
        assert factors[warmup] == 1.0


def test_warm_up_of_the_published_runs_and_where_floats_mislead() -> None:
    assert warmup_steps(0.1, 10_668) == 1_067
    assert warmup_steps(0.07, 100) == 7
    assert warmup_steps(0.0, 100) == 0
    assert warmup_steps(1.0, 100) == 100
    assert warmup_steps(1e-05, 100) == 1


def test_steps_counted_within_each_epoch() -> None:
    assert evaluation_steps(2, 300, 125, "epoch") == [125, 250, 300, 425, 550, 600]
    assert evaluation_steps(2, 250, 125, "epoch") == [125, 250, 375, 500]
    assert evaluation_steps(3, 5, 125, "epoch") == [5, 10, 15]
    assert evaluation_steps(1, 3, 1, "epoch") == [1, 2, 3]
    assert len(evaluation_steps(3, 3_556, 125, "epoch")) == 3 * 29


def test_steps_counted_over_the_run() -> None:
    assert evaluation_steps(2, 300, 125, "global") == [125, 250, 375, 500]
    assert evaluation_steps(1, 15_625, 125, "global")[-1] == 15_625
    assert evaluation_steps(2, 30, 125, "global") == [60]


@given(
    epochs=st.integers(1, 5),
    length=st.integers(1, 400),
    every=st.integers(1, 200),
    counting=st.sampled_from(["epoch", "global"]),
)
def test_steps_ascend_within_the_run(epochs: int, length: int, every: int, counting: Any) -> None:
    steps = evaluation_steps(epochs, length, every, counting)
    assert steps == sorted(set(steps))
    assert steps[0] >= 1 and steps[-1] <= epochs * length
    if counting == "epoch":
        expected = {s for s in range(1, epochs * length + 1) if s % length % every == 0 or s % length == 0}
        assert set(steps) == expected


def test_what_cannot_be_is_refused() -> None:
    for share, total in [(-0.1, 10), (1.1, 10), (float("nan"), 10), (0.1, 0)]:
        with pytest.raises(ValueError, match="share must be in"):
            warmup_steps(share, total)
    for step, total, warmup in [(-1, 10, 0), (11, 10, 0), (0, 10, 11), (0, 10, -1)]:
        with pytest.raises(ValueError, match="step and warmup"):
            linear_factor(step, total, warmup)
    for bad in [(0, 1, 1), (1, 0, 1), (1, 1, 0)]:
        with pytest.raises(ValueError, match="at least 1"):
            evaluation_steps(*bad, "global")
    unknown: Any = "step"
    with pytest.raises(ValueError, match="epoch, global"):
        evaluation_steps(1, 1, 1, unknown)


def test_it_loads_no_torch() -> None:
    code = "import sys, engine.schedule; print([m for m in ('torch', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
