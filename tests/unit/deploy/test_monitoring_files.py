"""The monitoring configuration, checked by its own programs. A real run is in tests/service."""

import json
import re
import subprocess

import pytest

from aurum.paths import CHECKOUT

FOLDER = CHECKOUT / "monitoring"
RULES = (FOLDER / "alerts.yml").read_text("utf-8")
CASES = "".join(path.read_text("utf-8") for path in sorted((FOLDER / "tests").glob("*.yml")))
ALERTS = re.findall(r"- alert: (\w+)", RULES)
DASHBOARD = json.loads((FOLDER / "grafana" / "dashboards" / "aurum.json").read_text("utf-8"))


@pytest.mark.parametrize(
    "command",
    [
        "promtool check config prometheus.yml",
        "promtool check rules --lint-fatal alerts.yml",
        "promtool test rules tests/alerts_test.yml tests/alerts_slow_test.yml",
        "amtool check-config alertmanager.yml",
        "prometheus-blackbox-exporter --config.check --config.file=blackbox.yml",
    ],
)
def test_the_programs_own_checks_pass(command):
    done = subprocess.run(
        command.split(), cwd=FOLDER, capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("severity", ["page", "ticket"])
def test_alerts_are_routed_by_severity(severity):
    command = ["amtool", "config", "routes", "test", "--config.file=alertmanager.yml"]
    done = subprocess.run(
        [*command, f"severity={severity}", "alertname=AurumDown"],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == severity


def test_every_required_alert_exists():
    assert len(ALERTS) == len(set(ALERTS)) == 13


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_a_firing_case_a_quiet_case_and_a_runbook_entry(alert):
    assert re.search(rf"alertname: {alert}\n\s+exp_alerts:\n\s+- exp_labels", CASES), "never fires"
    assert f"alertname: {alert}, exp_alerts: []" in CASES, "is never silent"
    runbook = (CHECKOUT / "docs" / "guides" / "runbook.md").read_text("utf-8")
    assert f"\n## {alert}\n" in runbook
    assert f"runbook: docs/guides/runbook.md#{alert.lower()}\n" in RULES


def test_the_dashboard_names_the_provisioned_data_source():
    source = (FOLDER / "grafana/provisioning/datasources/prometheus.yml").read_text("utf-8")
    panels = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in panels:
        assert f"uid: {panel['datasource']['uid']}\n" in source
        assert panel["targets"], panel["title"]
