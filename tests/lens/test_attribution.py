"""The terms add up to the logit, each is what taking its output through the model gives, and nothing is left out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cutaway.base.errors import TokenizerError, UsageError
from cutaway.lens import attribution
from cutaway.lens.activations import read
from cutaway.lens.attribution import Attribution, attribute
from cutaway.lens.prompt import Prompt, read_prompt
from cutaway.models.build import build
from cutaway.models.decoder import Decoder
from cutaway.text.bpe import BPETokenizer
from lens.small_models import CONFIGS, KINDS, TEXT, TOKENIZER, small_model


def logits(model: Decoder) -> Tensor:
    return read(model, read_prompt(model, TOKENIZER, TEXT).tokens, ())["logits"][0]


@pytest.mark.parametrize("other", [None, "x"])
@pytest.mark.parametrize("position", [-1, 3, 0])
@pytest.mark.parametrize("kind", CONFIGS)
def test_terms_add_up_to_the_logit(kind: str, position: int, other: str | None) -> None:
    model = small_model(kind)
    found = attribute(model, TOKENIZER, TEXT, "e", other, position)
    row = logits(model)[position]
    expected = row[TOKENIZER.encode("e")[0]] - (0 if other is None else row[TOKENIZER.encode("x")[0]])
    assert found.logit == pytest.approx(float(expected), abs=1e-6)
    assert sum(term.value for term in found.terms) == pytest.approx(float(expected), abs=1e-5)
    assert found.rest == pytest.approx(0, abs=1e-5)
    assert max(abs(term.value) for term in found.terms) > 0.1, "not all small"
    assert model.training, "left as it was"


@pytest.mark.parametrize("kind", CONFIGS)
def test_finer_splits_add_up_to_the_coarser(kind: str) -> None:
    found = attribute(small_model(kind), TOKENIZER, TEXT, "e", "x", 12)
    torch.testing.assert_close(found.sources_LHS.sum(2), found.heads_LH, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.neurons_LF.sum(1), found.mlps_L)
    assert not found.sources_LHS[..., 13:].any(), "nothing comes from the future"
    by_name = {term.name: term.value for term in found.terms}
    assert len(by_name) == len(found.terms)
    assert by_name["2.3"] == float(found.heads_LH[2, 3])
    assert by_name["mlp 1"] == float(found.mlps_L[1])


def test_every_part_of_the_model_has_its_term() -> None:
    def names(kind: str) -> list[str]:
        return [term.name for term in attribute(small_model(kind), TOKENIZER, TEXT).terms]

    def blocks(*after_heads: str) -> list[str]:
        return [
            name.format(i)
            for i in range(3)
            for name in ["{}.0", "{}.1", "{}.2", "{}.3", *after_heads]
        ]  # fmt: skip

    biased = blocks("attn {} bias", "mlp {}", "mlp {} bias")
    assert names("ours") == ["token", "2-grams", "3-grams", *blocks("mlp {}")]
    assert names("gpt2") == ["token", "position", *biased, "last norm bias"]
    assert names("llama, tied, with biases") == ["token", *biased]
    assert names("ours, LayerNorm behind the embeddings") == [
        "token", "position", "2-grams", *biased, "embedding norm bias", "last norm bias"
    ]  # fmt: skip


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_share_is_the_change_of_the_logit_when_a_part_is_taken_out_of_the_last_sum(kind: str) -> None:
    """By hooks, not by the weights: the stream before the last norm loses a part, the norm's size is put back."""
    model = small_model(kind)
    prompt = read_prompt(model, TOKENIZER, TEXT)
    found = attribute(model, TOKENIZER, TEXT, "e", "x")
    model.double().eval()
    head = {"blocks.1.attn.z": lambda z: z * torch.tensor([1.0, 1, 0, 1], dtype=z.dtype)[:, None]}
    plain, without = read(model, prompt.tokens), read(model, prompt.tokens, edits=head)
    written = {
        "1.2": plain["blocks.1.attn_out"] - without["blocks.1.attn_out"],
        "mlp 2": plain["blocks.2.mlp_out"] - (0 if (bias := model.blocks[2].mlp.down_proj.bias) is None else bias),
    }
    x_C = plain["blocks.2.resid_post"][0, -1]
    size = attribution.norm_size(model.final_norm, x_C)
    offset_C = getattr(model.final_norm, "bias", None)

    @torch.no_grad()
    def answered(x_C: Tensor) -> float:
        y_C, now = model.final_norm(x_C), attribution.norm_size(model.final_norm, x_C)
        if now is not None:
            offset = 0 if offset_C is None else offset_C
            y_C = (y_C - offset) * now / size + offset
        return float(found.answer.of(model.lm_head(y_C)))

    for name, written_BTC in written.items():
        share = next(term.value for term in found.terms if term.name == name)
        assert share == pytest.approx(answered(x_C) - answered(x_C - written_BTC[0, -1].detach()), abs=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_leaves_a_rest_of_its_rounding(kind: str) -> None:
    model = small_model(kind, torch.bfloat16)
    found = attribute(model, TOKENIZER, TEXT, "e")
    size = sum(abs(term.value) for term in found.terms)
    assert found.logit == float(logits(model)[-1, TOKENIZER.encode("e")[0]])
    assert abs(found.rest) < 2**-7 * size
    assert sum(term.value for term in found.terms) + found.rest == pytest.approx(found.logit, abs=1e-9)


def test_what_is_left_out_is_the_models_own_guess() -> None:
    model = small_model("ours")
    found = attribute(model, TOKENIZER, TEXT, position=4)
    assert found.answer.token == int(logits(model)[4].argmax())
    assert found.answer.other is None
    assert found.answer.piece == TOKENIZER.token_text(found.answer.token)
    same = attribute(model, TOKENIZER, read_prompt(model, TOKENIZER, TEXT), found.answer.token, position=4)
    assert same.terms == found.terms


def test_what_the_numbers_mean_is_said() -> None:
    alone, beside = (attribute(small_model("gpt2"), TOKENIZER, TEXT, "e", other) for other in (None, "x"))
    assert f"divided by {alone.norm_size:.4g} at this position" in beside.reading
    assert "no zero of their own" in alone.reading
    assert "no zero of their own" not in beside.reading
    assert "no norm before its head" in attribute(small_model("no last norm"), TOKENIZER, TEXT).reading


def test_top_neurons_are_the_largest() -> None:
    found = attribute(small_model("llama"), TOKENIZER, TEXT)
    units = found.top_neurons(1, 3)
    shares = found.neurons_LF[1]
    assert [value for _, value in units] == [float(shares[unit]) for unit, _ in units]
    assert abs(units[2][1]) >= float(shares.abs().sort().values[-4])
    assert len(found.top_neurons(1, 1000)) == 40
    with pytest.raises(UsageError, match="no mlp 3; the model has mlp 0 to 2"):
        found.top_neurons(3)
    assert found.as_dict()["neurons"][1][0]["unit"] == units[0][0]


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"position": 20}, UsageError, r"no position 20: the text has 20 tokens, positions 0 to 19"),
        ({"position": -21}, UsageError, r"no position -21"),
        ({"answer": "ab"}, TokenizerError, r"'ab' is 2 tokens, not one: 'a' \(#1\), 'b' \(#2\)"),
        ({"answer": ""}, TokenizerError, r"empty text"),
        ({"answer": "X"}, TokenizerError, r"X"),
        ({"answer": 400}, UsageError, r"no token 400; the model has tokens 0 to 29"),
        ({"answer": "#400"}, UsageError, r"no token 400"),
        ({"answer": "a", "other": 1}, UsageError, r"both 'a'"),
    ],
)
def test_bad_questions(settings: dict[str, object], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said) as caught:
        attribute(small_model("ours"), TOKENIZER, TEXT, **settings)
    assert "\n" not in str(caught.value)


