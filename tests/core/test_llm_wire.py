from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claif_tui.core.errors import EndpointError, UsageError
from claif_tui.core.llm.base import LLMError, Reason, Sampling
from claif_tui.core.llm.refusals import MAX_RETRY_AFTER, error_fields, refusal, refused_parameter, retry_after
from claif_tui.core.llm.rules import Contrast, Debias
from claif_tui.core.llm.secret import Secret
from claif_tui.core.llm.sse import EventLines
from claif_tui.core.llm.transport import host_of, normal_base_url, proxy_for
from claif_tui.core.llm.wire import Collected, body_of, effective_sampling, load_json
from tests.core.llm_helpers import request


@given(
    st.lists(st.text(alphabet='abc{}": é', max_size=20), max_size=8), st.lists(st.integers(1, 7), max_size=60)
)
def test_a_stream_reads_the_same_however_it_is_cut(texts: list[str], cuts: list[int]) -> None:
    raw = "".join(f": keep-alive\n\ndata: {json.dumps(text)}\r\n\r\n" for text in texts).encode()
    lines, got, at = EventLines(10_000), list[bytes](), 0
    for cut in cuts:
        got += lines.feed(raw[at : at + cut])
        at += cut
    got += [*lines.feed(raw[at:]), *lines.finish()]
    assert [json.loads(payload) for payload in got] == texts


def test_a_last_line_without_a_break_counts_and_a_long_one_is_refused() -> None:
    lines = EventLines(10)
    assert lines.feed(b"data: 1") == []
    assert lines.finish() == [b"1"]
    with pytest.raises(OverflowError):
        lines.feed(b"x" * 11)


def test_the_first_line_that_is_no_event_is_kept() -> None:
    lines = EventLines(1000)
    lines.feed(b"event: error\ndata: {}\n<html>\nmore\n")
    assert lines.foreign == b"<html>"
    assert lines.named_error


@given(st.text())
def test_a_body_carries_every_text_exactly(text: str) -> None:
    body = json.loads(body_of(request(text), stream=False))
    assert body["messages"] == [{"role": "user", "content": text}]
    assert json.loads(body_of(request(text, api="completions"), stream=True))["prompt"] == text


def test_a_lone_surrogate_can_be_sent() -> None:
    assert b"\\ud800" in body_of(request("a\ud800b"), stream=False)


def test_only_what_is_set_is_sent() -> None:
    body = json.loads(body_of(request(temperature=None, max_tokens=None), stream=False))
    assert set(body) == {"model", "messages"}


def test_what_is_sent_to_a_model_that_refuses() -> None:
    full = Sampling(temperature=0.7, top_p=0.9, max_tokens=10, stop=("x",))
    assert effective_sampling(full, ["temperature", "stop"]) == Sampling(top_p=0.9, max_tokens=10)
    assert effective_sampling(full, ["max_tokens"]).max_tokens == 10
    assert effective_sampling(full, ["max_tokens", "max_completion_tokens"]).max_tokens is None


def test_usage_that_cannot_be_is_not_believed() -> None:
    def usage(**fields: object) -> tuple[int | None, int | None]:
        got = Collected()
        got.take({"usage": fields}, "chat")
        return got.prompt_tokens, got.completion_tokens

    assert usage(prompt_tokens=5, completion_tokens=3, total_tokens=8) == (5, 3)
    assert usage(prompt_tokens=5, completion_tokens=3, total_tokens=108) == (5, 103)  # hidden reasoning
    assert usage(prompt_tokens=0, completion_tokens=0) == (None, 0)
    assert usage(prompt_tokens=-1, completion_tokens=10**30) == (None, None)
    assert usage(prompt_tokens="5", completion_tokens=True) == (None, None)


@pytest.mark.parametrize("event", [
    {"choices": [None]}, {"choices": {}}, {"choices": [{"delta": []}]}, {"choices": [{"delta": {"content": 5}}]},
    {"choices": [{"delta": {"content": None}, "finish_reason": 7}]}, {"usage": []}, {"model": 5},
])  # fmt: skip
def test_odd_chunks_are_no_text(event: dict[str, object]) -> None:
    got = Collected()
    assert got.take(event, "chat") == []
    assert got.text == "" and got.finish_reason is None


def test_content_in_parts_and_a_refusal() -> None:
    got = Collected()
    got.take({"choices": [{"delta": {"content": [{"type": "text", "text": "a"}, {"type": "x"}]}}]}, "chat")
    got.take({"choices": [{"delta": {"refusal": "no"}, "finish_reason": "stop"}]}, "chat")
    assert (got.answer().text, got.answer().finish_reason) == ("ano", "refusal")


