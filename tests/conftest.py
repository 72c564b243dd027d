"""What every test stands on: no network but loopback, no home folder of the user, real data only if present."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# A slow moment of the machine is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

pytest_plugins = ["tests.llm_fixtures"]

# Under nohup, or in the background of a script, these are ignored, and children inherit that.
for _number, _default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _default)

ROOT = Path(__file__).resolve().parent.parent
_SECRETS = (
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "NO_COLOR",
)


def find_data() -> Path | None:
    """Return the folder that holds ``senteval/``, or None: CLAIF_TEST_DATA, else ../shared/data."""
    named = os.environ.get("CLAIF_TEST_DATA")
    for folder in [Path(named)] if named else [ROOT.parent / "shared" / "data"]:
        if (folder / "senteval").is_dir():
            return folder
    return None


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real data; tests that ask for it skip, saying so, where it is absent."""
    folder = find_data()
    if folder is None:
        pytest.skip("real data absent: set CLAIF_TEST_DATA to a folder that holds senteval/")
    return folder


@pytest.fixture(autouse=True)
def hermetic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test its own settings folder, author and a clean environment."""
    for name in (*_SECRETS, *(name.lower() for name in _SECRETS)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLAIF_TUI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLAIF_TUI_AUTHOR", "tester")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    yield


def pytest_runtest_setup() -> None:
    """Block every socket but loopback and local ones."""
    from pytest_socket import socket_allow_hosts

    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


def pytest_report_header() -> str:
    """Say at the top whether the tests on real data will run."""
    folder = find_data()
    return (
        f"real data: {folder}"
        if folder
        else "real data: absent, its tests skip (CLAIF_TEST_DATA names the folder)"
    )
