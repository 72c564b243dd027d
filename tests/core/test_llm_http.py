from __future__ import annotations

import asyncio
import json
import logging
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from claif_tui.core.errors import EndpointError
from claif_tui.core.llm.base import Answer, Delta, Reason, problem
from claif_tui.core.llm.http_client import HttpClient
from claif_tui.core.llm.secret import Secret
from claif_tui.core.llm.transport import Timeouts
from tests.core.llm_helpers import FILL, ask, failure, request
from tests.llm_fixtures import Factory, LLMServer
from tests.llm_server_answers import HOSTILE, answer

SHORT = Timeouts(connect=0.3, first_byte=0.3, between_chunks=0.3)
MODES = pytest.mark.parametrize("streaming", [True, False], ids=["streamed", "whole"])
KEY = "sk-test-0123456789abcdef"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LLMServer]:
    running = LLMServer(tmp_path_factory.mktemp("server") / "log.jsonl")
    yield running
    running.stop()


@asynccontextmanager
async def opened(base_url: str, **options: Any) -> AsyncIterator[HttpClient]:
    client = HttpClient(base_url, **options)
    await client.open()
    try:
        yield client
    finally:
        await client.close()
        await client.close()


@MODES
@pytest.mark.parametrize("api", ["chat", "completions"])
async def test_a_good_answer(server: LLMServer, streaming: bool, api: Any) -> None:
    server.control(faults=[])
    async with opened(server.base_url, streaming=streaming) as client:
        got, deltas = await ask(client, request(api=api))
    assert got.text == answer(FILL)
    assert "".join(delta.text for delta in deltas) == (got.text if streaming else "")
    assert got.finish_reason == "stop"
    assert got.model == "test-model-0101"
    line = server.log()[-1]
    assert (got.prompt_tokens, got.completion_tokens) == (line["prompt_tokens"], line["completion_tokens"])
    assert line["auth"] is None
    assert line["params"]["max_tokens"] == 64
    assert problem(got) is None


FAULTS: list[tuple[str, Reason, bool]] = [
    ("400", "bad_request", False),
    ("400_length", "context_length", False),
    ("401", "auth", False),
    ("403", "auth", False),
    ("402", "quota", False),
    ("404", "wrong_endpoint", False),
    ("404_model", "model_not_found", False),
    ("429", "rate_limited", False),
    ("429_quota", "quota", False),
    ("500", "server_error", False),
    ("503", "server_error", False),
    ("502_html", "server_error", True),
    ("html", "not_json", True),
    ("not_openai", "wrong_endpoint", True),
    ("redirect", "wrong_endpoint", False),
    ("reset", "connection", True),
    ("reset_after_headers", "broken_stream", True),
    ("cut", "broken_stream", True),
    ("cut_clean", "broken_stream", True),
    ("error_in_stream", "server_error", True),
    ("empty_choices", "empty", True),
    ("hang", "timeout", True),
    ("hang_mid", "timeout", True),
    ("endless", "cut_off", True),
]


@MODES
@pytest.mark.parametrize(("kind", "reason", "billed"), FAULTS, ids=[fault[0] for fault in FAULTS])
async def test_every_failure_has_its_class(
    server: LLMServer, kind: str, reason: Reason, billed: bool, streaming: bool
) -> None:
    server.control(faults=[{"kind": kind}])
    timeouts = SHORT if kind.startswith("hang") else Timeouts()
    async with opened(server.base_url, streaming=streaming, timeouts=timeouts) as client:
        error = await failure(client, request())
    assert (error.reason, error.billed, error.sent) == (reason, billed, True)
    assert error.detail


@MODES
async def test_garbage_is_no_answer(server: LLMServer, streaming: bool) -> None:
    server.control(faults=[{"kind": "garbage"}])
    async with opened(server.base_url, streaming=streaming) as client:
        error = await failure(client, request())
    assert error.reason == ("broken_stream" if streaming else "not_json")
    assert error.partial


@pytest.mark.parametrize("kind", ["cut", "cut_clean", "garbage", "error_in_stream"])
async def test_what_had_arrived_is_kept(server: LLMServer, kind: str) -> None:
    server.control(faults=[{"kind": kind}])
    async with opened(server.base_url) as client:
        error = await failure(client, request())
    assert error.partial and answer(FILL).startswith(error.partial)


