"""Frozen matrices held and multiplied in bfloat16: half the memory, and where the machine has units for it many times
the speed (`underdog doctor` measures). The units add up in float32 and round each result once."""

from torch import Tensor, nn
from torch.nn.functional import linear


class BFloat16(nn.Module):
    """A frozen linear layer [out, in], from bfloat16 to bfloat16."""

    def __init__(self, layer: nn.Linear):
        super().__init__()
        # A buffer outside the state: it follows from the checkpoint, which is where it is read again.
        self.register_buffer("weight", layer.weight.detach().bfloat16(), persistent=False)
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().bfloat16(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)
