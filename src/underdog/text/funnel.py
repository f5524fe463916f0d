"""The funnel: which documents are left, and why the others are not."""

from collections.abc import Callable, Sequence

from underdog.text.document import Document


class Funnel:
    """Documents on their way through the steps of curation. None is forgotten: what goes keeps its reason."""

    def __init__(self, documents: Sequence[Document]):
        self.documents = documents
        self.dropped: list[str | None] = [None] * len(documents)
        self.cluster: list[str | None] = [None] * len(documents)
        """The id of the document that stands for all its duplicates, itself included; None without
        duplicates."""
        self.steps: list[dict[str, str | int]] = []
        self._count("read")

    @property
    def left(self) -> list[int]:
        """Indices of the documents that no step has dropped, ascending."""
        return [index for index, reason in enumerate(self.dropped) if reason is None]

    @property
    def texts(self) -> list[str]:
        return [self.documents[index].text for index in self.left]

    def drop(self, step: str, reasons: Sequence[str | None]) -> None:
        """Drops those of the documents left that have a reason; `reasons` has one entry for each of them."""
        for index, reason in zip(self.left, reasons, strict=True):
            self.dropped[index] = reason
        self._count(step)

    def drop_duplicates(self, step: str, kept: Sequence[int | None], reason: Callable[[Document], str]) -> None:
        """Drops those of the documents left that another one of them stands for.

        `kept` holds for each the position, among those left, of the one that stays for it, or None; `reason`
        words it from the one that stays.
        """
        left = self.left
        for index, position in zip(left, kept, strict=True):
            if position is not None:
                standing = left[position]
                self.dropped[index] = reason(self.documents[standing])
                self.cluster[index] = self.cluster[standing] = self.documents[standing].id
        self._count(step)

    def _count(self, step: str) -> None:
        texts = self.texts
        self.steps.append({"step": step, "documents": len(texts), "characters": sum(map(len, texts))})
