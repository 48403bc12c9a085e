"""What each layer would say if the model stopped there: the logit lens."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from cutaway.server.arrays import ArraysResponse, with_arrays
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
    import numpy as np

    from cutaway.lens.logit_lens import logit_lens

    opened = lab.models.open(asked.model)
    with opened.lock, about("prompt"):
        found = logit_lens(opened.model, opened.tokenizer, asked.prompt, SHOWN_TOKENS, include_mid=True)
    ids, index = np.unique(found.top_ids_NTK.numpy(), return_inverse=True)
    meta = Layers(
        tokens=list(found.prompt.pieces),
        cut=found.prompt.cut,
        rows=[layer_row(place) for place in found.places],
        answers=list(found.final_pieces),
        texts=[opened.tokenizer.token_text(int(one)) for one in ids],
        most=found.top_ids_NTK.shape[2],
        vocabulary=opened.model.lm_head.out_features,
    )
    arrays = {
        "top": index.reshape(found.top_ids_NTK.shape).astype(np.int32),
        "chance": found.top_probability_NTK.numpy(),
        "probability": found.final_probability_NT.numpy(),
        "rank": found.final_rank_NT.numpy().astype(np.int32),
        "kl": found.kl_NT.numpy(),
        "entropy": found.entropy_NT.numpy(),
        "next": found.next_probability_NT.numpy(),
    }
    return ArraysResponse(meta, arrays)


def layer_row(place: str) -> LayerRow:
    """Return what a place of the residual stream is called on the screen."""
    if place == "embed":
        return LayerRow(name=place, label="embedding", depth=0)
    block = int(place.split(".")[1])
    is_mid = place.endswith("resid_mid")
    return LayerRow(
        name=place, label=f"{block} {'attention' if is_mid else 'MLP'}", depth=block + (0.5 if is_mid else 1)
    )
