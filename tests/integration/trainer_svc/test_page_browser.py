"""The live page in a real browser: Debian's Chromium, without a window."""

import asyncio
import os
import shutil
import time
import zipfile
from collections.abc import Iterator

import pytest
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.integration.trainer_svc.page_server import HOSTILE, served_page, write_run
from trainer_svc.page.server import running_page
from xenolith.serving import ServingSettings
from xenolith.v1 import trainer_pb2 as pb

pytestmark = pytest.mark.slow

PATIENCE_S = 90
CANDIDATES = 5_000
RUNS = 150
SHOWN = "train-0123456789abcdef"


class Browser:
    """A browser, and what a person does with it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        self.driver.get("about:blank")  # else a new hash alone would not load anything
        self.driver.get(url)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def script(self, text: str, *given: object):
        return self.driver.execute_script(f"return {text}", *given)

    def until(self, condition):
        # What is looked at may be drawn anew at that moment.
        redrawn = (NoSuchElementException, StaleElementReferenceException)
        return WebDriverWait(self.driver, PATIENCE_S, 0.2, redrawn).until(lambda _: condition())

    def emulate(self, width: int, height: int, scheme: str = "light") -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def faults(self) -> list[str]:
        """Errors that the browser has told since asked last, refusals of its security policy among them."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def press(self, selector: str, key: str) -> None:
        event = "new KeyboardEvent('keydown', {key: arguments[1]})"
        self.script(f"document.querySelector(arguments[0]).dispatchEvent({event})", selector, key)

    def pixels(self, selector: str) -> str:
        return self.script("document.querySelector(arguments[0]).toDataURL()", selector)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    programs = [shutil.which("chromium"), shutil.which("chromedriver")]
    if None in programs:
        missing = "no chromium and chromedriver on PATH: apt-get install chromium chromium-driver"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(programs[1]))
    driver.set_page_load_timeout(PATIENCE_S)
    try:
        yield Browser(driver)
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    write_run(root, "large", steps=30, candidates=CANDIDATES)
    for number in range(RUNS):
        write_run(root, f"small-{number:03d}", steps=1, candidates=0, warning="")
    with served_page(root) as served:
        yield served


@pytest.fixture
def large(browser, page) -> Browser:
    """The large run, drawn."""
    browser.emulate(1440, 900)
    browser.open(f"{page.url}#/large")
    browser.until(lambda: browser.all(".gallery canvas") and browser.all("#chart-pareto .front"))
    browser.until(lambda: browser.all("#structure-rows .row .name"))
    browser.faults()
    return browser


def test_a_run_is_drawn_and_no_text_of_it_is_run(large):
    assert large.one("h1").text == "large"
    assert large.one("#state").text == "finished"
    for chart in ("reward", "metrics", "health", "seconds"):
        assert large.all(f"#chart-{chart} path.line"), chart
    assert len(large.all("#chart-pareto .front")) == 6
    assert "Step 30" in large.one("#chart-reward svg").get_attribute("aria-label")
    assert HOSTILE in large.one("ul.warnings").text
    assert not large.all("ul.warnings img")
    assert large.one("#services .ill").text.startswith("generator")
    assert large.faults() == []


def test_crystals_turn_by_keys_and_by_drag(large):
    canvas = ".gallery canvas"
    large.script("document.getElementById('structures').scrollIntoView()")
    large.until(lambda: large.script("document.querySelector(arguments[0]).width > 100", canvas))
    before = large.pixels(canvas)
    # Sent as events of their own: a real pointer over it would also have it turn by itself.
    large.press(canvas, "ArrowRight")
    turned = large.pixels(canvas)
    assert turned != before
    large.press(canvas, "ArrowLeft")
    webdriver.ActionChains(large.driver).drag_and_drop_by_offset(large.one(canvas), 40, 10).perform()
    assert large.pixels(canvas) not in {before, turned}
    large.one("#turn-all").click()
    second = ".gallery .crystal:nth-child(2) canvas"
    still = large.pixels(second)
    large.until(lambda: large.pixels(second) != still)
    large.one("#turn-all").click()


