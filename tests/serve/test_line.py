import asyncio
import threading

from underdog.generate.session import Delta, Finish
from underdog.serve.line import Line


def deltas(name, log, tokens=3):
    for i in range(tokens):
        log.append(name)
        yield Delta(content=f"{name}{i}")
    yield Delta(finish=Finish(None, 1, tokens, 0))


def test_a_client_that_does_not_read_holds_nobody_up():
    async def main():
        line, log = Line(), []
        slow = line.run(deltas("slow", log))
        assert (await anext(slow)).content == "slow0"  # and then it reads no further
        quick = [delta.content async for delta in line.run(deltas("quick", log))]
        assert quick == ["quick0", "quick1", "quick2", ""]
        assert [delta.content async for delta in slow] == ["slow1", "slow2", ""]
        return log

    assert asyncio.run(asyncio.wait_for(main(), 20)) == ["slow"] * 3 + ["quick"] * 3


def test_an_answer_nobody_waits_for_is_never_begun():
    async def main():
        line, log, go_on = Line(), [], threading.Event()

        def busy():
            yield Delta("begun")
            go_on.wait(10)
            yield from deltas("a", log)

        first, second = line.run(busy()), line.run(deltas("b", log))
        await anext(first)
        waiting = asyncio.ensure_future(anext(second))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await second.aclose()
        go_on.set()
        assert len([delta async for delta in first]) == 4
        assert len([delta async for delta in line.run(deltas("c", log))]) == 4
        return log

    assert asyncio.run(asyncio.wait_for(main(), 20)) == ["a"] * 3 + ["c"] * 3


def test_first_come_first_served():
    async def main():
        line, log = Line(), []

        async def client(name):
            return [delta async for delta in line.run(deltas(name, log))]

        await asyncio.gather(*(client(name) for name in "abcdefgh"))
        return log

    assert "".join(asyncio.run(asyncio.wait_for(main(), 20))) == "aaabbbcccdddeeefffggghhh"
