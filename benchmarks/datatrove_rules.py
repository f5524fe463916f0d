"""datatrove's FineWeb chain over a JSON Lines file; run by benchmarks/curate_rules.py with datatrove's own Python.

python benchmarks/datatrove_rules.py texts.jsonl   # prints JSON: seconds of CPU, and why each document goes
"""

import json
import sys
import time
from pathlib import Path


def main(path: Path) -> None:
    from datatrove.data import Document
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    texts = [json.loads(line)["text"] for line in path.open(encoding="utf-8")]
    chain = [
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
    ]

    def reason(text: str) -> str | None:
        document = Document(text=text, id="")
        for step in chain:
            found = step.filter(document)
            if found is not True:
                return found[1]
        return None

    reason("A first document loads what is loaded once. " * 20)
    start = time.process_time()
    reasons = [reason(text) for text in texts]
    print(json.dumps({"seconds": time.process_time() - start, "reasons": reasons}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
