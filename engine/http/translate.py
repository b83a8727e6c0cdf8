"""Every exception that can reach the door, as the problem it is told as. First match counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import asyncpg
import structlog

from engine.errors import Busy, Refused
from engine.http.problems import Problem, of_violation
from engine.http.routes import Route
from engine.postgres.pool import LOST

AGAIN = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""PostgreSQL broke a circle at our cost: the transaction may be done again."""
_AWAY = (asyncpg.OperatorInterventionError, asyncpg.InsufficientResourcesError, *LOST, *AGAIN, TimeoutError)

log = structlog.get_logger()


def problem_of(error: Exception, route: Route) -> Problem:
    """The problem, after logging what the caller is not told. Never quotes a value, a statement or a path."""
    for kinds, translate in _TABLE:
        if isinstance(error, kinds):
            return translate(error, route.template)
    log.exception("http.failed", route=route.template, error=type(error).__name__)
    return Problem("internal")


def _busy(error: Busy, route: str) -> Problem:
    log.warning("http.busy", route=route, why=str(error))
    return Problem.busy(error.retry_after_s)


def _violation(error: Any, route: str) -> Problem:
    log.info("http.violation", route=route, constraint=error.constraint_name)
    return of_violation(error)


def _unstorable(error: Any, route: str) -> Problem:
    log.warning("http.unstorable", route=route, error=type(error).__name__)
    return Problem("invalid", "a value cannot be stored")


def _away(error: Any, route: str) -> Problem:
    log.warning("http.away", route=route, error=type(error).__name__)
    return Problem.busy(1, "a server behind this one is away or slow")


_TABLE: tuple[tuple[Any, Callable[[Any, str], Problem]], ...] = (
    (Problem, lambda error, route: error),
    (Busy, _busy),
    (Refused, lambda error, route: Problem("invalid", str(error))),
    (asyncpg.IntegrityConstraintViolationError, _violation),
    (asyncpg.DataError, _unstorable),
    (_AWAY, _away),
)