ENDINGS: list[tuple[str, str | None, Reason | None]] = [
    ("no_finish", None, "cut_off"),
    ("length", "length", "cut_off"),
    ("content_filter", "content_filter", "refused"),
    ("empty", "stop", "empty"),
    ("no_done", "stop", None),
    ("refusal", "stop", None),
    ("preamble", "stop", None),
    ("ignore_stream", "stop", None),
]


@MODES
@pytest.mark.parametrize(("kind", "finish", "trouble"), ENDINGS, ids=[ending[0] for ending in ENDINGS])
async def test_answers_say_how_they_ended(
    server: LLMServer, kind: str, finish: str | None, trouble: Reason | None, streaming: bool
) -> None:
    server.control(faults=[{"kind": kind}])
    async with opened(server.base_url, streaming=streaming) as client:
        got, _ = await ask(client, request())
    assert (got.finish_reason, problem(got)) == (finish, trouble)


@MODES
async def test_reasoning_is_apart(server: LLMServer, streaming: bool) -> None:
    server.control(faults=[{"kind": "reasoning"}])
    async with opened(server.base_url, streaming=streaming) as client:
        got, deltas = await ask(client, request())
    assert got.text == answer(FILL)
    assert got.reasoning.startswith("First I thought")
    if streaming:
        assert "".join(delta.text for delta in deltas if delta.kind == "reasoning") == got.reasoning


@MODES
async def test_a_megabyte_and_hostile_text_arrive_as_they_are(server: LLMServer, streaming: bool) -> None:
    server.control(faults=[{"kind": "big", "match": "BIG"}, {"kind": "hostile"}])
    async with opened(server.base_url, streaming=streaming) as client:
        big, _ = await ask(client, request("BIG one", max_tokens=None))
        hostile, _ = await ask(client, request(max_tokens=None))
    assert len(big.text) == 1_000_000
    assert hostile.text.startswith(HOSTILE)


@MODES
async def test_without_usage_the_counts_are_unknown(server: LLMServer, streaming: bool) -> None:
    server.control(faults=[{"kind": "no_usage"}])
    async with opened(server.base_url, streaming=streaming) as client:
        got, _ = await ask(client, request())
    assert got.prompt_tokens is None and got.completion_tokens is None


@pytest.mark.parametrize(("kind", "wait", "low", "high"), [
    ("429", "7", 7, 7), ("429_ms", "250", 0.25, 0.25), ("429_date", "3600", 3000, 3600), ("429", "none", None, None),
])  # fmt: skip
async def test_retry_after_in_all_its_forms(
    server: LLMServer, kind: str, wait: str, low: float | None, high: float | None
) -> None:
    server.control(faults=[{"kind": kind, "retry_after": wait}])
    async with opened(server.base_url) as client:
        error = await failure(client, request())
    if low is None or high is None:
        assert error.retry_after is None
    else:
        assert error.retry_after is not None and low <= error.retry_after <= high


@pytest.mark.parametrize("name", ["temperature", "max_tokens", "stop"])
async def test_a_refused_parameter_is_named_and_left_out_when_told_so(llm_server: Factory, name: str) -> None:
    server = llm_server(options={"refuse": [name]})
    wanted = request(stop=("\n\n",))
    async with opened(server.base_url) as client:
        error = await failure(client, wanted)
    assert (error.reason, error.parameter) == ("bad_request", name)
    async with opened(server.base_url, refused={"test-model": [name]}) as client:
        got, _ = await ask(client, wanted)
    assert got.text == answer(FILL)
    sent = server.log()[-1]["params"]
    assert name not in sent
    assert ("max_completion_tokens" in sent) == (name == "max_tokens")


async def test_a_server_that_cannot_report_usage_is_asked_without(llm_server: Factory) -> None:
    server = llm_server(options={"refuse": ["stream_options"]})
    async with opened(server.base_url) as client:
        assert (await failure(client, request())).parameter == "stream_options"
        got, _ = await ask(client, request())
    assert got.text and got.completion_tokens is None


async def test_the_key_goes_into_one_header_and_never_into_an_error(llm_server: Factory) -> None:
    server = llm_server(options={"key": "another"})
    async with opened(server.base_url, key=Secret(KEY)) as client:
        error = await failure(client, request())
        assert KEY not in repr(client)
    assert error.reason == "auth"
    assert KEY not in error.detail and "***" in error.detail  # the server echoes it
    line = server.log()[-1]
    assert line["auth"] == f"Bearer {KEY}"
    assert KEY not in json.dumps({**line, "auth": None})


