"""Copying that works over SSH and tmux, and always says where the text went. No screens."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

from claif_tui.core.paths import config_dir

_TOOLS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("WAYLAND_DISPLAY", ("wl-copy",), "wl-copy"),
    ("DISPLAY", ("xclip", "-selection", "clipboard"), "xclip"),
    ("DISPLAY", ("xsel", "--clipboard", "--input"), "xsel"),
)


def local_tool() -> tuple[str, ...] | None:
    """The command of a clipboard tool that can work in this session, or None (over SSH: none)."""
    if os.environ.get("SSH_CONNECTION"):
        return None
    if sys.platform == "darwin" and shutil.which("pbcopy"):
        return ("pbcopy",)
    for variable, command, name in _TOOLS:
        if os.environ.get(variable) and shutil.which(name):
            return command
    return None


async def to_local_tool(text: str) -> str | None:
    """Hand ``text`` to the local clipboard tool; return its name, or None if there is none or it failed."""
    command = local_tool()
    if command is None:
        return None
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        await asyncio.wait_for(process.communicate(text.encode("utf-8", "replace")), timeout=3)
    except (OSError, TimeoutError):
        return None
    return command[0] if process.returncode == 0 else None


def to_file(text: str) -> Path | None:
    """Write ``text`` to a private file as the last resort; None when even that is impossible."""
    path = config_dir() / "copied.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
    except OSError:
        return None
    return path
