"""Questions to a model: where does it look, what would each layer say, which part made it say that?"""

from cutaway.lens.attention import Attention, attention
from cutaway.lens.attribution import Attribution, attribute
from cutaway.lens.kinds import HeadKinds, head_kinds

__all__ = [
    "Attention",
    "Attribution",
    "HeadKinds",
    "attention",
    "attribute",
    "head_kinds",
]
