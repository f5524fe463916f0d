"""A server under clients that behave badly: nothing crashes, leaks or goes to the wrong client.

    python benchmarks/soak.py MODEL --clients 32 --seconds 300

Starts `underdog serve MODEL` and sends it chats, streams that are left in the middle, bodies that are too large, JSON
that is none, huge schemas and unknown parameters. Each chat must answer with a word that no other client was told, so
an answer to the wrong client is seen. Prints what was answered, time to first token, and memory before and after.
"""

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import httpx

KINDS = {"chat": 6, "stream": 6, "leave": 4, "oversize": 1, "broken": 2, "huge schema": 1, "unknown": 2}
EXPECTED = {"oversize": (413,), "broken": (400,), "huge schema": (400,), "unknown": (400,)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=300)
    options = parser.parse_args()
    command = [sys.executable, "-m", "underdog.cli", "serve", options.model, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = server.stdout.readline().split()[-1]
            asyncio.run(soak(url, server.pid, options.clients, options.seconds))
            assert server.poll() is None, "the server has died"
        finally:
            server.terminate()


async def soak(url: str, pid: int, clients: int, seconds: float) -> None:
    seen: Counter[str] = Counter()
    wrong: list[str] = []
    firsts: list[float] = []
    async with httpx.AsyncClient(base_url=url, timeout=300, limits=httpx.Limits(max_connections=2 * clients)) as http:
        name = (await http.get("/v1/models")).json()["data"][0]["id"]
        await chat(http, name, "warm", random.Random(0), seen, wrong, [])
        before, end = resident(pid), time.monotonic() + seconds
        seen.clear()
        watching = asyncio.create_task(watch(pid, seconds / 10))
        await asyncio.gather(*(client(i, http, name, end, seen, wrong, firsts) for i in range(clients)))
        watching.cancel()
        await asyncio.sleep(2)
        page = (await http.get("/metrics")).text
    inside = next(line for line in page.splitlines() if line.startswith("underdog_requests_inside "))
    print(f"{clients} clients, {seconds:.0f} s: {sum(seen.values())} requests")
    print(*(f"  {kind}: {count}" for kind, count in sorted(seen.items())), sep="\n")
    print(f"answers that were wrong or not as expected: {len(wrong)}", *wrong[:10], sep="\n  ")
    print(f"time to first token: median {statistics.median(firsts):.2f} s, "
          f"p95 {statistics.quantiles(firsts, n=20)[-1]:.2f} s, {len(firsts)} streams")  # fmt: skip
    print(f"{inside}; resident {before:.0f} MiB at the start, {resident(pid):.0f} MiB at the end")


async def watch(pid: int, every: float) -> None:
    """Prints the server's memory every so many seconds: what fills up to a bound levels off, a leak goes on."""
    while True:
        print(f"  resident {resident(pid):.0f} MiB", flush=True)
        await asyncio.sleep(every)


async def client(index: int, http: httpx.AsyncClient, name: str, end: float, seen, wrong, firsts) -> None:
    draw, turn = random.Random(index), 0
    while time.monotonic() < end:
        turn += 1
        kind = draw.choices([*KINDS], [*KINDS.values()])[0]
        try:
            if kind in ("chat", "stream", "leave"):
                await chat(http, name, f"word{index}x{turn}", draw, seen, wrong, firsts, kind)
                continue
            status = (await http.post("/v1/chat/completions", **bad(kind, name))).status_code
        except httpx.TransportError as problem:  # a connection that was kept open was closed just as it was used again
            seen[f"{kind} → {type(problem).__name__}"] += 1
            continue
        seen[f"{kind} → {status}"] += 1
        if status not in (*EXPECTED[kind], 429):
            wrong.append(f"{kind}: {status}")


async def chat(http, name, word, draw, seen, wrong, firsts, kind="chat") -> None:
    """`word` is all that the answer may be."""
    body = {
        "model": name,
        "messages": [{"role": "user", "content": word}],
        "max_tokens": 64,
        "reasoning_effort": "none",
    }
    body |= {"structured_outputs": {"choice": [word]}, "stream": kind != "chat"}
    if kind == "chat":
        response = await http.post("/v1/chat/completions", json=body)
        seen[f"chat → {response.status_code}"] += 1
        if response.status_code == 200 and (said := response.json()["choices"][0]["message"]["content"]) != word:
            wrong.append(f"{word} was told {said!r}")
        elif response.status_code not in (200, 429):
            wrong.append(f"chat: {response.status_code}")
        return
    start, said = time.monotonic(), ""
    async with http.stream("POST", "/v1/chat/completions", json=body) as response:
        seen[f"{kind} → {response.status_code}"] += 1
        if response.status_code != 200:
            if response.status_code != 429:
                wrong.append(f"{kind}: {response.status_code}")
            return
        if kind == "leave" and draw.random() < 0.5:
            return
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            delta = json.loads(line.removeprefix("data: "))["choices"][0]["delta"].get("content", "")
            if delta and not said:
                firsts.append(time.monotonic() - start)
            said += delta
            if kind == "leave" and said:
                return
    if said != word:
        wrong.append(f"{word} was told {said!r}")


def bad(kind: str, name: str) -> dict:
    body = {"model": name, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
    if kind == "oversize":
        return {"content": b"x" * 2_200_000, "headers": {"Content-Type": "application/json"}}
    if kind == "broken":
        return {"content": json.dumps(body)[:-5], "headers": {"Content-Type": "application/json"}}
    if kind == "unknown":
        return {"json": {**body, "temprature": 1}}
    schema = {"type": "object", "properties": {f"p{i}": {"enum": [f"{i}-{j}" for j in range(50)]} for i in range(2500)}}
    return {
        "json": {**body, "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}}
    }


def resident(pid: int) -> float:
    """MiB"""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


if __name__ == "__main__":
    main()
