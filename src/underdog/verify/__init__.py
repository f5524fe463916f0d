"""Problems whose answers a program can judge, and the programs that judge them."""

import underdog.verify.answers
from underdog.verify.problem import Problem, Verdict, Worked
from underdog.verify.registry import verifier, verify

__all__ = ["Problem", "Verdict", "Worked", "verifier", "verify"]
import underdog.verify.gym_tasks  # noqa: F401  (fills the registry of tasks)
