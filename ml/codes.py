"""The stable codes of findings. Machines compare codes, and people read sentences.

A code says *which* rule found something, and a finding's facts say with which numbers, names and times. Sentences may
be reworded or translated at any time; a code, once released, keeps its name and its meaning. A new rule adds one line
here, and one to the table in docs/codes.md.
"""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """All codes. One code may be found by several lines: line and code together say what happened."""

    UNCODED = "uncoded"
    """There is no code; only the verdict counts."""

    # --- any line ---------------------------------------------------------------------------------
    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_REACHED = "not-reached"
    BEING_JUDGED = "being-judged"
    AT_PROMOTION = "at-promotion"
    WAIVED = "waived"
    JUDGED_LONG_AGO = "judged-long-ago"

    # --- a metrics source and its clock -----------------------------------------------------------
    SOURCE_FAILED = "source-failed"
    SOURCE_WARNED = "source-warned"
    CLOCK_UNKNOWN = "clock-unknown"
    CLOCK_SKEWED = "clock-skewed"
    CLOCK_JUMPED = "clock-jumped"

    # --- an objective -----------------------------------------------------------------------------
    WITHIN_LIMIT = "within-limit"
    BREACHED = "breached"
    NO_SERIES = "no-series"
    INFINITE_VALUE = "infinite-value"
    NOT_A_NUMBER = "not-a-number"
    INCOMPARABLE = "incomparable"
    NO_SAMPLE = "no-sample"
    SAMPLE_STALE = "sample-stale"
    SAMPLE_IN_FUTURE = "sample-in-future"
    BUCKET_MISSPELLED = "bucket-misspelled"
    SUCCESSES_UNCOUNTED = "successes-uncounted"
    ERRORS_UNCOUNTED = "errors-uncounted"
    LIMIT_UNREACHABLE = "limit-unreachable"
    COUNTERS_STAND_STILL = "counters-stand-still"
    TOO_FEW_SAMPLES = "too-few-samples"
    WINDOW_YOUNG = "window-young"
    COVERAGE_LOW = "coverage-low"
    NOTHING_INFERRED = "nothing-inferred"
    SEVERAL_MODELS = "several-models"
    MODES_BLENDED = "modes-blended"
    NO_FINITE_BUCKET = "no-finite-bucket"
    LIMIT_BETWEEN_BUCKETS = "limit-between-buckets"
    ENGINE_DOWN = "engine-down"
    ENGINE_UNMEASURED = "engine-unmeasured"
    ENGINE_NEVER_INFERRED = "engine-never-inferred"
    SCRAPED_TOO_SELDOM = "scraped-too-seldom"

    # --- a soak -----------------------------------------------------------------------------------
    SOAKED = "soaked"
    SOAK_BREACHED = "soak-breached"
    SOAK_SHORT = "soak-short"
    NO_OBJECTIVE = "no-objective"
    LANDING_UNKNOWN = "landing-unknown"
    LANDED_IN_FUTURE = "landed-in-future"
    LANDED_JUST_NOW = "landed-just-now"
    NEVER_INFERRED = "never-inferred"
    BEGINS_IN_FUTURE = "begins-in-future"
    RESTARTED_TOO_OFTEN = "restarted-too-often"

    # --- alerts -----------------------------------------------------------------------------------
    ALERTS_QUIET = "alerts-quiet"
    NO_ALERT_RULE = "no-alert-rule"
    RULE_NOT_LOADED = "rule-not-loaded"
    RULE_NEVER_EVALUATED = "rule-never-evaluated"
    RULE_BROKEN = "rule-broken"
    RULE_STALE = "rule-stale"
    RULE_CANNOT_FIRE = "rule-cannot-fire"
    ALERT_FIRING = "alert-firing"
    ALERT_PENDING = "alert-pending"
    ALERT_FIRED = "alert-fired"

    # --- the dashboard review ---------------------------------------------------------------------
    REVIEWED = "reviewed"
    REVIEW_AWAITED = "review-awaited"
    NOTHING_TO_REVIEW = "nothing-to-review"
    SHIFTED = "shifted"
    DIFFERS_FROM_ACTIVE = "differs-from-active"
    SPIKED = "spiked"
    UNMEASURED = "unmeasured"
    SNAPSHOTS_BLOCKED = "snapshots-blocked"
    RESTARTED = "restarted"

    # --- an artifact ------------------------------------------------------------------------------
    SOUND = "sound"
    ABSENT = "absent"
    UNREADABLE = "unreadable"
    LAYOUT_WRONG = "layout-wrong"
    DIGEST_DIFFERS = "digest-differs"
    PROBE_DIED = "probe-died"
    MODEL_UNFIT = "model-unfit"
    CONTRACT_BROKEN = "contract-broken"
    CONTRACT_DIFFERS = "contract-differs"
    CONTRACT_OPEN = "contract-open"
    ORDER_MATTERS = "order-matters"
    BITS_DIFFER = "bits-differ"
    ONE_ANSWER = "one-answer"
    CAGE_OPEN = "cage-open"
    NO_VECTORS = "no-vectors"
    RUNTIME_DISAGREES = "runtime-disagrees"
    NOTHING_TO_COMPARE = "nothing-to-compare"
    SLOWER = "slower"
    NOT_SLOWER = "not-slower"
    GREW = "grew"
    DID_NOT_GROW = "did-not-grow"
    DECISIONS_COMPARED = "decisions-compared"

    # --- a change ---------------------------------------------------------------------------------
    ID_MALFORMED = "id-malformed"
    CHECK_FAILED = "check-failed"
    IN_A_STAGE = "in-a-stage"
    IN_NO_STAGE = "in-no-stage"
    LEFT_BY_ROLLBACK = "left-by-rollback"
    NEVER_LEFT = "never-left"
    ROLE_NOT_NEEDED = "role-not-needed"
    ROLE_HELD = "role-held"
    ROLE_MISSING = "role-missing"
    NO_OPERATORS = "no-operators"
    FROZEN = "frozen"
    NOT_FROZEN = "not-frozen"
    KILL_SWITCH_ON = "kill-switch-on"
    KILL_SWITCH_RELEASING = "kill-switch-releasing"
    KILL_SWITCH_UNKNOWN = "kill-switch-unknown"
    ACK_AWAITED = "ack-awaited"
    ACK_GIVEN = "ack-given"
    ACK_MISFITS = "ack-misfits"
    TESTS_PASSED = "tests-passed"
    TESTS_FAILED = "tests-failed"
    TESTS_UNRUN = "tests-unrun"
    SELF_DECLARED = "self-declared"
    SIGNED = "signed"
    TOO_OLD = "too-old"

    # --- evidence, judged again -------------------------------------------------------------------
    AGREES = "agrees"
    DIFFERS = "differs"
    INCOMPLETE = "incomplete"
    FORMAT_TOO_OLD = "format-too-old"
    CLAIMED = "claimed"

    # --- measured twice ---------------------------------------------------------------------------
    MEASURED_ALIKE = "measured-alike"
    MEASURED_OTHERWISE = "measured-otherwise"
    NOT_MEASURED_AGAIN = "not-measured-again"
    FORGOTTEN = "forgotten"
    ALERT_CONTRADICTED = "alert-contradicted"
