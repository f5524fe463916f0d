"""datatrove's MinHash near-duplicates over a JSON Lines file; run by benchmarks/curate.py with datatrove's own Python.

python benchmarks/datatrove_minhash.py texts.jsonl   # prints JSON: seconds of CPU, and the ids that stay
"""

import json
import sys
import tempfile
import time
from pathlib import Path


def main(path: Path) -> None:
    from datatrove.data import Document
    from datatrove.pipeline.dedup import minhash
    from datatrove.utils.typeshelper import Languages

    texts = [json.loads(line)["text"] for line in path.open(encoding="utf-8")]
    documents = [Document(text=text, id=str(number)) for number, text in enumerate(texts)]
    config = minhash.MinhashConfig()  # 14 buckets of 8 hashes over 5-grams
    with tempfile.TemporaryDirectory() as folder:
        steps = [f"{folder}/{name}" for name in ("signatures", "buckets", "removed")]
        signature = minhash.MinhashDedupSignature(steps[0], config=config, language=Languages.english)
        signature.run(iter(documents[:1]), 0, 1)  # spaCy's loading does not count
        start = time.process_time()
        signature = minhash.MinhashDedupSignature(steps[0], config=config, language=Languages.english)
        signature.run(iter(documents), 0, 1)
        signed = time.process_time() - start
        for bucket in range(config.num_buckets):
            minhash.MinhashDedupBuckets(steps[0], steps[1], config=config).run(None, bucket, config.num_buckets)
        minhash.MinhashDedupCluster(steps[1], steps[2], config=config).run(None, 0, 1)
        kept = [int(found.id) for found in minhash.MinhashDedupFilter(steps[2]).run(iter(documents), 0, 1)]
        print(json.dumps({"seconds": time.process_time() - start, "signing": signed, "kept": kept}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
