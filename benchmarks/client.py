"""How close the LLM client comes to the ideal rate, and what a request costs in CPU, against openai's client.

``python -m benchmarks.client`` starts a loopback server in its own process that answers after 200 ms, keeps
64 requests in flight, and prints achieved/ideal rate and CPU per request for our ``Caller`` (whole and
streamed answers) and for a bare ``openai.AsyncOpenAI`` loop, alternating in one run. Ideal is in flight /
latency. Only this process's CPU is counted.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from statistics import median

from claif_tui.core.llm.base import Price, Request, Sampling, Task
from claif_tui.core.llm.budget import Settlement
from claif_tui.core.llm.caller import Caller
from claif_tui.core.llm.http_client import HttpClient
from claif_tui.core.llm.pace import Pace
from tests.llm_fixtures import LLMServer

PROMPT = (
    "Replace all <mask> tokens in 'three men are <mask> chess number {n} .' to make a new sentence. "
    "The new sentence is:"
)
SYSTEM = "Answer with the sentence only."
Runner = Callable[[LLMServer, int, int], Coroutine[object, object, None]]


class CountingLedger:
    """Grants everything and keeps nothing: the benchmark of the client alone."""

    spent = 0

    async def reserve(self, request: Request, nano: int, tries: int) -> bool:
        """Grant."""
        return True

    async def settle(self, settlement: Settlement) -> None:
        """Add up."""
        self.spent += settlement.cost_nano


def _request(number: int) -> Request:
    text = PROMPT.format(n=number)
    return Request(
        key=f"{number:064x}",
        stage="generate",
        model="test-model",
        api="chat",
        messages=(("system", SYSTEM), ("user", text)),
        sampling=Sampling(temperature=0.7, top_p=0.9, max_tokens=256),
        task=Task(op="fill", text=text),
    )


async def _work(workers: int, numbers: Iterator[int], one: Callable[[int], Awaitable[object]]) -> None:
    async def worker() -> None:
        for number in numbers:
            await one(number)

    await asyncio.gather(*(worker() for _ in range(workers)))


def ours(streaming: bool) -> Runner:
    async def run(server: LLMServer, count: int, in_flight: int) -> None:
        client = HttpClient(server.base_url, streaming=streaming)
        await client.open()
        price = Price(input_usd_per_m=0.15, output_usd_per_m=0.6, as_of="2025-01-01")
        caller = Caller(client, ledger=CountingLedger(), pace=Pace(in_flight), price=price)
        # A few more tasks than slots: the next request is ready when an answer lands.
        await _work(in_flight + 8, iter(range(count)), lambda number: caller.call(_request(number)))
        await client.close()

    return run


def bare(streaming: bool) -> Runner:
    async def run(server: LLMServer, count: int, in_flight: int) -> None:
        import openai
        from openai.types.chat import ChatCompletionMessageParam

        async with openai.AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:

            async def one(number: int) -> None:
                messages: list[ChatCompletionMessageParam] = [
                    {"role": "system", "content": SYSTEM},
                    {"role": "user", "content": PROMPT.format(n=number)},
                ]
                if not streaming:
                    await client.chat.completions.create(
                        model="test-model", messages=messages, temperature=0.7, top_p=0.9, max_tokens=256
                    )
                    return
                stream = await client.chat.completions.create(
                    model="test-model",
                    messages=messages,
                    temperature=0.7,
                    top_p=0.9,
                    max_tokens=256,
                    stream=True,
                    stream_options={"include_usage": True},
                )
                async for _ in stream:
                    pass

            await _work(in_flight, iter(range(count)), one)

    return run


def measure(run: Runner, server: LLMServer, count: int, in_flight: int) -> tuple[float, float]:
    """Return (requests a second, CPU milliseconds a request)."""
    cpu, wall = time.process_time(), time.perf_counter()
    asyncio.run(run(server, count, in_flight))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return count / wall, 1000 * cpu / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=3200)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    ideal = args.in_flight / args.latency
    runners = {
        "claif-tui, whole": ours(False),
        "openai, whole": bare(False),
        "claif-tui, streamed": ours(True),
        "openai, streamed": bare(True),
    }
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in runners}
    with tempfile.TemporaryDirectory() as folder:
        server = LLMServer(Path(folder) / "log.jsonl", options={"latency": args.latency})
        try:
            for _ in range(args.rounds):
                for name, run in runners.items():
                    figures[name].append(measure(run, server, args.requests, args.in_flight))
        finally:
            server.stop()
    print(f"{args.in_flight} in flight, {args.latency * 1000:g} ms latency, ideal {ideal:g} requests/s")
    print(f"{'':22}{'requests/s':>12}{'of ideal':>10}{'CPU ms/request':>16}   median of {args.rounds}")
    for name, values in figures.items():
        rate, cpu = median(value[0] for value in values), median(value[1] for value in values)
        print(f"{name:22}{rate:12.1f}{rate / ideal:10.1%}{cpu:16.2f}")


if __name__ == "__main__":
    main()