def test_json_nested_too_deeply_is_bad_json() -> None:
    with pytest.raises(ValueError, match="deep"):
        load_json("[" * 1_000_000)


SAID: list[tuple[int, object, Reason, str | None]] = [
    (400, {"error": {"message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                     "'max_completion_tokens' instead.", "code": "unsupported_parameter", "param": "max_tokens"}},
     "bad_request", "max_tokens"),
    (400, {"error": {"message": "Unsupported value: 'temperature' does not support 0.7 with this model. Only the "
                     "default (1) value is supported.", "param": "temperature", "code": "unsupported_value"}},
     "bad_request", "temperature"),
    (400, {"object": "error", "message": "max_tokens must be at least 1, got 0.", "type": "BadRequestError",
           "param": None, "code": 400}, "bad_request", "max_tokens"),
    (400, {"object": "error", "message": "This model's maximum context length is 4096 tokens. However, you "
                     "requested 5000 tokens", "type": "BadRequestError", "param": None, "code": 400},
     "context_length", None),
    (400, {"error": {"message": "request exceeds the available context size", "code": 400}}, "context_length", None),
    (422, {"detail": [{"loc": ["body", "stop"], "msg": "Input should be a valid string"}]}, "bad_request", "stop"),
    (400, {"error": {"message": "Please stop sending nonsense"}}, "bad_request", None),
    (404, {"error": {"message": "The model `gpt-9` does not exist or you do not have access to it.",
                     "code": "model_not_found"}}, "model_not_found", None),
    (404, {"error": {"message": 'model "llama3" not found, try pulling it first', "type": "api_error"}},
     "model_not_found", None),
    (404, {"object": "error", "message": "The model `x` does not exist.", "code": 404}, "model_not_found", None),
    (400, {"error": {"message": "foo/bar is not a valid model ID", "code": 400}}, "model_not_found", None),
    (404, {"detail": "Not Found"}, "wrong_endpoint", None),
    (404, {"error": {"message": "This is a chat model and not supported in the v1/completions endpoint.",
                     "param": "model"}}, "wrong_endpoint", None),
    (405, {"detail": "Method Not Allowed"}, "wrong_endpoint", None),
    (429, {"error": {"message": "You exceeded your current quota", "type": "insufficient_quota",
                     "code": "insufficient_quota"}}, "quota", None),
    (402, {"error": {"message": "Insufficient Balance"}}, "quota", None),
    (403, {"error": {"message": "Country not supported", "code": "unsupported_country"}}, "auth", None),
    (400, {"error": {"message": "flagged", "code": "content_filter"}}, "refused", None),
    (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "server_error", None),
    (400, "just text", "bad_request", None),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "reason", "parameter"), SAID)
def test_what_servers_say(status: int, body: object, reason: Reason, parameter: str | None) -> None:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    error = refusal(status, {}, raw, url="http://h/v1/chat/completions", key=None)
    assert (error.reason, error.parameter, error.status) == (reason, parameter, status)
    assert error.billed is False


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.sampled_from(["error", "message", "code", "detail", "param", "x"]), inner),
                    max_leaves=8), st.sampled_from([400, 401, 404, 429, 500, 302]))  # fmt: skip
def test_no_error_body_can_break_the_reader(payload: object, status: int) -> None:
    assert refusal(status, {}, json.dumps(payload).encode(), url="http://h/v1", key=None).detail
    error_fields(payload)


def test_errors_never_hold_the_key() -> None:
    body = json.dumps({"error": {"message": "bad key sk-abc in request"}}).encode()
    error = refusal(401, {}, body, url="http://h/v1", key=Secret("sk-abc"))
    assert "sk-abc" not in str(error)


def test_a_web_page_is_named_by_its_title() -> None:
    error = refusal(503, {"Content-Type": "text/html"}, b"<html><title>Down</title>", url="http://h", key=None)
    assert "web page titled 'Down'" in error.detail


