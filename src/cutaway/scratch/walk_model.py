"""The smallest useful transformer, as nineteen stages that can be run one at a time.

    words -> rows -> norm -> q, k, v -> scores -> softmax -> mixture -> + -> norm -> MLP -> + -> norm -> logits -> loss

A stage names what it reads, computes what it makes with the operations of ops.py, and gives every result a name, so that a
check can run a stage alone, or run the rest of the model with one number changed. It is GPT-2's block (Radford et al.
2019) with the exact GELU and an untied head. Look at `scores`, `mask` and `mixture`: that is all of attention.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from cutaway.scratch.array import Array, embedding, layer_norm, where
from cutaway.scratch.layers import Linear, draw
from cutaway.scratch.ops import FloatArray

VOCABULARY = ("<bos>", "<eos>", "<unk>", "I", "like", "transformers")
SENTENCE = "I like transformers"


def tokenize(sentence: str) -> list[int]:
    """Return the number of each word, between those of the beginning and the end."""
    words = ["<bos>", *sentence.split(), "<eos>"]
    return [VOCABULARY.index(word if word in VOCABULARY else "<unk>") for word in words]


TOKENS, TARGETS = tokenize(SENTENCE)[:-1], tokenize(SENTENCE)[1:]
T, C, H, F, V = len(TOKENS), 16, 2, 64, len(VOCABULARY)
D = C // H
EPS = 1e-5

SIZES = {"T": T, "S": T, "C": C, "H": H, "D": D, "F": F, "V": V}
"""The length of each axis: positions, positions read, width, heads, width of a head, width of the MLP, words."""

WEIGHTS = {
    "token_embedding.weight": "VC",
    "position_embedding.weight": "TC",
    "attn_norm.weight": "C",
    "attn_norm.bias": "C",
    "q_proj.weight": "CC",
    "q_proj.bias": "C",
    "k_proj.weight": "CC",
    "k_proj.bias": "C",
    "v_proj.weight": "CC",
    "v_proj.bias": "C",
    "o_proj.weight": "CC",
    "o_proj.bias": "C",
    "mlp_norm.weight": "C",
    "mlp_norm.bias": "C",
    "up_proj.weight": "FC",
    "up_proj.bias": "F",
    "down_proj.weight": "CF",
    "down_proj.bias": "C",
    "final_norm.weight": "C",
    "final_norm.bias": "C",
    "lm_head.weight": "VC",
}
"""Every weight and its axes."""


def axes(name: str) -> str:
    """Return the axes of a weight or an intermediate, or of what is called `d` or `m` or ... of one."""
    owner = name.rpartition(" ")[2]
    suffix = owner.rpartition("_")[2]
    return WEIGHTS.get(owner, suffix if suffix.isupper() else "")


def draw_weights(generator: np.random.Generator) -> dict[str, Array]:
    """Return weights that leave nothing trivial: no offset is 0 and no gain is 1, as they would be at a real start."""
    weights = {}
    for name, letters in WEIGHTS.items():
        shape = tuple(SIZES[axis] for axis in letters)
        weights[name] = draw(shape, 0.3 if len(shape) == 2 else 0.1, generator, name)
        if name.endswith("norm.weight"):
            weights[name].data += 1
    return weights


class Numbers(dict[str, Array]):
    """Weights and intermediates by name.

    Args:
        known: what there is before the first stage to be run.
        fixed: names that keep the value they have: how a check replaces an intermediate.
    """

    def __init__(self, known: Mapping[str, Array], fixed: Collection[str] = ()) -> None:
        super().__init__(known)
        self.fixed = fixed

    def keep(self, name: str, made: Array) -> Array:
        """Give a result its name and return it, or return what stands in for it."""
        if name not in self.fixed:
            self[name] = made
        return self[name]

    def linear(self, name: str, x: Array) -> Array:
        """Return x W^T + b, with the weights of this name."""
        return Linear(self[f"{name}.weight"], self.get(f"{name}.bias"))(x)

    def __call__(self, name: str) -> FloatArray:
        """Return the plain numbers of x, or for `d x` those of its gradient."""
        if not name.startswith("d "):
            return self[name].data
        gradient = self[name[2:]].grad
        assert gradient is not None
        return gradient


@dataclass(frozen=True)
class Stage:
    """One step of the model: from the names it reads to those it makes."""

    name: str
    reads: tuple[str, ...]
    run: Callable[[Numbers], object]


def embed(n: Numbers) -> None:
    """Look up a row for each word and a row for each position, and add them."""
    token_rows = n.keep("token_rows_TC", embedding(n["token_embedding.weight"], TOKENS))
    position_rows = n.keep("position_rows_TC", embedding(n["position_embedding.weight"], range(T)))
    n.keep("resid_pre_TC", token_rows + position_rows)


def norm(name: str, source: str) -> Stage:
    """Centre and scale each row, then apply a learned gain and offset."""

    def run(n: Numbers) -> None:
        x = n[source]
        mean = n.keep(f"{name}_mean_T", x.mean(-1))  # these two are for the reader: layer_norm has its own
        n.keep(f"{name}_deviation_T", (((x - mean.reshape(T, 1)) ** 2).mean(-1) + EPS).sqrt())
        standard = n.keep(f"{name}_standard_TC", layer_norm(x, EPS))
        n.keep(f"{name}_TC", standard * n[f"{name}.weight"] + n[f"{name}.bias"])

    return Stage(name, (source, f"{name}.weight", f"{name}.bias"), run)


def project(n: Numbers) -> None:
    """Make a query, a key and a value of each position."""
    for name in "qkv":
        n.keep(f"{name}_TC", n.linear(f"{name}_proj", n["attn_norm_TC"]))


def split(n: Numbers) -> None:
    """Give each head its own part of the width."""
    for whole, parts in (("q_TC", "q_HTD"), ("k_TC", "k_HSD"), ("v_TC", "v_HSD")):
        n.keep(parts, n[whole].reshape(T, H, D).transpose(1, 0, 2))


def scores(n: Numbers) -> None:
    """Compare each query with each key of its head."""
    n.keep("scores_HTS", n["q_HTD"] @ n["k_HSD"].transpose() / math.sqrt(D))


def mask(n: Numbers) -> None:
    """Forbid to read what comes later."""
    n.keep("masked_HTS", where(np.tri(T, dtype=bool), n["scores_HTS"], -np.inf))


def softmax(source: str, out: str) -> Stage:
    """Turn numbers into shares."""
    return Stage(out.partition("_")[0], (source,), lambda n: n.keep(out, n[source].softmax()))


def mixture(n: Numbers) -> None:
    """Mix the values by the pattern."""
    n.keep("z_HTD", n["pattern_HTS"] @ n["v_HSD"])


def merge(n: Numbers) -> None:
    """Lay the heads side by side again, and mix what they found."""
    z = n.keep("z_TC", n["z_HTD"].transpose(1, 0, 2).reshape(T, C))
    n.keep("attn_out_TC", n.linear("o_proj", z))


def linear(name: str, source: str, out: str) -> Stage:
    """Weigh and add."""
    weights = tuple(weight for weight in WEIGHTS if weight.startswith(name))
    return Stage(name, (source, *weights), lambda n: n.keep(out, n.linear(name, n[source])))


def add(stream: str, addition: str, out: str) -> Stage:
    """Add to the residual stream."""
    return Stage(out.removesuffix("_TC"), (stream, addition), lambda n: n.keep(out, n[stream] + n[addition]))


def loss(n: Numbers) -> None:
    """Look how probable the words that really came were."""
    picked = n.keep("picked_T", n["probabilities_TV"][np.arange(T), TARGETS])
    n.keep("loss", n.keep("losses_T", -picked.log()).mean())


STAGES = (
    Stage("embeddings", ("token_embedding.weight", "position_embedding.weight"), embed),
    norm("attn_norm", "resid_pre_TC"),
    Stage("qkv", ("attn_norm_TC", *(f"{x}_proj.{part}" for x in "qkv" for part in ("weight", "bias"))), project),
    Stage("split", ("q_TC", "k_TC", "v_TC"), split),
    Stage("scores", ("q_HTD", "k_HSD"), scores),
    Stage("mask", ("scores_HTS",), mask),
    softmax("masked_HTS", "pattern_HTS"),
    Stage("mixture", ("pattern_HTS", "v_HSD"), mixture),
    Stage("merge", ("z_HTD", "o_proj.weight", "o_proj.bias"), merge),
    add("resid_pre_TC", "attn_out_TC", "resid_mid_TC"),
    norm("mlp_norm", "resid_mid_TC"),
    linear("up_proj", "mlp_norm_TC", "mlp_pre_TF"),
    Stage("gelu", ("mlp_pre_TF",), lambda n: n.keep("mlp_post_TF", n["mlp_pre_TF"].gelu())),
    linear("down_proj", "mlp_post_TF", "mlp_out_TC"),
    add("resid_mid_TC", "mlp_out_TC", "resid_post_TC"),
    norm("final_norm", "resid_post_TC"),
    linear("lm_head", "final_norm_TC", "logits_TV"),
    softmax("logits_TV", "probabilities_TV"),
    Stage("loss", ("probabilities_TV",), loss),
)
"""The whole model, in order."""


def run(numbers: Numbers, stages: Iterable[Stage] = STAGES) -> Array:
    """Run stages on what there is, and return the loss."""
    for stage in stages:
        stage.run(numbers)
    return numbers["loss"]
