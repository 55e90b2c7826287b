"""The live page over HTTP: what it gives, to whom, and what it refuses."""

import asyncio
import io
import json
import shutil
import ssl
import time
import urllib.request
import zipfile

import pytest
import trustme
from ase.io import read as read_ase

from tests.integration.trainer_svc.page_server import HOSTILE, Page, served_page, write_run
from trainer_svc.page.runs import MOST_STEPS
from trainer_svc.page.server import running_page
from xenolith.convert import read_cif
from xenolith.errors import UnavailableError
from xenolith.serving import ServingSettings
from xenolith.v1 import trainer_pb2 as pb

TRAIN, SCORE = "train-0123456789abcdef", "score-0123456789abcdef"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    write_run(root, "first")
    write_run(root, "early", steps=0, candidates=0, warning="")
    return root


@pytest.fixture(scope="module")
def page(runs):
    with served_page(runs) as served:
        yield served


@pytest.fixture
def tokens(tmp_path):
    file = tmp_path / "tokens.toml"
    file.write_text(
        f'[anna]\ntoken = "{TRAIN}"\nroles = ["train"]\n[bob]\ntoken = "{SCORE}"\nroles = ["score"]\n'
    )
    return file


def signed_in(page, token=TRAIN, **headers):
    answer = page.call(
        "/login", "POST", f"token={token}", content_type="application/x-www-form-urlencoded", **headers
    )
    return answer, answer.headers.get("set-cookie", "").partition(";")[0]


def test_runs_are_listed_newest_first_and_found_by_part_of_a_name(page):
    listed = page.get("/api/runs")
    assert [row["name"] for row in listed["rows"]] == ["early", "first"]
    first = listed["rows"][1]
    assert (first["state"], first["steps_done"], first["msun_tuned"]) == ("SUCCEEDED", 6, 0.4)
    assert [row["name"] for row in page.get("/api/runs?text=FIR")["rows"]] == ["first"]
    beyond = page.get("/api/runs?offset=1&limit=1")
    assert (beyond["total"], [row["name"] for row in beyond["rows"]]) == (2, ["first"])


def test_a_run_is_given_with_its_curves_and_warnings(page):
    run = page.get("/api/runs/first")
    assert [step["step"] for step in run["steps"]] == [1, 2, 3, 4, 5, 6]
    assert run["steps"][1]["terms"] == {"stability": 0.2}
    assert run["steps"][0]["kl"] is None, "NaN is no JSON"
    assert run["warnings"][0]["message"] == HOSTILE
    assert (run["base"]["msun"], run["tuned"]["msun_ci95"]) == (0.1, [pytest.approx(0.35), 0.45])


def test_the_curves_of_a_long_run_are_thinned_and_end_at_its_last_step(tmp_path):
    write_run(tmp_path, "long", steps=2 * MOST_STEPS, candidates=0, warning="")
    with served_page(tmp_path) as page:
        steps = [step["step"] for step in page.get("/api/runs/long")["steps"]]
    assert len(steps) <= MOST_STEPS
    assert (steps[0], steps[-1]) == (1, 2 * MOST_STEPS)


def test_structures_are_found_by_their_elements_and_sorted(page):
    at = "/api/runs/first/structures/candidates"
    best = page.get(f"{at}?limit=40")
    energies = [row["e_above_hull"] for row in best["rows"]]
    trusted = [row["e_above_hull"] for row in best["rows"] if not row["suspicious"]]
    assert energies[: len(trusted)] == sorted(trusted) and min(trusted) >= -0.5
    assert all(row["suspicious"] for row in best["rows"][len(trusted) :]) and len(trusted) < 40
    assert {row["formula"] for row in page.get(f"{at}?text=Fe%20Na")["rows"]} == {"NaFeClO"}
    assert page.get(f"{at}?text=F")["total"] == 0, "fluorine is no beginning of iron"
    far = [row["amd_distance"] for row in page.get(f"{at}?sort=amd_distance&descending=true")["rows"]]
    measured = [distance for distance in far if distance is not None]
    assert far[: len(measured)] == sorted(measured, reverse=True), "what has no distance comes last"
    only = page.get(f"{at}?msun=true&limit=40")["rows"]
    assert only and all(row["e_above_hull"] < 0.1 for row in only)


