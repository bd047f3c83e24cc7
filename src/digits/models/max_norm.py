"""The max-norm constraint: no unit's incoming weights grow beyond a limit."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer


@torch.no_grad()
def limit_norms(weight: Tensor, max_norm: float) -> None:
    """Scales each row whose L2 norm is above the limit back to it; the other rows stay as they are.

    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR
    2014, section 5.1: ||w|| <= c for the weight vector w incident on each hidden unit, which is
    projected onto the surface of the ball of radius c whenever it has left it.

    Args:
        weight: (units, inputs), as `nn.Linear` has it; it is changed in place.
        max_norm: the limit c, above 0.
    """
    weight.renorm_(p=2, dim=0, maxnorm=max_norm)


def limit_after_each_step(optimizer: Optimizer, weights: Sequence[Tensor], max_norm: float) -> None:
    """Makes an optimizer limit the norms of some weights at the end of each of its steps."""

    def limit(*_: object) -> None:
        for weight in weights:
            limit_norms(weight, max_norm)

    optimizer.register_step_post_hook(limit)
