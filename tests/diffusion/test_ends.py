"""The noise of black and of white pixels: exact where they are, cut off elsewhere, finite up to the end."""

from __future__ import annotations

import pytest
import torch

from cutaway.diffusion.config import UNetConfig
from cutaway.diffusion.ends import FARTHEST, with_ends
from cutaway.diffusion.paths import FlowPath
from cutaway.diffusion.unet import UNet


@pytest.mark.parametrize("t", [0.0, 0.4, 0.9, 0.999])
def test_black_and_white_pixels_tell_their_noise(t: float) -> None:
    noise_BCYX = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    t_B = torch.full((2,), t).double()
    for end in (-1.0, 1.0):
        x_BCYX = FlowPath().noised(torch.full_like(noise_BCYX, end), noise_BCYX, t_B)
        read_BCYX = with_ends(x_BCYX, t_B)
        itself, black, white = read_BCYX.split(2, dim=1)
        assert torch.equal(itself, x_BCYX)
        mine, other = (black, white) if end < 0 else (white, black)
        torch.testing.assert_close(mine, noise_BCYX)
        farther_by = 2 * end * t / (1 - t)
        torch.testing.assert_close(other, (noise_BCYX + farther_by).clamp(-FARTHEST, FARTHEST))


def test_grey_is_neither_and_the_end_is_finite() -> None:
    grey = torch.zeros(1, 1, 2, 2)
    _, black, white = with_ends(grey, torch.tensor([0.99])).split(1, dim=1)
    assert (black == FARTHEST).all()
    assert (white == -FARTHEST).all()
    last = torch.tensor([-1.0, 0.3, 0.9, 1.0]).view(1, 1, 2, 2)
    assert torch.isfinite(with_ends(last, torch.ones(1))).all()


def test_each_picture_is_seen_by_its_own_time() -> None:
    x_BCYX, t_B = torch.rand(3, 1, 4, 4), torch.tensor([0.1, 0.5, 0.9])
    alone = [with_ends(x_BCYX[i : i + 1], t_B[i : i + 1]) for i in range(3)]
    assert torch.equal(with_ends(x_BCYX, t_B), torch.cat(alone))


@pytest.mark.slow
def test_a_unet_that_reads_them_learns_the_noise_of_faint_pixels() -> None:
    """Near the end a black picture's velocity is (black - noise), and only the ends show the noise large enough to copy."""

    def after(ends: bool) -> float:
        torch.manual_seed(0)
        model = UNet(UNetConfig(size=8, channels=1, width=16, multipliers=(1,), attention_from=0, ends=ends))
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        losses = []
        for _ in range(120):
            noise_BCYX, t_B = torch.randn(8, 1, 8, 8), torch.full((8,), 0.998)
            picture_BCYX = torch.full_like(noise_BCYX, -1)
            predicted_BCYX = model(FlowPath().noised(picture_BCYX, noise_BCYX, t_B), t_B)
            loss = (predicted_BCYX - (picture_BCYX - noise_BCYX)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses[-1]

    with_them, without = after(ends=True), after(ends=False)
    assert with_them < 0.4 * without, (with_them, without)