def test_a_structure_is_given_with_what_draws_it(page):
    row = page.get("/api/runs/first/structures/tuned/0")
    drawn = row["drawing"]
    assert row["formula"] == "NaCl"
    assert len(drawn["edges"]) == 12
    # Na on the eight corners, Cl in the middle.
    assert sorted(atom[3] for atom in drawn["atoms"]) == [11] * 8 + [17]
    assert drawn["elements"]["17"]["symbol"] == "Cl"
    assert all(len(pair) == 2 for pair in drawn["bonds"])


def test_fronts_of_novelty_and_stability_grow_along_the_run(page):
    clouds = page.get("/api/runs/first/pareto")["clouds"]
    assert [cloud["source"] for cloud in clouds] == ["base", *["candidates"] * 4, "tuned"]
    stages = [cloud for cloud in clouds if cloud["source"] == "candidates"]
    assert [cloud["step"] for cloud in stages] == [2, 3, 5, 6]
    assert sum(len(cloud["points"]) for cloud in stages) == 40, "each candidate is drawn once"
    front = stages[-1]["front"]
    assert front == sorted(front) and [y for _, y in front] == sorted(y for _, y in front)


def test_a_run_without_anything_yet_is_given_as_it_is(page):
    assert page.get("/api/runs/early")["steps"] == []
    assert page.get("/api/runs/early/structures/candidates")["total"] == 0
    assert page.get("/api/runs/early/pareto")["clouds"][0]["source"] == "base"


def test_structures_are_downloaded_as_cif_and_extxyz(page, tmp_path):
    one = page.call("/runs/first/structures/candidates/3.cif")
    assert one.headers["content-disposition"].startswith("attachment;")
    (tmp_path / "one.cif").write_bytes(one.body)
    assert read_cif(tmp_path / "one.cif")[0].formula == "NaCl"
    several = page.call("/runs/first/structures/candidates/picked.extxyz?rows=0,1,5")
    frames = read_ase(io.StringIO(several.body.decode()), ":", format="extxyz")
    assert [frame.info["id"] for frame in frames] == ["000001-0000", "000002-0001", "000006-0005"]
    archive = zipfile.ZipFile(
        io.BytesIO(page.call("/runs/first/structures/candidates/picked.zip?rows=0,1").body)
    )
    assert archive.namelist() == ["000001-0000-NaCl.cif", "000002-0001-NaClO.cif"]


def test_files_of_a_run_are_downloaded_as_they_are(page, runs):
    answer = page.call("/runs/first/files/evaluations/tuned.parquet")
    assert answer.body == (runs / "first/evaluations/tuned.parquet").read_bytes()
    assert 'filename="first-evaluations-tuned.parquet"' in answer.headers["content-disposition"]


@pytest.mark.parametrize(
    "path",
    [
        "/runs/first/files/../../../../etc/passwd",
        "/runs/first/files/..%2f..%2f..%2fetc%2fpasswd",
        "/runs/first/files//etc/passwd",
        "/runs/first/files/run.json",
        "/runs/..%2ffirst/files/config.json",
        "/runs/../runs/first/files/config.json",
        "/api/runs/..",
        "/api/runs/%2e%2e",
        "/api/runs/first%00",
        "/api/runs/" + "x" * 3_000,
        "/api/runs/none",
        "/api/runs/none/events",
        "/api/runs/first/structures/..%2f..%2fconfig.json",
        "/api/runs/first/structures/secrets",
        "/api/runs/first/structures/candidates/40",
        "/runs/first/structures/candidates/40.cif",
        "/runs/first/structures/candidates/0.exe",
        "/runs/first/structures/candidates/..%2f0.cif",
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/index.html",
        "/nothing",
    ],
)
def test_a_path_that_leads_nowhere_is_not_found(page, path):
    answer = page.call(path)
    assert answer.status == 404
    assert len(answer.body) < 4_096


