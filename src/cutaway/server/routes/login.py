"""Giving the password of a lab that has one."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from cutaway.server.routes.frame import Done
from cutaway.server.safety import Access

router = APIRouter()


class Password(BaseModel):
    """What was typed."""

    password: str


@router.post("/login")
def log_in(request: Request, response: Response, given: Password) -> Done:
    """Begin a session."""
    access: Access = request.app.state.access
    if access.sessions:
        address = request.client.host if request.client else "unknown"
        response.headers["set-cookie"] = access.sessions.log_in(given.password, address)
    return Done()


@router.post("/logout")
def log_out(request: Request, response: Response) -> Done:
    """End the session."""
    access: Access = request.app.state.access
    if access.sessions:
        response.headers["set-cookie"] = access.sessions.log_out(request.headers.get("cookie", ""))
    return Done()
