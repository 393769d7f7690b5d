"""The whole policy as one frozen value, with its questions."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Self

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from ml.contract import Contract, family_contract
from ml.errors import Usage
from ml.metrics_contract import RUNBOOK, MetricNames, parse_metrics
from ml.policy.sections import (
    ANYBODY,
    DEFAULT_OBJECTIVES,
    NEVER_WAIVABLE,
    Ack,
    Alerts,
    Artifacts,
    Checks,
    Evidence,
    FreezeWindow,
    Metrics,
    ModelName,
    ModelPolicy,
    Objective,
    Roles,
    Section,
    Soak,
    Text,
    Texts,
    Waivers,
    Watch,
    over_the_defaults,
)
from ml.text import visible
from ml.verdict import Verdict


class Policy(Section):
    """The whole policy, frozen. ``source`` are the exact bytes it was read from, empty for the defaults.

    A policy that has no table ``evidence`` takes older evidence than one that has it (see `Evidence`).
    """

    roles: Roles = Roles()
    artifacts: Artifacts = Artifacts()
    metrics: Metrics = RUNBOOK
    soak: Soak = Soak()
    objectives: Annotated[tuple[Objective, ...], Field(alias="objective", strict=False)] = DEFAULT_OBJECTIVES
    alerts: Alerts = Alerts()
    checks: Checks = Checks()
    ack: Ack = Ack()
    evidence: Evidence = Evidence(oldest_format="v1")
    waivers: Waivers = Waivers()
    watch: Watch = Watch()
    freezes: Annotated[tuple[FreezeWindow, ...], Field(alias="freeze", strict=False)] = ()
    models: Mapping[ModelName, ModelPolicy] = Field(alias="model", default_factory=dict)
    people: Mapping[Text, Texts] = Field(default_factory=dict)
    source: Annotated[bytes, Field(exclude=True, repr=False)] = b""

    @field_validator("objectives", mode="before")
    @classmethod
    def _over_the_defaults(cls, given: object) -> object:
        """Lay the file's objectives over the defaults; what is no list of tables is left to the type check."""
        if isinstance(given, list) and all(isinstance(each, dict) for each in given):
            return over_the_defaults(given)
        return given

    @field_validator("people")
    @classmethod
    def _one_person_each(cls, people: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        """Each further address belongs to one person, and is no person itself."""
        further = [address for addresses in people.values() for address in addresses]
        for address in (*people, *further):
            if address == ANYBODY or "@" not in address:
                raise ValueError(f"{visible(address)} is no address")
        for address in further:
            if address in people or further.count(address) > 1:
                raise ValueError(f"{visible(address)} would be two people")
        return people

    @model_validator(mode="after")
    def _metrics_that_fit_together(self) -> Self:
        for model in self.models:
            try:
                self.metric_names(model)
            except ValueError as error:
                raise ValueError(f"the metrics of {model}, {error}") from error
        for names in self.every_metric_names():
            _require_units(self.objectives, names)
        return self

    @property
    def approvals(self) -> int:
        """The number of operators behind a change to active, its author included."""
        return self.ack.approvals

    def artifact_base(self, configured: str) -> str:
        """Return the base folder of pointers. ``configured`` is this machine's own, used without a policy's."""
        return self.artifacts.base or configured

    def selector(self, model: str) -> str:
        """The label matchers of a model, without braces; empty where it has none."""
        found = self.models.get(model)
        return found.selector if found else ""

    def metric_names(self, model: str) -> MetricNames:
        """The metrics contract of a model: its own keys over those of ``[metrics]``, over the runbook's."""
        found = self.models.get(model)
        return parse_metrics(found.metrics, self.metrics) if found and found.metrics else self.metrics

    def every_metric_names(self) -> tuple[MetricNames, ...]:
        """All metrics contracts that differ, the common one first."""
        return tuple(dict.fromkeys((self.metrics, *map(self.metric_names, self.models))))

    def contract(self, model: str) -> Contract | None:
        """The contract of a model: its own, else the runbook's for its family, else ``None``."""
        found = self.models.get(model)
        stated = found.contract if found else None
        return stated if stated is not None else family_contract(model)

    def contract_of_artifact(self, artifact_id: str) -> Contract | None:
        """The stated contract of the one model that an artifact's id names; ``None`` where it names none or several."""
        kind = artifact_id.rpartition("_v")[0] or artifact_id
        named = [one for one in self.models if self.models[one].contract is not None]
        fitting = [one for one in named if one == kind] or [one for one in named if one.startswith(f"{kind}_")]
        return self.models[fitting[0]].contract if len(fitting) == 1 else None

    def person(self, address: str) -> str:
        """The person behind an address, by ``[people]``: such as a forge's ``noreply`` address; else the address."""
        return next((name for name, addresses in self.people.items() if address in addresses), address)

    def same_person(self, one: str, other: str) -> bool:
        """True if two addresses are one person's."""
        return self.person(one) == self.person(other)

    def is_operator(self, identity: str) -> Verdict:
        """Check that a person may make a model active; VACUOUS as long as the policy names nobody."""
        if not self.roles.operators:
            return Verdict.VACUOUS
        return Verdict.PASS if self._among(identity, self.roles.operators) else Verdict.FAIL

    def is_developer(self, identity: str) -> Verdict:
        """Check that a person may stage and promote to shadow. Operators may as well."""
        allowed = (*self.roles.developers, *self.roles.operators)
        return Verdict.PASS if identity and (ANYBODY in allowed or self._among(identity, allowed)) else Verdict.FAIL

    def _among(self, identity: str, named: Collection[str]) -> bool:
        return self.person(identity) in {self.person(each) for each in named}

    def waivable(self, gate: str) -> bool:
        """True if an operator may waive this gate."""
        return gate not in NEVER_WAIVABLE and (gate in self.waivers.gates or ANYBODY in self.waivers.gates)

    def frozen_at(self, moment: datetime) -> FreezeWindow | None:
        """The freeze window that holds ``moment`` (aware), the one that ends last where several do."""
        holding = [window for window in self.freezes if window.start <= moment < window.end]
        return max(holding, key=lambda window: window.end, default=None)


def _require_units(objectives: Iterable[Objective], names: MetricNames) -> None:
    """Check that a limit over the contract's histogram is in a unit that its values can be compared in."""
    fitting = ("ms", "s", "") if names.unit == "seconds" else ("ms", "")
    for each in objectives:
        if names != RUNBOOK and names.shown(each.metric) == names.latency.name and each.unit not in fitting:
            allowed = " or ".join(repr(unit) for unit in fitting)
            unit, metric = visible(each.unit, limit=20), names.latency.name
            raise ValueError(
                f"the objective {each.name} has the unit {unit!r}, and {metric} is in {names.unit}: write {allowed}"
            )


def policy_document(policy: Policy) -> str:
    """The policy in force as canonical JSON (sorted keys, no spaces), for evidence.

    A metrics contract that nobody stated is left out, so that consoles before it read the document too.
    """
    document = policy.model_dump(mode="json", by_alias=True)
    if policy.metrics == RUNBOOK:
        del document["metrics"]
    for model in document["model"].values():
        if not model["metrics"]:
            del model["metrics"]
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


# The reader of the TOML file. Its errors name the key.

MAX_BYTES = 1 << 20

_FILE = "ml/registry/policy.toml"

_SECTIONS: Mapping[str, type[BaseModel]] = MappingProxyType(
    {
        "roles": Roles,
        "artifacts": Artifacts,
        "soak": Soak,
        "objective": Objective,
        "alerts": Alerts,
        "checks": Checks,
        "ack": Ack,
        "evidence": Evidence,
        "waivers": Waivers,
        "watch": Watch,
        "freeze": FreezeWindow,
        "model": ModelPolicy,
    }
)


class PolicyInvalid(Usage):
    """The policy has a mistake. It closes every gate, but blocks neither a rollback nor its own repair."""


def parse_policy(raw: bytes | None) -> Policy:
    """Read a policy; ``None`` (there is no file) gives the defaults.

    Raises:
        PolicyInvalid: with the key that is wrong, and the nearest known name where the key is unknown.
    """
    policy = policy_of_evidence(raw)
    if policy.ack.approvals > 1 and not policy.ack.signed:
        raise PolicyInvalid(
            f"{_FILE}, ack.approvals: more than one approval needs signed = true, because the author of an unsigned "
            "change may be anybody.",
            "Set signed = true and list the operators' keys in ml/registry/allowed_signers, or set approvals = 1.",
        )
    return policy


def policy_or_complaint(raw: bytes | None) -> tuple[Policy, str]:
    """A policy, and why it may not be used to promote; empty where it may.

    A policy with a mistake must block neither a rollback nor its own repair. One that was valid in an earlier
    version keeps its roles for that, and any other gives the defaults.
    """
    try:
        return parse_policy(raw), ""
    except PolicyInvalid as error:
        complaint = error.cause
    try:
        return policy_of_evidence(raw), complaint
    except PolicyInvalid:
        return Policy(), complaint


def policy_of_evidence(raw: bytes | None) -> Policy:
    """Read the policy that evidence was judged by, by the rules of every released version, the laxest included.

    Only for evidence that was committed already: `parse_policy` is stricter with what rules today.

    Raises:
        PolicyInvalid: as `parse_policy`.
    """
    if raw is None:
        return Policy()
    if len(raw) > MAX_BYTES:
        raise PolicyInvalid(f"{_FILE} has {len(raw)} bytes.", f"A policy has at most {MAX_BYTES}.")
    try:
        values = tomllib.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise PolicyInvalid(
            f"{_FILE} is no TOML: {visible(str(error), limit=200)}.", "Correct it in the base commit."
        ) from error
    if "source" in values:
        raise _unknown(("source",))
    try:
        return Policy.model_validate({**values, "source": raw})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "extra_forbidden":
            raise _unknown(first["loc"]) from error
        cause = f"{_FILE}, {_shown(first['loc'])}: {_said(first)}."
        raise PolicyInvalid(cause, "Correct it in the base commit.") from error


def _unknown(loc: tuple[int | str, ...]) -> PolicyInvalid:
    *parents, key = loc
    section = _SECTIONS.get(str(parents[0])) if parents else Policy
    known = sorted(
        (field.alias or name) for name, field in (section or Policy).model_fields.items() if name != "source"
    )
    near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
    remedy = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(known)}."
    return PolicyInvalid(f"{_FILE}: the key {_shown(loc)} is unknown.", remedy)


_COMPLAINTS: Mapping[str, str] = MappingProxyType(
    {
        "tuple_type": "this is no list",
        "too_short": "this list is empty",
        "model_type": "this is no table",
        "datetime_type": "this is no date with a time",
        "string_pattern_mismatch": "this is no name that is allowed here",
    }
)


def _said(error: ErrorDetails) -> str:
    said = visible(error["msg"].removeprefix("Value error, "), limit=200)
    return _COMPLAINTS.get(error["type"]) or said[:1].lower() + said[1:]


def _shown(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return visible(text, limit=200) or "the policy"
