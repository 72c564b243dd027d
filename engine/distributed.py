"""Several processes that compute one run: who they are, what they add up, gather and agree on. No losses, no files.

Gradients are added up here and not by torch's DistributedDataParallel. A step may go backward several times (cached
gradients, masked words), a last batch may leave a process without rows, and every process holds its share of one loss,
so that the sum over processes is wanted and not their mean: the wrapper would have to be argued out of each of these.
What is lost is that it sends while it still computes; all gradients are sent in a few large pieces after the last one.

Everything that is not on a GPU goes through gloo, what is there through NCCL; both over loopback, as all processes of
a run are on one machine.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from engine.errors import ConfigError, RunError
from engine.process import Seat

PATIENCE = timedelta(days=7)
"""How long a process waits for the others: while the first one scores and saves. That one is gone shows elsewhere."""
BUCKET_BYTES = 64 << 20
"""How much of the gradients is sent at once."""
_POLL_SECONDS = 0.02


def counts(rows: int, size: int) -> list[int]:
    """How many of ``rows`` rows each of ``size`` processes takes: as equal as can be, the first ones the larger."""
    return [rows // size + (rank < rows % size) for rank in range(size)]


class Alone:
    """One process: it has all rows, and nobody to agree with. What a team of several does, ``Team`` says."""

    rank, size = 0, 1

    @property
    def pids(self) -> tuple[int, ...]:
        """The number of each process."""
        return (os.getpid(),)

    @property
    def leads(self) -> bool:
        """Whether this process writes: events, scores, checkpoints."""
        return self.rank == 0

    def share(self, rows: int) -> slice:
        """Which of ``rows`` rows this process takes."""
        return slice(0, rows)

    def seed(self, seed: int) -> None:
        """Let the processes draw different dropout, each the same for the same ``seed``."""

    def same(self, module: nn.Module) -> None:
        """Give every process the weights of the first."""

    def gather(self, own: Tensor, rows: int) -> Tensor:
        """All ``rows`` rows in order, from the share (n, …) that each process has; see ``Team.gather``."""
        return own

    def total(self, value: Tensor) -> Tensor:
        """The sum of a number over all processes, without a gradient."""
        return value

    def add_up(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by its sum over all processes; where none has one there is none."""

    def agree(self, *wishes: bool) -> tuple[bool, ...]:
        """For each wish, whether any process has it. Returns when all have come to this point."""
        return wishes

    def collect(self, value: Tensor) -> list[Tensor]:
        """What each process holds, in their order: tensors of one shape on the CPU."""
        return [value]


