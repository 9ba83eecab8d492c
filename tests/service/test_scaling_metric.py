"""The autoscaler's query asks Prometheus for metrics that Triton has."""

import re

import httpx
import yaml
from aurum_client import FaceClient

from aurum.paths import CHECKOUT


def test_the_metrics_of_the_query_exist(best, astronaut):
    with FaceClient(best.urls[0]) as client:
        client.analyze(astronaut)
        client.embed(astronaut)
    path = CHECKOUT / "deploy" / "kubernetes" / "prometheus-adapter.yaml"
    [rule] = yaml.safe_load(path.read_text())["rules"]["custom"]
    asked = re.findall(r"(nv_\w+)\{model=\"(\w+)\"", rule["metricsQuery"])
    assert len(asked) == 2
    url = f"http://{best.settings.host}:{best.settings.metrics_port}/metrics"
    text = httpx.get(url, trust_env=False).text
    for metric, model in asked:
        assert re.search(rf'^{metric}{{model="{model}",.*}} \d', text, re.M), (metric, model)
