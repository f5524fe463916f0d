"""Two answerers that need no model: one that is always right, one that guesses. They frame pass@1."""

from collections import defaultdict
from collections.abc import Iterable
from random import Random

from underdog.verify.problem import Problem, reference_answer
from underdog.verify.registry import get_verifier, verify_all


def oracle(problem: Problem) -> str:
    """The completion of a perfect student: the worked reasoning and the right answer."""
    reasoning = f"<think>{problem.worked.reasoning}</think>" if problem.worked else ""
    return f"{reasoning}{reference_answer(problem)}"


def chance(problems: Iterable[Problem], seed: int, draws: int = 8) -> float:
    """Mean reward, 0..1, of answering every problem with the answer to another one of its task.

    A model that has learned what answers look like, and nothing else, earns this. `draws` answers per
    problem, one where judging takes a process; a problem that is the only one of its task earns 0.
    """
    by_task = defaultdict(list)
    for problem in problems:
        by_task[problem.task].append(problem)
    random = Random(seed)
    alone = 0
    guesses: list[tuple[Problem, str]] = []
    for same in by_task.values():
        alone += len(same) == 1
        others = range(len(same) - 1)
        for index, problem in enumerate(same):
            tries = 1 if get_verifier(problem.verifier).apart else draws  # those cost a process's time
            for place in random.sample(others, min(tries, len(others))):
                other = same[place + (place >= index)]
                guesses.append((problem, reference_answer(other) or ""))
    rewards = [verdict.reward for verdict in verify_all(guesses)]
    return sum(rewards) / (len(rewards) + alone) if guesses or alone else 0.0