def test_an_id_may_be_given_for_a_token() -> None:
    model = small_model("ours")
    assert attribute(model, TOKENIZER, TEXT, "#5").answer == attribute(model, TOKENIZER, TEXT, 5).answer
    assert attribute(model, TOKENIZER, "the cat " * 9).prompt.cut == 72 - 32


# The checks above have to see it when something is wrong.


def sum_of(found: Attribution) -> float:
    return sum(term.value for term in found.terms)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("size", "ours"), ("size", "gpt2"), ("size", "llama"), ("bias", "gpt2"), ("centre", "gpt2"),
        ("layer", "ours"), ("layer", "gpt2"), ("layer", "llama"),
    ],
)  # fmt: skip
def test_planted_faults_are_seen(fault: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model(kind)
    if fault == "size":
        real = attribution.norm_size
        monkeypatch.setattr(
            attribution, "norm_size", lambda norm, x: None if real(norm, x) is None else 0.99 * real(norm, x)
        )
    elif fault == "bias":
        monkeypatch.setattr(attribution, "bias_term", lambda *_: [])
    elif fault == "centre":

        def off_centre(norm: torch.nn.Module, x_C: Tensor, u_C: Tensor) -> tuple[Tensor, float]:
            u_C, offset = real_through(norm, x_C, u_C)
            return u_C + 0.01, offset

        real_through = attribution.through_norm
        monkeypatch.setattr(attribution, "through_norm", off_centre)
    else:
        real_read = attribution.read

        def shifted(*arguments: object) -> dict[str, Tensor]:
            found = real_read(*arguments)
            return found | {"blocks.1.attn.z": found["blocks.0.attn.z"]}

        monkeypatch.setattr(attribution, "read", shifted)
    prompt = Prompt(tuple(TOKENIZER.encode(TEXT)), tuple(TEXT))
    assert abs(attribute(model, TOKENIZER, prompt, "e", "x").rest) > 1e-3


def test_tokens_of_several_characters() -> None:
    """With byte pairs, spaces belong to tokens, and an answer is one of them."""
    tokenizer = BPETokenizer.train(["the cat sat on the mat, the dog sat on the log\n"] * 5, 280)
    model = build(replace(CONFIGS["ours"], vocab_size=tokenizer.vocab_size, zero_init_projections=False))
    found = attribute(model, tokenizer, "the cat", " the", "\n")
    assert found.answer.piece == " the"
    assert found.answer.other == tokenizer.encode("\n")[0]
    assert found.rest == pytest.approx(0, abs=1e-5)
    with pytest.raises(TokenizerError, match=r"' the dog' is \d+ tokens, not one: ' the' \(#\d+\), "):
        attribute(model, tokenizer, "the cat", " the dog")
