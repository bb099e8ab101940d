"""The HTTP port: metrics, health, readiness, the dashboard in a browser."""
import http.client
import json
import re
import shutil
import socket
import subprocess
import time

import pytest

import screenshot
from processes import free_port, wait_until
from servers import ROOT
from volvox import settings_for

DASHBOARDS = ROOT / "conf/dashboards"


class Http:
    """Asks one Volvox."""

    def __init__(self, volvox, port):
        self.volvox, self.port = volvox, port
        self.url = f"http://127.0.0.1:{port}/"

    def ask(self, path, method="GET", body=None):
        """Status, headers (a dict with lower-case names), body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return response.status, headers, response.read().decode()
        finally:
            connection.close()

    def status(self, path, **more):
        return self.ask(path, **more)[0]

    def data(self, by="time"):
        return json.loads(self.ask(f"/data.json?by={by}")[2])

    def metrics(self):
        """Series as written -> value."""
        found = {}
        for line in self.ask("/metrics")[2].splitlines():
            if not line.startswith("#"):
                series, value = line.rsplit(" ", 1)
                assert series not in found
                found[series] = float(value)
        return found


def with_http(settings):
    """The settings with an HTTP port, and the port."""
    port = free_port()
    settings["http"] = {"address": f"127.0.0.1:{port}"}
    return settings, port


@pytest.fixture
def scene(mariadb, start_volvox):
    """A Volvox of its own before the shared servers: counters begin at 0."""
    settings, port = with_http(settings_for(mariadb.cluster))
    return Http(start_volvox(settings), port)


@pytest.fixture
def fragile(start_cluster, start_volvox):
    cluster = start_cluster(1)
    settings, port = with_http(settings_for(cluster, monitor_interval="100ms", monitor_timeout="1s",
                                            connect_timeout="1s", drain_timeout="20s"))
    return cluster, Http(start_volvox(settings), port)


def promtool(*args, **more):
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (Debian package prometheus)")
    done = subprocess.run(["promtool", *map(str, args)], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60, check=False, **more)
    assert done.returncode == 0, done.stdout
    return done.stdout


def work(volvox, reads=20, writes=5):
    with volvox.connect(db="shop") as connection, connection.cursor() as cursor:
        for i in range(reads):
            cursor.execute("select name from items where id = %s", (i,))
            cursor.fetchall()
        for i in range(writes):
            cursor.execute("update items set price = price + 1 where id = %s", (1000 + i,))


# ---- metrics --------------------------------------------------------------------------------


def test_metrics_count_what_clients_do(scene):
    before = scene.metrics()
    work(scene.volvox, reads=20, writes=5)

    def counted():
        now = scene.metrics()
        done = {k: now[k] - before[k] for k in now if k in before}
        return done if done["volvox_clients_closed_total"] >= 1 else None

    done = wait_until(counted, 10, "the client's end is counted")
    assert done["volvox_logins_ok_total"] == 1
    assert done["volvox_commands_replica_total"] >= 20
    assert done["volvox_commands_primary_total"] >= 5
    assert done['volvox_command_seconds_count{served_by="replica"}'] >= 20
    assert done['volvox_command_seconds_bucket{served_by="primary",le="+Inf"}'] >= 5
    assert done["volvox_bytes_to_clients_total"] > 500
    connects = [k for k in done if k.startswith("volvox_server_connects_total")]
    assert len(connects) == 3 and sum(scene.metrics()[k] for k in connects) >= 2


def test_metrics_know_the_servers(scene):
    found = scene.metrics()
    assert found['volvox_server_up{group="main",server="db1"}'] == 1
    assert found['volvox_server_primary{group="main",server="db1"}'] == 1
    assert found['volvox_server_writable{group="main",server="db2"}'] == 0
    assert found['volvox_group_primary_usable{group="main"}'] == 1
    assert found['volvox_group_readers{group="main"}'] == 2
    assert found["volvox_workers"] == 2
    assert found["volvox_ready"] == 1
    assert found["process_resident_memory_bytes"] > 1e6
    assert 'volvox_server_lag_seconds{group="main",server="db2"}' in found


def test_promtool_reads_the_metrics(scene):
    work(scene.volvox)
    status, headers, text = scene.ask("/metrics")
    assert status == 200
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    promtool("check", "metrics", input=text)


def test_every_metric_has_its_line_in_the_document(scene):
    document = (ROOT / "docs/metrics.md").read_text()
    named = set(re.findall(r"^# TYPE (\S+)", scene.ask("/metrics")[2], re.MULTILINE))
    assert len(named) > 50
    assert named == set(re.findall(r"^\| `(\w+)`", document, re.MULTILINE))


def test_the_number_of_series_does_not_grow_with_what_clients_send(scene):
    before = len(scene.metrics())
    with scene.volvox.connect() as connection, connection.cursor() as cursor:
        for i in range(300):
            cursor.execute(f"select {i} as column_{i}")
    time.sleep(.3)
    assert len(scene.metrics()) == before


# ---- health and readiness -----------------------------------------------------------------------


def test_health_and_readiness_of_a_whole_house(scene):
    assert scene.ask("/healthz")[::2] == (200, "ok\n")
    assert scene.ask("/readyz")[::2] == (200, "ready\n")


def test_without_its_primary_it_is_healthy_but_not_ready(fragile):
    cluster, web = fragile
    assert web.status("/readyz") == 200
    cluster.primary.kill()
    wait_until(lambda: web.status("/readyz") == 503, 15, "not ready")
    text = web.ask("/readyz")[2]
    assert "no usable primary in group main" in text and "db1: down" in text
    assert web.status("/healthz") == 200
    assert web.metrics()['volvox_group_primary_usable{group="main"}'] == 0
    cluster.primary.start()
    wait_until(lambda: web.status("/readyz") == 200, 20, "ready again")


def test_while_it_stops_it_is_not_ready(fragile):
    cluster, web = fragile
    with web.volvox.connect() as connection, connection.cursor() as cursor:
        cursor.execute("begin")
        cursor.execute("select 1 for update")
        web.volvox.child.terminate()
        wait_until(lambda: web.status("/readyz") == 503, 10, "not ready")
        assert "stopping" in web.ask("/readyz")[2]
        assert web.status("/healthz") == 200
        assert web.data()["stopping"] is True
        cursor.execute("commit")


# ---- visitors ---------------------------------------------------------------------------------------


def test_paths_and_methods(scene):
    assert scene.status("/nothing") == 404
    assert scene.status("/data.json?by=nothing") == 400
    assert scene.status("/metrics?x=y") == 200
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        status, headers, _ = scene.ask("/", method, body="x" * 100)
        assert (status, headers["allow"]) == (405, "GET, HEAD"), method
    status, headers, body = scene.ask("/", "HEAD")
    assert status == 200 and body == "" and int(headers["content-length"]) > 10000


def test_every_answer_is_guarded(scene):
    for path in ("/", "/metrics", "/healthz", "/readyz", "/data.json", "/nothing"):
        headers = scene.ask(path)[1]
        assert headers["cache-control"] == "no-store", path
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["content-security-policy"].startswith("default-src 'none'"), path
        assert "access-control-allow-origin" not in headers, path


def test_the_page_needs_nothing_from_elsewhere(scene):
    page = scene.ask("/")[2]
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page)
    assert "innerHTML" not in page and "eval(" not in page
    assert "unsafe" not in scene.ask("/")[1]["content-security-policy"]


def test_visitors_that_hold_on_keep_nobody_out(scene):
    held = []
    try:
        for i in range(150):
            s = socket.create_connection(("127.0.0.1", scene.port), 5)
            if i % 2:
                s.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
            held.append(s)
        began = time.monotonic()
        assert scene.status("/healthz") == 200
        assert time.monotonic() - began < 2
        work(scene.volvox)
    finally:
        for s in held:
            s.close()


def test_clients_are_served_while_visitors_ask_all_the_time(scene):
    """Eight visitors that ask for everything without a pause must not be felt on the data path."""
    command = ("import http.client,sys\n"
               "c=http.client.HTTPConnection('127.0.0.1',int(sys.argv[1]))\n"
               "while True:\n"
               "  for p in ('/metrics','/data.json','/'):\n"
               "    c.request('GET',p); c.getresponse().read()\n")
    crowd = [subprocess.Popen(["/usr/bin/python3", "-c", command, str(scene.port)],
                              stderr=subprocess.DEVNULL) for _ in range(8)]
    try:
        time.sleep(.5)
        with scene.volvox.connect() as connection, connection.cursor() as cursor:
            for _ in range(100):
                cursor.execute("select 1")
        work(scene.volvox)
        assert all(visitor.poll() is None for visitor in crowd)
        assert scene.status("/readyz") == 200
    finally:
        for visitor in crowd:
            visitor.kill()
            visitor.wait()


def test_a_reload_moves_the_port(mariadb, start_volvox):
    settings, port = with_http(settings_for(mariadb.cluster))
    volvox = start_volvox(settings)
    assert Http(volvox, port).status("/healthz") == 200
    settings, other = with_http(settings)
    volvox.reload(settings)
    assert Http(volvox, other).status("/healthz") == 200
    with pytest.raises(ConnectionRefusedError):
        Http(volvox, port).status("/healthz")
    settings["http"] = {"address": ""}
    volvox.reload(settings)
    with pytest.raises(ConnectionRefusedError):
        Http(volvox, other).status("/healthz")
    work(volvox)


# ---- the dashboard ---------------------------------------------------------------------------------------


@pytest.fixture
def browse():
    if screenshot.objection():
        pytest.skip(screenshot.objection() + " (Debian package chromium)")
    opened = []

    def start(url, **more):
        browser = screenshot.Browser(**more)
        opened.append(browser)
        browser.open(url)
        return browser

    yield start
    for browser in opened:
        browser.close()


DRAWN = ("document.querySelectorAll('#servers tbody tr').length == 3 && "
         "document.querySelector('#charts svg[role=img] path') && "
         "document.querySelector('#tiles dd').textContent[0] != '–'")


def test_digests_hold_statements_without_their_literals(scene):
    with scene.volvox.connect(db="shop") as connection, connection.cursor() as cursor:
        for i in range(7):
            cursor.execute(f"select name from items where id = {i} and name <> 'secret-{i}'")
    rows = wait_until(lambda: [r for r in scene.data()["digests"]["rows"] if r["count"] >= 7], 10,
                      "the statement among the digests")
    assert "items" in rows[0]["text"] and "?" in rows[0]["text"]
    assert "secret" not in json.dumps(scene.data())


@pytest.mark.slow
def test_the_dashboard_draws_without_complaints(scene, browse):
    work(scene.volvox)
    browser = browse(scene.url)
    browser.wait_until(DRAWN)
    assert browser.value("document.getElementById('badge').textContent") == "ready"
    assert browser.value("[...document.querySelectorAll('#servers tbody th')].map(e =>"
                         " e.firstChild.textContent)") == ["db1", "db2", "db3"]
    work(scene.volvox)
    browser.wait_until("[...document.querySelectorAll('#digests summary')].some(e =>"
                       " e.textContent.includes('items'))")
    assert browser.complaints == []


@pytest.mark.slow
def test_statements_are_shown_as_text_whatever_they_hold(scene, browse):
    evil = "`<img src=x onerror=alert(1)>`"
    with scene.volvox.connect() as connection, connection.cursor() as cursor:
        for _ in range(3):
            cursor.execute(f"select 1 as {evil}")
    browser = browse(scene.url)
    browser.wait_until("[...document.querySelectorAll('#digests summary')].some(e =>"
                       " e.textContent.includes('onerror'))")
    assert browser.value("document.querySelectorAll('#digests img').length") == 0
    assert browser.complaints == []


@pytest.mark.slow
def test_the_statements_can_be_sorted(scene, browse):
    work(scene.volvox, reads=30, writes=3)
    browser = browse(scene.url)
    browser.wait_until("document.querySelectorAll('#digests tbody tr details').length >= 2")
    browser.value("[...document.querySelectorAll('#digests thead button')].find(b =>"
                  " b.textContent == 'Count').click()")
    counts = ("[...document.querySelectorAll('#digests td[data-label=count]')]"
              ".map(e => Number(e.textContent))")
    browser.wait_until("document.querySelector('#digests th[aria-sort]').textContent == 'Count'")
    shown = browser.value(counts)
    assert shown == sorted(shown, reverse=True) and shown[0] >= 30
    browser.value("document.querySelector('#digests th[aria-sort] button').click()")
    shown = browser.value(counts)
    assert shown == sorted(shown)
    assert browser.complaints == []


@pytest.mark.slow
def test_the_page_fits_every_window(scene, browse):
    work(scene.volvox)
    for width in (320, 400, 800, 1000, 1150, 1400):
        browser = browse(scene.url, width=width, height=800, dark=width == 800)
        browser.wait_until(DRAWN)
        assert browser.value("document.documentElement.scrollWidth") <= width
        browser.close()


@pytest.mark.slow
def test_the_colours_follow_the_browser(scene, browse):
    colour = "getComputedStyle(document.body).backgroundColor"
    light, dark = (browse(scene.url, dark=dark).wait_until(f"document.body && {colour}")
                   for dark in (False, True))

    def brightness(rgb):
        return sum(map(int, re.findall(r"\d+", rgb)[:3]))

    assert brightness(light) > 600 > 200 > brightness(dark)


@pytest.mark.slow
def test_the_page_says_when_nobody_answers(scene, browse):
    browser = browse(scene.url)
    browser.wait_until(DRAWN)
    scene.volvox.child.terminate()
    browser.wait_until("document.getElementById('badge').textContent == 'no answer'", 30)
    assert not browser.value("document.getElementById('alarm').hidden")


# ---- what ships for Prometheus and Grafana -----------------------------------------------------------------


def names_in(text):
    return {re.sub(r"_(bucket|sum|count)$", "", n) if "_seconds_" in n else n
            for n in re.findall(r"\b(?:volvox|process)_\w+", text)}


def known_names():
    return set(re.findall(r"^\| `(\w+)`", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))


def test_the_rules_are_valid():
    text = promtool("check", "rules", DASHBOARDS / "prometheus-rules.yml")
    assert "SUCCESS" in text


def test_rules_and_charts_name_metrics_that_exist():
    rules = (DASHBOARDS / "prometheus-rules.yml").read_text()
    charts = (DASHBOARDS / "grafana-volvox.json").read_text()
    for text in (re.findall(r"expr:.*(?:\n {10}.*)*", rules), re.findall(r'"expr": "(.*)"', charts)):
        named = names_in("\n".join(text))
        assert len(named) > 10
        assert named - known_names() == set()


def test_the_charts_are_a_dashboard():
    board = json.loads((DASHBOARDS / "grafana-volvox.json").read_text())
    panels = [p for p in board["panels"] if p["type"] != "row"]
    assert len({p["id"] for p in board["panels"]}) == len(board["panels"])
    taken = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert all(target["expr"] for panel in panels for target in panel["targets"])


RULES_TEST = """
rule_files: [RULES]
evaluation_interval: 15s
tests:
  - interval: 15s
    input_series:
      - {series: 'volvox_group_primary_usable{instance="a",group="main"}', values: '1x4 0x20'}
      - {series: 'volvox_server_up{instance="a",group="main",server="db1"}', values: '1x4 0x20'}
      - {series: 'volvox_server_up{instance="a",group="main",server="db2"}', values: '0x24'}
      - {series: 'volvox_server_disabled{instance="a",group="main",server="db1"}', values: '0x24'}
      - {series: 'volvox_server_disabled{instance="a",group="main",server="db2"}', values: '1x24'}
    alert_rule_test:
      - eval_time: 1m
        alertname: VolvoxNoPrimary
        exp_alerts: []
      - eval_time: 2m
        alertname: VolvoxNoPrimary
        exp_alerts: [{exp_labels: {severity: critical, instance: a, group: main}, exp_annotations: {
            summary: 'Group main has no usable primary',
            description: 'Writes wait and then fail. /readyz on a says why for each server.'}}]
      - eval_time: 4m
        alertname: VolvoxServerDown
        exp_alerts: [{exp_labels: {severity: warning, instance: a, group: main, server: db1}, exp_annotations: {
            summary: 'Server db1 of group main is down',
            description: 'It has not answered its probes for a minute; Volvox sends it nothing.'}}]
"""


def test_alerts_fire_for_what_is_down_and_not_for_what_is_disabled(tmp_path):
    test = tmp_path / "test.yml"
    test.write_text(RULES_TEST.replace("RULES", str(DASHBOARDS / "prometheus-rules.yml")))
    promtool("test", "rules", test)
