"""What each layer would say if the model stopped there: the logit lens."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from cutaway.server.arrays import ArraysResponse, answered, with_arrays
from cutaway.server.lab import TheLab
from cutaway.server.routes.lens_common import Asked, about

router = APIRouter(prefix="/lens")
SHOWN_TOKENS = 8


class LayerRow(BaseModel):
    """A place in the model at which one can read the residual stream."""

    name: str
    """As the microscope calls it."""
    label: str
    depth: float
    """Blocks done; half a block after its attention."""


class Layers(BaseModel):
    """What each layer would say; with it come, by row and position, `probability`, `rank` and `kl` of the model's own
    answer, `entropy`, and by candidate `top` (an index into `texts`) and `chance`."""

    tokens: list[str]
    cut: int
    rows: list[LayerRow]
    answers: list[str]
    """The token the whole model puts first, at each position."""
    texts: list[str]
    most: int
    """Candidates of each cell."""
    vocabulary: int


@router.post("/layers", **with_arrays(Layers))
def layers(lab: TheLab, asked: Asked) -> ArraysResponse:
    """Return what each layer would say at every position of a text."""
    from cutaway.lens.logit_lens import logit_lens
    from cutaway.lens.logit_lens_figure import layers_data

    opened = lab.models.open(asked.model)
    with opened.lock, about("prompt"):
        found = logit_lens(opened.model, opened.tokenizer, asked.prompt, SHOWN_TOKENS, include_mid=True)
    return answered(Layers, layers_data(found))
