"""Attribution, ablation and patching beside transformer_lens, on the same random GPT-2 and Llama."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from cutaway.lens.ablate import ablate, scan
from cutaway.lens.attribution import attribute
from cutaway.lens.patch import patch
from cutaway.models.decoder import Decoder
from lens.peers import TOKENIZER, both_sides, prompt

CLEAN = [3, 1, 4, 1, 5, 9, 2, 6, 5]
CORRUPTED = [3, 1, 7, 1, 5, 8, 2, 6, 5]
ANSWER, OTHER = 17, 4
NEAR = {"atol": 1e-5, "rtol": 0}

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def sides(request: pytest.FixtureRequest) -> tuple[Decoder, Any]:
    """With their weights as they are: the same activations as ours."""
    return both_sides(request.param, no_processing=True)


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def folded(request: pytest.FixtureRequest) -> tuple[Decoder, Any]:
    """With norms folded into weights, which their attribution expects."""
    return both_sides(request.param, fold_value_biases=False)


def metric(logits: Tensor) -> Tensor:
    return logits[0, -1, ANSWER] - logits[0, -1, OTHER]


@torch.no_grad()
def test_attribution(folded: tuple[Decoder, Any]) -> None:
    ours, theirs = folded
    _, cache = theirs.run_with_cache(torch.tensor([CLEAN]))
    found = attribute(ours, TOKENIZER, prompt(CLEAN), ANSWER, OTHER)
    assert found.logit == pytest.approx(float(metric(theirs(torch.tensor([CLEAN])))), abs=1e-5)

    def shares(stack: Tensor) -> Tensor:
        return cache.logit_attrs(stack, tokens=ANSWER, incorrect_tokens=OTHER, pos_slice=-1).flatten()

    cache.compute_head_results()
    heads = shares(cache.stack_head_results(layer=-1, pos_slice=-1))
    torch.testing.assert_close(heads.double(), found.heads_LH.flatten(), **NEAR)
    stack, labels = cache.decompose_resid(layer=-1, mode="all", pos_slice=-1, return_labels=True)
    mine = dict.fromkeys(labels, 0.0)
    for term in found.terms:
        if term.kind == "embedding":
            mine[{"token": "embed", "position": "pos_embed"}[term.name]] += term.value
        elif term.layer is not None:
            mine[f"{term.layer}_{'mlp' if term.name.startswith('mlp') else 'attn'}_out"] += term.value
    torch.testing.assert_close(shares(stack).double(), torch.tensor(list(mine.values()), dtype=torch.float64), **NEAR)
    units = cache.stack_neuron_results(layer=-1, pos_slice=-1)
    torch.testing.assert_close(shares(units).double(), found.neurons_LF.flatten(), **NEAR)


@torch.no_grad()
@pytest.mark.parametrize("by", ["zero", "mean"])
def test_ablation(sides: tuple[Decoder, Any], by: str) -> None:
    ours, theirs = sides
    tokens = torch.tensor([CLEAN])
    found = scan(ours, TOKENIZER, prompt(CLEAN), ANSWER, OTHER, by=by)

    def instead(part: Tensor) -> Tensor | float:
        return 0.0 if by == "zero" else part.mean(1, keepdim=True)

    def their(name: str, index: tuple[Any, ...]) -> Tensor:
        def hook(value: Tensor, hook: Any) -> Tensor:
            value = value.clone()
            value[index] = instead(value[index])
            return value

        return theirs.run_with_hooks(tokens, fwd_hooks=[(name, hook)])

    everything = slice(None)
    for layer in range(3):
        for head in range(4):
            logits = their(f"blocks.{layer}.attn.hook_z", (everything, everything, head))
            assert float(found.heads_logit_LH[layer, head]) == pytest.approx(float(metric(logits)), abs=1e-5)
            loss = torch.nn.functional.cross_entropy(logits[0, :-1], tokens[0, 1:])
            assert float(found.heads_loss_LH[layer, head]) == pytest.approx(float(loss), abs=1e-5)
        logits = their(f"blocks.{layer}.hook_mlp_out", (everything,))
        assert float(found.mlps_logit_L[layer]) == pytest.approx(float(metric(logits)), abs=1e-5)
        unit = ablate(ours, TOKENIZER, prompt(CLEAN), [f"mlp {layer} unit 7"], ANSWER, OTHER, by=by)
        logits = their(f"blocks.{layer}.mlp.hook_post", (everything, everything, 7))
        assert unit.after.logit == pytest.approx(float(metric(logits)), abs=1e-5)


@torch.no_grad()
@pytest.mark.slow
def test_patching(sides: tuple[Decoder, Any]) -> None:
    ours, theirs = sides
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformer_lens import patching
    _, cache = theirs.run_with_cache(torch.tensor([CLEAN]))
    corrupted = torch.tensor([CORRUPTED])
    for what, their in (
        ("resid_pre", patching.get_act_patch_resid_pre),
        ("attn_out", patching.get_act_patch_attn_out),
        ("mlp_out", patching.get_act_patch_mlp_out),
        ("z", patching.get_act_patch_attn_head_out_all_pos),
    ):
        found = patch(ours, TOKENIZER, prompt(CLEAN), prompt(CORRUPTED), ANSWER, OTHER, what)
        expected = their(theirs, corrupted, cache, metric)
        torch.testing.assert_close(found.patched_LX, expected.double(), **NEAR)
    by_position = patching.get_act_patch_attn_head_out_by_pos(theirs, corrupted, cache, metric)
    for position in (2, 5, 8):
        found = patch(ours, TOKENIZER, prompt(CLEAN), prompt(CORRUPTED), ANSWER, OTHER, "z", at=[position])
        torch.testing.assert_close(found.patched_LX, by_position[:, position].double(), **NEAR)
