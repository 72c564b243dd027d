"""Sending prepared folders to the Hugging Face Hub through its own library, which alone knows the token."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from typing import Any

from claif_tui.core.errors import ClaifError, MissingExtraError, UsageError
from claif_tui.core.publish import Prepared


class HubError(ClaifError):
    """The Hub refused, or could not be reached."""

    exit_code = 1
    title = "Hub"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """Where a folder went; ``public`` is how the repository is, which may have been there before."""

    type: str
    repo: str
    url: str
    commit: str
    public: bool


class Hub:
    """The Hub as the user is logged in there. Raises ``MissingExtraError`` without the library, ``HubError`` else."""

    def __init__(self) -> None:
        try:
            library: Any = importlib.import_module("huggingface_hub")
            self._utils: Any = importlib.import_module("huggingface_hub.utils")
            self._errors: Any = importlib.import_module("huggingface_hub.errors")
        except ImportError:
            raise MissingExtraError(
                "pushing to the Hub needs an extra", "pip install 'claif-tui[hub]'"
            ) from None
        self._utils.disable_progress_bars()
        self._api: Any = library.HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
        if library.get_token() is None:
            raise HubError("nobody is logged in at the Hub", "Log in with: hf auth login, or set HF_TOKEN.")

    @property
    def address(self) -> str:
        """Where the Hub is."""
        return str(self._api.endpoint)

    def repo_id(self, wish: str, name: str) -> str:
        """Return OWNER/NAME of what was asked for; without an owner it is who is logged in. Asks the Hub then."""
        repo = wish or name
        if "/" not in repo:
            owner = self._told("asking who is logged in", self._api.whoami)
            repo = f"{owner['name']}/{repo}"
        try:
            self._utils.validate_repo_id(repo)
        except ValueError as error:
            raise UsageError(
                f"{repo!r} is no name of a repository: {str(error)[:200]}", "As in me/my-data."
            ) from None
        return repo

    def push(self, folder: Prepared, repo: str, *, public: bool) -> Pushed:
        """Make the repository if it is not there, and commit the folder's files to it; blocks while they are sent.

        A repository that is public already is refused unless ``public``. Files that are there and not in the folder
        stay there.
        """
        before = self._told(f"looking for {repo}", self._private, repo, folder.type)
        if before is False and not public:
            raise UsageError(
                f"{folder.type} {repo} is there already and is public",
                "Add --public to publish to it, or name another.",
            )
        if before is None:
            self._told(
                f"making {folder.type} {repo}",
                self._api.create_repo,
                repo,
                repo_type=folder.type,
                private=not public,
                exist_ok=False,
            )
        done = self._told(
            f"sending {folder.path.name} to {repo}",
            self._api.upload_folder,
            repo_id=repo,
            repo_type=folder.type,
            folder_path=str(folder.path),
            allow_patterns=[name for name, _ in folder.files],
            commit_message=f"Publish {folder.type} of {folder.source} with claif-tui",
        )
        kind = "datasets/" if folder.type == "dataset" else ""
        return Pushed(
            type=folder.type,
            repo=repo,
            url=f"{self.address}/{kind}{repo}",
            commit=str(done.oid),
            public=public if before is None else not before,
        )

    def _private(self, repo: str, kind: str) -> bool | None:
        """Whether a repository is private; None where there is none."""
        try:
            return bool(self._api.repo_info(repo, repo_type=kind).private)
        except self._errors.RepositoryNotFoundError as error:
            if getattr(error.response, "status_code", None) == 401:
                raise
            return None

    def _told(self, what: str, work: Any, *words: Any, **options: Any) -> Any:
        try:
            return work(*words, **options)
        except self._errors.HfHubHTTPError as error:
            code = getattr(error.response, "status_code", 0)
            said = str(getattr(error, "server_message", None) or "").strip()[:300]
            hints = {
                401: "The token is not valid there: hf auth login, or another HF_TOKEN.",
                403: "The token may not write there: make one with write access.",
                409: "It is there already: name another with --to-hub OWNER/NAME.",
            }
            raise HubError(
                f"{what}: {self.address} answers {code}{f': {said}' if said else ''}",
                hints.get(code, "Try again; what was prepared is still there."),
            ) from None
        except ClaifError:
            raise
        except (OSError, ValueError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0][:300] or type(error).__name__
            raise HubError(
                f"{what}: {reason}", "Check the connection; what was prepared is still there."
            ) from None
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in (
                "httpx",
                "httpx2",
                "httpcore",
                "requests",
                "hf_xet",
            ):
                raise
            reason = str(error).strip().partition("\n")[0][:300] or type(error).__name__
            raise HubError(
                f"{what}: {self.address} cannot be reached: {reason}",
                "Check the connection; what was prepared is still there.",
            ) from None
