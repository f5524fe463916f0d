"""Rotary positions, and the ways to stretch them over longer texts than a model was trained on.

All scalings are computed as transformers does (`modeling_rope_utils.py`), so that a checkpoint gives the same numbers.
Two of them, `dynamic` and `longrope`, depend on the length of the sequence. The length is that of the token's own
sequence as far as this pass knows it, never that of its neighbours in the batch, so that a packed document comes out
as if alone. Keys in a cache keep the angles they were stored with, as they do in transformers; a prefix that several
sequences share counts with its own length.

Shapes: N tokens, F = half of the numbers of a head that turn.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from underdog.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Rope:
    """The angles of one kind of layer."""

    base: float
    width: int  # numbers of a head that turn: the first ones
    context: int
    scaling: dict[str, Any] | None  # `rope_scaling` of config.json; None: the plain angles

    def frequencies(self, base: float | Tensor) -> Tensor:
        """1 / base^(2i / width), [F], or [N, F] for bases [N, 1] (Su et al., arXiv 2104.09864)."""
        exponents = torch.arange(0, self.width, 2, dtype=torch.int64).float() / self.width
        if isinstance(base, Tensor):
            exponents = exponents.to(base.device)
        return 1.0 / base**exponents

    def table(self, positions_N: Tensor, lengths_N: Tensor) -> tuple[Tensor, Tensor]:
        """The cosines of each token's angles, twice [N, 1, 2F], and the sines [N, 1, F]: as `rotate` takes them."""
        if self.scaling is None:
            frequencies, factor = self.frequencies(self.base), 1.0
        else:
            frequencies, factor = SCALINGS[self.scaling["rope_type"]](self, self.scaling, lengths_N[:, None])
        angles = (positions_N[:, None].float() * frequencies.to(positions_N.device))[:, None, :]
        cos, sin = angles.cos(), angles.sin()
        if factor != 1.0:
            cos, sin = cos * factor, sin * factor
        return torch.cat([cos, cos], dim=-1), sin


Scaled = tuple[Tensor, float]  # frequencies [F] or [N, F], and a factor on both queries and keys


def _linear(rope: Rope, scaling: dict[str, Any], lengths_N1: Tensor) -> Scaled:
    """Positions are divided by the factor (position interpolation, arXiv 2306.15595)."""
    return rope.frequencies(rope.base) / scaling["factor"], 1.0


def _dynamic(rope: Rope, scaling: dict[str, Any], lengths_N1: Tensor) -> Scaled:
    """NTK-aware: beyond the context, the base grows with the sequence's length."""
    factor = scaling["factor"]
    stretch_N1 = factor * lengths_N1.clamp(min=rope.context) / rope.context - (factor - 1)
    return rope.frequencies(rope.base * stretch_N1 ** (rope.width / (rope.width - 2))), 1.0


def _llama3(rope: Rope, scaling: dict[str, Any], lengths_N1: Tensor) -> Scaled:
    """Llama 3.1: slow angles are divided by the factor, fast ones kept, those between blended."""
    plain_F = rope.frequencies(rope.base)
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    turns_F = scaling["original_max_position_embeddings"] * plain_F / (2 * math.pi)
    keep_F = ((turns_F - low) / (high - low)).clamp(0, 1)
    return (1 - keep_F) * plain_F / scaling["factor"] + keep_F * plain_F, 1.0


def _yarn(rope: Rope, scaling: dict[str, Any], lengths_N1: Tensor) -> Scaled:
    """YaRN (arXiv 2309.00071): like llama3, blended by the index of the angle, and queries and keys grow a little."""
    plain_F = rope.frequencies(rope.base)
    original = scaling["original_max_position_embeddings"]
    factor = scaling.get("factor") or rope.context / original

    def index_of(turns: float) -> float:
        """Where the angle lies that makes so many turns within the original context."""
        return rope.width * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(rope.base))

    low, high = index_of(scaling.get("beta_fast") or 32), index_of(scaling.get("beta_slow") or 1)
    if scaling.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, rope.width - 1)
    if low == high:
        high += 0.001
    divide_F = ((torch.arange(len(plain_F)).float() - low) / (high - low)).clamp(0, 1)
    return plain_F / factor * divide_F + plain_F * (1 - divide_F), _yarn_attention(scaling, factor)


def _yarn_attention(scaling: dict[str, Any], factor: float) -> float:
    def grown(weight: float) -> float:
        return 1.0 if factor <= 1 else 0.1 * weight * math.log(factor) + 1.0

    if scaling.get("attention_factor") is not None:
        return scaling["attention_factor"]
    if scaling.get("mscale") and scaling.get("mscale_all_dim"):
        return grown(scaling["mscale"]) / grown(scaling["mscale_all_dim"])
    return grown(1.0)


