"""The last layer is the model itself; ranks, probabilities and divergences are what their names say."""

from __future__ import annotations

import math

import pytest
import torch

from cutaway.lens.activations import read
from cutaway.lens.logit_lens import logit_lens, say
from cutaway.lens.prompt import read_prompt
from lens.small_models import CONFIGS, KINDS, TEXT, TOKENIZER, small_model


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_last_place_is_the_models_output(kind: str) -> None:
    model = small_model(kind)
    prompt = read_prompt(model, TOKENIZER, TEXT)
    values = read(model, prompt.tokens)
    assert torch.equal(say(model, values["blocks.2.resid_post"]), values["logits"])
    found = logit_lens(model, TOKENIZER, prompt, top=3)
    p_TV = values["logits"][0].softmax(-1)
    torch.testing.assert_close(found.top_probability_NTK[-1], p_TV.topk(3).values)
    assert found.final_ids_T.tolist() == p_TV.argmax(-1).tolist()
    assert (found.final_rank_NT[-1] == 1).all()
    assert not found.kl_NT[-1].any()
    assert model.training


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_follow_their_definitions(kind: str) -> None:
    model = small_model(kind)
    found = logit_lens(model, TOKENIZER, TEXT, include_mid=True)
    assert found.places[:3] == ("embed", "blocks.0.resid_mid", "blocks.0.resid_post")
    values = read(model, found.prompt.tokens, found.places)
    final_TV = values["logits"][0].double().softmax(-1)
    for n, place in enumerate(found.places):
        p_TV = say(model, values[place][0]).double().softmax(-1)
        for t in range(0, len(found.prompt.ids), 4):
            answer = int(found.final_ids_T[t])
            order = sorted(range(len(p_TV[t])), key=lambda v: -float(p_TV[t, v]))
            assert int(found.final_rank_NT[n, t]) == order.index(answer) + 1
            assert float(found.final_probability_NT[n, t]) == pytest.approx(float(p_TV[t, answer]), rel=1e-4)
            assert found.top_ids_NTK[n, t].tolist() == order[:5]
            assert found.top_pieces[n][t] == tuple(TOKENIZER.token_text(i) for i in order[:5])
            kl = sum(float(f * (f / p).log()) for f, p in zip(final_TV[t], p_TV[t], strict=True))
            assert float(found.kl_NT[n, t]) == pytest.approx(kl, abs=1e-5)
            entropy = -sum(float(p * p.log()) for p in p_TV[t])
            assert float(found.entropy_NT[n, t]) == pytest.approx(entropy, rel=1e-4)
            if t + 1 < len(found.prompt.ids):
                following = found.prompt.ids[t + 1]
                assert int(found.next_rank_NT[n, t]) == order.index(following) + 1
                assert float(found.next_probability_NT[n, t]) == pytest.approx(float(p_TV[t, following]), rel=1e-4)
    assert found.next_probability_NT[:, -1].isnan().all(), "nobody knows what follows the last token"
    assert (found.next_rank_NT[:, -1] == -1).all()


def test_settled_is_where_the_answer_stays() -> None:
    found = logit_lens(small_model("gpt2"), TOKENIZER, TEXT)
    ranks = found.final_rank_NT
    for t, place in enumerate(found.settled_T):
        assert (ranks[place:, t] == 1).all()
        assert place == 0 or ranks[place - 1, t] > 1


def test_half_precision() -> None:
    model = small_model("ours", torch.bfloat16)
    found = logit_lens(model, TOKENIZER, TEXT)
    logits_TV = read(model, found.prompt.tokens)["logits"][0].float()
    torch.testing.assert_close(found.top_probability_NTK[-1], logits_TV.softmax(-1).topk(5).values)
    assert not found.kl_NT[-1].any()


def test_a_token_ruled_out_costs_nothing() -> None:
    model = small_model("gpt2, untied")
    with torch.no_grad():
        model.lm_head.weight[4] = 1e30  # one token is certain, or impossible
    found = logit_lens(model, TOKENIZER, TEXT)
    assert not found.kl_NT.isnan().any()
    assert math.isfinite(float(found.entropy_NT.sum()))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_beside_transformer_lens(kind: str) -> None:
    from lens.peers import TOKENIZER as CHARACTERS
    from lens.peers import both_sides, prompt

    # weights as they are: the bridge folds nothing, so that the streams are the same numbers
    model, bridge = both_sides(kind, no_processing=True)
    ids = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5]
    with torch.no_grad():
        _, cache = bridge.run_with_cache(torch.tensor([ids]))
        streams_NBTC, names = cache.accumulated_resid(layer=None, incl_mid=True, return_labels=True, apply_ln=False)
        p_NTV = bridge.unembed(bridge.ln_final(streams_NBTC[:, 0])).softmax(-1)
    found = logit_lens(model, CHARACTERS, prompt(ids), top=len(p_NTV[0, 0]), include_mid=True)
    assert len(names) == len(found.places)
    theirs_NTK = p_NTV.gather(-1, found.top_ids_NTK)
    torch.testing.assert_close(found.top_probability_NTK, theirs_NTK, atol=1e-5, rtol=0)
