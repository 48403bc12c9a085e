"""`/v1`: the lab's models for programs that know OpenAI's interface.

/v1/models   /v1/completions   /v1/chat/completions
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from cutaway.base.errors import CutawayError, RunError, UsageError
from cutaway.server.completion_asked import ChatAsked, TextAsked
from cutaway.server.completion_told import ChatShape, Shape, error_of, sent, told_error, wrong_body
from cutaway.server.completion_work import Encoder, Plan, plan_chat, plan_text, write
from cutaway.server.lab import Lab, TheLab
from cutaway.server.model_places import ModelFacts
from cutaway.server.models import Opened
from cutaway.server.routes.chat import check_offered, person
from cutaway.server.streams import Writer

DONE = b"data: [DONE]\n\n"


class TheirRoute(APIRoute):
    """A route whose errors have OpenAI's form."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, its errors caught."""
        handle = super().get_route_handler()

        async def caught(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                return JSONResponse(wrong_body(error), 400)
            except CutawayError as error:
                status, body = error_of(error)
                return JSONResponse(body, status)

        return caught


router = APIRouter(prefix="/v1", route_class=TheirRoute, include_in_schema=False)


@router.get("/models")
def models(lab: TheLab) -> dict[str, Any]:
    """Return the models that can be opened."""
    there = [
        facts for facts in lab.models.list() if not facts.problem and (lab.offered is None or facts.name in lab.offered)
    ]
    return {"object": "list", "data": [model_told(facts) for facts in there]}


@router.get("/models/{name:path}")
def model(lab: TheLab, name: str) -> dict[str, Any]:
    """Return one model."""
    return model_told(found(lab, name))


@router.post("/completions")
async def completions(lab: TheLab, request: Request, asked: TextAsked) -> Response:
    """Continue texts."""
    shape = Shape(asked.model, asked.logprobs is not None)
    return await answer(lab, request, asked, shape, lambda opened: plan_text(asked, opened), len(asked.prompts()))


@router.post("/chat/completions")
async def chat_completions(lab: TheLab, request: Request, asked: ChatAsked) -> Response:
    """Answer the last message of a conversation."""
    shape = ChatShape(asked.model, bool(asked.logprobs))
    return await answer(lab, request, asked, shape, lambda opened: plan_chat(asked, opened))


@router.api_route("/{path:path}", methods=["GET", "POST", "PUT", "DELETE", "PATCH"])
def nothing_here(path: str) -> Response:
    """Answer what this lab does not know."""
    said = f"this lab has no /v1/{path}; it has /v1/models, /v1/completions and /v1/chat/completions"
    return JSONResponse(told_error(said, "invalid_request_error", "unknown_url"), 404)


async def answer(
    lab: Lab,
    request: Request,
    asked: TextAsked | ChatAsked,
    shape: Shape,
    plan: Callable[[Opened], Plan],
    n_texts: int = 1,
) -> Response:
    """Do the work and return its answer, whole or as it comes."""

    def work(writer: Writer) -> Any:
        found(lab, asked.model)
        opened = lab.models.open(asked.model)
        told, counts = write(opened, plan(opened), writer)
        if asked.includes_usage:
            writer.put(counts)
        return told, counts

    if asked.stream:
        encoder = Encoder(shape, n_texts * asked.n_samples)
        return await lab.streams.answer(
            request, work, encoder, lambda error: sent(error_of(error)[1]), DONE, person(request)
        )
    result = await lab.streams.start(work, person(request)).all(request)
    if result is None:
        return Response(status_code=204)  # nobody is there to read it
    return JSONResponse(shape.whole(*result))


def found(lab: Lab, name: str) -> ModelFacts:
    """Return the facts of a model.

    Raises:
        RunError: there is none of this name, or its name cannot be one.
    """
    check_offered(lab, name)
    try:
        return lab.models.facts(name)
    except UsageError as error:
        raise RunError(f"there is no model {name!r}: {error}") from None


def model_told(facts: ModelFacts) -> dict[str, Any]:
    """Return a model in OpenAI's form, and what else there is to say about it."""
    others = facts.model_dump(include={"kind", "family", "parameters", "context_length", "tokenizer"})
    return {"id": facts.name, "object": "model", "created": int(facts.changed), "owned_by": "cutaway", **others}