class Team(Alone):
    """One of several processes. Made by ``join``; every method is called by all of them, in the same order."""

    def __init__(self, seat: Seat, pids: Sequence[int], store: dist.Store) -> None:
        self.rank, self.size, self._pids, self.store = seat.rank, seat.size, tuple(pids), store

    @property
    def pids(self) -> tuple[int, ...]:
        """The number of each process."""
        return self._pids

    def share(self, rows: int) -> slice:
        """Which of ``rows`` rows this process takes: neighbours, perhaps none."""
        taken = counts(rows, self.size)
        start = sum(taken[: self.rank])
        return slice(start, start + taken[self.rank])

    def seed(self, seed: int) -> None:
        """The first process goes on drawing as one alone would."""
        if self.rank:
            torch.manual_seed(int(np.random.SeedSequence([seed, self.rank]).generate_state(1, np.uint64)[0]))

    def same(self, module: nn.Module) -> None:
        """Give every process the weights of the first."""
        for value in module.state_dict(keep_vars=True).values():
            dist.broadcast(value.detach(), 0)

    def gather(self, own: Tensor, rows: int) -> Tensor:
        """All ``rows`` rows in order, from the share (n, …) that each process has.

        For a loss that every process computes in the same way from all rows. Its gradient reaches the own rows and no
        others, so the sum over processes is the gradient of that loss, once.
        """
        found: Tensor = Gathered.apply(own.float() if own.dtype in _HALF else own, rows, self.rank, self.size)
        return found

    def total(self, value: Tensor) -> Tensor:
        """The sum of a number over all processes, without a gradient."""
        value = value.detach().clone()
        dist.all_reduce(value)
        return value

    def add_up(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by its sum over all processes; where none has one there is none."""
        there = torch.tensor([one.grad is not None for one in parameters], dtype=torch.int32)
        dist.all_reduce(there, dist.ReduceOp.MAX)
        wanted = [one for one, has in zip(parameters, there.tolist(), strict=True) if has]
        for bucket in _buckets(wanted):
            flat = torch.cat([_gradient(one).reshape(-1) for one in bucket])
            dist.all_reduce(flat)
            for one, part in zip(bucket, flat.split([one.numel() for one in bucket]), strict=True):
                one.grad = part.view_as(one)

    def agree(self, *wishes: bool) -> tuple[bool, ...]:
        """For each wish, whether any process has it. Returns when all have come to this point."""
        # gloo does not wait for anybody to send nothing.
        votes = torch.tensor([*wishes, True], dtype=torch.int32)
        dist.all_reduce(votes, dist.ReduceOp.MAX)
        return tuple(bool(vote) for vote in votes.tolist()[:-1])

    def collect(self, value: Tensor) -> list[Tensor]:
        """What each process holds, in their order: tensors of one shape on the CPU."""
        found = [torch.empty_like(value) for _ in range(self.size)]
        dist.all_gather(found, value)
        return found

    def part(self) -> None:
        """Take leave once all have come to this point."""
        self.agree()
        dist.destroy_process_group()


class Gathered(torch.autograd.Function):  # type: ignore[misc]
    """The rows of all processes (``Team.gather``). Backward gives the own rows' part of the gradient.

    It takes for granted that each process computes one and the same loss from what it gets, and that the gradients of
    the parameters are added up afterwards. A loss of the own rows alone would need the gradient that the other
    processes have for them.
    """

    @staticmethod
    def forward(ctx: Any, own: Tensor, rows: int, rank: int, size: int) -> Tensor:
        """Shares of different sizes are filled up to the largest to be sent."""
        taken = counts(rows, size)
        padded = own.new_zeros((taken[0], *own.shape[1:]))
        padded[: taken[rank]] = own
        found = [torch.empty_like(padded) for _ in taken]
        dist.all_gather(found, padded)
        ctx.start, ctx.count = sum(taken[:rank]), taken[rank]
        return torch.cat([part[:count] for part, count in zip(found, taken, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """See the class."""
        return gradients[0].narrow(0, ctx.start, ctx.count), None, None, None


_HALF = (torch.bfloat16, torch.float16)


def _gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        return torch.zeros_like(parameter)
    return parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad


def _buckets(parameters: Sequence[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Neighbours of one type and device, about ``BUCKET_BYTES`` each."""
    found: list[list[nn.Parameter]] = []
    held = 0
    for one in parameters:
        alike = found and (found[-1][0].dtype, found[-1][0].device) == (one.dtype, one.device)
        if not alike or held + one.nbytes > BUCKET_BYTES:
            found.append([])
            held = 0
        found[-1].append(one)
        held += one.nbytes
    return found


def device(seat: Seat) -> torch.device:
    """Where to compute: each process a GPU of its own, else the CPU. ``ConfigError`` where there are too few."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    there = torch.cuda.device_count()
    if seat.size > there:
        raise ConfigError(
            f"processes is {seat.size}, but this machine has {there} visible GPUs, and each process needs its own",
            f"Set processes to {there} or less; with CUDA_VISIBLE_DEVICES empty all of them compute on the CPU.",
        )
    return torch.device("cuda", seat.rank) if seat.size > 1 else torch.device("cuda")


def join(seat: Seat, group: Path | None, told_to_end: Callable[[], bool]) -> Team:
    """Meet the other processes: at the file ``group``, else where torchrun's environment says.

    ``RunError`` if ``told_to_end`` before all are there; torchrun tells so when one of them fails.
    """
    own = device(seat)
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        os.environ.setdefault(name, _loopback())
    if group is None:  # started by torchrun itself
        store: dist.Store = next(iter(dist.rendezvous("env://", timeout=PATIENCE)))[0]
    else:
        store = dist.FileStore(str(group), seat.size)
    names = [f"here/{rank}" for rank in range(seat.size)]
    store.set(names[seat.rank], str(os.getpid()))
    while not store.check(names):
        if told_to_end():
            raise RunError(
                f"not all of the {seat.size} processes of the run began",
                "stderr.log says what became of them; then resume.",
            )
        time.sleep(_POLL_SECONDS)
    if own.type == "cuda":
        torch.cuda.set_device(own)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if own.type == "cuda" else "gloo",
        store=dist.PrefixStore("group", store),
        rank=seat.rank,
        world_size=seat.size,
        timeout=PATIENCE,
    )
    return Team(seat, [int(store.get(name)) for name in names], store)


def _loopback() -> str:
    with suppress(OSError):
        for _, name in socket.if_nameindex():
            if name in ("lo", "lo0"):
                return name
    return "lo"
