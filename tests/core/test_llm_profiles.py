from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from claif_tui.core.errors import EndpointError, MissingExtraError, UsageError
from claif_tui.core.llm.base import LLMError, Sampling
from claif_tui.core.llm.explain import WORDS, endpoint_error
from claif_tui.core.llm.factory import open_client
from claif_tui.core.llm.http_client import HttpClient
from claif_tui.core.llm.keys import clean_key, find_key, forget_key, key_source, store_key
from claif_tui.core.llm.prices import FREE
from claif_tui.core.llm.probe import probe
from claif_tui.core.llm.profiles import BUILT_IN, Profile, Wish, named, price_of, require_logits, resolve
from claif_tui.core.llm.rules import Debias
from claif_tui.core.llm.secret import Secret
from tests.llm_fixtures import ROOT, Factory

LAB = Profile(name="lab", base_url="http://gpu7:8000/v1", model="qwen", api_key_env="LAB_KEY", ca_file="/x.pem")
ALL = {**BUILT_IN, "lab": LAB}


def test_nothing_said_means_the_default() -> None:
    assert resolve(ALL, Wish()).kind == "offline"
    assert resolve(ALL, Wish(), default="lab") == LAB


def test_a_url_finds_its_saved_profile_or_names_itself_after_the_host() -> None:
    assert resolve(ALL, Wish(base_url="http://gpu7:8000/v1/")) == LAB
    new = resolve(ALL, Wish(base_url="http://gpu8:9000/v1", model="m", api="completions"))
    assert (new.name, new.api, new.api_key_env, new.model) == ("gpu8:9000", "completions", None, "m")
    assert resolve(ALL, Wish(base_url="https://gate/team/v1", model="m")).name == "gate/team"


def test_a_profile_that_moves_keeps_its_name_but_not_its_key() -> None:
    moved = resolve(ALL, Wish(profile="lab", base_url="http://elsewhere:8000/v1"))
    assert (moved.name, moved.host, moved.api_key_env) == ("lab", "elsewhere:8000", None)
    told = resolve(ALL, Wish(profile="lab", base_url="http://elsewhere:8000/v1", api_key_env="LAB_KEY"))
    assert told.api_key_env == "LAB_KEY"
    same = resolve(ALL, Wish(profile="lab", base_url="http://gpu7:8000/other/v1"))
    assert same.api_key_env == "LAB_KEY"


def test_the_vendor_key_goes_nowhere_else() -> None:
    environ = {"OPENAI_API_KEY": "sk-vendor"}
    other = resolve(ALL, Wish(base_url="http://elsewhere/v1", model="gpt-4o"))
    assert find_key(other, environ) is None
    assert (
        find_key(resolve(ALL, Wish(profile="openai", base_url="http://other/v1", model="m")), environ) is None
    )
    assert find_key(resolve(ALL, Wish(model="gpt-4o-mini")), environ) == Secret("sk-vendor")


def test_a_model_says_where_it_lives() -> None:
    assert resolve(ALL, Wish(model="litellm:anthropic/claude")).model == "anthropic/claude"
    assert resolve(ALL, Wish(model="litellm:anthropic/claude")).kind == "litellm"
    assert resolve(ALL, Wish(model="qwen")).name == "lab"
    assert resolve(ALL, Wish(model="gpt-4o-mini")).name == "openai"
    assert resolve(ALL, Wish(model="offline"), default="lab").kind == "offline"
    assert resolve(ALL, Wish(model="anything"), default="lab").model == "anything"
    with pytest.raises(UsageError, match="unknown model 'llama9'") as caught:
        resolve(ALL, Wish(model="llama9"))
    assert "--base-url" in caught.value.hint


def test_wishes_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="no endpoint profile 'labb'") as caught:
        named(ALL, "labb")
    assert "Did you mean lab?" in caught.value.hint
    for wish, said in (
        (Wish(profile="openai"), "no model is named"),
        (Wish(profile="offline", model="gpt-4o"), "offline profile has no model"),
        (Wish(profile="offline", base_url="http://h/v1"), "has no URL"),
        (Wish(profile="lab", concurrency=0), "--concurrency"),
        (Wish(profile="lab", concurrency=10_000), "--concurrency"),
        (Wish(profile="lab", rpm=-1), "--rpm"),
        (Wish(profile="lab", price_in=1.0), "--price-out is missing"),
        (Wish(base_url="gpu7:8000"), "--base-url"),
    ):
        with pytest.raises(UsageError, match=said):
            resolve(ALL, wish)


def test_prices_are_the_users_then_listed_then_unknown() -> None:
    assert price_of(resolve(ALL, Wish())) == FREE
    assert price_of(LAB) is None
    own = price_of(resolve(ALL, Wish(profile="lab", price_in=0.0, price_out=0.5), today="2026-02-03"))
    assert own is not None and (own.output_usd_per_m, own.as_of) == (0.5, "2026-02-03")
    listed = price_of(resolve(ALL, Wish(model="gpt-4o-mini")))
    assert listed is not None and listed.input_usd_per_m == 0.15
    assert price_of(resolve(ALL, Wish(base_url="http://localhost:1/v1", model="gpt-4o-mini"))) is None


