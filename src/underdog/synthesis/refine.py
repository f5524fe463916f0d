"""Refine: an answer rewritten until it is good (Nanbeige4-3B, SFT data).

For every instruction a checklist; drafts by the teachers and the student; evaluators score and criticise each against
the checklist; a reviser rewrites the best, and what is better stays, until the score suffices or the rounds are over.
Where a problem has a verifier, an answer that it rejects scores 0 (ours). Every step is in the record.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from underdog.generate.options import Options
from underdog.seeds import derive
from underdog.synthesis.asking import NoReply, Teacher, object_schema
from underdog.synthesis.items import Item, transcript
from underdog.tokens.messages import Conversation, Message
from underdog.verify.registry import verify

LISTED = ("correctness", "completeness", "consistency", "executability", "safety")
BEST = 10  # of a score
GIVEN = "given"  # who drafted the answer that there was


@dataclass(frozen=True)
class Refiner:
    """`drafters` are the teachers and the student; the first of them revises."""

    drafters: Sequence[Teacher]
    evaluators: Sequence[Teacher]
    enough: float = 8.0
    least: float = 0.0
    rounds: int = 2
    temperature: float = 0.7
    max_new_tokens: int = 2048
    words: int = 2000  # characters of a critique or of an entry of the checklist
    seed: int = 1

    def refine(self, item: Item) -> dict[str, Any]:
        """The record: checklist, drafts, rounds, the final answer and its score, and how it ended: by its score, by the
        rounds, below the least score, failed."""
        record: dict[str, Any] = {
            "where": item.where,
            "instruction": transcript(item.messages),
            "drafts": [],
            "rounds": [],
        }
        try:
            record["checklist"] = self._checklist(item)
            best = self._best_draft(item, record)
            best = self._revised(item, record, best)
        except NoReply as problem:
            return {**record, "ended": "failed", "why": problem.why, "reason": str(problem)}
        ended = "score" if best["score"] >= self.enough else "below" if best["score"] < self.least else "rounds"
        return {**record, "final": best["text"], "score": best["score"], "ended": ended}

    def _checklist(self, item: Item) -> list[str]:
        asked = (
            f"Write a checklist by which an answer to the last turn can be judged: {', '.join(LISTED)}, as far as they "
            f"apply here. Three to eight short entries, each a question that yes or no answers.\n\n"
            f"{transcript(item.messages)}"
        )
        entry = {"type": "string", "minLength": 1, "maxLength": self.words}
        schema = object_schema(checklist={"type": "array", "items": entry, "minItems": 1, "maxItems": 8})
        return self._json(self.evaluators[0], asked, schema, item, "checklist")["checklist"]

    def _best_draft(self, item: Item, record: dict[str, Any]) -> dict[str, Any]:
        """Of the drafts, and of the answer that there is. A teacher that fails is left out, with the reason."""
        drafts = [{"by": GIVEN, "text": item.answer}] if item.answer else []
        problem: NoReply | None = None
        for number, teacher in enumerate(self.drafters):
            try:
                text = teacher.ask(item.messages, self._options(item, "draft", number))
                drafts.append({"by": teacher.name, "text": text})
            except NoReply as failed:
                problem = failed
                record["drafts"].append({"by": teacher.name, "failed": str(problem)})
        if not drafts and problem:
            raise problem
        scored = [self._scored(item, draft, record["checklist"]) for draft in drafts]
        record["drafts"] += scored
        return max(scored, key=lambda draft: draft["score"])

    def _revised(self, item: Item, record: dict[str, Any], best: dict[str, Any]) -> dict[str, Any]:
        """The best after the rounds. A revision that fails ends them, with the reason."""
        for number in range(self.rounds):
            if best["score"] >= self.enough:
                break
            critique = "\n".join(one["critique"] for one in best["scores"])
            asked = (
                f"{transcript(item.messages)}\n\nAn answer:\n{best['text']}\n\nWhat is wrong with it:\n{critique}\n\n"
                "Write the better answer, and nothing else."
            )
            reviser = self.drafters[0]
            try:
                text = reviser.ask([Message("user", asked)], self._options(item, "revise", number))
                revised = self._scored(item, {"by": reviser.name, "text": text}, record["checklist"])
            except NoReply as failed:
                record["rounds"].append({"by": reviser.name, "failed": str(failed)})
                break
            kept = revised["score"] > best["score"]
            record["rounds"].append({**revised, "kept": kept})
            best = revised if kept else best
        return best

    def _scored(self, item: Item, draft: dict[str, Any], checklist: Sequence[str]) -> dict[str, Any]:
        """With each evaluator's score and critique, and the mean of the scores. One that fails is left out."""
        if item.problem and (verdict := verify(item.problem, draft["text"])).reward < 1:
            wrong = {"by": f"verifier {item.problem.verifier}", "critique": verdict.detail, "score": 0}
            return {**draft, "scores": [wrong], "score": 0}
        listed = "\n".join(f"- {entry}" for entry in checklist)
        asked = (
            f"{transcript(item.messages)}\n\nAn answer:\n{draft['text']}\n\nChecklist:\n{listed}\n\n"
            f"Judge the answer by the checklist: what is wrong with it, and a score from 0 to {BEST}."
        )
        schema = object_schema(
            critique={"type": "string", "maxLength": self.words},
            score={"type": "integer", "minimum": 0, "maximum": BEST},
        )
        scores: list[dict[str, Any]] = []
        problem: NoReply | None = None
        for teacher in self.evaluators:
            try:
                scores.append({"by": teacher.name, **self._json(teacher, asked, schema, item, "score")})
            except NoReply as failed:
                problem = failed
        if not scores and problem:
            raise problem
        return {**draft, "scores": scores, "score": mean(one["score"] for one in scores)}

    def _json(self, teacher: Teacher, asked: str, schema: dict[str, Any], item: Item, step: str) -> Any:
        return teacher.ask_json([Message("user", asked)], self._options(item, step, 0), schema)

    def _options(self, item: Item, step: str, number: int) -> Options:
        seed = derive(self.seed, step, number, transcript(item.messages)) >> 1
        return Options(temperature=self.temperature, max_new_tokens=self.max_new_tokens, seed=seed)


def refined(item: Item, record: dict[str, Any]) -> Conversation | None:
    """The conversation with the final answer; None where refining failed or the score is too low.

    Reasoning stays only with the answer that it led to.
    """
    if record["ended"] in ("failed", "below"):
        return None
    return item.conversation if record["final"] == item.answer else item.answered(record["final"])