@pytest.mark.parametrize(
    "path",
    [
        "/api/runs?limit=201",
        "/api/runs?offset=-1",
        "/api/runs?offset=99999999999999999999",
        "/api/runs/first/structures/candidates?limit=501",
        "/api/runs/first/structures/candidates?limit=49&drawn=true",
        "/api/runs/first/structures/candidates?sort=lattice",
        "/api/runs/first/structures/candidates?text=" + "x" * 201,
        "/runs/first/structures/candidates/picked.zip?rows=",
        "/runs/first/structures/candidates/picked.zip?rows=1,x",
        "/runs/first/structures/candidates/picked.zip?rows=" + ",".join("0" * 201),
    ],
)
def test_what_asks_for_too_much_or_for_nonsense_is_refused(page, path):
    answer = page.call(path)
    assert answer.status == 400
    assert answer.json["error"]


def test_other_methods_are_refused(page):
    assert page.call("/api/runs", "POST").status == 405
    assert page.call("/runs/first/files/config.json", "DELETE").status == 405


def test_every_answer_lets_a_browser_run_the_page_s_own_files_alone(page):
    for path in ("/", "/static/main.js", "/api/runs", "/nothing", "/api/runs?limit=x"):
        headers = page.call(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
        assert "server" not in headers
    html = page.call("/").body.decode()
    assert "<script>" not in html and " style=" not in html and "://" not in html


def test_without_tokens_a_name_that_others_can_point_here_is_refused(page):
    assert page.call("/api/runs", host="rebound.example").status == 403
    assert page.call("/api/runs", host="localhost:1").status == 200
    assert page.call("/api/runs", host="[::1]:1").status == 200


def test_with_tokens_nothing_is_given_without_one(runs, tokens):
    with served_page(runs, tokens=tokens) as page:
        assert page.call("/").headers["location"] == "/login"
        for path in (
            "/api/runs",
            "/api/runs/first",
            "/api/runs/first/events",
            "/api/health",
            "/runs/first/files/config.json",
        ):
            assert page.call(path).status == 401, path
            assert page.call(path, authorization="Bearer wrong-0123456789abcdef").status == 401, path
            assert page.call(path, authorization=f"Bearer {SCORE}").status == 403, path
        assert page.call("/api/runs", authorization=f"Bearer {TRAIN}").status == 200
        assert page.call("/static/page.css").status == 200


def test_a_form_opens_a_session_that_ends_when_signed_out(runs, tokens):
    with served_page(runs, tokens=tokens) as page:
        answer, cookie = signed_in(page)
        assert (answer.status, answer.headers["location"]) == (303, "/")
        told = answer.headers["set-cookie"].lower()
        assert "httponly" in told and "samesite=strict" in told and TRAIN not in told
        assert page.call("/api/runs", cookie=cookie).status == 200
        assert page.call("/", cookie=cookie).status == 200
        page.call("/logout", "POST", cookie=cookie)
        assert page.call("/api/runs", cookie=cookie).status == 401


def test_a_form_is_refused_with_a_wrong_token_another_site_or_too_much(runs, tokens):
    with served_page(runs, tokens=tokens) as page:
        for token, status in (("wrong", 401), ("", 401), (SCORE, 403)):
            answer, cookie = signed_in(page, token)
            assert answer.status == status and not cookie
            assert b'role="alert">' in answer.body
        assert signed_in(page, sec_fetch_site="cross-site")[0].status == 403
        assert signed_in(page, "x" * 10_000)[0].status == 400


def test_a_token_that_is_withdrawn_closes_its_sessions(runs, tokens):
    with served_page(runs, tokens=tokens) as page:
        _, cookie = signed_in(page)
        tokens.write_text('[anna]\ntoken = "another-0123456789"\nroles = ["train"]\n')
        for _ in range(200):
            if page.call("/api/runs", cookie=cookie).status == 401:
                return
            time.sleep(0.05)
        raise AssertionError("the session outlives its token")


@pytest.mark.parametrize("mutual", [False, True])
def test_it_is_served_over_tls_with_the_certificates_of_the_service(runs, tmp_path, mutual):
    authority = trustme.CA()
    shown, own = authority.issue_cert("127.0.0.1"), tmp_path / "own.pem"
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    shown.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    shown.private_key_pem.write_to_path(tmp_path / "key.pem")
    authority.issue_cert("browser").private_key_and_cert_chain_pem.write_to_path(own)
    asked = {"tls_client_ca": tmp_path / "ca.pem"} if mutual else {}
    with served_page(runs, tls_cert=tmp_path / "cert.pem", tls_key=tmp_path / "key.pem", **asked) as page:
        assert page.url.startswith("https://")
        trusting = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        if mutual:
            with pytest.raises(OSError, match=r"certificate|reset|closed"):
                read_over(page, trusting)
            trusting.load_cert_chain(own)
        assert len(read_over(page, trusting)["rows"]) == 2


def read_over(page, context):
    with urllib.request.urlopen(f"{page.url}api/runs", context=context, timeout=30) as answer:  # noqa: S310
        return json.load(answer)


def test_a_run_that_cannot_be_read_is_told_and_the_others_are_given(tmp_path):
    write_run(tmp_path, "good")
    broken = write_run(tmp_path, "broken")
    broken.record.write_text("{")
    with served_page(tmp_path) as page:
        rows = {row["name"]: row for row in page.get("/api/runs")["rows"]}
        assert rows["broken"]["state"] == "FAILED" and "set aside" in rows["broken"]["message"]
        assert "set aside" in page.get("/api/runs/broken")["message"]
        assert page.get("/api/runs/good")["state"] == "SUCCEEDED"


def test_a_table_that_grows_is_read_again(tmp_path):
    directory = write_run(tmp_path, "growing", candidates=10)
    with served_page(tmp_path) as page:
        at = "/api/runs/growing/structures/candidates"
        assert page.get(at)["total"] == 10
        other = write_run(tmp_path / "elsewhere", "growing", candidates=25)
        shutil.copy(other.path / "candidates.parquet", directory.path / "candidates.parquet")
        assert page.get(at)["total"] == 25


def test_the_health_of_services_that_are_away_is_told(page):
    health = {entry["name"]: entry["health"] for entry in page.get("/api/health")["services"]}
    assert health["trainer"] == "SERVING"
    assert health["oracle"].startswith("UNAVAILABLE")


def test_a_port_that_is_taken_is_told(lab):
    async def scenario(lab):
        async with running_page(lab.manager, ServingSettings(), port=0) as url:
            port = int(url.rstrip("/").rpartition(":")[2])
            with pytest.raises(UnavailableError, match=f"the page cannot listen on 127.0.0.1:{port}"):
                async with running_page(lab.manager, ServingSettings(), port=port):
                    pass

    lab(scenario)


def test_events_of_a_run_at_work_come_as_they_happen_until_it_ends(lab, small_run):
    def heard(url):
        events = []
        with urllib.request.urlopen(url, timeout=120) as stream:  # noqa: S310  # our own server
            for line in stream:
                if line.startswith(b"event: end"):
                    return events
                if line.startswith(b"data: "):
                    events.append(json.loads(line[6:]))
        raise AssertionError("the stream broke off")

    def healthy(page):
        for _ in range(6):  # one that is busy may be late, and an answer is kept for some seconds
            health = {entry["name"]: entry["health"] for entry in page.get("/api/health")["services"]}
            if set(health.values()) == {"SERVING"}:
                break
            time.sleep(2)
        return health

    async def scenario(lab):
        async with running_page(lab.manager, ServingSettings(), port=0) as url:
            await lab.stub.StartRun(pb.StartRunRequest(config=small_run))
            events = await asyncio.to_thread(heard, f"{url}api/runs/small/events")
            page = Page(url)
            run = await asyncio.to_thread(page.get, "/api/runs/small")
            health = await asyncio.to_thread(healthy, page)
            later = await asyncio.to_thread(
                heard, f"{url}api/runs/small/events?after={events[-2]['sequence']}"
            )
        assert [event["step"] for event in events if event["kind"] == "step"] == [1, 2, 3, 4]
        assert events[-1]["kind"] == "state" and events[-1]["state"] == "SUCCEEDED"
        assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
        assert later == events[-1:]
        assert run["steps"] == [
            {key: value for key, value in event.items() if key not in {"kind", "sequence", "time"}}
            for event in events
            if event["kind"] == "step"
        ]
        assert health == {"generator": "SERVING", "oracle": "SERVING", "trainer": "SERVING"}

    lab(scenario)
