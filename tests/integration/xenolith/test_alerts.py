"""Each alert cries when it should, by Prometheus' own tool for that."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ALERTS = Path(__file__).parents[3] / "deploy" / "observability" / "alerts.yml"
NAMES = [rule["alert"] for rule in yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]]

DESCRIBED = 'job="oracle", instance="oracle:9464", method="Describe"'
UP = {f'up{{job="{name}", instance="{name}:9464"}}': "1x40" for name in ("generator", "oracle", "trainer")}
"""All is well, for forty minutes."""
SERVED = 'xenolith_calls_total{job="oracle", method="Score", code="OK"}'
CASES = {
    "XenolithServiceDown": {'up{job="oracle", instance="oracle:9464"}': "1x5 0x35"},
    "XenolithFaults": {'xenolith_calls_total{job="oracle", method="Score", code="INTERNAL"}': "0+1x40"},
    "XenolithCallersTurnedAway": {
        SERVED: "0+60x40",
        'xenolith_calls_total{job="oracle", method="Score", code="RESOURCE_EXHAUSTED"}': "0+60x40",
        'xenolith_call_refusals_total{job="oracle", method="Score", reason="full"}': "0+60x40",
    },
    "XenolithWrongTokens": {
        'xenolith_call_refusals_total{job="oracle", method="Score", reason="token"}': "0+120x40"
    },
    "XenolithCacheDown": {'xenolith_oracle_cache_up{job="oracle", instance="oracle:9464"}': "0x40"},
    "XenolithBlocked": {
        f'xenolith_call_seconds_bucket{{{DESCRIBED}, le="{bound}"}}': f"0+{calls}x40"
        for bound, calls in (("1.0", 0), ("2.5", 10), ("+Inf", 10))
    },
    "XenolithQueueGrows": {'xenolith_oracle_queue_depth{job="oracle", instance="oracle:9464"}': "40x40"},
    "XenolithRunWaits": {'xenolith_trainer_runs{job="trainer", state="WAITING"}': "1x40"},
    "XenolithRunFailed": {'xenolith_trainer_runs_ended_total{job="trainer", state="FAILED"}': "0x30 1x10"},
    "XenolithStaleSamples": {
        'xenolith_trainer_sample_staleness_steps{job="trainer", run_id="small"}': "2x40"
    },
}
WELL = {
    SERVED: "0+60x40",
    'xenolith_call_refusals_total{job="oracle", method="Score", reason="full"}': "0+1x40",
    'xenolith_oracle_cache_up{job="oracle", instance="oracle:9464"}': "1x40",
    'xenolith_oracle_queue_depth{job="oracle", instance="oracle:9464"}': "3x40",
    'xenolith_trainer_runs{job="trainer", state="WAITING"}': "0x40",
    'xenolith_trainer_runs_ended_total{job="trainer", state="FAILED"}': "1x40",
    'xenolith_trainer_sample_staleness_steps{job="trainer", run_id="small"}': "0x40",
}

pytestmark = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="needs promtool on PATH (Debian's package prometheus has it)"
)


def firing(series: dict[str, str], folder: Path) -> set[str]:
    """Names of the alerts that fire after 40 minutes of these series."""
    shutil.copy(ALERTS, folder)
    # The tool compares; where nothing is expected, it names all that it found.
    nothing = [{"eval_time": "40m", "alertname": name, "exp_alerts": []} for name in NAMES]
    inputs = [{"series": key, "values": value} for key, value in series.items()]
    case = {
        "rule_files": [ALERTS.name],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": inputs, "alert_rule_test": nothing}],
    }
    file = folder / "case.json"
    file.write_text(json.dumps(case))
    command = ["promtool", "test", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    found = set(re.findall(r"alertname: (\w+), time", said))
    assert bool(found) == bool(done.returncode), said
    return found


def test_every_alert_has_a_case() -> None:
    assert sorted(CASES) == sorted(NAMES)


@pytest.mark.parametrize("name", CASES)
def test_an_alert_fires_in_its_case_alone(name: str, tmp_path: Path) -> None:
    assert firing(UP | CASES[name], tmp_path) == {name}


def test_none_fires_where_all_is_well(tmp_path: Path) -> None:
    assert firing(UP | WELL, tmp_path) == set()


def test_a_service_that_cannot_be_found_is_down(tmp_path: Path) -> None:
    without = {key: value for key, value in UP.items() if "trainer" not in key}
    assert firing(without, tmp_path) == {"XenolithServiceDown"}
