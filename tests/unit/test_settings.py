"""Settings from the environment: what is taken, what is refused, and that no secret shows."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connector import logs, settings
from connector.errors import SettingsError
from connector.settings import STEPS, Settings, given, load

SECRET = "hunter2hunter2hunter"  # letters and digits, four by four: an access key must be base64
SECRETS = {
    "CLIENT_SECRET": SECRET,
    "ACS_ACCESS_KEY": SECRET,
    "STORE_URL": f"postgresql://connector:{SECRET}@db/calls",
    "DIRECTORY_URL": f"postgresql://connector:{SECRET}@db/directory",
    "WEBHOOK_SECRETS": f"{SECRET}; {SECRET}-next",
}
SET = {
    "DATAVERSE_URL": "https://org.crm.dynamics.com/",
    "CLIENT_ID": "11bb11bb",
    "WINDOW_MINUTES": "90",
    "AGENT_LOOKUP_SECONDS": "1.5",
    "MANAGED_IDENTITY": "true",
    "CA_FILE": "/etc/ca.pem",
    "FALLBACK_RECIPIENTS": "lead@example.com; handler@example.com",
}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"EMERGENCY_{name.upper()}", raising=False)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets variables, named without their prefix."""

    def put(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"EMERGENCY_{name}", value)

    return put


def problem_of(**overrides: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        load(**overrides)
    return str(caught.value)


# From the environment


def test_nothing_set_is_the_defaults() -> None:
    made = load()
    assert made.window_minutes == 60
    assert made.store_url.get_secret_value() == "sqlite:///emergency.db"
    assert made.webhook_secrets == ()
    assert made.template_title == "Emergency Call Notification Template"


def test_variables_are_read_in_their_types(environment: Any, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.touch()
    environment(**SET | {"CA_FILE": str(ca_file)})
    made = load()
    assert made.dataverse_url == "https://org.crm.dynamics.com"
    assert made.window_minutes == 90
    assert made.agent_lookup_seconds == 1.5
    assert made.managed_identity is True
    assert made.ca_file == ca_file
    assert made.fallback_recipients == ("lead@example.com", "handler@example.com")


def test_overrides_win_over_the_environment(environment: Any) -> None:
    environment(WINDOW_MINUTES="90")
    assert load(window_minutes=120).window_minutes == 120


def test_variables_without_the_prefix_and_unknown_ones_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIENT_ID", "somebody else's")
    monkeypatch.setenv("EMERGENCY_NO_SUCH_SETTING", "x")
    assert load().client_id == ""


def test_an_unknown_name_is_told_since_it_may_be_misspelt(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = io.StringIO()
    logs.configure(level="warning", stream=lines)
    monkeypatch.setenv("EMERGENCY_SYNC_MINUTE", "a value that is told nowhere")
    load()
    logs.configure(level="critical")
    told = json.loads(lines.getvalue())
    assert (told["event"], told["setting"]) == ("setting_unknown", "EMERGENCY_SYNC_MINUTE")
    assert "nowhere" not in lines.getvalue()


def test_a_key_that_was_not_copied_whole_is_named(environment: Any) -> None:
    environment(ACS_ACCESS_KEY="c2VjcmV0LWtleQ")
    with pytest.raises(SettingsError, match="EMERGENCY_ACS_ACCESS_KEY: is no access key"):
        load()


def test_given_settings_do_not_look_at_the_environment(environment: Any) -> None:
    environment(CLIENT_ID="of the machine", WINDOW_MINUTES="90")
    made = given({"EMERGENCY_CLIENT_ID": "given"}, guardian_minutes=30)
    assert (made.client_id, made.window_minutes, made.guardian_minutes) == ("given", 60, 30)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        load().window_minutes = 1


ONE, TWO = "lead@example.com", "handler@example.com"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(ONE, (ONE,)), (f"{ONE};{TWO}", (ONE, TWO)), (f" {ONE} , {TWO} ;; ", (ONE, TWO)), ("", ()), (" ; ", ())],
)
@pytest.mark.parametrize("name", ["fallback_recipients", "drill_recipients"])
def test_lists_are_written_as_people_do(name: str, value: str, expected: tuple[str, ...], environment: Any) -> None:
    environment(**{name.upper(): value})
    assert getattr(load(), name) == expected


def test_a_list_may_be_given_as_one() -> None:
    assert load(fallback_recipients=[ONE, TWO]).fallback_recipients == (ONE, TWO)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fallback_recipients", f"{ONE}, nonsense"),
        ("drill_recipients", "nonsense"),
        ("email_sender", "nonsense"),
        ("callback_numbers", "nonsense"),
        ("ca_file", "/nowhere/ca.pem"),
        ("client_certificate", "/nowhere/certificate.pem"),
    ],
)
def test_a_value_that_could_not_work_is_told_at_the_start_without_being_quoted(
    name: str, value: str, environment: Any
) -> None:
    environment(**{name.upper(): value})
    with pytest.raises(SettingsError, match=f"EMERGENCY_{name.upper()}") as caught:
        load()
    assert value not in str(caught.value)


