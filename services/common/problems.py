"""Errors as RFC 9457 problem details; never a stack trace."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

import httpx
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException as StarletteHTTPException

log = logging.getLogger("uvicorn.error")
MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """A problem, as in RFC 9457."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    instance: str = ""


class Refused(HTTPException):
    """An error response with problem details.

    Args:
        status: the HTTP status.
        detail: the explanation for the caller.
        headers: headers of the response.
    """

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)


def describe(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of an operation for OpenAPI."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Respond to every error of an app with a problem, and describe problems in its OpenAPI."""
    app.add_exception_handler(StarletteHTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(httpx.HTTPError, _sidecar_failed)
    for kind in (DBAPIError, PoolTimeout, OSError):
        app.add_exception_handler(kind, _database_failed)
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        described = plain()
        schemas = described.setdefault("components", {}).setdefault("schemas", {})
        schemas.setdefault("Problem", Problem.model_json_schema())
        # FastAPI's own format for a 422, which is never sent.
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for path in described["paths"].values():
            for operation in path.values():
                # 400: a body that is not text.
                always = (400, 422, 503) if "requestBody" in operation else (422, 503)
                described_always = describe(*always).items()
                operation["responses"].update({str(code): body for code, body in described_always})
        return described

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def answer(
    request: Request, status: int, detail: str, headers: Any = None, **more: Any
) -> JSONResponse:
    """A problem as a response."""
    problem = Problem(
        title=HTTPStatus(status).phrase, status=status, detail=detail, instance=request.url.path,
        **more,
    )  # fmt: skip
    return JSONResponse(problem.model_dump(), status, headers, media_type=MEDIA_TYPE)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StarletteHTTPException)
    return answer(request, error.status_code, str(error.detail), error.headers)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # Without the input itself, which may be long or secret.
    errors = [
        {"at": "/".join(str(part) for part in each["loc"]), "says": each["msg"]}
        for each in error.errors()
    ]
    return answer(request, 422, "the request is not what is described", errors=errors)


async def _sidecar_failed(request: Request, error: Exception) -> JSONResponse:
    log.warning("the sidecar failed: %r", error)
    return answer(request, 503, "the sidecar does not do its part now", {"retry-after": "1"})


async def _database_failed(request: Request, error: Exception) -> JSONResponse:
    log.warning("the database failed: %r", error)
    return answer(request, 503, "the database does not answer now", {"retry-after": "1"})
