"""The files of the status page."""

import re
from importlib import resources

import pytest
from aiohttp.test_utils import make_mocked_request

from collector.admin.files import HEADERS, INDEX, LOGIN, PageFiles

LINKS = {"api/status", "api/inbox", "metrics"}
"""What a page leads to besides its own files."""


@pytest.fixture(scope="module")
def files():
    return PageFiles()


def request(**headers):
    return make_mocked_request("GET", "/", headers=headers)


@pytest.mark.parametrize("name", [INDEX, LOGIN])
def test_all_that_a_page_names_is_there(files, name):
    """Served from the package alone: nothing is asked of anybody else."""
    page = files.answer(name, request())
    assert (page.status, page.content_type, page.charset) == (200, "text/html", "utf-8")
    text = page.body.decode()
    named = re.findall(r'(?:src|href)="([^"#]+)"', text)
    assert named
    for reference in set(named) - LINKS:
        assert reference.startswith("page/"), reference
        assert files.answer(reference.removeprefix("page/"), request()).status == 200
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|https?://", text)


def test_modules_import_what_is_there(files):
    """By relative names, and they are served as scripts."""
    seen, waiting = set(), ["main.js"]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        answer = files.answer(name, request())
        assert (answer.status, answer.content_type) == (200, "text/javascript"), name
        waiting += re.findall(r'from "\./([^"]+)"', answer.body.decode())
    assert len(seen) > 10


def test_no_script_makes_markup_or_code_of_text(files):
    """What a message holds gets into the page as text alone."""
    ours = [name for name in _scripts() if not name.startswith("uplot")]
    assert "dom.js" in ours
    forbidden = r"(inner|outer)HTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc"
    for name in ours:
        assert not re.search(forbidden, files.answer(name, request()).body.decode()), name


def _scripts():
    page = resources.files("collector.admin").joinpath("page")
    return [file.name for file in page.iterdir() if file.name.endswith(".js")]


def test_a_browser_that_has_a_file_is_not_sent_it_again(files):
    """Its tag changes with the file, not with time."""
    tag = files.answer(INDEX, request()).headers["ETag"]
    again = files.answer(INDEX, request(**{"If-None-Match": tag}))
    assert (again.status, again.body) == (304, None)
    assert files.answer(INDEX, request(**{"If-None-Match": '"other"'})).status == 200
    refused = files.answer(LOGIN, request(**{"If-None-Match": tag}), status=401)
    assert (refused.status, refused.content_type) == (401, "text/html")


@pytest.mark.parametrize("name", ["nothing.js", "../server.py", "server.py", "", "."])
def test_nothing_else_is_served(files, name):
    """Files are known by their names alone."""
    assert files.answer(name, request()).status == 404


def test_pages_run_nothing_that_is_not_ours():
    """Neither inline nor from elsewhere, and nobody frames them."""
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
