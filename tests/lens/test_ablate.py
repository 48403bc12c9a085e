"""Taking a part out is what editing by hand is, by hooks and by replay; the scan is each part's ablation."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import cutaway
from cutaway.base.errors import CutawayError, UsageError
from cutaway.lens.ablate import ablate, scan
from cutaway.lens.activations import read
from cutaway.lens.attribution import attribute
from cutaway.lens.by_replay import ablated
from cutaway.lens.parts import Part, read_part
from lens.small_models import CONFIGS, KINDS, TEXT, TOKENIZER, small_model

TOKENS = torch.tensor([TOKENIZER.encode(TEXT)])
A, E = TOKENIZER.encode("ae")
OTHER_TEXT = "a dog!"


def without_head(head: int, at: slice | list[int] = slice(None), instead: Tensor | None = None):
    def edit(z_BTHD: Tensor) -> Tensor:
        z_BTHD = z_BTHD.clone()
        z_BTHD[:, at, head] = 0 if instead is None else instead
        return z_BTHD

    return edit


@pytest.mark.parametrize("kind", CONFIGS)
def test_effects_are_the_edited_models(kind: str) -> None:
    model = small_model(kind)
    found = ablate(model, TOKENIZER, TEXT, ["1.2", "mlp 0", "mlp 2 unit 17"], "a", "e")

    def no_unit(post_BTF: Tensor) -> Tensor:
        return post_BTF * (torch.arange(post_BTF.shape[-1]) != 17)

    edits = {
        "blocks.1.attn.z": without_head(2),
        "blocks.0.mlp_out": torch.zeros_like,
        "blocks.2.mlp.mlp_post": no_unit,
    }
    for measured, by in ((found.before, None), (found.after, edits)):
        said_TV = read(model, TOKENS, (), by)["logits"][0]
        assert measured.logit == pytest.approx(float(said_TV[-1, A] - said_TV[-1, E]), abs=1e-5)
        assert measured.probability == pytest.approx(float(said_TV[-1].softmax(0)[A]), abs=1e-6)
        assert measured.loss_nats == pytest.approx(float(F.cross_entropy(said_TV[:-1], TOKENS[0, 1:])), abs=1e-5)
    plain, edited = (read(model, TOKENS, (), by)["logits"][0, -1].log_softmax(0) for by in (None, edits))
    assert found.kl_nats == pytest.approx(float(F.kl_div(edited, plain, log_target=True, reduction="sum")), abs=1e-5)
    assert found.guess == int(edited.argmax())
    assert abs(found.after.logit - found.before.logit) > 1e-2
    assert model.training, "left as it was"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reference", [None, OTHER_TEXT])
@pytest.mark.parametrize("at", [None, [3, -2]])
def test_means(kind: str, reference: str | None, at: list[int] | None) -> None:
    model = small_model(kind)
    found = ablate(model, TOKENIZER, TEXT, ["1.2"], "a", "e", by="mean", reference=reference, at=at)
    source = TOKENS if reference is None else torch.tensor([TOKENIZER.encode(reference)])
    mean_D = read(model, source, {"blocks.1.attn.z"})["blocks.1.attn.z"][0, :, 2].mean(0)
    edit = without_head(2, slice(None) if at is None else at, mean_D)
    said_V = read(model, TOKENS, (), {"blocks.1.attn.z": edit})["logits"][0, -1]
    assert found.after.logit == pytest.approx(float(said_V[A] - said_V[E]), abs=1e-5)
    assert (found.reference is None) == (reference is None)
    whole = scan(model, TOKENIZER, TEXT, "a", "e", by="mean", reference=reference, at=at)
    assert float(whole.heads_logit_LH[1, 2]) == pytest.approx(found.after.logit, abs=1e-5)


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("by", ["zero", "mean"])
def test_the_scan_is_each_ablation(kind: str, by: str) -> None:
    model = small_model(kind)
    found = scan(model, TOKENIZER, TEXT, "a", "e", 12, by=by)
    parts = [Part("head", 0, 0), Part("head", 1, 3), Part("head", 2, 1), Part("mlp", 0), Part("mlp", 2)]
    for part in parts:
        alone = ablate(model, TOKENIZER, TEXT, [part], "a", "e", 12, by=by)
        at = (part.layer, part.index) if part.kind == "head" else (part.layer,)
        columns = (
            (found.heads_logit_LH, found.heads_probability_LH, found.heads_loss_LH)
            if part.kind == "head"
            else (found.mlps_logit_L, found.mlps_probability_L, found.mlps_loss_L)
        )
        measured = (alone.after.logit, alone.after.probability, alone.after.loss_nats)
        for column, value in zip(columns, measured, strict=True):
            assert float(column[at]) == pytest.approx(value, abs=1e-5), part
    assert found.before == alone.before
    part, change = found.strongest(1)[0]
    assert abs(change) == pytest.approx(
        max(*(found.heads_logit_LH - found.before.logit).abs().flatten().tolist(),
            *(found.mlps_logit_L - found.before.logit).abs().tolist())
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_hooks_and_replay_agree(kind: str) -> None:
    model = small_model(kind).eval()
    trace = cutaway.trace(model, TOKENS)
    for by in ("zero", "mean"):
        found = scan(model, TOKENIZER, TEXT, "a", "e", by=by)
        for head in range(4):
            value = ablated(trace, [("blocks.1.attn.z", (None, None, head, None))], A, E, by=by)
            assert float(found.heads_logit_LH[1, head]) == pytest.approx(value, abs=1e-5)
        assert float(found.mlps_logit_L[2]) == pytest.approx(
            ablated(trace, [("blocks.2.mlp_out", None)], A, E, by=by), abs=1e-5
        )
        both = ablate(model, TOKENIZER, TEXT, ["0.1", "mlp 1 unit 5"], "a", "e", by=by)
        places = [("blocks.0.attn.z", (None, None, 1, None)), ("blocks.1.mlp.mlp_post", (None, None, 5))]
        assert both.after.logit == pytest.approx(ablated(trace, places, A, E, by=by), abs=1e-5)


def test_without_the_last_mlp_the_logit_loses_its_share_where_there_is_no_norm() -> None:
    """Where nothing comes after a part, what is missing is what attribution says it adds."""
    model = small_model("no last norm")
    shares = attribute(model, TOKENIZER, TEXT, "a", "e")
    found = ablate(model, TOKENIZER, TEXT, ["mlp 2"], "a", "e")
    assert found.before.logit - found.after.logit == pytest.approx(float(shares.mlps_L[2]), abs=1e-5)


def test_a_text_of_one_token_has_no_loss() -> None:
    found = ablate(small_model("ours"), TOKENIZER, "a", ["attn 1"])
    assert found.before.loss_nats is found.after.loss_nats is None
    whole = scan(small_model("ours"), TOKENIZER, "a")
    assert whole.heads_loss_LH.isnan().all()
    assert whole.as_dict()["heads"]["loss_nats"] is None
    assert math.isfinite(float(whole.heads_logit_LH.sum()))


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision(kind: str) -> None:
    found = scan(small_model(kind, torch.bfloat16), TOKENIZER, TEXT, "a", "e", by="mean")
    alone = ablate(small_model(kind, torch.bfloat16), TOKENIZER, TEXT, ["2.1"], "a", "e", by="mean")
    assert float(found.heads_logit_LH[2, 1]) == pytest.approx(alone.after.logit, abs=0.2)


def test_parts_are_read_as_they_are_written() -> None:
    for text in ("2.0", "mlp 2", "mlp 2 unit 17", "attn 1"):
        assert str(read_part(text)) == text
    assert read_part("head 1.3") == Part("head", 1, 3)


@pytest.mark.parametrize(
    ("parts", "settings", "said"),
    [
        (["3.0"], {}, r"no head 3.0: the model has heads 0.0 to 2.3 \(3 blocks of 4\)"),
        (["0.4"], {}, r"no head 0.4"),
        (["mlp 7"], {}, r"no mlp 7: the model has mlp 0 to mlp 2"),
        (["mlp 2 unit 40"], {}, r"no mlp 2 unit 40: the model has units 0 to 39"),
        (["attn 3"], {}, r"no attn 3"),
        (["head"], {}, r"'head' is no part of a model; write a head as 2.0"),
        ([], {}, r"name at least one part"),
        (["0.0"], {"by": "median"}, r"by is 'median'; expected zero or mean"),
        (["0.0"], {"reference": "abc"}, r"a reference text is for its mean"),
        (["0.0"], {"at": [20]}, r"no position 20"),
    ],
)
def test_bad_questions(parts: list[str], settings: dict[str, object], said: str) -> None:
    with pytest.raises(CutawayError, match=said) as caught:
        ablate(small_model("ours"), TOKENIZER, TEXT, parts, **settings)
    assert isinstance(caught.value, UsageError)
    assert "\n" not in str(caught.value)
