"""Independent seeds from one: randomness that depends on names, never on what ran before."""

import hashlib


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the thing so named."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1
