"""What all judgements of one round share: policy, moment, and how old a sample may be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ml.slo.case import Circumstances
from ml.slo.questions import LATENCY, Windows
from ml.verdict import Finding

if TYPE_CHECKING:
    from ml.policy import Objective, Policy

STALE_S = 60.0


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of one round. ``stale_s`` is the age in seconds from which the newest sample is not believed."""

    policy: Policy
    now: datetime
    stale_s: float = STALE_S

    def long_s(self, since: datetime | None = None) -> int:
        """The long window in seconds: the soak's length, or what has passed of it in whole short windows."""
        required, step = self.policy.soak.required_s, self.policy.soak.step_s
        if since is None:
            return required
        passed = int((self.now - since).total_seconds()) // step * step
        return max(step, min(required, passed))

    def windows(self, since: datetime | None = None) -> Windows:
        """The long and the short window."""
        return Windows.of(self.long_s(since), self.policy.soak.step_s)

    @property
    def least(self) -> int:
        """Inferences that one short window must hold: its share of those that the whole soak must."""
        soak = self.policy.soak
        return max(1, math.ceil(soak.min_samples * soak.step_s / soak.required_s))

    @property
    def ratio(self) -> Objective | None:
        """The first objective of errors over attempts, where the policy has one."""
        return next((each for each in self.policy.objectives if each.kind == "ratio"), None)

    @property
    def latency(self) -> str:
        """The histogram that tells whether inferences happen: that of the first quantile objective."""
        return next((each.metric for each in self.policy.objectives if each.metric), LATENCY)

    def circumstances(
        self,
        warnings: tuple[str, ...],
        skew_s: float | None,
        since: datetime | None = None,
        *,
        scrape_s: float | None = None,
        whose: Finding | None = None,
    ) -> Circumstances:
        """What the judge takes for granted about one answer."""
        soak = self.policy.soak
        return Circumstances(
            now=self.now,
            stale_s=self.stale_s,
            min_samples=soak.min_samples,
            least=self.least,
            min_coverage=soak.min_coverage,
            long_s=self.long_s(since),
            short_s=soak.step_s,
            required_s=soak.required_s,
            skew_s=skew_s,
            warnings=warnings,
            since=since,
            scrape_s=scrape_s,
            whose=whose,
        )
