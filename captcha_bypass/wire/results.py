"""The wire format of results: what a task's page had to show."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from captcha_bypass.challenges import Kind
from captcha_bypass.wire.conditions import Condition

#: What came close to a condition, or keeps a page from meeting it.
HintCode = Literal[
    "text_other_case",
    "text_hidden",
    "text_in_attribute",
    "text_in_script",
    "text_in_source",
    "selector_hidden",
    "frame_unreadable",
    "page_loading",
    "page_busy",
    "captcha_widget",
    "no_human_room",
    "human_left",
    "human_timeout",
]


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


class Hint(BaseModel):
    """One reason why a condition does not hold."""

    model_config = ConfigDict(frozen=True)

    code: HintCode
    message: str = Field(description="what it means, in one sentence; nothing of the page's")
    value: str | None = Field(
        None, description="the text or selector of the request that it is about; null: none"
    )


class SharedClearance(BaseModel):
    """What others may be answered with, too: the cookies and the user-agent of a result."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(description="names it in POST /clearances/refused")
    age: float = Field(description="seconds since the browser got it, when the task ended")
    reused: bool = Field(description="true: another task has got it, and no page came with it")


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
    challenge_kind: Kind | None = Field(
        None,
        description="who passes what challenge, block or else solved names: a browser by itself, a "
        "person (human), or nobody (block)",
    )
    unmet: list[Condition] = Field(
        default_factory=list, description="conditions that did not hold at the end; empty: all held"
    )
    hints: list[Hint] = Field(
        default_factory=list, description="why they did not, as far as it can be told"
    )
    failed_requests: dict[str, int] = Field(
        default_factory=dict,
        description="requests of the page that failed, by the code of the error or http_ and status",
    )
    screenshot: str | None = Field(
        None, description="PNG, base64; null if the page moved on meanwhile"
    )
    elapsed: float = Field(description="seconds since a worker took the task")
    clearance: SharedClearance | None = Field(
        None, description="what this result shares with other tasks; null: nothing"
    )
