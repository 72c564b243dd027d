"""What a profile may hold in the settings file, as a pydantic model. Imported only when a file is read."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from claif_tui.core.errors import UsageError
from claif_tui.core.llm.profiles import MAX_CONCURRENCY
from claif_tui.core.llm.refusals import PARAMETERS
from claif_tui.core.llm.transport import normal_base_url

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
Dollars = Annotated[float, Field(ge=0, lt=1_000_000, allow_inf_nan=False)]
NAME = r"^[A-Za-z0-9][A-Za-z0-9._:/\[\]-]{0,99}$"


class ProfileFile(BaseModel):
    """One ``[profiles.NAME]`` table. What is absent keeps the built-in profile's value or the default."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Literal["openai", "litellm", "local"] | None = None
    base_url: Line | None = None
    model: Line | None = None
    api: Literal["chat", "completions"] | None = None
    api_key_env: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    keyring: bool | None = None
    key_file: Line | None = None
    ca_file: Line | None = None
    concurrency: Annotated[int, Field(ge=1, le=MAX_CONCURRENCY)] | None = None
    rpm: Annotated[int, Field(ge=1)] | None = None
    tpm: Annotated[int, Field(ge=1)] | None = None
    price_in: Dollars | None = None
    price_out: Dollars | None = None
    price_as_of: Annotated[str, StringConstraints(pattern=r"^(\d{4}-\d{2}-\d{2})?$")] | None = None
    device: str | None = None
    dtype: Literal["auto", "fp32", "bf16", "fp16"] | None = None
    refused: dict[str, list[Literal[PARAMETERS]]] | None = None  # type: ignore[valid-type]

    @field_validator("base_url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        try:
            return None if value is None else normal_base_url(value)
        except UsageError as error:
            raise ValueError(error.message.removeprefix("--base-url: ")) from None

    @field_validator("device")
    @classmethod
    def _device(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", value):
            raise ValueError("expected auto, cpu, cuda, cuda:N or mps")
        return value

    @field_validator("api_key_env")
    @classmethod
    def _no_key(cls, value: str | None) -> str | None:
        # A key pasted where its variable's name belongs would be stored, and shown.
        if value is not None and value.startswith(("sk_", "sk-", "gsk_", "hf_")):
            raise ValueError("expected the name of an environment variable, not the key itself")
        return value

    def given(self) -> dict[str, Any]:
        """Return the fields that are set, in the types of ``Profile``."""
        fields = {name: value for name, value in self if value is not None}
        if "refused" in fields:
            fields["refused"] = {model: tuple(names) for model, names in fields["refused"].items()}
        return fields
