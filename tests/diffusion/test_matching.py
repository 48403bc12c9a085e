"""The objective of a small CLIP: batches by position, retrieval with ties, and drawings that are found after some steps."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch

from cutaway.base.objective import Objective
from cutaway.diffusion.config import ContrastiveConfig, TextEncoderConfig
from cutaway.diffusion.contrastive import Contrastive, Encoded
from cutaway.diffusion.matching import Matching, retrieval
from cutaway.diffusion.pictures import Creatures, PictureBatch
from cutaway.diffusion.word_tokenizer import WordTokenizer
from cutaway.diffusion.wrong_captions import COUNT

COLOURS = {"red": (1.0, -1.0, -1.0), "green": (-1.0, 1.0, -1.0), "blue": (-1.0, -1.0, 1.0)}
TEXT = TextEncoderConfig(context_length=24, d_model=24, n_layers=1, n_heads=4, d_shared=10)
CONFIG = ContrastiveConfig(size=16, width=8, n_levels=2, text=TEXT)


@dataclass
class Plain:
    """Pictures of one colour each, said in two ways."""

    size: int = 16
    channels: int = 3
    n_labels: int = 0
    names: tuple[str, ...] = ()
    hash: str = "plain"
    count: int | None = 12
    notes: tuple[str, ...] = ()
    held_out: PictureBatch = field(init=False)

    def __post_init__(self) -> None:
        self.held_out = self.batch(1, 6)

    def batch(self, first: int, count: int) -> PictureBatch:
        names = [list(COLOURS)[i % 3] for i in range(first, first + count)]
        captions = [f"a {name} one" if i % 2 else f"A {name} ONE" for i, name in enumerate(names)]
        x_BCYX = torch.tensor([COLOURS[name] for name in names])[:, :, None, None].expand(-1, -1, 16, 16)
        return PictureBatch(x_BCYX.contiguous(), captions, torch.zeros(count, dtype=torch.int64))


def matching(pictures: Plain | Creatures) -> Matching:
    torch.manual_seed(0)
    tokenizer = WordTokenizer.learn(pictures.batch(0, 60).captions, 24)
    return Matching(Contrastive(CONFIG, tokenizer.vocab_size), tokenizer, pictures)


def train(objective: Matching, steps: int, size: int) -> None:
    optimizer = torch.optim.AdamW(objective.model.parameters(), lr=3e-3)
    for step in range(steps):
        optimizer.zero_grad()
        objective.loss(objective.model, objective.batch(step * size, size)).backward()
        optimizer.step()


def test_retrieval_counts_what_means_the_same() -> None:
    similarity = torch.tensor([[0.1, 0.9, 0.0], [0.8, 0.1, 0.2], [0.9, 0.0, 0.1]])
    assert retrieval(similarity, ["a", "a", "b"]) == pytest.approx(2 / 3)
    assert retrieval(similarity, ["a", "b", "c"]) == 0


def test_colours_are_found() -> None:
    objective = matching(Plain())
    assert isinstance(objective, Objective)
    before = objective.validate(objective.model)
    train(objective, 30, 3)
    objective.model.eval()
    with torch.no_grad():
        after = objective.validate(objective.model)
        sample = objective.sample(objective.model, 30)
    assert after.loss_nats < before.loss_nats
    assert after.bits_per_byte is None
    assert after.n_targets == 6
    assert after.more.pop("foresight_error") < before.more["foresight_error"]
    assert after.more == {"picture_of_caption": 1.0, "caption_of_picture": 1.0}  # "a red one" is "A red ONE"
    assert sample.text.splitlines()[0].startswith("a picture of 'A green ONE' is taken for")


def test_part_of_what_is_held_out() -> None:
    objective = matching(Plain())
    assert objective.validate(objective.model, max_tokens=4).n_targets == 4


def test_a_batch_is_a_function_of_its_place() -> None:
    objective = matching(Creatures(16, 8, 0))
    whole, part = objective.batch(0, 6), objective.batch(4, 2)
    assert torch.equal(whole.x_BCYX[4:], part.x_BCYX)
    assert len(whole.tokens_NT) == 6 * (1 + COUNT)
    for place in range(1 + COUNT):  # right ones, the first wrong ones, the second, ...
        assert torch.equal(whole.tokens_NT[6 * place + 4 : 6 * place + 6], part.tokens_NT[2 * place : 2 * place + 2])
    assert torch.equal(objective.batch(0, 6).x_BCYX, whole.x_BCYX)


def test_drawings_are_the_same_if_their_scenes_are() -> None:
    objective = matching(Creatures(16, 8, 0))
    assert objective.meaning("a red cat") == objective.meaning("A red kitty")
    assert objective.meaning("a red cat") != objective.meaning("a red dog")
    found = objective.validate(objective.model)
    assert found.n_targets == 8
    assert objective.sequences_per_epoch > 10**9
    assert set(found.more) == {"picture_of_caption", "caption_of_picture", "wrong_captions_told", "foresight_error"}


def test_wrong_captions_of_a_picture_are_wrong_answers_of_its_own() -> None:
    objective = matching(Creatures(16, 8, 0))
    batch = objective.batch(0, 6)
    assert batch.is_wrong_BK is not None
    texts = objective.pictures.batch(0, 6).captions, objective.pictures.wrong_captions(0, 6)  # type: ignore[attr-defined]
    expected = [[other != right for other in others] for right, others in zip(*texts, strict=True)]
    assert batch.is_wrong_BK.tolist() == expected
    pictures_BE, captions_NE, foresight_error = objective._encode(objective.model, batch)
    scale = objective.model.log_scale.exp()
    rows = []
    for i in range(6):
        own = [captions_NE[6 * place + i] for place in range(1, 1 + COUNT)]
        columns = [*captions_NE[:6], *(one for one, counts in zip(own, expected[i], strict=True) if counts)]
        similar = torch.stack([scale * pictures_BE[i] @ column for column in columns])
        rows.append(similar.logsumexp(0) - similar[i])
    similarity_BB = scale * pictures_BE @ captions_NE[:6].T
    columns_loss = torch.nn.functional.cross_entropy(similarity_BB.T, torch.arange(6))
    by_hand = (torch.stack(rows).mean() + columns_loss) / 2 + CONFIG.foresight_weight * foresight_error
    assert torch.allclose(objective.loss(objective.model, batch), by_hand, atol=1e-5)


def test_how_many_wrong_captions_are_told() -> None:
    objective = matching(Creatures(16, 4, 0))
    right = objective.pictures.held_out.captions

    class Knows(torch.nn.Module):
        """Whose pictures point where their right captions point; every other caption points elsewhere."""

        def forward(self, x: torch.Tensor, tokens: torch.Tensor, mask: torch.Tensor) -> Encoded:
            known = objective.tokenizer.encode(right)[0].tolist()
            captions = [row in known and not self.is_blind for row in tokens.tolist()]
            directions = torch.eye(2)
            vectors_NE = directions[[0 if is_right else 1 for is_right in captions]]
            return Encoded(directions[[0] * len(x)], vectors_NE, torch.zeros(()))

        is_blind = False

    model = Knows()
    assert objective._wrong_told(model, objective.pictures, 4) == 1.0  # type: ignore[arg-type]
    model.is_blind = True
    all_alike = objective._wrong_told(model, objective.pictures, 4)  # type: ignore[arg-type]
    assert all_alike < 0.5
