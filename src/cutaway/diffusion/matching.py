"""Matching: the objective that trains a small CLIP, and retrieval, by which one sees what it learned.

    loss = pairs find each other + foresight_weight * error of what words alone foresee        held out: the first alone

A batch's other captions are the wrong answers, and of our own drawings also captions that are wrong in one thing
(`wrong_captions.py`). Endless drawings seldom repeat a scene in a batch, so a caption that fits two of its pictures counts
as right for its own only, in the loss; in retrieval it counts as right for every picture whose caption means the same.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from cutaway.base.objective import Probe, Sample, Validation
from cutaway.diffusion.captions import read_prompt
from cutaway.diffusion.contrastive import Contrastive, Encoded
from cutaway.diffusion.pictures import Creatures, Pictures
from cutaway.diffusion.portions import mean_of_portions, portions
from cutaway.diffusion.word_tokenizer import WordTokenizer

MEASURED_AT_ONCE = 128


@dataclass(frozen=True)
class Pairs:
    """Pictures and their captions."""

    x_BCYX: Float[Tensor, "B C Y X"]
    tokens_NT: Int[Tensor, "N T"]
    """The captions; after them, where wrong ones are known, the first wrong caption of each, then the second of each."""
    mask_NT: Bool[Tensor, "N T"]
    is_wrong_BK: Bool[Tensor, "B K"] | None = None
    """Where a wrong caption reads otherwise than the right one."""


class Matching:
    """Bring pictures and captions together.

    Args:
        meaning: what makes two captions the same in retrieval; left out: the scene of a drawing, else the words.
    """

    def __init__(
        self,
        model: Contrastive,
        tokenizer: WordTokenizer,
        pictures: Pictures,
        meaning: Callable[[str], Hashable] | None = None,
    ) -> None:
        self.model, self.tokenizer, self.pictures = model, tokenizer, pictures
        self.meaning = meaning or (read_prompt if isinstance(pictures, Creatures) else str.lower)

    @property
    def sequences_per_epoch(self) -> int:
        """How many pictures there are; of endless ones, more than any training draws."""
        return self.pictures.count or 2**40

    @property
    def tokens_per_sequence(self) -> int:
        """A sequence is a picture."""
        return 1

    @property
    def probe(self) -> Probe | None:
        """Nothing fixed is looked at."""
        return None

    def batch(self, first: int, count: int) -> Pairs:
        """Return pairs first .. first+count-1 of the endless stream."""
        pictures = self.pictures.batch(first, count)
        if not isinstance(self.pictures, Creatures):
            return Pairs(pictures.x_BCYX, *self.tokenizer.encode(pictures.captions))
        return self._pairs(pictures.x_BCYX, pictures.captions, self.pictures.wrong_captions(first, count))

    def loss(self, model: nn.Module, batch: Pairs) -> Float[Tensor, ""]:
        """Return the loss of the batch; it depends on how many pairs there are: of N alike, ln N."""
        pictures_BE, captions_NE, foresight_error = self._encode(model, batch)
        further = self.model.config.foresight_weight * foresight_error
        if batch.is_wrong_BK is None:
            return self.model.loss(pictures_BE, captions_NE) + further
        captions_BE, wrong_BKE = self._parts(captions_NE, len(pictures_BE))
        is_wrong_BK = batch.is_wrong_BK.to(captions_NE.device)
        return self.model.loss(pictures_BE, captions_BE, wrong_BKE, is_wrong_BK) + further

    def validate(self, model: nn.Module, max_tokens: int | None = None) -> Validation:
        """Return the loss of held-out pairs, a batch at a time, and retrieval both ways among all of them."""
        held_out = self.pictures.held_out
        n = min(len(held_out.captions), max_tokens or len(held_out.captions))
        captions = held_out.captions[:n]
        tokens_BT, mask_BT = self.tokenizer.encode(captions)
        losses, errors, pictures, texts = [], [], [], []
        for rows in portions(n, MEASURED_AT_ONCE):
            part = Pairs(held_out.x_BCYX[rows], tokens_BT[rows], mask_BT[rows])
            pictures_BE, captions_BE, error = self._encode(model, part)
            losses.append(self.model.loss(pictures_BE, captions_BE).item())
            errors.append(error.item())
            pictures.append(pictures_BE)
            texts.append(captions_BE)
        similarity_BB = torch.cat(texts) @ torch.cat(pictures).T
        meanings = [self.meaning(caption) for caption in captions]
        more = {
            "picture_of_caption": retrieval(similarity_BB, meanings),
            "caption_of_picture": retrieval(similarity_BB.T, meanings),
        }
        if isinstance(self.pictures, Creatures):
            more["wrong_captions_told"] = self._wrong_told(model, self.pictures, n)
        sizes = [len(part) for part in pictures]
        if self.model.foresight is not None:
            more["foresight_error"] = mean_of_portions(errors, sizes)
        return Validation(mean_of_portions(losses, sizes), None, n, more)

    def sample(self, model: nn.Module, step: int) -> Sample:
        """Return what is found for the first held-out captions."""
        count = min(64, len(self.pictures.held_out.captions))
        captions = self.pictures.held_out.captions[:count]
        pairs = Pairs(self.pictures.held_out.x_BCYX[:count], *self.tokenizer.encode(captions))
        pictures_BE, captions_BE, _ = self._encode(model, pairs)
        found = (pictures_BE @ captions_BE.T).argmax(dim=1).tolist()
        lines = [f"a picture of {captions[i]!r} is taken for {captions[j]!r}" for i, j in enumerate(found[:4])]
        return Sample("\n".join(lines))

    def _wrong_told(self, model: nn.Module, pictures: Creatures, n: int) -> float:
        """Return of how many held-out pictures the right caption is nearer than all that are wrong in one thing."""
        told = []
        for rows in portions(n, MEASURED_AT_ONCE):
            held_out = pictures.held_out
            x_BCYX, captions = held_out.x_BCYX[:n][rows], held_out.captions[:n][rows]
            pairs = self._pairs(x_BCYX, captions, pictures.held_out_wrong_captions[:n][rows])
            pictures_BE, captions_NE, _ = self._encode(model, pairs)
            captions_BE, wrong_BKE = self._parts(captions_NE, len(pictures_BE))
            right_B1 = (pictures_BE * captions_BE).sum(dim=1, keepdim=True)
            wrong_BK = torch.einsum("be,bke->bk", pictures_BE, wrong_BKE)
            assert pairs.is_wrong_BK is not None
            told.append(((wrong_BK < right_B1) | ~pairs.is_wrong_BK.to(wrong_BK.device)).all(dim=1).float())
        return float(torch.cat(told).mean())

    def _pairs(self, x_BCYX: Tensor, captions: list[str], wrong: list[tuple[str, ...]]) -> Pairs:
        by_place = [list(column) for column in zip(*wrong, strict=True)]
        encoded = self.tokenizer.encode([*captions, *(told for column in by_place for told in column)])
        is_wrong = [[other != right for other in others] for right, others in zip(captions, wrong, strict=True)]
        return Pairs(x_BCYX, *encoded, torch.tensor(is_wrong))

    @staticmethod
    def _parts(captions_NE: Tensor, n_pictures: int) -> tuple[Tensor, Tensor]:
        """Return the right captions' vectors, and the wrong ones' by picture."""
        return captions_NE[:n_pictures], captions_NE[n_pictures:].unflatten(0, (-1, n_pictures)).transpose(0, 1)

    def _encode(self, model: nn.Module, pairs: Pairs) -> Encoded:
        device = self.model.log_scale.device
        return model(pairs.x_BCYX.to(device), pairs.tokens_NT.to(device), pairs.mask_NT.to(device))


def retrieval(similarity: Float[Tensor, "B B"], meanings: list[Hashable]) -> float:
    """Return how often the most similar column means what the row means."""
    best = similarity.argmax(dim=1).tolist()
    return sum(meanings[i] == meanings[j] for i, j in enumerate(best)) / len(best)