@pytest.mark.parametrize(("headers", "seconds"), [
    ({"Retry-After": "3"}, 3.0), ({"Retry-After": "1.5"}, 1.5), ({"retry-after-ms": "20", "Retry-After": "3"}, 0.02),
    ({"Retry-After": "Thu, 01 Jan 1970 00:01:40 GMT"}, 90.0), ({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
    ({"Retry-After": "soon"}, None), ({"Retry-After": "-4"}, None), ({"Retry-After": "nan"}, None),
    ({"Retry-After": "999999999"}, MAX_RETRY_AFTER), ({}, None),
])  # fmt: skip
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=10.0) == seconds


def test_the_refused_parameter_comes_first() -> None:
    assert refused_parameter("'max_tokens' … use 'max_completion_tokens'", None) == "max_tokens"
    assert refused_parameter("nothing known", "body.top_p") == "top_p"


@pytest.mark.parametrize(("raw", "normal"), [
    ("https://api.openai.com/v1/", "https://api.openai.com/v1"),
    ("HTTP://LocalHost:8000/v1/chat/completions", "http://localhost:8000/v1"),
    (" http://[::1]:11434/v1 ", "http://[::1]:11434/v1"),
    ("http://h/v1/models", "http://h/v1"),
])  # fmt: skip
def test_a_base_url_has_one_spelling(raw: str, normal: str) -> None:
    assert normal_base_url(raw) == normal


@pytest.mark.parametrize(
    "raw",
    ["localhost:8000", "ftp://h/v1", "http://", "http://h:notaport/v1", "https://h/v1?key=x", "", "http://[::"],
)
def test_what_is_no_base_url(raw: str) -> None:
    with pytest.raises(UsageError, match="--base-url"):
        normal_base_url(raw)


def test_credentials_in_a_url_are_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        normal_base_url("https://user:hidden-word@h/v1")
    assert "hidden-word" not in str(caught.value) + caught.value.hint


def test_proxies() -> None:
    env = {
        "HTTPS_PROXY": "http://u:p@proxy:3128",
        "HTTP_PROXY": "plain:8080",
        "NO_PROXY": ".inside,10.0.0.0/8,h:99",
    }

    def via(url: str) -> str | None:
        proxy = proxy_for(url, env)
        return proxy.url if proxy else None

    assert via("https://api.openai.com/v1") == "http://proxy:3128"
    assert via("http://elsewhere/v1") == "http://plain:8080"
    assert via("https://gpu.inside/v1") is None
    assert via("http://10.1.2.3:8000/v1") is None
    assert via("http://h:99/v1") is None and via("http://h:98/v1") is not None
    assert via("http://localhost:8000/v1") is None and via("http://127.0.0.1/v1") is None
    low = proxy_for("https://x/v1", {"https_proxy": "http://low", "HTTPS_PROXY": "http://up"})
    assert low is not None and low.url == "http://low"
    assert proxy_for("https://x/v1", {"ALL_PROXY": "http://all", "no_proxy": "*"}) is None
    assert "hidden" not in repr(proxy_for("https://x/v1", {"HTTPS_PROXY": "http://u:hidden@q"}))
    with pytest.raises(EndpointError, match="ALL_PROXY"):
        proxy_for("https://x/v1", {"ALL_PROXY": "socks5://p"})


def test_a_secret_does_not_show() -> None:
    secret = Secret("sk-hidden")
    for shown in (repr(secret), str(secret), f"{secret}", f"{[secret]}"):
        assert "hidden" not in shown
    assert secret.reveal() == "sk-hidden"
    assert secret.scrub("x sk-hidden y") == "x *** y"


def test_hosts() -> None:
    assert host_of("https://API.openai.com/v1") == "api.openai.com"
    assert host_of("http://h:8000/v1") == "h:8000"


@pytest.mark.parametrize(
    "raw",
    [
        "https://user:hidden-word@h:99999999/v1",
        "https://user:hidden-word@h:port/v1",
        "https://user:hidden-word@[::1/v1",
        "https://user:hidden-word/1@h/v1",
        "ftp://user:hidden-word@h/v1",
    ],
)
def test_a_url_that_is_none_does_not_show_its_credentials(raw: str) -> None:
    with pytest.raises(UsageError) as caught:
        normal_base_url(raw)
    assert "hidden-word" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("before", [380, 385, 399])
def test_no_piece_of_the_key_is_left_where_a_message_is_cut(before: int) -> None:
    key = Secret("hidden-word-0123456789")
    body = b"x" * before + key.reveal().encode() + b"y" * 50
    error = refusal(500, {}, body, url="http://h/v1", key=key)
    assert "hidden" not in error.detail and "hid" not in error.detail


@pytest.mark.parametrize(
    ("sampling", "said"),
    [
        (Sampling(rule=Debias(against=((("user", "other"),),))), "dino-api"),
        (Sampling(rule=Contrast(against=(("user", "other"),))), "greedy two-shot"),
        (Sampling(top_k=5), "top_k is for local models"),
        (Sampling(min_tokens=5), "min_tokens is for local models"),
    ],
)
def test_what_only_a_local_model_follows_is_never_sent_without_it(sampling: Sampling, said: str) -> None:
    asked = replace(request(), sampling=sampling)
    with pytest.raises(LLMError, match=said) as caught:
        body_of(asked, stream=True)
    assert (caught.value.reason, caught.value.sent, caught.value.billed) == ("bad_request", False, False)
    assert "local:" in caught.value.detail
