"""Questions to a model: where does it look, what would each layer say, which part made it say that?"""

from cutaway.lens.ablate import Ablation, ablate
from cutaway.lens.attention import Attention, TracedAttention, attention, of_trace
from cutaway.lens.attribution import Attribution, attribute
from cutaway.lens.induction import InductionScan, induction
from cutaway.lens.kinds import HeadKinds, head_kinds
from cutaway.lens.logit_lens import LogitLens, logit_lens
from cutaway.lens.patch import Patching, patch
from cutaway.lens.surprisal import Comparison, Surprisal, compare, surprisal

__all__ = [
    "Ablation",
    "Attention",
    "Attribution",
    "Comparison",
    "HeadKinds",
    "InductionScan",
    "LogitLens",
    "Patching",
    "Surprisal",
    "TracedAttention",
    "ablate",
    "attention",
    "attribute",
    "compare",
    "head_kinds",
    "induction",
    "logit_lens",
    "of_trace",
    "patch",
    "surprisal",
]
