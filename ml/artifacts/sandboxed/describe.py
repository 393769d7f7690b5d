"""Descriptions of models inside the sandbox: facts, golden answers, a comparison of two, and the signature of one."""

from __future__ import annotations

import time
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.artifacts.answers import Answers, Values, agree, breach, decides, decisions, distances, flat
from ml.artifacts.graph import GraphFacts
from ml.artifacts.protocol import Answered, Compared, Decided, Signature, Subject
from ml.artifacts.questions import Questions, affordable, natural, populations
from ml.artifacts.sandboxed.session import Session, Unfit, read_facts
from ml.contract import DATATYPES, Contract, Input, Kind, Output

_DECIDE_SEED = 21
_DECIDE_ROWS = 4096
_CHUNK = 16
_PILOT_ROWS = 64
_BUDGET_S = 2.5
"""Of CPU: a slow model is compared on fewer rows rather than on none."""
_PILOT_S = 0.6
"""Of CPU, for all pilots together."""
_GOLDEN_SEED = 22
_GOLDEN_ROWS = 16


def describe(subject: Subject) -> GraphFacts:
    """Describe a model file without loading it. Raises `Unfit` when it is no model."""
    return read_facts(subject)


def answer(subject: Subject) -> Answered:
    """A model's answers to 16 questions, one call each, from the first population on which they vary.

    Raises `Unfit` when it cannot run, or breaks its contract.
    """
    session = Session(subject)
    session.require_signature()
    first: tuple[Questions, Answers] | None = None
    for rows in populations(session.contract, session.sizes, _GOLDEN_SEED, _GOLDEN_ROWS):
        answers = session.run_singly(rows) if first is None else session.tried(rows)
        if answers is None:
            continue
        first = first or (rows, answers)
        if session.keeps(answers) and _varies(session, answers):
            return _answered(session, rows, answers, varied=True)
    assert first is not None
    session.require_kept(first[1])
    return _answered(session, *first, varied=False)


def _varies(session: Session, answers: Answers) -> bool:
    return not any(flat(one, answers[one.name]) for one in session.outputs if not one.optional)


def _answered(session: Session, rows: Questions, answers: Answers, *, varied: bool) -> Answered:
    return Answered(
        inputs={name: tuple(map(tuple, rows.rows(name))) for name in rows.tensors},
        outputs={
            one.name: tuple(tuple(values.ravel().tolist()) for values in map(np.asarray, answers[one.name]))
            for one in session.outputs
        },
        varied=varied,
    )


# The comparison of two models on common questions.


def decide(first: Subject, second: Subject) -> Compared:
    """Ask both the same questions, one at a time as the engine does; 4,096 of them if time allows.

    The questions come from the first population on which the answers of both vary, else of one of them.

    Raises `Unfit` when one cannot run, or when they answer to different contracts.
    """
    sessions = (Session(first), Session(second))
    for session in sessions:
        session.require_signature()
    one, other = sessions
    line = first.contract.difference(second.contract)
    if line:
        raise Unfit(f"{first.model_file} and {second.model_file} answer to different contracts; see {line}", line)
    names = {each.name for each in other.outputs}
    outputs = tuple(each for each in one.outputs if each.name in names)
    questions, varied = _chosen(sessions, outputs)
    answers = _answers(sessions, questions, outputs)
    return Compared(tuple(_decided(each, *answers[each.name], varied=each.name in varied) for each in outputs))


def _chosen(sessions: tuple[Session, Session], outputs: tuple[Output, ...]) -> tuple[Questions, frozenset[str]]:
    """The population to compare on, and the outputs that vary there in at least one model."""
    contract, sizes = sessions[0].contract, sessions[0].sizes
    pilots = populations(contract, sizes, _DECIDE_SEED, affordable(sizes, _PILOT_ROWS))
    until, best, most, varied = time.process_time() + _PILOT_S, 0, -1, frozenset[str]()
    for number, pilot in enumerate(pilots):
        asked = [session.tried(pilot) if number else session.run_singly(pilot) for session in sessions]
        answers = [each for each in asked if each is not None]
        if len(answers) < len(sessions):
            continue
        lively = [{one.name for one in outputs if _lively(one, each[one.name])} for each in answers]
        score = len(lively[0]) + len(lively[1])
        if score > most:
            best, most, varied = number, score, frozenset(lively[0] | lively[1])
        if score == 2 * len(outputs) or time.process_time() > until:
            break
    drawn = populations(contract, sizes, _DECIDE_SEED, affordable(sizes, _DECIDE_ROWS))
    return next(islice(drawn, best, None)), varied