def test_two_secrets_are_accepted_while_one_replaces_the_other(environment: Any) -> None:
    environment(WEBHOOK_SECRETS="old; new")
    assert [secret.get_secret_value() for secret in load().webhook_secrets] == ["old", "new"]


@pytest.mark.parametrize("name", ["dataverse_url", "authority", "acs_endpoint"])
def test_addresses_lose_their_last_slash(name: str) -> None:
    assert getattr(load(**{name: "https://x.example.com//"}), name) == "https://x.example.com"
    assert getattr(load(**{name: ""}), name) == ""


@pytest.mark.parametrize("step", STEPS)
def test_every_step_can_be_left_out(step: str, environment: Any) -> None:
    environment(EXCLUDED_STEPS=f"{step};")
    assert load().excluded_steps == (step,)


@pytest.mark.parametrize("name", ["ca_file", "client_certificate", "mappings", "directory_url", "client_secret"])
def test_an_empty_variable_is_as_good_as_none(name: str, environment: Any) -> None:
    environment(**{name.upper(): ""})
    assert not getattr(load(), name)


# What is wrong


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dataverse_url", "http://org.crm.dynamics.com"),
        ("dataverse_url", SECRET),
        ("authority", SECRET),
        ("acs_endpoint", f"endpoint=https://x.example.com/;accesskey={SECRET}"),
        ("window_minutes", "59"),
        ("window_minutes", SECRET),
        ("minutes_after_call", "-1"),
        ("guardian_minutes", "4"),
        ("second_channel_seconds", "4"),
        ("agent_lookup_seconds", "0"),
        ("agent_lookup_seconds", "31"),
        ("agent_lookup_seconds", SECRET),
        ("sync_minutes", "0"),
        ("max_body_bytes", "65535"),
        ("managed_identity", SECRET),
        ("excluded_steps", SECRET),
        ("excluded_steps", f"panel;{SECRET}"),
    ],
)
def test_a_wrong_value_is_told_by_its_variable_and_never_quoted(name: str, value: str, environment: Any) -> None:
    environment(**{name.upper(): value})
    problem = problem_of()
    assert f"EMERGENCY_{name.upper()}:" in problem
    assert SECRET not in problem


def test_every_wrong_variable_is_told_at_once(environment: Any) -> None:
    environment(WINDOW_MINUTES="1", SYNC_MINUTES="x", AUTHORITY="x")
    problem = problem_of()
    for name in ("WINDOW_MINUTES", "SYNC_MINUTES", "AUTHORITY"):
        assert f"EMERGENCY_{name}:" in problem


def test_a_wrong_override_is_told_like_a_variable() -> None:
    assert "EMERGENCY_GUARDIAN_MINUTES:" in problem_of(guardian_minutes=SECRET)
    assert SECRET not in problem_of(guardian_minutes=SECRET, webhook_secrets=[SECRET, 3])


def test_an_unknown_step_tells_the_known_ones() -> None:
    problem = problem_of(excluded_steps="presense")
    assert all(step in problem for step in STEPS)


def test_what_is_needed_and_missing_is_told_all_at_once() -> None:
    made = given({"EMERGENCY_CLIENT_ID": "x", "EMERGENCY_CLIENT_SECRET": ""})
    made.require("client_id")
    made.require()
    with pytest.raises(SettingsError, match="EMERGENCY_CLIENT_SECRET, EMERGENCY_DATAVERSE_URL") as caught:
        made.require("client_id", "client_secret", "dataverse_url")
    assert "EMERGENCY_CLIENT_ID" not in str(caught.value)


# Secrets


def test_no_secret_shows_in_any_print(environment: Any) -> None:
    environment(**SECRETS)
    made = load()
    dumped = made.model_dump(mode="json")
    shown = [
        repr(made),
        str(made),
        f"{made}",
        str(made.model_dump()),
        made.model_dump_json(),
        json.dumps(dumped),
        str(list(made)),
        str(vars(made)),
    ]
    assert not [text for text in shown if SECRET in text]
    assert len(dumped["webhook_secrets"]) == 2
    assert made.client_secret is not None
    assert made.client_secret.get_secret_value() == SECRET


def test_no_secret_shows_in_what_is_missing(environment: Any) -> None:
    environment(**SECRETS)
    with pytest.raises(SettingsError) as caught:
        load().require(*Settings.model_fields)
    assert SECRET not in str(caught.value)


def test_every_setting_that_names_a_secret_hides_it() -> None:
    for name, field in settings.Settings.model_fields.items():
        if any(word in name for word in ("secret", "key", "store_url", "directory_url", "password", "token")):
            assert "SecretStr" in str(field.annotation), name
