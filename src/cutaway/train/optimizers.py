"""Each kind of parameter gets the update that suits it.

- Muon for hidden matrices (Jordan et al. 2024, kellerjordan.github.io/posts/muon): momentum, then the nearest orthogonal
  matrix, so that every direction of a matrix moves equally far:
      m <- mu m + (1 - mu) g;   u = (1 - mu) g + mu m;   W <- (1 - lr wd) W - lr sqrt(max(1, rows / columns)) U V^T
  where u = U S V^T. U V^T comes from a few matrix products (`orthogonalize`), never from a decomposition. A convolution's
  weights are a matrix with a row for every channel that it writes.
- AdamW (Loshchilov and Hutter 2017, arXiv:1711.05101) for token and position tables, gains and the head.
- Row-wise AdaGrad (Naumov et al. 2019, arXiv:1906.00091) for n-gram tables, where a step touches few of very many rows:
      v_r <- v_r + mean(g_r^2);   W_r <- W_r - lr g_r / sqrt(v_r)

Differences from `torch.optim.Muon`: matrices of one shape go through one batched product, and a matrix spread over
several devices is gathered first. Look at `orthogonalize`, and at the singular values before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from cutaway.nn.embedding import NGramEmbedding
from cutaway.train.config import TrainConfig
from cutaway.train.distributed import like, whole
from cutaway.train.lr_schedule import rate

Coefficients = Sequence[tuple[float, float, float]]

NEWTON_SCHULZ: Coefficients = ((3.4445, -4.7750, 2.0315),) * 5
"""Jordan's quintic, five times: singular values end between 0.7 and 1.2."""

MOMENTUM_WARMUP_STEPS = 100
MOMENTUM_AT_FIRST = 0.85


def orthogonalize(
    matrices: Float[Tensor, "B X Y"],
    coefficients: Coefficients = NEWTON_SCHULZ,
    dtype: torch.dtype = torch.bfloat16,
) -> Float[Tensor, "B X Y"]:
    """Replace every matrix's singular values by about 1 and keep its singular vectors.

    An odd polynomial of a matrix acts on its singular values alone: with A = Z Z^T, Z <- a Z + (b A + c A A) Z takes each
    s to a s + b s^3 + c s^5. Dividing by the Frobenius norm first puts all of them between 0 and 1.
    """
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    Z_BXY = (matrices.mT if is_tall else matrices).to(dtype)
    Z_BXY = Z_BXY / Z_BXY.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for a, b, c in coefficients:
        A_BXX = torch.bmm(Z_BXY, Z_BXY.mT)
        A_BXX = torch.baddbmm(A_BXX, A_BXX, A_BXX, beta=b, alpha=c)
        Z_BXY = torch.baddbmm(Z_BXY, A_BXX, Z_BXY, beta=a)
    return Z_BXY.mT if is_tall else Z_BXY