def test_clear_text_is_worth_a_warning_only_with_a_key_and_a_network() -> None:
    assert LAB.clear_text
    assert not replace(LAB, base_url="http://localhost:1/v1").clear_text
    assert not replace(LAB, api_key_env=None).clear_text


def test_keys_come_from_the_environment_or_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("sk-file\n")
    path.chmod(0o600)
    both = replace(LAB, key_file=str(path))
    assert find_key(both, {"LAB_KEY": " sk-env\n"}) == Secret("sk-env")
    assert find_key(both, {}) == Secret("sk-file")
    assert find_key(Profile(name="x", base_url="http://h/v1"), {"OPENAI_API_KEY": "sk"}) is None
    with pytest.raises(EndpointError, match=r"\$LAB_KEY is not set"):
        find_key(LAB, {})
    path.chmod(0o644)
    with pytest.raises(UsageError, match="mode 644") as caught:
        find_key(both, {})
    assert caught.value.hint == f"chmod 600 {path}"
    for bad in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UsageError, match="key_file"):
            find_key(replace(LAB, key_file=str(bad)), {})


@pytest.mark.parametrize(
    "raw", ["", "  ", "Bearer sk-hidden", "sk-hiddén", "sk-hidden\nsk-hidden", "x" * 10_000]
)
def test_what_cannot_be_a_key_is_not_repeated(raw: str) -> None:
    with pytest.raises(EndpointError) as caught:
        clean_key(raw, "$KEY")
    assert "hidd" not in caught.value.message + caught.value.hint


def test_key_sources_in_words() -> None:
    assert key_source(LAB, {}) == "$LAB_KEY (not set)"
    assert key_source(LAB, {"LAB_KEY": "sk-x"}) == "$LAB_KEY (set)"
    assert key_source(Profile(name="x", keyring=True)) == "keyring"
    assert "no key" in key_source(Profile(name="x"))


def test_a_keyring_that_keeps_nothing_says_so() -> None:
    profile = replace(LAB, api_key_env=None, keyring=True)
    with pytest.raises(EndpointError, match="no keyring") as caught:
        store_key(profile, Secret("sk-hidden"))
    assert "chmod 600" in caught.value.hint and "sk-hidden" not in str(caught.value)
    with pytest.raises(EndpointError, match="the keyring holds none"):
        find_key(profile, {})


def test_a_keyring_entry_belongs_to_profile_and_host() -> None:
    import keyring
    from keyring.backend import KeyringBackend
    from keyring.errors import PasswordDeleteError

    class Kept(KeyringBackend):
        priority = 1

        held: ClassVar[dict[tuple[str, str], str]] = {}

        def get_password(self, service: str, username: str) -> str | None:
            return self.held.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            self.held[service, username] = password

        def delete_password(self, service: str, username: str) -> None:
            if self.held.pop((service, username), None) is None:
                raise PasswordDeleteError(username)

    before = keyring.get_keyring()
    make: Callable[[], KeyringBackend] = Kept
    keyring.set_keyring(make())
    try:
        profile = replace(LAB, api_key_env=None, keyring=True)
        store_key(profile, Secret("sk-one"))
        assert find_key(profile, {}) == Secret("sk-one")
        with pytest.raises(EndpointError, match="holds none"):
            find_key(replace(profile, base_url="http://other/v1"), {})
        forget_key(profile)
        forget_key(profile)
        with pytest.raises(EndpointError, match="holds none"):
            find_key(profile, {})
    finally:
        keyring.set_keyring(before)


async def test_a_probe_names_what_is_refused_and_a_second_one_is_content(llm_server: Factory) -> None:
    server = llm_server(faults=[{"kind": "reasoning"}], options={"refuse": ["temperature", "max_tokens"]})
    profile = Profile(name="here", base_url=server.base_url, model="new-model")
    sampling = Sampling(temperature=0.7, max_tokens=64, stop=("\n\n",))
    report = await probe(profile, open_client, sampling)
    assert set(report.refused) == {"temperature", "max_tokens"}
    assert "temperature" in report.suggestion and "max_completion_tokens" in report.suggestion
    assert (report.model_returned, report.reasoning, report.streamed, report.usage) == (
        "new-model-0101",
        True,
        True,
        True,
    )
    assert any("reasons" in note for note in report.notes)
    agreed = replace(profile, refused={"new-model": report.refused})
    again = await probe(agreed, open_client, sampling)
    assert (again.refused, again.suggestion) == ((), "")
    assert len(server.log()) == 4


