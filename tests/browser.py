"""Debian's Chromium, signed in to a server's console as a user would be."""

import re
import shutil

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from server import run_binary

# A browser that stays on this machine: nothing of it calls home.
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]
expect.set_options(timeout=20_000)


@pytest.fixture(scope="session")
def chromium():
    """One browser for the tests of a worker."""
    path = shutil.which("chromium")
    assert path, "Debian's package chromium is not there: ./test installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


class Console:
    """A page of the console, and what went wrong in it."""

    def __init__(self, browser, server, key=None, **context):
        self.server = server
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, timezone_id="Europe/Berlin", locale="en-GB", **context)
        self.context.set_default_timeout(20_000)
        self.page = self.context.new_page()
        # Scripts that fail, and whatever the policy stopped.
        self.errors = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        self.page.goto(url(server, key))
        self.page.wait_for_url("**/_countersign/console/")

    def open(self, path):
        """Opens a page below the console's path; the answer's status."""
        return self.page.goto(f"{self.server.control}/_countersign/console{path}").status

    def json(self, path):
        """What a page is made of."""
        answer = self.context.request.get(f"{self.server.control}/_countersign/console{path}", headers={"accept": "application/json"})
        assert answer.headers["content-type"] == "application/json", answer.text()
        return answer.json()

    def text(self):
        return self.page.inner_text("main")

    def violations(self):
        """What axe has against the page, one line each."""
        found = Axe().run(self.page).response["violations"]
        return [f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}" for one in found]

    def close(self):
        self.context.close()
        errors = [error for error in self.errors if not expected(error)]
        assert not errors, errors


def expected(error):
    """A page that is refused is told of by the browser as well."""
    return re.match(r"Failed to load resource: the server responded with a status of 4\d\d", error)


def url(server, key=None):
    """What `countersign console` prints, for the administrator's access key or another."""
    if key is None:
        return server.command("console").stdout.strip()
    env = server.env | {"AWS_ACCESS_KEY_ID": key[0], "AWS_SECRET_ACCESS_KEY": key[1]}
    return run_binary("console", env=env).stdout.strip()
