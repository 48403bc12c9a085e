"""The paths from an input to the output together are the product of the matrices."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cutaway.scratch.playground import Playground
from scratch.playgrounds import SIZES, small


@pytest.mark.parametrize("hidden", SIZES)
def test_path_strengths_add_up_to_the_product_of_the_matrices(hidden: tuple) -> None:
    playground = Playground(small(hidden=hidden), seeds=(0, 1))
    paths = playground.path_strengths(network=1)
    sizes = (2, *hidden, 1)
    assert len({path.units for path in paths}) == len(paths) == math.prod(sizes)
    sizes_of = [abs(path.strength) for path in paths]
    assert sizes_of == sorted(sizes_of, reverse=True)
    matrices = [W[1] for W, _ in playground.network.layers(playground.state.parameters_KP)]
    product = np.linalg.multi_dot([*matrices[::-1], np.eye(2)])
    for x in (1, 2):
        assert sum(path.strength for path in paths if path.units[0] == x) == pytest.approx(product[0, x - 1], rel=1e-12)
    strongest = paths[0]
    along = [W[b - 1, a - 1] for W, a, b in zip(matrices, strongest.units, strongest.units[1:], strict=False)]
    assert strongest.strength == pytest.approx(math.prod(along), rel=1e-14)
