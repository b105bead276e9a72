"""The OpenAPI description: the operations, and the schemas that are generated from the models."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

from pydantic.json_schema import models_json_schema

from captcha_bypass import __version__
from captcha_bypass.api.native.answers import (
    ErrorAnswer,
    EvidenceAnswer,
    FetchAnswer,
    FetchErrorAnswer,
    Health,
    Live,
    RefusedAnswer,
    RefusedClearance,
    RemoveAnswer,
    SessionsAnswer,
    SolveAnswer,
    TaskView,
    Unavailable,
)
from captcha_bypass.api.native.operations import REF, paths
from captcha_bypass.config import Config
from captcha_bypass.wire.fetch import FetchRequest
from captcha_bypass.wire.models import SolveRequest

#: Asked for only where the service has keys, so none is one of the ways.
_SECURITY: list[dict[str, list[str]]] = [{}, {"bearer": []}, {"header": []}]


def document(max_timeout: float = Config.model_fields["max_timeout"].default) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a service with that `--max-timeout` as a JSON dict."""
    schemas = deepcopy(_schemas())
    for name in ("SolveRequest", "FetchRequest"):
        schemas[name]["properties"]["timeout"]["maximum"] = max_timeout
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "captcha-bypass",
            "version": __version__,
            "description": "Opens pages behind browser checks in a real browser.",
        },
        "security": _SECURITY,
        "paths": paths(),
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


@cache
def _schemas() -> dict[str, Any]:
    """Return the models' schemas by name; they are the same in each service."""
    answers = (
        *(SolveAnswer, TaskView, RemoveAnswer, EvidenceAnswer, SessionsAnswer),
        *(FetchAnswer, FetchErrorAnswer, RefusedAnswer),
        *(Health, Unavailable, Live, ErrorAnswer),
    )
    _, schemas = models_json_schema(
        [
            (SolveRequest, "validation"),
            (FetchRequest, "validation"),
            (RefusedClearance, "validation"),
            *((model, "validation") for model in answers),
        ],
        ref_template=REF,
    )
    definitions: dict[str, Any] = schemas["$defs"]
    return definitions
