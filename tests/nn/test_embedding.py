"""N-gram rows: which runs share one, what the start of a text sees, and gradients of used rows only."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cutaway.nn.embedding import LearnedPositions, NGramEmbedding, TokenEmbedding

B, T, C, V = 3, 7, 24, 31


def tokens(seed: int = 0, length: int = T) -> torch.Tensor:
    return torch.randint(V, (B, length), generator=torch.Generator().manual_seed(seed))


def part(n: int, rows: int, dropout: float = 0.0) -> NGramEmbedding:
    embedding = NGramEmbedding(n, V, rows, C, dropout)
    torch.nn.init.normal_(embedding.weight)
    return embedding


def test_tokens_and_positions_are_rows() -> None:
    token, position = TokenEmbedding(V, C), LearnedPositions(11, C)
    torch.nn.init.normal_(token.weight)
    torch.nn.init.normal_(position.weight)
    seen = tokens()
    assert torch.equal(token(seen, 3), token.weight[seen[:, -3:]])
    assert torch.equal(position(seen, 3), position.weight[None, 4:7])


@pytest.mark.parametrize("n", [2, 3])
def test_with_enough_rows_every_run_has_its_own(n: int) -> None:
    embedding = part(n, (V + 1) ** n)
    seen = tokens(length=200)
    padded = torch.nn.functional.pad(seen, (n - 1, 0), value=V)
    indices = embedding.indices(seen, 200)
    run_of: dict[int, tuple[int, ...]] = {}
    for b in range(B):
        for t in range(200):
            run = tuple(padded[b, t : t + n].tolist())
            assert run_of.setdefault(int(indices[b, t]), run) == run


def test_the_start_of_a_text_is_like_no_token_before() -> None:
    embedding = part(2, (V + 1) ** 2)
    at_start = embedding.indices(torch.tensor([[5]]), 1)
    after_each = embedding.indices(torch.stack([torch.arange(V), torch.full((V,), 5)], dim=1), 1)
    assert at_start.item() not in after_each.flatten().tolist()


def test_hashed_rows_are_used_evenly() -> None:
    pairs = torch.cartesian_prod(torch.arange(V), torch.arange(V))
    counts = torch.bincount(part(2, 100).indices(pairs, 1)[:, 0], minlength=100)
    assert counts.min() > 0
    assert counts.max() < 3 * V * V / 100


@given(n=st.integers(2, 4), first=st.integers(1, T), seed=st.integers(0, 99), rows=st.sampled_from([97, 40000]))
def test_reading_on_equals_reading_at_once(n: int, first: int, seed: int, rows: int) -> None:
    embedding, seen = part(n, rows), tokens(seed, length=11)
    at_once = embedding(seen, 11)
    pieces = [embedding(seen[:, :first], first), *(embedding(seen[:, : t + 1], 1) for t in range(first, 11))]
    assert torch.equal(torch.cat(pieces, dim=1), at_once)


def test_a_row_depends_on_its_run_only() -> None:
    embedding, seen = part(3, 97), tokens()
    changed = seen.clone()
    changed[:, 3] = (changed[:, 3] + 1) % V
    different = (embedding(seen, T) != embedding(changed, T)).any(-1).any(0)
    assert different.tolist() == [False, False, False, True, True, True, False]


def test_gradients_can_be_sparse() -> None:
    dense, sparse = part(2, 97), part(2, 97)
    sparse.load_state_dict(dense.state_dict())
    sparse.sparse_gradient = True
    for embedding in (dense, sparse):
        embedding(tokens(), T).square().sum().backward()
    assert sparse.weight.grad is not None
    assert dense.weight.grad is not None
    assert sparse.weight.grad.is_sparse
    torch.testing.assert_close(sparse.weight.grad.to_dense(), dense.weight.grad)


def test_dropout_leaves_out_whole_rows_in_training_only() -> None:
    embedding, seen = part(2, 97, dropout=0.5), tokens(length=200)
    full = part(2, 97)
    full.load_state_dict(embedding.state_dict())
    dropped = embedding(seen, 200)
    gone = (dropped == 0).all(-1)
    assert 0.4 < gone.float().mean() < 0.6
    assert torch.equal(dropped[~gone], 2 * full(seen, 200)[~gone])
    assert torch.equal(embedding.eval()(seen, 200), full(seen, 200))