def _lively(output: Output, values: Values) -> bool:
    """True if the choices of a class vary, or the answers where there are none."""
    return len(np.unique(decisions(output, values))) > 1 if decides(output) else not flat(output, values)


def _answers(
    sessions: tuple[Session, Session], questions: Questions, outputs: tuple[Output, ...]
) -> dict[str, tuple[Values, Values]]:
    until = time.process_time() + _BUDGET_S
    parts: list[tuple[Answers, Answers]] = []
    for at in range(0, len(questions), _CHUNK):
        rows = questions[at : at + _CHUNK]
        parts.append((sessions[0].run_singly(rows), sessions[1].run_singly(rows)))
        if time.process_time() > until:
            break
    return {
        one.name: (
            np.concatenate([part[0][one.name] for part in parts]),
            np.concatenate([part[1][one.name] for part in parts]),
        )
        for one in outputs
    }


def _decided(output: Output, one: Values, other: Values, *, varied: bool) -> Decided:
    apart = distances(one, other)
    confusion: NDArray[Any] = np.zeros((0, 0), dtype=int)
    if decides(output):
        confusion = np.zeros((len(output.classes), len(output.classes)), dtype=int)
        chosen = decisions(output, one), decisions(output, other)
        if min(chosen[0].min(), chosen[1].min()) < 0:
            raise Unfit(f"{output.name} is none of its classes", f"outputs.{output.name}.classes")
        np.add.at(confusion, chosen, 1)
        different = int((chosen[0] != chosen[1]).sum())
    else:
        different = int((~agree(output, one, other)).sum())
    numbers = output.kind in (Kind.SCALAR, Kind.VECTOR) and bool(np.isfinite(apart).all())
    low, high, top = np.percentile(apart, (50, 90, 99)).tolist() if numbers else (0.0, 0.0, 0.0)
    return Decided(
        rows=len(one),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        largest_difference=float(np.nan_to_num(apart).max()),
        output=output.name,
        classes=output.classes,
        quantiles=(low, high, top) if numbers else None,
        different=different,
        varied=varied or different > 0,
    )


# The signature of a model, for `mlconsole contract infer`.

_INFER_SEED = 23
_INFER_ROWS = 16


def infer(subject: Subject) -> Signature:
    """Read a model's inputs and outputs, and ask it which outputs look like probabilities.

    Raises `Unfit` when it cannot be loaded.
    """
    session = Session(subject)
    inputs, outputs = session.stated()
    known = {name: datatype for datatype, name in DATATYPES.items()}
    try:
        wanted = tuple(Input(name, known[kind], shape) for name, kind, shape in inputs)
        read = tuple(
            Output(name=name, datatype=known[kind], kind=Kind.ANY) for name, kind, _ in outputs if kind in known
        )
        session.hold_to(Contract(inputs=wanted, outputs=read))
        rows = natural(session.contract, session.sizes, _INFER_SEED, _INFER_ROWS)
        answers = session.run_singly(rows)
    except KeyError as error:
        return Signature(inputs, outputs, why=f"{subject.model_file} takes {error}, which is no tensor")
    except Unfit as unfit:
        return Signature(inputs, outputs, why=str(unfit))
    found = tuple(one.name for one in read if _looks_like_probabilities(one, answers[one.name]))
    return Signature(inputs, outputs, found)


def _looks_like_probabilities(output: Output, values: Values) -> bool:
    wide = values.ndim == 2 and values.shape[-1] > 1 and values.dtype.kind == "f"
    as_such = Output(name=output.name, datatype=output.datatype, kind=Kind.PROBABILITIES)
    return wide and breach(as_such, values) is None