def test_thousands_of_rows_are_reached_by_keys_with_few_of_them_in_the_document(large):
    rows = large.one("#structure-rows")
    rows.send_keys(Keys.END)
    last = f"#structure-rows-{CANDIDATES - 1} .name"
    large.until(lambda: large.all(last))
    assert len(large.all("#structure-rows .row")) < 60
    rows.send_keys(Keys.HOME, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    large.until(lambda: large.all("#structure-rows-2.active .name"))
    rows.send_keys(Keys.SPACE)
    large.until(lambda: "1 as CIF" in large.one("#picks").text)
    rows.send_keys(Keys.ENTER)
    large.until(lambda: large.all("dialog[open] canvas"))
    formula = large.one("#structure-rows-2 .name").text
    assert large.one("dialog h2").text == formula
    assert large.one("#structure-rows-2").get_attribute("aria-label").startswith(formula.replace("\n", ""))
    webdriver.ActionChains(large.driver).send_keys(Keys.ESCAPE).perform()
    large.until(lambda: not large.all("dialog[open]"))
    assert large.faults() == []


def test_structures_are_found_by_their_elements(large):
    find = large.one("#structure-text")
    find.send_keys("Fe Na")
    fewer = f"{sum(1 for number in range(CANDIDATES) if number % 3 == 2):,} structures"
    large.until(lambda: large.one("#structures .count").text == fewer)
    assert {row.text for row in large.all("#structure-rows .name")} <= {"NaFeClO", ""}


def test_what_was_picked_is_downloaded(large, tmp_path):
    behaviour = {"behavior": "allow", "downloadPath": str(tmp_path)}
    large.driver.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
    large.one("#structure-rows").send_keys(Keys.HOME, Keys.SPACE, Keys.ARROW_DOWN, Keys.SPACE)
    large.until(lambda: "2 as CIF" in large.one("#picks").text)
    large.one("#picks a").click()
    archive = tmp_path / "candidates.zip"
    large.until(archive.exists)
    assert len(zipfile.ZipFile(archive).namelist()) == 2


def test_runs_are_opened_by_keys_alone(large):
    found = large.one("#find-run")
    found.send_keys("small-")
    large.until(lambda: large.one("#run-count").text == f"({RUNS})")
    found.send_keys(Keys.TAB)
    large.until(lambda: large.all("#run-list .active .name"))
    active = large.driver.switch_to.active_element
    assert active.get_attribute("id") == "run-list"
    active.send_keys(Keys.END)
    large.until(lambda: large.all(f"#run-list-{RUNS - 1}.active .name"))
    active.send_keys(Keys.ENTER)
    large.until(lambda: large.one("h1").text == "small-000")
    assert len(large.all("#run-list .row")) < 60


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_narrow_screen(large, scheme):
    large.emulate(390, 844, scheme)
    large.until(lambda: large.script("document.querySelector('#chart-reward svg').clientWidth < 390"))
    assert large.script("document.documentElement.scrollWidth") <= 390
    dark = large.script("getComputedStyle(document.body).backgroundColor") == "rgb(15, 19, 25)"
    assert dark is (scheme == "dark")


def test_a_token_is_asked_for_and_kept_from_scripts(browser, tmp_path):
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(f'[anna]\ntoken = "{SHOWN}"\nroles = ["train"]\n')
    write_run(tmp_path / "runs", "guarded")
    with served_page(tmp_path / "runs", tokens=tokens) as guarded:
        browser.open(guarded.url)
        browser.until(lambda: browser.all("#token"))
        browser.one("#token").send_keys("wrong", Keys.ENTER)
        browser.until(lambda: browser.one(".problem").text == "No caller has this token.")
        browser.one("#token").send_keys(SHOWN, Keys.ENTER)
        browser.until(lambda: browser.all("h1") and browser.one("h1").text == "guarded")
        assert browser.script("document.cookie") == ""
        browser.one("#sign-out button").click()
        browser.until(lambda: browser.all("#token"))


def test_curves_grow_while_the_run_is_at_work(lab, small_run, browser):
    def follow(url: str) -> list[str]:
        browser.emulate(1440, 900)
        browser.open(f"{url}#/small")
        browser.until(lambda: browser.all("#state"))
        browser.script("window.opened = true")
        states: list[str] = []
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            state = browser.until(lambda: browser.one("#state").text)
            if state not in states[-1:]:
                states.append(state)
            if state == "finished":
                break
            time.sleep(0.1)
        browser.until(lambda: "Step 4" in browser.one("#chart-reward svg").get_attribute("aria-label"))
        browser.until(lambda: browser.all(".gallery canvas, .gallery .hint"))
        assert browser.script("window.opened"), "it was loaded once"
        # Services that were too busy to answer are asked again every ten seconds.
        browser.until(lambda: len(browser.all("#services .well")) == 3)
        return states

    async def scenario(lab):
        async with running_page(lab.manager, ServingSettings(), port=0) as url:
            await lab.stub.StartRun(pb.StartRunRequest(config=small_run))
            states = await asyncio.to_thread(follow, url)
        assert states[-1] == "finished" and len(states) > 1

    lab(scenario)
