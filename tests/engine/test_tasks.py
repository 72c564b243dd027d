from __future__ import annotations

import subprocess
import sys

import pytest

from engine.errors import ConfigError
from engine.tasks import STS, TASKS, TRANSFER, select


def test_the_sizes_are_those_of_the_protocol() -> None:
    assert [TASKS[name].n for name in STS] == [3108, 1500, 3750, 3000, 1186, 1379, 4927]
    assert [TASKS[name].n for name in TRANSFER] == [10662, 3775, 10000, 10606, 1821, 500, 1725]
    assert {TASKS[name].metric for name in STS} == {"spearman"}
    assert "SMT" not in dict(TASKS["STS13"].parts)


def test_selection_goes_by_group_and_name_in_table_order() -> None:
    assert select("all") == (*STS, *TRANSFER) == tuple(TASKS)
    assert select("transfer") == TRANSFER
    assert select("MR, sts12,STS12") == ("STS12", "MR")
    assert select("sts,CR") == (*STS, "CR")


def test_an_unknown_task_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="'STSB'") as caught:
        select("STS12,STSB")
    assert "Did you mean STSBenchmark?" in caught.value.hint
    with pytest.raises(ConfigError) as caught:
        select("SST1")
    assert "Did you mean SST2?" in caught.value.hint
    with pytest.raises(ConfigError) as caught:
        select("transfers")
    assert "Did you mean transfer?" in caught.value.hint
    with pytest.raises(ConfigError, match="none is named"):
        select(" , ")


def test_it_loads_neither_torch_nor_numpy() -> None:
    code = "import sys, engine.tasks; print([m for m in ('torch', 'numpy', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