async def test_a_probe_of_a_server_without_usage_and_of_a_wrong_one(llm_server: Factory) -> None:
    server = llm_server(options={"refuse": ["stream_options"], "usage": False})
    profile = Profile(name="here", base_url=server.base_url, model="m")
    report = await probe(profile, open_client, Sampling(max_tokens=64))
    assert not report.usage and any("upper bound" in note for note in report.notes)
    server.control(faults=[{"kind": "401"}], options={"refuse": []})
    with pytest.raises(EndpointError, match="key is missing or refused") as caught:
        await probe(
            replace(profile, api_key_env="LAB_KEY"),
            lambda p: open_client(p, environ={"LAB_KEY": "sk-x"}),
            Sampling(),
        )
    assert "LAB_KEY" in caught.value.hint
    server.control(faults=[{"kind": "html"}])
    with pytest.raises(EndpointError, match="web page"):
        await probe(profile, open_client, Sampling())


def test_every_class_of_failure_can_be_explained() -> None:
    for reason in WORDS:
        error = endpoint_error(LLMError(reason, "detail", parameter="stop"), LAB)
        assert "lab" in error.message and error.hint and error.exit_code == 1


def test_profiles_become_clients() -> None:
    client = open_client(LAB, environ={"LAB_KEY": "sk-x"}, streaming=False)
    assert isinstance(client, HttpClient) and not client.streaming
    assert "sk-x" not in repr(client)
    with pytest.raises(EndpointError, match="no key"):
        open_client(LAB, environ={})
    with pytest.raises(UsageError, match="no base_url"):
        open_client(Profile(name="x"))


async def test_litellm_absent_says_the_exact_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("claif_tui.core.llm.litellm_client.version", absent)
    client = open_client(resolve(ALL, Wish(model="litellm:some/model")))
    with pytest.raises(MissingExtraError) as caught:
        await client.open()
    assert caught.value.hint == "pip install 'claif-tui[litellm]'"


@pytest.mark.parametrize("version", ["1.82.7", "1.82.8"])
def test_malicious_litellm_releases_are_not_even_imported(tmp_path: Path, version: str) -> None:
    (tmp_path / f"litellm-{version}.dist-info").mkdir()
    (tmp_path / f"litellm-{version}.dist-info" / "METADATA").write_text(f"Name: litellm\nVersion: {version}\n")
    (tmp_path / "litellm.py").write_text("print('IMPORTED')\n")
    code = "from claif_tui.core.llm import litellm_client; litellm_client.load()"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "malicious" in done.stderr and "IMPORTED" not in done.stdout


def test_litellm_is_told_to_stay_off_the_network_before_it_is_imported(tmp_path: Path) -> None:
    (tmp_path / "litellm-1.90.0.dist-info").mkdir()
    (tmp_path / "litellm-1.90.0.dist-info" / "METADATA").write_text("Name: litellm\nVersion: 1.90.0\n")
    (tmp_path / "litellm.py").write_text(
        "import os\nprint(os.environ['LITELLM_LOCAL_MODEL_COST_MAP'], os.environ['LITELLM_MODE'])\n"
        "model_cost = {'m': {'input_cost_per_token': 1.5e-07, 'output_cost_per_token': 6e-07}}\n"
    )
    code = (
        "from claif_tui.core.llm import litellm_client as c; print(c.listed_price('p/m'), c.listed_price('x'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    first, second = done.stdout.splitlines()
    assert first == "True PRODUCTION"
    assert "input_usd_per_m=0.15, output_usd_per_m=0.6" in second and second.endswith("None")


def test_a_local_model_is_a_profile_of_its_own_that_costs_nothing_and_sends_no_key() -> None:
    found = resolve(ALL, Wish(model="local:../models/tiny"))
    assert (found.name, found.kind, found.model, found.here) == ("local", "local", "../models/tiny", True)
    assert price_of(found) == FREE
    assert resolve(ALL, Wish(profile="local", model="../models/tiny")) == found, "as a recipe names it"
    mine = Profile(name="local", kind="local", device="cuda:1", dtype="bf16")
    assert resolve({**ALL, "local": mine}, Wish(model="local:gpt2")) == replace(mine, model="gpt2")
    with pytest.raises(UsageError, match="ambiguous"):
        resolve({**ALL, "local": replace(LAB, name="local")}, Wish(model="local:gpt2"))
    with pytest.raises(UsageError, match="no model is named"):
        resolve(ALL, Wish(model="local:"))
    rule = Debias(against=((("user", "other"),),))
    require_logits(found, rule)
    for other in (LAB, ALL["offline"]):
        with pytest.raises(UsageError, match=r"'(lab|offline)' gives none") as caught:
            require_logits(other, rule)
        assert "dino-api+check" in caught.value.hint


async def test_a_path_that_leads_nowhere_starts_no_process(tmp_path: Path) -> None:
    client = open_client(resolve(ALL, Wish(model=f"local:{tmp_path}/none")))
    with pytest.raises((EndpointError, MissingExtraError)):
        await client.open()
    await client.close()
