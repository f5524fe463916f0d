"""NEFTune: noise on the embeddings while instructions are learned (arXiv 2310.05914, algorithm 1)."""

import hashlib
import threading
from dataclasses import dataclass, field

import torch
from torch import Tensor

from underdog.model.decoder import Decoder
from underdog.seeds import derive
from underdog.train.batch import Batch
from underdog.train.objectives import Objective, Sums


@dataclass
class Noisy:
    """Another objective, over embeddings with uniform noise in ±alpha / sqrt(T D), T the tokens of the sequence and D
    the width. The noise is a function of the seed and the ids, so that a resumed run sees the same."""

    objective: Objective
    alpha: float
    seed: int
    _noise: threading.local = field(default_factory=threading.local)  # lanes share the model
    _model: Decoder | None = None

    def __call__(self, model: Decoder, batch: Batch) -> Sums:
        if self._model is not model:
            self._model = model
            model.model.embed_tokens.register_forward_hook(lambda module, ids, out: self._add(out))
        self._noise.now = self._draw(batch, model.config.width)
        try:
            return self.objective(model, batch)
        finally:
            self._noise.now = None

    def _draw(self, batch: Batch, width: int) -> Tensor:
        lengths_N = torch.empty(batch.tokens)
        for span in batch.spans:
            lengths_N[span.start : span.start + span.length] = span.whole
        contents = hashlib.sha256(batch.ids_N.numpy().tobytes()).hexdigest()
        generator = torch.Generator().manual_seed(derive(self.seed, contents))
        uniform_ND = torch.rand(batch.tokens, width, generator=generator) * 2 - 1
        return uniform_ND * (self.alpha / (lengths_N * width).sqrt())[:, None]

    def _add(self, embedded_ND: Tensor) -> Tensor:
        noise = getattr(self._noise, "now", None)
        return embedded_ND if noise is None else embedded_ND + noise.to(embedded_ND)
