"""The lab's application: wiring only. What it answers is in `routes/`, a file a screen."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

from cutaway.base.errors import CutawayError, RunError, TraceError, UsageError
from cutaway.server.lab import Lab
from cutaway.server.routes import (
    chat,
    completions,
    frame,
    generate,
    generate_speed,
    home,
    lens_cause,
    lens_look,
    login,
    microscope,
    models,
    paint,
    playground,
    training,
    voice,
    voice_change,
    voice_export,
    voice_improve,
    voice_report,
)
from cutaway.server.safety import Access
from cutaway.server.streams import BusyError

APP_FILES = Path(__file__).parent / "app_files"
"""The web app as built by `web/`; a wheel holds it."""
NOT_BUILT = "the web app is not built: `make web` builds it (it brings its own Node where there is none)"


class Refusal(BaseModel):
    """What the lab answers instead of what was asked for."""

    error: str
    """One line: what was given, what was expected, what to do."""
    field: str = ""
    """The setting it is about, if one."""


def create_app(lab: Lab, access: Access | None = None) -> FastAPI:
    """Return the application of a lab, without the checks of who asks (`safety.protected` puts them before it)."""
    app = FastAPI(title="Cutaway", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    app.state.lab = lab
    app.state.access = access or Access()
    for routes in (
        chat,
        frame,
        home,
        login,
        playground,
        training,
        microscope,
        models,
        generate,
        generate_speed,
        lens_look,
        lens_cause,
        paint,
        voice,
        voice_change,
        voice_export,
        voice_improve,
        voice_report,
    ):
        app.include_router(routes.router, prefix="/api", responses={400: {"model": Refusal}})
    app.include_router(completions.router)
    app.add_exception_handler(CutawayError, refuse)
    app.add_exception_handler(RequestValidationError, refuse_request)
    app.add_exception_handler(Exception, refuse_mistake)
    app.add_api_route("/api/{path:path}", nothing_here, methods=["GET", "POST", "DELETE"], include_in_schema=False)
    if APP_FILES.is_dir():
        app.mount("/assets", StaticFiles(directory=APP_FILES / "assets"))
    app.add_api_route(
        "/{path:path}", page if lab.offered is None else visitors_page, methods=["GET"], include_in_schema=False
    )
    return app


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """While the lab runs: look after the jobs that an earlier one left."""
    lab: Lab = app.state.lab
    if lab.offered is None:  # else it only answers visitors
        lab.jobs.start()
    yield
    lab.events.close()
    lab.streams.close()
    lab.jobs.close()


def refuse(request: Request, error: Exception) -> JSONResponse:
    """Answer with the one line of an error the person can mend."""
    said = Refusal(error=" ".join(str(error).split()), field=getattr(error, "field", ""))
    return JSONResponse(said.model_dump(), status_of(error))


def status_of(error: Exception) -> int:
    """Return the HTTP status of an error the person can mend."""
    if isinstance(error, RunError | TraceError):
        return 404
    if isinstance(error, BusyError):
        return 503
    return 400 if isinstance(error, UsageError) else 422


def refuse_request(request: Request, error: Exception) -> JSONResponse:
    """Answer a request whose form is wrong with the first thing that is wrong."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    return JSONResponse(Refusal(error=f"{place}: {first['msg']}", field=place).model_dump(), 400)


def refuse_mistake(request: Request, error: Exception) -> JSONResponse:
    """Answer what should not have happened; the traceback is in the terminal."""
    said = f"the lab made a mistake ({type(error).__name__}: {error}); the terminal it runs in says more"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        said = "the disk is full, so this could not be done; free some room and try again"
    return JSONResponse(Refusal(error=" ".join(said.split())).model_dump(), 500)


def nothing_here(path: str) -> JSONResponse:
    """Answer a question the lab does not know."""
    return JSONResponse(Refusal(error=f"the lab knows no /api/{path}").model_dump(), 404)


def page(path: str) -> Response:
    """Return one of the app's files; every other address is a screen of the one page."""
    return _file(path, "index.html")


def visitors_page(path: str) -> Response:
    """Return the page of a lab that only answers visitors."""
    return _file(path, "chat.html")


def _file(path: str, otherwise: str) -> Response:
    if not (APP_FILES / otherwise).is_file():
        return PlainTextResponse(f"{NOT_BUILT}\n", 503)
    ours = {file.name for file in APP_FILES.iterdir() if file.is_file() and file.suffix != ".html"}
    return FileResponse(APP_FILES / (path if path in ours else otherwise))
