"""Context parallelism: a group of processes shares the tokens of each part (model/divided.py says how they attend)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed as distributed
from torch import Tensor

from underdog import world
from underdog.errors import UserError
from underdog.model.attention import Attention, Span
from underdog.model.divided import Divided, Shares
from underdog.train.batch import Batch

# torch 2.13 gave these new names
_all_gather = getattr(distributed, "all_gather_single", distributed.all_gather_into_tensor)
_reduce_scatter = getattr(distributed, "reduce_scatter_single", distributed.reduce_scatter_tensor)


@dataclass(frozen=True, kw_only=True)
class Share(Batch):
    """One process's tokens of a batch; `spans` are those of the whole."""

    attend: Attention

    def attention(self) -> Attention:
        return self.attend


class Group:
    """The processes that this one shares sequences with: `size` of them, numbered one after the other."""

    def __init__(self, size: int):
        self.size = size
        self._group = distributed.new_subgroups(size)[0] if size > 1 else None

    def share(self, part: Batch) -> Batch:
        """This process's tokens of a part; the whole part where no sequence is shared."""
        if self._group is None:
            return part
        if any(span.prefix_length for span in part.spans):
            raise UserError(
                "compute.context_parallel divides whole sequences, not answers that share one copy of their prompt.",
                hint="Set it to 1 for distillation and reinforcement.",
            )
        whole = _filled(part, 2 * self.size)
        shares = Shares(whole.tokens, self.size, world.rank() % self.size)
        attend = Divided(whole.spans, shares, self._gather)
        own = whole.each(lambda values: values[shares.own_M])
        return Share(**own, spans=whole.spans, counts=part.counts, attend=attend)

    def _gather(self, x_M: Tensor) -> Tensor:
        return _Gathered.apply(x_M, self._group)


class _Gathered(torch.autograd.Function):
    """The processes' tensors [M, …] joined to [N, …]; going backward each gets the sum of what is meant for it."""

    @staticmethod
    def forward(ctx: Any, x_M: Tensor, group: Any) -> Tensor:
        ctx.group = group
        x_N = x_M.new_empty(len(x_M) * group.size(), *x_M.shape[1:])
        _all_gather(x_N, x_M.contiguous(), group=group)
        return x_N

    @staticmethod
    def backward(ctx: Any, slope_N: Tensor) -> tuple[Tensor, None]:
        slope_M = slope_N.new_empty(len(slope_N) // ctx.group.size(), *slope_N.shape[1:])
        _reduce_scatter(slope_M, slope_N.contiguous(), group=ctx.group)
        return slope_M, None


def _filled(part: Batch, multiple: int) -> Batch:
    """The part, with a sequence of idle tokens at its end that makes its length a multiple."""
    missing = -part.tokens % multiple
    if not missing:
        return part

    def fill(values: Tensor) -> Tensor:
        return torch.cat([values, values.new_zeros(missing, *values.shape[1:])])

    spans: Sequence[Span] = [*part.spans, Span(part.tokens, missing)]
    return replace(part, **part.each(fill), spans=spans)