def _longrope(rope: Rope, scaling: dict[str, Any], lengths_N1: Tensor) -> Scaled:
    """LongRoPE (arXiv 2402.13753): a divisor for each angle, one set for sequences within the original context and
    one for longer ones."""
    plain_F = rope.frequencies(rope.base).to(lengths_N1.device)
    original = scaling["original_max_position_embeddings"]
    short_F, long_F = (torch.tensor(scaling[key], device=plain_F.device) for key in ("short_factor", "long_factor"))
    factor = scaling.get("factor") or rope.context / original
    attention = scaling.get("attention_factor")
    if attention is None:
        attention = 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(original))
    return plain_F / torch.where(lengths_N1 > original, long_F, short_F), attention


SCALINGS: dict[str, Callable[[Rope, dict[str, Any], Tensor], Scaled]] = {
    "linear": _linear,
    "dynamic": _dynamic,
    "llama3": _llama3,
    "yarn": _yarn,
    "longrope": _longrope,
}
_NEEDED = {
    "linear": ["factor"],
    "dynamic": ["factor"],
    "llama3": ["factor", "low_freq_factor", "high_freq_factor"],
    "yarn": [],
    "longrope": ["short_factor", "long_factor"],
}
_OPTIONAL = ["factor", "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim"]
_LISTS = ["short_factor", "long_factor"]
_ORIGINAL = "original_max_position_embeddings"


def read_rope(config: dict[str, Any], where: str) -> dict[str, Any]:
    """`rope_base`, `local_rope_base`, `rope_scaling` and `rope_share` of a `ModelConfig`, from config.json.

    The field has written them in three ways: beside the other settings, under `rope_parameters`, and there once for
    each kind of layer (Gemma 3).
    """
    given = config.get("rope_scaling") or config.get("rope_parameters") or {}
    if not isinstance(given, dict):
        raise UserError(f"{where}: the rope scaling is {given!r}.", hint="It should be an object.")
    local = config.get("rope_local_base_freq")
    if "full_attention" in given:
        local = (given.get("sliding_attention") or {}).get("rope_theta", local)
        given = given["full_attention"] or {}
    base = given.get("rope_theta") or config.get("rope_theta") or 10_000.0
    share = given.get("partial_rotary_factor", config.get("partial_rotary_factor"))
    return {
        "rope_base": float(number(base, "rope_theta", where)),
        "local_rope_base": None if local is None else float(number(local, "rope_local_base_freq", where)),
        "rope_share": 1.0 if share is None else number(share, "partial_rotary_factor", where),
        "rope_scaling": _read_scaling(given, config, where),
    }


def _read_scaling(given: dict[str, Any], config: dict[str, Any], where: str) -> dict[str, Any] | None:
    kind = given.get("rope_type") or given.get("type") or "default"
    if kind == "su" or (kind == "yarn" and config.get("model_type") == "phi3"):
        kind = "longrope"  # its names in the first Phi-3 checkpoints
    if kind == "default":
        return None
    if kind not in SCALINGS:
        raise UserError(f'{where}: rope scaling "{kind}" is not supported.', hint=did_you_mean(str(kind), SCALINGS))
    for key in _NEEDED[kind]:
        if given.get(key) is None:
            raise UserError(f'{where}: rope scaling "{kind}" needs "{key}".', hint="Copy config.json anew.")
    scaling: dict[str, Any] = {"rope_type": kind}
    if kind in ("llama3", "yarn", "longrope"):
        original = config.get(_ORIGINAL) or given.get(_ORIGINAL) or config.get("max_position_embeddings")
        scaling[_ORIGINAL] = number(original, _ORIGINAL, where)
    for key in dict.fromkeys([*_NEEDED[kind], *_OPTIONAL]):
        if (value := given.get(key)) is not None:
            if key in _LISTS and not isinstance(value, list):
                raise UserError(f'{where}: "{key}" is {value!r}.', hint="It should be a list of positive numbers.")
            scaling[key] = [number(one, key, where) for one in value] if key in _LISTS else number(value, key, where)
    if given.get("truncate") is not None:
        scaling["truncate"] = bool(given["truncate"])
    return scaling


def write_rope(base: float, local: float | None, scaling: dict[str, Any] | None, share: float) -> dict[str, Any]:
    """The lines of config.json, written so that older readers understand them too."""
    written: dict[str, Any] = {"rope_theta": base}
    if local is not None:
        written["rope_local_base_freq"] = local
    if share != 1.0:
        written["partial_rotary_factor"] = share
    if scaling is not None:
        scaling = {"type": scaling["rope_type"], **scaling}
        if scaling["type"] == "longrope":  # Phi-3 takes the original context from beside the scaling, and nothing more
            written[_ORIGINAL] = scaling.pop(_ORIGINAL)
            del scaling["rope_type"]
        written["rope_scaling"] = scaling
    return written


def number(value: Any, key: str, where: str, kinds: Any = int | float) -> Any:
    """A positive number of config.json."""
    if not isinstance(value, kinds) or isinstance(value, bool) or value <= 0:
        raise UserError(f'{where}: "{key}" is {value!r}.', hint="It should be a positive number.")
    return value