async def test_a_redirect_is_not_followed_and_names_the_host(llm_server: Factory) -> None:
    other = llm_server()
    server = llm_server(faults=[{"kind": "redirect", "location": f"{other.base_url}/chat/completions"}])
    async with opened(server.base_url, key=Secret(KEY)) as client:
        error = await failure(client, request())
    assert error.reason == "wrong_endpoint"
    assert f"127.0.0.1:{other.port}" in error.detail
    assert other.control()["requests"] == 0


async def test_a_proxy_is_used_and_no_netrc_is_read(
    llm_server: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = llm_server()
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password hidden-word\n")
    monkeypatch.setenv("NETRC", str(netrc))
    environ = {"HTTP_PROXY": f"http://user:word@127.0.0.1:{proxy.port}"}
    async with opened("http://llm.example/v1", environ=environ) as client:
        got, _ = await ask(client, request())
    assert got.text == answer(FILL)
    line = proxy.log()[-1]
    assert (line["auth"], line["proxy_auth"]) == (None, "Basic dXNlcjp3b3Jk")
    environ["NO_PROXY"] = "example"
    async with opened("http://llm.example/v1", environ=environ, timeouts=SHORT) as client:
        await failure(client, request())
    assert len(proxy.log()) == 1


async def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        async with opened(url) as client:
            error = await failure(client, request())
    assert (error.reason, error.sent, error.billed) == ("connection", False, False)
    assert "connection refused" in error.detail
    assert "Connector" not in error.detail and "[Errno" not in error.detail


async def test_not_http_at_all() -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.9\r\n")
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(shout, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener, opened(f"http://127.0.0.1:{port}/v1") as client:
        error = await failure(client, request())
    assert error.reason in ("not_json", "connection")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    key, cert, both = folder / "key.pem", folder / "cert.pem", folder / "both.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    both.write_text(cert.read_text() + key.read_text())
    return both


async def test_an_own_ca_is_honoured_and_an_unknown_one_refused(certificate: Path, tmp_path: Path) -> None:
    server = LLMServer(tmp_path / "log.jsonl", cert=certificate)
    try:
        async with opened(server.base_url, ca_file=str(certificate), environ={}) as client:
            assert (await ask(client, request()))[0].text == answer(FILL)
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
            async with opened(server.base_url, environ={name: str(certificate)}) as client:
                assert (await ask(client, request()))[0].text == answer(FILL)
        async with opened(server.base_url, environ={}) as client:
            error = await failure(client, request())
        assert (error.reason, error.sent) == ("wrong_endpoint", False)
        assert "certificate" in error.detail and "ca_file" in error.detail
        plain = server.base_url.replace("https", "http")
        async with opened(plain, timeouts=SHORT) as client:
            assert (await failure(client, request())).reason in ("connection", "not_json", "timeout")
    finally:
        server.stop()


async def test_tls_to_a_plain_server(server: LLMServer) -> None:
    async with opened(server.base_url.replace("http", "https"), environ={}, timeouts=SHORT) as client:
        error = await failure(client, request())
    assert error.reason in ("wrong_endpoint", "connection", "timeout")
    assert "0x" not in error.detail


async def test_a_ca_file_that_is_missing_is_an_error_at_once() -> None:
    client = HttpClient("https://127.0.0.1:1/v1", ca_file="/nowhere/ca.pem", environ={})
    with pytest.raises(EndpointError, match=r"ca_file.*nowhere"):
        await client.open()


async def test_breaking_off_closes_the_connection(llm_server: Factory) -> None:
    server = llm_server(options={"tokens_per_s": 4})
    async with opened(server.base_url) as client:
        stream = client.stream(request())
        assert isinstance(await anext(stream), Delta)
        await stream.aclose()  # type: ignore[attr-defined]
        while (await asyncio.to_thread(server.control))["in_flight"] > 1:  # this question is the one
            pass


async def test_nothing_is_logged_at_debug_level_that_holds_the_key(
    server: LLMServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.control(faults=[])
    with caplog.at_level(logging.DEBUG):
        async with opened(server.base_url, key=Secret(KEY)) as client:
            got, _ = await ask(client, request())
    assert isinstance(got, Answer)
    assert KEY not in caplog.text


async def test_many_at_once_keep_their_answers_apart(server: LLMServer) -> None:
    server.control(faults=[])
    prompts = [FILL.replace("flute", f"flute{n}") for n in range(100)]
    async with opened(server.base_url) as client:
        answers = await asyncio.gather(*(ask(client, request(prompt)) for prompt in prompts))
    assert [got.text for got, _ in answers] == [answer(prompt) for prompt in prompts]
