from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from claif_tui.core.errors import InputError, UsageError
from claif_tui.core.llm.profiles import BUILT_IN, Profile
from claif_tui.core.settings import (
    SETTINGS,
    bind_key,
    change,
    delete_profile,
    load,
    remember,
    remember_refused,
    save_profile,
    setting_of,
    settings_path,
)

LAB = Profile(
    name="lab",
    base_url="http://gpu7:8000/v1",
    model="qwen",
    api="completions",
    api_key_env="LAB_KEY",
    concurrency=16,
    rpm=600,
    price_in=0.0,
    price_out=0.5,
    price_as_of="2026-02-03",
    refused={"qwen": ("stop", "temperature")},
)


def written(text: str) -> Path:
    path = settings_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_without_a_file_everything_has_its_default() -> None:
    settings = load(environ={})
    assert {line.origin for line in settings.show()} == {"default"}
    assert settings.text("profile") == "offline"
    assert settings.profiles == BUILT_IN
    assert settings.dollars("budget") is None
    assert not settings_path().exists()


def test_flags_beat_the_environment_beats_the_file() -> None:
    path = written('author = "file"\ntheme = "file"\nmouse = false\n')
    settings = load(
        environ={"CLAIF_TUI_AUTHOR": "env", "CLAIF_TUI_THEME": "env"}, flags={"theme": "flag", "mouse": None}
    )
    shown = {line.key: (line.value, line.origin, line.where) for line in settings.show()}
    assert shown["author"] == ("env", "env", "$CLAIF_TUI_AUTHOR")
    assert shown["theme"] == ("flag", "flag", "--theme")
    assert shown["mouse"] == (False, "file", str(path))
    assert shown["stream"] == (True, "default", "")


def test_changes_keep_comments_and_are_private() -> None:
    path = written('# mine\ntheme = "a"  # dark\n')
    change("budget", "$2.50")
    change("mouse", "off")
    change("theme", "b")
    bind_key("review.accept", "z")
    remember("recent", ("/one", "/two"))
    text = path.read_text()
    assert "# mine" in text
    settings = load(environ={})
    assert (settings.dollars("budget"), settings.flag("mouse"), settings.text("theme")) == (2.5, False, "b")
    assert settings.keys == {"review.accept": "z"}
    assert settings.texts("recent") == ("/one", "/two")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["config.toml"]
    change("budget", None)
    bind_key("review.accept", None)
    assert load(environ={}).dollars("budget") is None
    assert load(environ={}).keys == {}


def test_a_linked_file_stays_a_link(tmp_path: Path) -> None:
    target = tmp_path / "dotfiles.toml"
    target.write_text("")
    path = settings_path()
    path.parent.mkdir(parents=True)
    path.symlink_to(target)
    change("theme", "x")
    assert path.is_symlink() and 'theme = "x"' in target.read_text()


def test_profiles_come_back_as_they_were() -> None:
    save_profile(LAB)
    assert load(environ={}).profiles["lab"] == LAB
    save_profile(replace(BUILT_IN["openai"], model="gpt-4o-mini", tpm=1000))
    openai = load(environ={}).profiles["openai"]
    assert (openai.base_url, openai.api_key_env, openai.tpm) == (
        BUILT_IN["openai"].base_url,
        "OPENAI_API_KEY",
        1000,
    )
    assert "base_url" not in settings_path().read_text().split("[profiles.openai]")[1]
    delete_profile("openai")
    delete_profile("lab")
    assert load(environ={}).profiles == BUILT_IN
    with pytest.raises(UsageError, match="no endpoint profile"):
        delete_profile("lab")


def test_what_a_model_refuses_is_remembered_per_model() -> None:
    save_profile(LAB)
    now = remember_refused(LAB, "other", ["max_tokens"])
    now = remember_refused(now, "qwen", ["top_p"])
    assert now.refused == {"qwen": ("stop", "temperature", "top_p"), "other": ("max_tokens",)}
    assert load(environ={}).profiles["lab"].refused == now.refused
    adhoc = Profile(name="localhost:8000", base_url="http://localhost:8000/v1", model="m")
    remember_refused(adhoc, "m", ["temperature"])
    assert load(environ={}).profiles["localhost:8000"].base_url == adhoc.base_url
    remember_refused(BUILT_IN["openai"], "gpt-5.1", ["temperature"])
    assert load(environ={}).profiles["openai"].refused == {"gpt-5.1": ("temperature",)}


