"""Questions to a model: where does it look, what would each layer say, which part made it say that?"""

from cutaway.lens.ablate import Ablation, ablate
from cutaway.lens.attention import Attention, attention
from cutaway.lens.attribution import Attribution, attribute
from cutaway.lens.kinds import HeadKinds, head_kinds
from cutaway.lens.patch import Patching, patch

__all__ = [
    "Ablation",
    "Attention",
    "Attribution",
    "HeadKinds",
    "Patching",
    "ablate",
    "attention",
    "attribute",
    "head_kinds",
    "patch",
]
