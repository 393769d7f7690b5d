"""The policy: its defaults, what it refuses and how it says so, roles, waivers and freeze windows."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from ml.artifacts.proposal import toml
from ml.contract import REGIME, SPACING
from ml.errors import Usage
from ml.policy import (
    MAX_BYTES,
    Policy,
    PolicyInvalid,
    parse_policy,
    policy_document,
    policy_of_evidence,
    policy_or_complaint,
)
from ml.promotion.evidence_formats import WRITTEN
from ml.verdict import Verdict


def policy(text: str) -> Policy:
    return parse_policy(text.encode())


def test_without_a_file_the_runbooks_thresholds_apply() -> None:
    default = parse_policy(None)
    assert [(each.name, each.limit, each.unit, each.gate) for each in default.objectives] == [
        ("p99", 100, "ms", True),
        ("p999", 250, "ms", True),
        ("p95", 50, "ms", False),
        ("error_rate", 0.05, "", True),
    ]
    assert [each.quantile for each in default.objectives] == [0.99, 0.999, 0.95, None]
    assert default.objectives[3].errors == "grinder_ml_inference_errors_total"
    assert (default.soak.required_s, default.soak.step_s) == (86_400, 300)
    assert (default.soak.min_coverage, default.soak.max_breaches, default.soak.min_samples) == (0.99, 0, 1000)
    assert default.alerts.quiet == ("MlInferenceLatencyHigh", "MlInferenceLatencyCritical", "MlInferenceErrorRateHigh")
    assert default.checks.unit_tests == ("python", "-m", "pytest", "-q")
    assert (default.checks.deadline_seconds, default.checks.max_latency_ratio) == (900, 1.5)
    assert default.ack.phrase == "I_UNDERSTAND_THIS_AFFECTS_TRADING"
    assert (default.ack.expires_minutes, default.ack.signed, default.approvals) == (15, False, 1)
    assert default.watch.minutes == 60
    assert default.freezes == ()
    assert default.source == b""


def test_an_empty_file_is_the_defaults_and_keeps_its_bytes() -> None:
    assert policy_document(policy("# nothing yet\n")) == policy_document(parse_policy(None))
    assert policy("# nothing yet\n").source == b"# nothing yet\n"


def test_a_policy_is_frozen() -> None:
    default = parse_policy(None)
    with pytest.raises(ValidationError):
        default.soak.hours = 1  # type: ignore[misc]


# --- objectives -------------------------------------------------------------------------------------------


def test_an_objective_of_a_default_name_changes_only_what_it_says() -> None:
    changed = policy('[[objective]]\nname = "p99"\nlimit = 80')
    assert [(each.name, each.limit) for each in changed.objectives] == [
        ("p99", 80),
        ("p999", 250),
        ("p95", 50),
        ("error_rate", 0.05),
    ]
    assert changed.objectives[0].quantile == 0.99


def test_a_new_objective_comes_after_the_defaults() -> None:
    added = policy('[[objective]]\nname = "queue"\nkind = "promql"\nquery = "max(queue)"\nlimit = 5\ngate = false')
    assert [each.name for each in added.objectives] == ["p99", "p999", "p95", "error_rate", "queue"]
    assert added.objectives[-1].query == "max(queue)"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('name = "p99"\nlimit = 0', "objective[0].limit: input should be greater than 0"),
        ('name = "p99"\nlimit = -1', "objective[0].limit: input should be greater than 0"),
        ('name = "p99"\nlimit = inf', "objective[0].limit: input should be a finite number"),
        ('name = "p99"\nlimit = nan', "objective[0].limit"),
        ('name = "p99"\nlimit = "80"', "objective[0].limit: input should be a valid number"),
        ('name = "p99"\nlimit = true', "objective[0].limit: input should be a valid number"),
        ('name = "p99"\nquantile = 1.0', "objective[0].quantile: input should be less than 1"),
        ('name = "p99"\nquantile = 99', "objective[0].quantile: input should be less than 1"),
        ('name = "p99"\nmetric = "x_bucket"', "named without _bucket: x"),
        ('name = "p99"\nquery = "up"', "kind quantile has no query"),
        ('name = "error_rate"\nlimit = 5', "5 % is written 0.05"),
        ('name = "new"\nkind = "promql"\nlimit = 1', "kind promql needs query"),
        ('name = "new"\nkind = "ratio"\nerrors = "a"\nlimit = 1', "kind ratio needs successes"),
        ('name = "new"\nkind = "rate"\nlimit = 1', "objective[4].kind"),
        ('kind = "promql"\nquery = "up"\nlimit = 1', "objective[4].name: field required"),
        ('name = "P 99"\nkind = "promql"\nquery = "up"\nlimit = 1', "objective[4].name"),
        ('name = "p99"\nmetric = "a b"', "objective[0].metric"),
        ('name = "p99"\n[[objective]]\nname = "p99"', "the objective p99 is there twice"),
    ],
)
def test_an_objective_that_makes_no_sense_is_refused(text: str, says: str) -> None:
    with pytest.raises(Usage) as refused:
        policy(f"[[objective]]\n{text}")
    assert says in refused.value.cause


# --- unknown keys and other nonsense ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ("[role]\noperators = []", "role", "roles"),
        ('[roles]\noperator = ["a"]', "roles.operator", "operators"),
        ("[soak]\nhour = 1", "soak.hour", "hours"),
        ("[ack]\napproval = 2", "ack.approval", "approvals"),
        ('[[objectives]]\nname = "p99"', "objectives", "objective"),
        ('[[objective]]\nname = "p99"\nquantil = 0.9', "objective[0].quantil", "quantile"),
        ('[model.regime]\nselecter = ""', "model.regime.selecter", "selector"),
        (
            '[[freeze]]\nfrom = 2026-01-01T00:00:00\nto = 2026-01-02T00:00:00\nreason = "x"\ntimezon = "UTC"',
            "freeze[0].timezon",
            "timezone",
        ),
        ("[[freeze]]\nstart = 2026-01-01T00:00:00", "freeze[0].start", ""),
        ("source = 1", "source", ""),
    ],
)
def test_an_unknown_key_is_refused_and_the_nearest_known_one_named(text: str, key: str, nearest: str) -> None:
    with pytest.raises(Usage) as refused:
        policy(text)
    assert f"the key {key} is unknown" in refused.value.cause or not nearest
    assert (f"Did you mean {nearest}?" if nearest else "") in refused.value.remedy


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = [[[", "is no TOML"),
        ("x = " + "[" * 20_000, "is no TOML"),
        ("[soak]\nmin_samples = " + "1" * 5_000, "is no TOML"),
        ("[soak]\nhours = 1\nhours = 2", "is no TOML"),
        ("[soak]\nhours = 0", "soak.hours"),
        ("[soak]\nhours = 1\ncell_minutes = 7", "no whole number of cells"),
        ("[soak]\nmin_coverage = 1.5", "soak.min_coverage"),
        ("[soak]\nmax_breaches = -1", "soak.max_breaches"),
        ("[soak]\nmin_samples = 0", "soak.min_samples"),
        ("soak = 3", "soak: this is no table"),
        ("objective = 3", "objective: this is no list"),
        ('[roles]\noperators = "me"', "roles.operators: this is no list"),
        ('[roles]\noperators = ["*"]', "named one by one"),
        ("[roles]\noperators = [1]", "roles.operators[0]"),
        ('[alerts]\nquiet = [""]', "alerts.quiet[0]"),
        ("[checks]\nunit_tests = []", "checks.unit_tests: this list is empty"),
        ("[checks]\ndeadline_seconds = 0", "checks.deadline_seconds"),
        ('[ack]\nphrase = " YES "', "ack.phrase"),
        ('[ack]\nphrase = ""', "ack.phrase"),
        ("[ack]\napprovals = 0", "ack.approvals"),
        ('[ack]\nsigned = "yes"', "ack.signed"),
        ("[watch]\nminutes = -1", "watch.minutes"),
        ('[waivers]\ngates = ["p99", "verify"]', "verify can never be waived"),
        ('[model."Regime-1"]\nselector = ""', "model.Regime-1"),
        ('[model.m]\nselector = "} or vector(0)"', "only label matchers"),
        ("[model.m]\nselector = 'a=\"b\"} or vector(0) #'", "only label matchers"),
    ],
)
def test_nonsense_is_refused_with_its_key(text: str, says: str) -> None:
    with pytest.raises(Usage) as refused:
        policy(text)
    assert says in refused.value.cause
    assert refused.value.remedy


def test_bytes_that_are_no_text_and_files_that_are_absurd_are_refused() -> None:
    for raw in (b"\xff", b"\xef\xbb\xbf[soak]", b"#" * (MAX_BYTES + 1)):
        with pytest.raises(Usage):
            parse_policy(raw)


def test_terminal_codes_in_a_policy_never_reach_the_terminal() -> None:
    with pytest.raises(Usage) as refused:
        policy('"\\u001b[2J" = 1')
    assert "\x1b" not in str(refused.value)


# --- roles, waivers, selectors ------------------------------------------------------------------------------


def test_nobody_is_an_operator_until_somebody_is_named() -> None:
    assert parse_policy(None).is_operator("a@example.com") is Verdict.VACUOUS
    named = policy('[roles]\noperators = ["a@example.com"]')
    assert named.is_operator("a@example.com") is Verdict.PASS
    for other in ("A@example.com", "b@example.com", "", "*", "a@example.com "):
        assert named.is_operator(other) is Verdict.FAIL


def test_developers_are_everybody_unless_they_are_named() -> None:
    assert parse_policy(None).is_developer("anybody@example.com") is Verdict.PASS
    assert parse_policy(None).is_developer("") is Verdict.FAIL
    named = policy('[roles]\noperators = ["op@example.com"]\ndevelopers = ["dev@example.com"]')
    assert [named.is_developer(who) for who in ("dev@example.com", "op@example.com", "x@example.com")] == [
        Verdict.PASS,
        Verdict.PASS,
        Verdict.FAIL,
    ]


def test_verify_role_and_ack_are_never_waivable() -> None:
    for each in (parse_policy(None), policy('[waivers]\ngates = ["p99"]'), policy("[waivers]\ngates = []")):
        assert not any(each.waivable(gate) for gate in ("verify", "role", "ack"))
    assert parse_policy(None).waivable("p99")
    assert policy('[waivers]\ngates = ["p99"]').waivable("p99")
    assert not policy('[waivers]\ngates = ["p99"]').waivable("soak")


def test_the_artifact_base_of_the_policy_wins_over_the_machines() -> None:
    assert policy('[artifacts]\nbase = "engine"').artifact_base("elsewhere") == "engine"
    assert policy("").artifact_base("elsewhere") == "elsewhere"


@pytest.mark.parametrize("base", ["/srv", "../up", "a/../../b", "a\\nb"])
def test_an_artifact_base_outside_the_repository_is_refused(base: str) -> None:
    with pytest.raises(Usage, match=r"artifacts.base: this is no folder below the repository root"):
        policy(f'[artifacts]\nbase = "{base}"')


def test_a_model_has_its_selector() -> None:
    chosen = policy('[model.regime]\nselector = \'model="regime", env=~"prod|live"\'')
    assert chosen.selector("regime") == 'model="regime", env=~"prod|live"'
    assert chosen.selector("spacing") == ""


# --- freeze windows -----------------------------------------------------------------------------------------


def at(day: int, hour: int, minute: int = 0, month: int = 12) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


def freeze(start: str, end: str) -> Policy:
    return policy(f'[[freeze]]\nfrom = {start}\nto = {end}\ntimezone = "Europe/Zurich"\nreason = "holidays"')


def test_a_freeze_window_is_local_to_its_time_zone() -> None:
    frozen = freeze("2026-12-24T18:00:00", "2026-12-27T00:00:00")
    (window,) = frozen.freezes
    assert (window.start, window.end) == (at(24, 17), at(26, 23))
    assert [frozen.frozen_at(moment) for moment in (at(24, 16, 59), at(26, 23))] == [None, None]
    assert frozen.frozen_at(at(24, 17)) is frozen.frozen_at(at(26, 22, 59)) is window


def test_a_freeze_window_follows_summer_time() -> None:
    frozen = freeze("2026-03-28T12:00:00", "2026-03-29T12:00:00")
    assert (frozen.freezes[0].end - frozen.freezes[0].start).total_seconds() == 23 * 3600


def test_an_offset_in_the_time_itself_wins_and_text_is_a_time_too() -> None:
    frozen = policy('[[freeze]]\nfrom = 2026-12-24T18:00:00+05:00\nto = "2026-12-25T00:00:00"\nreason = "x"')
    assert (frozen.freezes[0].start, frozen.freezes[0].end) == (at(24, 13), at(25, 0))


def test_of_several_freeze_windows_the_one_that_ends_last_is_named() -> None:
    frozen = policy(
        '[[freeze]]\nfrom = 2026-12-24T00:00:00\nto = 2026-12-28T00:00:00\nreason = "long"\n'
        '[[freeze]]\nfrom = 2026-12-24T00:00:00\nto = 2026-12-25T00:00:00\nreason = "short"\n'
    )
    window = frozen.frozen_at(at(24, 12))
    assert window
    assert window.reason == "long"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('from = 2026-12-24T00:00:00\nto = 2026-12-23T00:00:00\nreason = "x"', "ends before it begins"),
        ('from = 2026-12-24T00:00:00\nto = 2026-12-24T00:00:00\nreason = "x"', "ends before it begins"),
        (
            'from = 2026-12-24T00:00:00\nto = 2026-12-25T00:00:00\ntimezone = "Europe/Zurik"\nreason = "x"',
            "no time zone Europe/Zurik",
        ),
        (
            'from = 2026-12-24T00:00:00\nto = 2026-12-25T00:00:00\ntimezone = "../../etc/passwd"\nreason = "x"',
            "no time zone",
        ),
        ('from = 2026-12-24\nto = 2026-12-25\nreason = "x"', "freeze[0].from: this is no date with a time"),
        ('from = "tomorrow"\nto = 2026-12-25T00:00:00\nreason = "x"', "freeze[0].from: this is no date and time"),
        ("from = 2026-12-24T00:00:00\nto = 2026-12-25T00:00:00", "freeze[0].reason: field required"),
        ('to = 2026-12-25T00:00:00\nreason = "x"', "freeze[0].from: field required"),
    ],
)
def test_a_freeze_window_that_makes_no_sense_is_refused(text: str, says: str) -> None:
    with pytest.raises(Usage) as refused:
        policy(f"[[freeze]]\n{text}")
    assert says in refused.value.cause


# --- evidence -----------------------------------------------------------------------------------------------


def test_the_document_is_canonical_and_in_the_words_of_the_file() -> None:
    one = policy('[soak]\nhours = 24\n[roles]\noperators = ["a"]\n[model.b]\nselector = ""\n[model.a]\nselector = ""')
    other = policy('[model.a]\nselector = ""\n[model.b]\nselector = ""\n[roles]\noperators = ["a"]')
    assert policy_document(one) == policy_document(other)
    values = json.loads(policy_document(one))
    assert sorted(values) == [
        "ack",
        "alerts",
        "artifacts",
        "checks",
        "evidence",
        "freeze",
        "model",
        "objective",
        "people",
        "roles",
        "soak",
        "waivers",
        "watch",
    ]
    assert policy_document(policy("[soak]\nhours = 23")) != policy_document(policy(""))


@pytest.mark.parametrize(
    ("start", "end", "since", "until"),
    [
        # On 2026-10-25 at 03:00 CEST (01:00 UTC) it becomes 02:00 CET: 02:30 comes twice, at 00:30 and 01:30 UTC.
        ("2026-10-24T18:00:00", "2026-10-25T02:30:00", "2026-10-24T16:00", "2026-10-25T01:30"),
        ("2026-10-25T02:30:00", "2026-10-25T08:00:00", "2026-10-25T00:30", "2026-10-25T07:00"),
        ("2026-10-25T02:30:00", "2026-10-25T02:30:00", "2026-10-25T00:30", "2026-10-25T01:30"),
        # On 2026-03-29 at 02:00 CET (01:00 UTC) it becomes 03:00 CEST: there is no 02:30.
        ("2026-03-28T18:00:00", "2026-03-29T02:30:00", "2026-03-28T17:00", "2026-03-29T01:30"),
        ("2026-03-29T02:30:00", "2026-03-29T08:00:00", "2026-03-29T00:30", "2026-03-29T06:00"),
        # An offset, or a Z, says which.
        ("2026-10-25T00:30:00Z", "2026-10-25T02:30:00+02:00", "2026-10-25T00:30", "2026-10-25T00:30"),
        ("2026-10-24T18:00:00Z", "2026-10-25T02:30:00+02:00", "2026-10-24T18:00", "2026-10-25T00:30"),
        ("2026-10-24T18:00:00Z", "2026-10-25T02:30:00+01:00", "2026-10-24T18:00", "2026-10-25T01:30"),
        ('"2026-10-24T18:00:00Z"', '"2026-10-25T02:30:00"', "2026-10-24T18:00", "2026-10-25T01:30"),
    ],
)
def test_a_freeze_takes_the_wider_reading_where_clocks_change(start: str, end: str, since: str, until: str) -> None:
    begins, ends = (datetime.fromisoformat(moment).replace(tzinfo=UTC) for moment in (since, until))
    if begins == ends:
        with pytest.raises(Usage, match="ends before it begins"):
            freeze(start, end)
        return
    (window,) = freeze(start, end).freezes
    assert (window.start, window.end) == (begins, ends)


# --- identity and evidence ------------------------------------------------------------------------------------------

UNSIGNED = b'[roles]\noperators = ["ann@example.com"]\n[ack]\napprovals = 2\n'


def test_more_than_one_approval_needs_signatures() -> None:
    with pytest.raises(Usage, match=r"more than one approval needs signed = true") as raised:
        parse_policy(UNSIGNED)
    assert "allowed_signers" in raised.value.remedy
    assert parse_policy(UNSIGNED + b"signed = true\n").approvals == 2
    assert policy("[ack]\napprovals = 1\n").ack.signed is False


def test_evidence_of_a_policy_that_was_valid_in_its_day_is_still_read() -> None:
    assert policy_of_evidence(UNSIGNED).approvals == 2
    with pytest.raises(Usage):
        policy_of_evidence(b"[ack]\napproval = 2\n")


def test_a_policy_that_became_invalid_keeps_its_operators_for_its_own_repair() -> None:
    kept, complaint = policy_or_complaint(UNSIGNED)
    assert "signed = true" in complaint
    assert kept.is_operator("ann@example.com") is Verdict.PASS
    assert kept.is_operator("eve@example.com") is Verdict.FAIL
    assert policy_or_complaint(b"= no TOML")[0] == Policy()
    assert policy_or_complaint(b"")[1] == ""


def test_a_silent_policy_takes_older_evidence_and_one_that_speaks_takes_todays() -> None:
    assert parse_policy(None).evidence.oldest_format == policy("[soak]\nhours = 12").evidence.oldest_format == "v1"
    assert policy('[evidence]\nremeasure = "require"').evidence.oldest_format == WRITTEN
    assert policy('[evidence]\noldest_format = "v1"').evidence.oldest_format == "v1"
    assert parse_policy(None).evidence.remeasure == "report"
    for wrong in ('remeasure = "sometimes"', 'oldest_format = "1"', 'remeasures = "off"'):
        with pytest.raises(Usage):
            policy(f"[evidence]\n{wrong}")
    assert parse_policy(None).ack.lands_within_hours == 24


CONTRACT = toml(SPACING, "model.churn.contract")


def test_a_model_without_a_contract_has_its_familys() -> None:
    rules = policy(CONTRACT)
    assert rules.contract("churn") == SPACING
    assert rules.contract("regime_classifier") == REGIME
    assert rules.contract("spacing_grid") == SPACING
    assert rules.contract("unheard_of") is None
    assert policy(f"{CONTRACT}\n{toml(REGIME, 'model.spacing_grid.contract')}").contract("spacing_grid") == REGIME


def test_an_artifact_is_tied_to_the_one_model_that_its_id_names() -> None:
    rules = policy(f"{CONTRACT}\n{toml(REGIME, 'model.churn_night.contract')}")
    assert rules.contract_of_artifact("churn_v2026_02_16_001") == SPACING
    assert rules.contract_of_artifact("churn_night_v2026_02_16_001") == REGIME
    assert rules.contract_of_artifact("other_v2026_02_16_001") is None
    two = policy("\n".join(toml(REGIME, f"model.churn_{name}.contract") for name in ("day", "night")))
    assert two.contract_of_artifact("churn_v2026_02_16_001") is None


def test_a_mistake_in_a_contract_names_the_model_and_the_line() -> None:
    with pytest.raises(PolicyInvalid) as caught:
        policy(CONTRACT.replace("exclusive_minimum", "above"))
    assert "model.churn.contract: outputs[0].range.above: this key is unknown" in str(caught.value)


def test_the_contract_is_part_of_the_policy_in_force() -> None:
    values = json.loads(policy_document(policy(CONTRACT)))
    assert values["model"]["churn"]["contract"] == SPACING.document()
    assert policy_document(policy("")) != policy_document(policy(CONTRACT))


# --- people with several addresses ------------------------------------------------------------------------------

PEOPLE = '[people]\n"ann@example.com" = ["1+ann@users.noreply.github.com", "ann@old.example"]\n'


@pytest.mark.parametrize("address", ["ann@example.com", "1+ann@users.noreply.github.com", "ann@old.example"])
@pytest.mark.parametrize("named", ["ann@example.com", "1+ann@users.noreply.github.com"])
def test_an_operator_is_one_by_each_of_their_addresses(address: str, named: str) -> None:
    rules = policy(f'{PEOPLE}[roles]\noperators = ["{named}"]\ndevelopers = ["ben@example.com"]')
    assert rules.is_operator(address) is Verdict.PASS
    assert rules.is_developer(address) is Verdict.PASS
    assert rules.same_person(address, named)


@pytest.mark.parametrize("address", ["2+ann@users.noreply.github.com", "ANN@example.com", "", "ann"])
def test_an_address_that_nobody_listed_is_nobodys(address: str) -> None:
    rules = policy(f'{PEOPLE}[roles]\noperators = ["ann@example.com"]\ndevelopers = []')
    assert rules.is_operator(address) is Verdict.FAIL
    assert rules.is_developer(address) is Verdict.FAIL
    assert not rules.same_person(address, "ann@example.com")


@pytest.mark.parametrize(
    "text",
    [
        '"ann@example.com" = ["x@forge"]\n"ben@example.com" = ["x@forge"]',
        '"ann@example.com" = ["ben@example.com"]\n"ben@example.com" = ["b@forge"]',
        '"ann@example.com" = ["ann@example.com"]',
        '"ann@example.com" = ["x@forge", "x@forge"]',
        '"*" = ["x@forge"]',
        '"ann@example.com" = ["*"]',
        '"ann@example.com" = "x@forge"',
    ],
)
def test_one_address_is_never_two_people(text: str) -> None:
    with pytest.raises(Usage, match="people"):
        policy(f"[people]\n{text}")
