"""The wire format of results: what a task's page had to show."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ResultCookie(BaseModel):
    """A cookie of the browser's context."""

    model_config = ConfigDict(extra="allow")

    name: str
    value: str = Field(repr=False)
    domain: str
    path: str
    expires: float = Field(description="epoch seconds; -1 for session cookies")
    httpOnly: bool
    secure: bool
    sameSite: Literal["Strict", "Lax", "None"]


class Solution(BaseModel):
    """What the browser shows when the conditions hold or the time is up."""

    model_config = ConfigDict(frozen=True)

    cookies: list[ResultCookie] = Field(default_factory=list)
    headers: dict[str, str] = Field(
        default_factory=dict, description="of the document now shown; names in lower case"
    )
    status_code: int | None = Field(
        None, description="null: no document arrived in time, or a script made the one now shown"
    )
    html: str = ""
    url: str
    timeout_reached: bool
    user_agent: str | None = None
    request_headers: dict[str, str] = Field(default_factory=dict)
    challenge: str | None = Field(None, description="vendor, if the page is still a challenge")
    solved: str | None = Field(None, description="vendor of a challenge that was met and is gone")
    block: str | None = Field(None, description="vendor, if the page refuses the visitor")
    screenshot: str | None = Field(
        None, description="PNG, base64; null if the page moved on meanwhile"
    )
    elapsed: float = Field(description="seconds since a worker took the task")