BAD = [
    ("them = 1", "unknown key 'them'", "Did you mean theme?"),
    (
        "[profiles.lab]\nbase_ulr = 'http://h/v1'",
        "unknown key 'profiles.lab.base_ulr'",
        "Did you mean base_url?",
    ),
    ("mouse = 'yes'", "mouse is 'yes': expected true or false", ""),
    ("budget = -1", "budget is -1", ""),
    ("budget = nan", "budget", ""),
    ("[profiles.lab]\nmodel = 'm'", "profiles.lab: base_url is missing", "base_url"),
    ("[profiles.lab]\nbase_url = 'gpu7:8000'", "profiles.lab.base_url", ""),
    ("[profiles.lab]\nbase_url = 'http://h/v1'\nconcurrency = 0", "profiles.lab.concurrency is 0", ""),
    ("[profiles.lab]\nbase_url = 'http://h/v1'\nconcurrency = '4'", "profiles.lab.concurrency", ""),
    ("[profiles.lab]\nbase_url = 'http://h/v1'\nkind = 'magic'", "profiles.lab.kind", ""),
    ("[profiles.lab]\nbase_url = 'http://h/v1'\nprice_in = 1.0\nprice_as_of = 'today'", "price_as_of", ""),
    ("[profiles.lab]\nbase_url = 'http://h/v1'\nrefused = {m = ['seed']}", "refused", ""),
    ("[profiles.'a b']\nbase_url = 'http://h/v1'", "profiles.a b", ""),
    ("profiles = 3", "profiles", ""),
    ("theme = ", "not valid TOML", ""),
    ("theme = 'a'\ntheme = 'b'", "not valid TOML", ""),
]


@pytest.mark.parametrize(("text", "message", "hint"), BAD)
def test_a_bad_file_is_named_with_its_field(text: str, message: str, hint: str) -> None:
    path = written(text)
    with pytest.raises(InputError) as caught:
        load(environ={})
    assert str(path) in caught.value.message and message in caught.value.message
    assert hint in caught.value.hint


def test_a_pasted_key_is_refused_and_not_repeated() -> None:
    for name in ("sk-proj-hidden", "sk_hidden", "hf_hidden"):
        written(f"[profiles.lab]\nbase_url = 'http://h/v1'\napi_key_env = '{name}'")
        with pytest.raises(InputError, match="api_key_env") as caught:
            load(environ={})
        assert "hidden" not in caught.value.message + caught.value.hint
    written("[profiles.lab]\nbase_url = 'http://h/v1'\napi_key = 'sk-hidden'")
    with pytest.raises(InputError, match=r"unknown key 'profiles\.lab\.api_key'") as caught:
        load(environ={})
    assert "hidden" not in caught.value.message + caught.value.hint


def test_a_bad_change_leaves_the_file_alone() -> None:
    path = written('theme = "a"\n')
    with pytest.raises(InputError):
        save_profile(replace(LAB, concurrency=0))
    with pytest.raises(InputError):
        save_profile(replace(LAB, name="no blanks"))
    with pytest.raises(UsageError, match="mouse is 'maybe': expected true or false"):
        change("mouse", "maybe")
    with pytest.raises(UsageError, match="no setting 'themes'") as caught:
        change("themes", "x")
    assert "theme" in caught.value.hint
    assert path.read_text() == 'theme = "a"\n'


def test_files_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    settings_path().mkdir(parents=True)
    with pytest.raises(InputError, match="is a folder"):
        load(environ={})
    path = tmp_path / "config.toml"
    path.write_bytes(b"theme = '\xff'")
    with pytest.raises(InputError, match="not UTF-8"):
        load(path, environ={})
    with pytest.raises(InputError, match="cannot read"):
        load(path / "below" / "config.toml", environ={})
    with pytest.raises(InputError, match="cannot write"):
        change("theme", "x", tmp_path / ("c" * 250 + ".toml"))  # no room for the temporary name


def test_bad_environment_values_name_their_variable() -> None:
    with pytest.raises(UsageError, match=r"\$CLAIF_TUI_MOUSE is 'perhaps': expected true or false"):
        load(environ={"CLAIF_TUI_MOUSE": "perhaps"})


def test_every_setting_is_declared_whole() -> None:
    for setting in SETTINGS:
        assert setting_of(setting.key) is setting
        assert setting.help and setting.expected and setting.env.startswith("CLAIF_TUI_")


def test_credentials_in_a_base_url_of_the_file_are_not_shown() -> None:
    written("[profiles.lab]\nbase_url = 'https://me:hidden-word@h/v1'")
    with pytest.raises(InputError, match="base_url") as caught:
        load(environ={})
    assert "hidden-word" not in caught.value.message + caught.value.hint