class Muon(Optimizer):
    """Momentum, orthogonalized; matrices of one shape share each product.

    Args:
        dtype: of the products.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        coefficients: Coefficients = NEWTON_SCHULZ,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.coefficients, self.dtype = coefficients, dtype
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim < 2:
                    raise ValueError(f"Muon takes matrices, not shape {tuple(parameter.shape)}; give it to AdamW")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[tuple[int, ...], list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault(tuple(parameter.shape), []).append(parameter)
            for parameters in by_shape.values():
                self._update(parameters, group)

    def _update(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None:
        weights: list[Tensor] = list(parameters)
        grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
        for parameter in parameters:
            if "momentum_buffer" not in self.state[parameter]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        buffers = [self.state[parameter]["momentum_buffer"] for parameter in parameters]
        torch._foreach_lerp_(buffers, grads, 1 - group["momentum"])
        updates_BXY = torch.stack([whole(u).flatten(1) for u in torch._foreach_lerp(grads, buffers, group["momentum"])])
        turned_BXY = orthogonalize(updates_BXY, self.coefficients, self.dtype).to(parameters[0].dtype)
        changes = [like(turned.view(p.shape), p) for turned, p in zip(turned_BXY, parameters, strict=True)]
        rows, columns = updates_BXY.shape[1:]
        if group["weight_decay"]:
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(weights, changes, alpha=-group["lr"] * max(1.0, rows / columns) ** 0.5)


class RowAdaGrad(Optimizer):
    """AdaGrad with one scale a row. With a sparse gradient it touches only the rows the batch looked up."""

    def __init__(self, params: Iterable[Any], lr: float = 0.05) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update the rows that have a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group["lr"])

    def _update(self, parameter: nn.Parameter, grad: Tensor, lr: float) -> None:
        state = self.state[parameter]
        if "row_sum_of_squares" not in state:
            state["row_sum_of_squares"] = torch.zeros_like(parameter[:, :1])
        sums_N1 = state["row_sum_of_squares"]
        if grad.is_sparse:
            grad = grad.coalesce()
            rows_N, grad_NC = grad.indices()[0], grad.values()
            scales_N1 = sums_N1[rows_N] + grad_NC.square().mean(dim=1, keepdim=True)
            sums_N1[rows_N] = scales_N1
            parameter.index_add_(0, rows_N, grad_NC / (scales_N1.sqrt() + 1e-12), alpha=-lr)
        else:
            sums_N1.add_(grad.square().mean(dim=1, keepdim=True))
            parameter.add_(grad / (sums_N1.sqrt() + 1e-12), alpha=-lr)


def build_optimizers(model: nn.Module, config: TrainConfig) -> list[Optimizer]:
    """Return the optimizers of those of a model's parameters that learn; every group carries its `peak_lr`.

    Corrections of low rank (LoRA) go to AdamW: Muon would make all their directions equally long.

    N-gram tables are asked for sparse gradients where their optimizer can have them.
    """
    hidden: list[nn.Parameter] = []
    tables: list[nn.Parameter] = []
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    kinds = {id(p): module for module in model.modules() for p in module.parameters(recurse=False)}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        module = kinds[id(parameter)]
        if isinstance(module, NGramEmbedding):
            module.sparse_gradient = not torch.distributed.is_initialized()  # ranks average dense gradients only
            tables.append(parameter)
        elif isinstance(module, nn.Linear | nn.Conv2d) and parameter.ndim >= 2 and not name.endswith("lm_head.weight"):
            hidden.append(parameter)
        else:
            (matrices if parameter.ndim >= 2 else rest).append(parameter)
    decay = config.weight_decay
    optimizers: list[Optimizer] = []
    if config.optimizer == "muon" and hidden:
        dtype = torch.bfloat16 if config.precision == "bfloat16" else torch.float32
        optimizers.append(Muon(hidden, lr=config.muon_learning_rate, weight_decay=decay, dtype=dtype))
    else:
        matrices = hidden + matrices
    groups = [{"params": matrices, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]
    optimizers.append(
        AdamW(
            [group for group in groups if group["params"]] or [{"params": []}],
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            eps=config.epsilon,
            fused=True,
        )
    )
    if tables:
        optimizers.append(RowAdaGrad(tables, lr=config.ngram_learning_rate))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return optimizers


def set_rates(optimizers: list[Optimizer], step: int, total_steps: int, config: TrainConfig) -> float:
    """Set every group's rate (and Muon's momentum, which rises at first) for update number `step`; return the
    share of the peak."""
    share = rate(step, total_steps, config)
    warm = min(1.0, step / MOMENTUM_WARMUP_STEPS)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * share
            if isinstance(optimizer, Muon):
                group["momentum"] = MOMENTUM_AT_FIRST + (config.muon_momentum - MOMENTUM_AT_FIRST) * warm
    return share


def rates(optimizers: list[Optimizer]) -> dict[str, float]:
    """Return the rate each optimizer used in its last step, by its name in small letters."""
    return {type(optimizer).__name__.lower(): optimizer.param_groups[0]["lr"] for optimizer in optimizers}
