from collections import Counter
from itertools import count, cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from underdog.errors import UserError
from underdog.tokens.messages import Message
from underdog.verify.identity import prompt_key
from underdog.verify.problem import Problem, Worked
from underdog.verify.splits import SPLITS, split


def problem(key, prompt=None, task="t", worked=True):
    return Problem(
        f"id of {key}",
        (Message("user", prompt or f"prompt of {key}"),),
        "text",
        {"answer": "a"},
        task=task,
        worked=Worked("because", "a") if worked else None,
    )


def endless(task):
    """Every problem comes twice, the second time in other words."""
    for number in count():
        yield problem(f"{task} {number}", task=task)
        yield problem(f"{task} {number}", f"again {task} {number}", task=task)


def sizes(*numbers):
    return dict(zip(SPLITS, numbers, strict=True))


def tasks_of(problems):
    return Counter(p.task for p in problems)


def test_endless_tasks_fill_every_split_evenly():
    names = ["a", "b", "c"]
    result = split({}, {name: endless(name) for name in names}, sizes(31, 60, 12, 9), seed=1)
    assert {name: len(members) for name, members in result.problems.items()} == sizes(31, 60, 12, 9)
    for members in result.problems.values():
        per_task = tasks_of(members)
        assert set(per_task) == set(names)
        assert max(per_task.values()) - min(per_task.values()) <= 2
        assert len(tasks_of(members[:6])) == 3  # any prefix is mixed
    assert result.duplicates["a"] > 30


def test_equivalent_problems_do_not_cross_splits():
    # The last one is the first one by its prompt, the second one by its id: all three are one problem.
    chain = [problem("x", "same"), problem("y", "SAME "), problem("y", "other words")]
    fill = [problem(number) for number in range(7)]
    result = split({"f": chain + fill}, {}, sizes(2, 2, 2, 2), seed=1)
    assert result.duplicates == {"f": 2}


pools = st.lists(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), st.booleans()), max_size=30),
    min_size=1,
    max_size=3,
)


@given(pools, st.integers(0, 2), st.tuples(*[st.integers(0, 8)] * 4), st.integers(0, 3))
def test_splits_are_exact_disjoint_and_repeatable(pools, endless_tasks, numbers, seed):
    files = {
        f"f{index}": [problem(key, f"prompt {prompt}", f"f{index}", worked) for key, prompt, worked in pool]
        for index, pool in enumerate(pools)
    }
    wanted = sizes(*numbers)

    def run():
        return split(files, {f"t{i}": endless(f"t{i}") for i in range(endless_tasks)}, wanted, seed)

    try:
        result = run()
    except UserError:
        worked = sum(p.worked is not None for members in files.values() for p in members)
        distinct = sum(map(len, files.values()))
        # With endless tasks nothing can be missing; without, something must be (duplicates make it more).
        assert endless_tasks == 0
        keys = {p.id for members in files.values() for p in members}
        prompts = {prompt_key(p.prompt) for members in files.values() for p in members}
        enough = min(len(keys), len(prompts), distinct) >= sum(numbers) and worked >= numbers[0]
        assert not enough or len(keys) < distinct or len(prompts) < distinct
        return
    assert {name: len(members) for name, members in result.problems.items()} == wanted
    everything = [p for members in result.problems.values() for p in members]
    assert len({p.id for p in everything}) == len({prompt_key(p.prompt) for p in everything}) == len(everything)
    assert all(p.worked for p in result.problems["demonstrations"])
    assert run() == result


def test_a_small_file_reaches_all_splits_beside_a_task():
    mine = [problem(f"mine {number}", task="mine") for number in range(100)]
    result = split({"mine": mine}, {"a": endless("a")}, sizes(300, 600, 50, 50), seed=1)
    per_split = {name: tasks_of(members)["mine"] for name, members in result.problems.items()}
    assert per_split == {"demonstrations": 30, "train": 60, "validation": 5, "test": 5}


def test_problems_without_reasoning_are_no_demonstrations():
    plain = [problem(f"plain {number}", task="plain", worked=False) for number in range(40)]
    worked = [problem(f"worked {number}", task="worked") for number in range(20)]
    result = split({"plain": plain, "worked": worked}, {}, sizes(20, 30, 5, 5), seed=1)
    assert tasks_of(result.problems["demonstrations"]) == {"worked": 20}
    assert tasks_of(result.problems["train"]) == {"plain": 30}


def test_the_seed_changes_who_goes_where():
    mine = [problem(number) for number in range(40)]
    first, other = (split({"f": mine}, {}, sizes(10, 10, 10, 10), seed).problems["test"] for seed in (1, 2))
    assert set(map(str, first)) != set(map(str, other))


def test_a_task_that_runs_out_says_how_many_it_has():
    few = cycle([problem(number) for number in range(12)])
    with pytest.raises(UserError, match=r'Task "few" has only about 12 distinct problems; 20 are needed\.'):
        split({}, {"few": few, "a": endless("a")}, sizes(10, 10, 10, 10), seed=1)


def test_files_that_run_out_say_how_many_they_have():
    files = {
        "a.jsonl": [problem(n, worked=n < 3) for n in range(8)],
        "b.jsonl": [problem(n) for n in range(10)],
    }
    with pytest.raises(UserError, match=r"20 problems were asked for; 10 \(a\.jsonl 8, b\.jsonl 2\) are distinct\."):
        split(files, {}, sizes(5, 5, 5, 5), seed=1)
    with pytest.raises(
        UserError, match=r"6 demonstrations were asked for; 5 \(a\.jsonl 3, b\.jsonl 2\) have reasoning\."
    ):
        split(files, {}, sizes(6, 1, 1, 1), seed=1)
