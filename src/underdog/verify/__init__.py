"""Problems whose answers a program can judge, and the programs that judge them."""

import underdog.verify.answers
import underdog.verify.gym_tasks  # noqa: F401  (both fill registries)
from underdog.verify.problem import Problem, Verdict, Worked
from underdog.verify.registry import verifier, verify

__all__ = ["Problem", "Verdict", "Worked", "verifier", "verify"]
