"""The lab's application: wiring only. What it answers is in `routes/`, a file a screen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

from cutaway.base.errors import CutawayError, RunError, TraceError, UsageError
from cutaway.server.lab import Lab
from cutaway.server.routes import frame, microscope, playground, training

APP_FILES = Path(__file__).parent / "app_files"
"""The web app as built by `web/`; a wheel holds it."""


class Refusal(BaseModel):
    """What the lab answers instead of what was asked for."""

    error: str
    """One line: what was given, what was expected, what to do."""
    field: str = ""
    """The setting it is about, if one."""


def create_app(lab: Lab) -> FastAPI:
    """Return the application of a lab."""
    app = FastAPI(title="Cutaway", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    app.state.lab = lab
    for routes in (frame, playground, training, microscope):
        app.include_router(routes.router, prefix="/api", responses={400: {"model": Refusal}})
    app.add_exception_handler(CutawayError, refuse)
    app.add_exception_handler(RequestValidationError, refuse_request)
    if APP_FILES.is_dir():
        app.mount("/assets", StaticFiles(directory=APP_FILES / "assets"))
        app.add_api_route("/{path:path}", page, methods=["GET"], include_in_schema=False)
    return app


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """While the lab runs: look after the jobs that an earlier one left."""
    lab: Lab = app.state.lab
    lab.jobs.start()
    yield
    lab.events.close()
    lab.jobs.close()


def refuse(request: Request, error: Exception) -> JSONResponse:
    """Answer with the one line of an error the person can mend."""
    status = 404 if isinstance(error, RunError | TraceError) else 400 if isinstance(error, UsageError) else 422
    return JSONResponse(
        Refusal(error=" ".join(str(error).split()), field=getattr(error, "field", "")).model_dump(), status
    )


def refuse_request(request: Request, error: Exception) -> JSONResponse:
    """Answer a request whose form is wrong with the first thing that is wrong."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    return JSONResponse(Refusal(error=f"{place}: {first['msg']}", field=place).model_dump(), 400)


def page(path: str) -> FileResponse:
    """Return one of the app's files; every other address is a screen of the one page."""
    file = APP_FILES / path
    is_ours = "/" not in path and file.is_file()
    return FileResponse(file if is_ours else APP_FILES / "index.html")
