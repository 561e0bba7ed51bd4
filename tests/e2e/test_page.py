"""The status page in a real browser, beside a daemon that runs as users' do."""

import asyncio
import re
import shlex
import sys
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from collector import samples
from collector.roles import Role
from tests.browser import WAIT_MS, Visit, chromium
from tests.daemon import Daemon
from tests.fake_sink import FakeSink
from tests.nats import Nats
from tests.peers import steady_port
from tests.station import KEY, send

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAMPLES = {vendor: len(samples.load(vendor)) for vendor in ("cybereason", "harfanglab")}
CEF = "CEF:0|Cybereason|Cybereason|1.0|6|Malop User Added|5|cs1=11.42 cs1Label=MalopId duser="
TOKEN = "the-token-of-the-test"

# As in an empty directory, but for the ports: those of the default may be somebody's.
EMBEDDED = """
import sys
from collector import cli, embedded
from collector.config import AdminSettings
embedded._PORT = 0
embedded._BOUND_PORTS = dict.fromkeys(embedded._BOUND_PORTS, 0)
embedded.ADMIN = AdminSettings(host="127.0.0.1", port=0)
sys.argv = ["collector", "run"]
cli.main()
"""

TABS = ("Overview", "Live tail", "Try a message")

# What the browser itself says of a daemon that is not there, or does not know the page any more.
AWAY = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET")
UNKNOWN = ("status of 401",)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    async with chromium() as running:
        yield running


class Newcomer:
    """Somebody who has just installed the collector, in an empty directory."""

    def __init__(self, directory, url):
        self.directory, self.url = directory, url

    async def types(self, command):
        """Run a command as it is written somewhere."""
        program, *arguments = shlex.split(command)
        assert program == "collector"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "collector", *arguments),
            cwd=self.directory,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()


@pytest_asyncio.fixture(loop_scope="module")
async def newcomer(tmp_path):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", EMBEDDED), cwd=tmp_path, stderr=asyncio.subprocess.PIPE
    )
    said = b""
    while not (url := re.search(rb"The status page is at (\S+)/\n", said)):
        line = await process.stderr.readline()
        assert line, said.decode()
        said += line
    reading = asyncio.create_task(process.stderr.read())
    try:
        yield Newcomer(tmp_path, url[1].decode())
    finally:
        process.terminate()
        code = await process.wait()
        await reading
    assert code == 0


def listener(name, transport="tcp", **settings):
    return {"name": name, "transport": transport, "host": "127.0.0.1", "port": 0, **settings}


def settings(url, **sections):
    return {
        "listeners": [
            listener("edr", intake="paris", max_message_bytes="2MiB"),
            listener("xdr", intake="berlin", max_message_bytes="2MiB"),
            listener("keyed"),
            listener("plain", "udp"),
        ],
        "intakes": [
            {"name": "paris", "parser": "cybereason", "key": "a-key-for-paris", "profile": "ecs"},
            {"name": "berlin", "parser": "harfanglab", "key": "a-key-for-berlin"},
        ],
        "sinks": [{"name": "siem", "url": url, "batch": {"max_wait": "10ms"}}],
        **sections,
    }


@asynccontextmanager
async def connection(address):
    """Give what sends a message, in octet counting (RFC 6587)."""
    _, writer = await asyncio.open_connection(*address)

    async def send(message, header="<13>1 - - - - - - "):
        octets = f"{header}{message}".encode()
        writer.write(b"%d %b" % (len(octets), octets))
        await writer.drain()

    try:
        yield send
    finally:
        writer.close()
        await writer.wait_closed()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def troubled(tmp_path_factory):
    """A daemon of which little works: one sink is down, another refuses, senders send rubbish."""
    directory = tmp_path_factory.mktemp("troubled")
    async with (
        FakeSink() as well,
        FakeSink(lambda _: 503) as away,
        FakeSink(lambda events: 400 if "refused" in str(events) else 200) as picky,
    ):
        sinks = [
            {"name": name, "url": sink.url, "batch": {"max_wait": "10ms"}, "retry": RETRY}
            for name, sink in (("well", well), ("away", away), ("picky", picky))
        ]
        async with Daemon(directory, settings(well.url, sinks=sinks)) as daemon:
            await misbehave(daemon)
            yield daemon


RETRY = {"initial": "20ms", "max": "500ms"}


async def misbehave(daemon):
    """Have messages come that are read, that are not, that are refused, and that are nobody's."""
    async with connection(daemon.address("edr")) as send:
        await send(f"{CEF}refused")
        for number in range(20):
            await send(f"{CEF}user{number}")
        await send("no CEF at all")
    async with connection(daemon.address("xdr")) as send:
        await send('{"log_type": "alert", "level": "low", "never_seen": "x"}')
    async with connection(daemon.address("keyed")) as send:
        await send("without a key")
    await daemon.ledger_when(
        lambda ledger: ledger["dead_lettered"].get("refused") and ledger["delivered"] == 45
    )


async def choose(page, tab):
    await page.get_by_role("tab", name=tab).click()
    await expect(page.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")


async def fresh(page):
    """Wait for the first news of the daemon."""
    await expect(page.locator("#connection")).to_have_text("live")
    await expect(page.locator("#uptime")).to_be_visible()


def rows(page, place):
    return page.locator(f"#{place}").get_by_role("row")


def messages(page):
    return page.get_by_role("listbox").get_by_role("option")


# A newcomer.


async def test_a_newcomer_sees_samples_counted(browser, newcomer):
    """The empty page says how to send them."""
    total = sum(SAMPLES.values())
    async with Visit(browser, newcomer.url) as visit:
        page = visit.page
        steps = page.get_by_role("region", name="Nothing has come yet")
        command = await steps.get_by_role("region", name="command").inner_text()
        await expect(page.locator("#senders")).to_contain_text("Nobody has sent anything yet")
        await newcomer.types(command)
        await expect(
            page.get_by_role("img", name=re.compile(f"^Received {total},.* Delivered {total}$"))
        ).to_be_visible()
        await expect(steps).to_be_hidden()
        for vendor, count in SAMPLES.items():
            row = rows(page, "intakes").filter(has_text=vendor)
            await expect(row.locator("td").first).to_have_text(str(count))
        sink = rows(page, "sinks").filter(has_text="default")
        await expect(sink).to_contain_text(re.compile(f"up.*{total}"))
        await expect(rows(page, "senders").filter(has_text="127.0.0.1")).to_have_count(2)
        await expect(page.get_by_text("Balances: every copy is accounted for.")).to_be_visible()


async def test_a_newcomer_watches_messages_come(browser, newcomer):
    """Each beside its event; filters say which, and none comes while paused."""
    async with Visit(browser, newcomer.url) as visit:
        page = visit.page
        host, port = await shown_address(page, "syslog-tcp")
        await expect(page.locator("#tail-state")).to_have_text("Live")
        await newcomer.types(f"collector send --to {host}:{port} --vendor cybereason")
        await expect(messages(page)).to_have_count(min(SAMPLES["cybereason"], 20))
        await messages(page).first.click()
        await expect(page.locator("#tail-raw")).to_contain_text("CEF:0|Cybereason|")
        await expect(page.locator("#tail-raw")).to_contain_text('intake_key="')
        await expect(page.locator("#tail-event")).to_contain_text('vendor: "Cybereason"')
        key = (newcomer.directory / "collector-data" / "keys.yaml").read_text().split()[-1]
        assert key not in await page.content()

        intake = page.get_by_role("combobox", name="Intake")
        outcome = page.get_by_role("combobox", name="Outcome")
        text = page.get_by_role("searchbox", name="Text in the message")
        async with (
            connection(await shown_address(page, "cybereason")) as vendor,
            connection(await shown_address(page, "harfanglab")) as other,
        ):
            async with watching(page, "intake=harfanglab"):
                await intake.select_option("harfanglab")
            await vendor(f"{CEF}alice")
            await other('{"log_type": "alert", "level": "low"}')
            await expect(messages(page)).to_have_text(re.compile("ok.*harfanglab"))
            async with watching(page, "outcome=pipeline_error"):
                await intake.select_option("any")
                await outcome.select_option("pipeline error")
            await other('{"log_type": "alert", "level": "low"}')
            await vendor("no CEF at all")
            await expect(messages(page)).to_have_text(re.compile("pipeline error.*cybereason"))
            async with watching(page, "text=ALICE"):
                await outcome.select_option("any")
                await text.fill("ALICE")
            await vendor(f"{CEF}bob")
            await vendor(f"{CEF}alice")
            await expect(messages(page)).to_have_text(re.compile("duser=alice"))
            await page.get_by_role("button", name="Pause").click()
            for _ in range(3):
                await vendor(f"{CEF}alice")
            await expect(page.locator("#tail-state")).to_have_text("Paused · 3 waiting")
            await expect(messages(page)).to_have_count(1)
            await page.get_by_role("button", name="Resume").click()
            await expect(messages(page)).to_have_count(4)


async def test_a_newcomer_finds_the_events_in_the_inbox(browser, newcomer):
    """The empty inbox says how to fill it; it is there again after a reload."""
    total = sum(SAMPLES.values())
    async with Visit(browser, newcomer.url) as visit:
        page = visit.page
        await choose(page, "Inbox")
        empty = page.get_by_role("region", name="No event is here yet")
        await assert_accessible(page)
        await newcomer.types(await empty.get_by_role("region", name="command").inner_text())
        state = page.locator("#inbox-state")
        await expect(state).to_have_text(re.compile(f"^{total} kept"))
        await expect(empty).to_be_hidden()
        await page.get_by_role("button", name="Refresh").click()
        await expect(state).to_have_text(f"{total} kept")
        await expect(messages(page)).to_have_count(total)
        await page.reload()
        await expect(page.get_by_role("tab", name="Inbox")).to_have_attribute(
            "aria-selected", "true"
        )
        await expect(messages(page)).to_have_count(total)
        vendor = messages(page).filter(has_text="Malop Connection Added")
        await vendor.first.click()
        await expect(page.locator("#inbox-event")).to_contain_text('vendor: "Cybereason"')
        key = (newcomer.directory / "collector-data" / "keys.yaml").read_text().split()[-1]
        assert key not in await page.content()


async def test_newer_events_of_the_inbox_are_counted_until_they_are_wanted(browser, newcomer):
    """Each look is in the audit log, so the page looks only when it is told to, or was empty."""
    async with Visit(browser, newcomer.url) as visit:
        page = visit.page
        state = page.locator("#inbox-state")
        refresh = page.get_by_role("button", name="Refresh")
        async with connection(await shown_address(page, "cybereason")) as send:
            await choose(page, "Inbox")
            await send(f"{CEF}alice")
            await expect(messages(page)).to_contain_text(["duser=alice"])
            await send(f"{CEF}bob")
            await expect(state).to_have_text("2 kept · 1 newer, not listed yet")
            await send(HOSTILE["markup"][0])
            await expect(state).to_have_text("3 kept · 2 newer, not listed yet")
            await expect(messages(page)).to_have_count(1)
            await page.get_by_role("listbox").focus()
            await page.keyboard.press("ArrowDown")
            await expect(page.locator("#inbox-event")).to_contain_text('name: "alice"')
            assert visit.requests.count("GET /api/inbox") == 1
            await refresh.focus()
            await page.keyboard.press("Enter")
            await expect(messages(page)).to_contain_text(["<script>", "duser=bob", "duser=alice"])
            await expect(state).to_have_text("3 kept")
            assert visit.requests.count("GET /api/inbox") == 2
            chosen = messages(page).and_(page.locator("[aria-selected=true]"))
            await expect(chosen).to_contain_text("alice")
            await page.get_by_role("listbox").focus()
            await page.keyboard.press("Home")
            await expect(page.locator("#inbox-event")).to_contain_text("<script>alert(1)</script>")
            await assert_harmless(page)


async def test_the_inbox_lists_the_newest_of_what_is_kept(browser, newcomer):
    """How many more there are is said."""
    async with Visit(browser, newcomer.url) as visit:
        page = visit.page
        async with connection(await shown_address(page, "cybereason")) as send:
            for number in range(250):
                await send(f"{CEF}user{number}.")
        await choose(page, "Inbox")
        state = page.locator("#inbox-state")
        await expect(state).to_have_text(re.compile("^The newest 200 of 250 kept"))
        await page.get_by_role("button", name="Refresh").click()
        await expect(state).to_have_text("The newest 200 of 250 kept")
        await expect(messages(page)).to_have_count(200)
        await expect(messages(page).first).to_contain_text("duser=user249.")
        await expect(messages(page).last).to_contain_text("duser=user50.")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 1440), ("light", 390)])
async def test_everybody_can_use_the_inbox(browser, newcomer, scheme, width):
    """By the rules of axe and by keyboard alone; and nothing is beyond the edge of a phone."""
    size = {"width": width, "height": 844}
    async with Visit(browser, newcomer.url, color_scheme=scheme, viewport=size) as visit:
        page = visit.page
        async with connection(await shown_address(page, "cybereason")) as send:
            await choose(page, "Inbox")
            await send(f"{CEF}{'name' * 50}")
            await messages(page).first.click()
        await expect(page.locator("#inbox-event")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") == width
        await assert_accessible(page)
        found = await tabbed(page)
        assert found[:3] == ["Skip to content", "theme", "tab-inbox"]
        missed = page.locator(f"{REACHABLE}:visible:not([data-visited])")
        assert await missed.evaluate_all("all => all.map((it) => it.outerHTML)") == []


async def test_a_daemon_without_an_inbox_offers_none(browser, troubled):
    """Nor does an address lead to it."""
    async with Visit(browser, troubled.admin_url) as visit:
        page = visit.page
        await page.goto(f"{troubled.admin_url}/#inbox")
        await page.reload()
        await fresh(page)
        await expect(page.get_by_role("tab")).to_have_text(TABS)
        await expect(page.get_by_role("tabpanel", name="Overview")).to_be_visible()


@asynccontextmanager
async def watching(page, query):
    """Wait until the messages that a query asks for are watched."""
    async with page.expect_response(re.compile(rf"/api/tail\?{query}$"), timeout=WAIT_MS):
        yield
    await expect(page.locator("#tail-state")).to_have_text("Live")


async def shown_address(page, name):
    """Return where a listener listens, as the page says it."""
    await choose(page, "Overview")
    address = rows(page, "listeners").filter(has_text=name).locator("code")
    host, _, port = (await address.inner_text()).rpartition(":")
    await choose(page, "Live tail")
    return host, int(port)


async def test_a_message_can_be_tried(browser, troubled):
    """Each field shows where it comes from; what was not mapped, and why nothing was, is told."""
    async with Visit(browser, troubled.admin_url) as visit:
        page = visit.page
        await choose(page, "Try a message")
        sample = page.get_by_role("combobox", name="Insert a sample")
        await sample.select_option(label="Cybereason: user added, a custom field by its label")
        await expect(page.locator("#trial-state")).to_have_text(
            re.compile(r"^Parsed: \d+ fields; 1 source field not mapped\.$")
        )
        await page.get_by_role("button", name="user.name", exact=True).focus()
        await expect(page.locator("mark.linked")).to_have_text("duser=alice")
        await expect(page.locator(".leaf.linked")).to_have_text('name: "alice"')
        await page.locator("mark", has_text="MalopId").last.hover()
        await expect(page.locator("tr.linked th")).to_have_text(["cybereason.malop.id"])
        await expect(page.locator(".message mark.unused")).to_have_text("newField=not known")
        table = page.get_by_role("table", name="Fields of the message that are in no field")
        await expect(table.get_by_role("rowheader")).to_have_text("newField")

        await sample.select_option(label="Cybereason: no CEF at all")
        await expect(page.locator("#trial-state")).to_have_text(
            "Not parsed. not_cef: not CEF: 7 header fields expected, 1 found"
        )
        await expect(page.locator("#trial-result")).to_contain_text("pipeline_error")


async def test_a_tail_goes_on_when_the_intake_that_was_chosen_is_gone(browser, tmp_path):
    """Settings that are read again may rename it: then any is chosen, and any is shown."""
    async with FakeSink() as sink:
        chosen = settings(sink.url)
        async with Daemon(tmp_path, chosen) as daemon, Visit(browser, daemon.admin_url) as visit:
            page = visit.page
            await choose(page, "Live tail")
            intake = page.get_by_role("combobox", name="Intake")
            async with watching(page, "intake=paris"):
                await intake.select_option("paris")
            chosen["intakes"][0]["name"] = chosen["listeners"][0]["intake"] = "lyon"
            async with page.expect_response(re.compile(r"/api/tail$"), timeout=WAIT_MS):
                assert (await daemon.reload(chosen))[0] == 200
            await expect(intake).to_have_value("")
            await expect(page.locator("#tail-state")).to_have_text("Live")
            async with connection(daemon.address("edr")) as send:
                await send(f"{CEF}alice")
            await expect(messages(page)).to_have_text(re.compile("ok.*lyon"))


async def test_messages_that_belong_to_no_intake_come_in_too(browser, tmp_path):
    """They are counted where they arrive."""
    async with (
        FakeSink() as sink,
        Daemon(tmp_path, settings(sink.url)) as daemon,
        Visit(browser, daemon.admin_url) as visit,
        connection(daemon.address("keyed")) as send,
    ):
        figure = visit.page.locator("#glance")
        await expect(figure).to_contain_text(re.compile(r"Messages in per second\s*0"))
        for _ in range(100):
            await send("without a key")
        await expect(figure).to_contain_text(re.compile(r"Messages in per second\s*\d*[1-9]"))
        await daemon.ledger_when(lambda it: it["dead_lettered"].get("unknown_intake") == 100)


# Trouble.


async def test_trouble_is_told_with_its_reason_and_since_when(browser, troubled):
    """What comes in, what goes out, what is stuck."""
    ledger = await settled(troubled)
    waiting, delivered = f"{ledger['spooled']:,}", f"{ledger['delivered']:,}"
    async with Visit(browser, troubled.admin_url) as visit:
        page = visit.page
        await expect(page.locator("#reasons")).to_contain_text(
            re.compile(r"sink away: HTTP 503, for (\d+ (s|min)|a moment)")
        )
        await expect(page.locator("#glance")).to_contain_text(re.compile(r"Sinks up\s*2 of 3"))
        away = rows(page, "sinks").filter(has=page.get_by_role("rowheader", name="away"))
        await expect(away).to_contain_text(re.compile(r"down\s*for (\d+|a moment)"))
        await expect(away).to_contain_text(
            re.compile("last error .*: HTTP 503 Service Unavailable")
        )
        await expect(away.get_by_role("cell").nth(3)).to_have_text(
            re.compile(rf"^{waiting}[\d.]+ [KM]?i?B, .* old$")
        )
        picky = rows(page, "sinks").filter(has=page.get_by_role("rowheader", name="picky"))
        await expect(picky).to_contain_text(re.compile("up.*last error .*: HTTP 400 Bad Request"))
        await expect(page.locator("#spool")).to_contain_text(
            re.compile(rf"Waiting\s*{waiting} events")
        )
        await expect(page.locator("#intakes")).to_contain_text(re.compile(r"not_cef.*1"))
        await expect(page.locator("#drift")).to_contain_text("never_seen")
        picture = page.locator("#ledger")
        await expect(picture.get_by_role("img")).to_have_attribute(
            "aria-label",
            re.compile(f"In the spool {waiting}, .*Dead letters 2, Lost 0, Delivered {delivered}$"),
        )
        await expect(picture).to_contain_text("1 refused")
        await expect(picture).to_contain_text("1 unknown_intake")


async def settled(daemon):
    """Wait until all that other tests have sent is where it stays; return the ledger."""
    while True:
        status = await daemon.status()
        waiting = {sink["name"]: sink["waiting"]["events"] for sink in status["sinks"]}
        if waiting["well"] == waiting["picky"] == status["ledger"]["in_memory"] == 0:
            return status["ledger"]
        await asyncio.sleep(0.02)


async def test_what_was_before_the_page_was_opened_is_shown(browser, troubled):
    """The daemon keeps it: charts, which are tables too, are there again after a reload."""
    async with connection(troubled.address("edr")) as send:
        for number in range(200):
            await send(f"{CEF}user{number}")
    async with Visit(browser, troubled.admin_url) as visit:
        for _ in range(2):
            chart = visit.page.get_by_role("region", name="Events in, by intake")
            await chart.get_by_role("button", name="Show as table").click()
            table = chart.get_by_role("table")
            await expect(table).to_contain_text(re.compile(r"minute to\s*paris\s*berlin"))
            await expect(table).to_contain_text(re.compile(r"\d\d:\d\d\s*[1-9][\d.]*/s"))
            await visit.page.reload()


async def test_a_member_of_several_says_what_it_does_and_what_all_share(browser, tmp_path):
    """One that only receives knows nothing of sinks, but for what waits for them."""
    async with Nats(tmp_path / "nats") as nats:
        settings = {
            "listeners": [{"name": "tcp", "transport": "tcp", "host": "127.0.0.1", "port": 0}],
            "intakes": [{"name": "any", "parser": "raw", "key": KEY}],
            "sinks": [{"name": "siem", "url": "http://127.0.0.1:9", "batch": {"max_wait": "10ms"}}],
            "spool": {
                "type": "jetstream",
                "servers": list(nats.urls),
                "replicas": 1,
                "max_bytes": "64MiB",
                "path": str(tmp_path / "spool"),
            },
            "dead_letters": {"max_bytes": "8MiB"},
        }
        async with (
            Daemon(tmp_path, settings, role=Role.RECEIVE) as daemon,
            Visit(browser, daemon.admin_url) as visit,
        ):
            await send(daemon, range(1234))
            page = visit.page
            await expect(page.locator("#role")).to_have_text("receives only")
            await expect(page.locator("#ledger")).to_contain_text(
                "Handed over1,234100 %to the stream"
            )
            await expect(page.locator("#ledger")).to_contain_text("Balances")
            await expect(page.locator("#ledger")).not_to_contain_text("Delivered")
            row = page.locator("#sinks tbody tr")
            await expect(row).to_contain_text("elsewhere")
            await expect(row).to_contain_text("1,234 in the stream")
            spool = page.locator("#spool")
            await expect(spool).to_contain_text("Streamcollector, connected")
            await expect(spool).to_contain_text("In the stream1,234 events")
            await nats.kill()
            await expect(spool).to_contain_text("cannot be used, events wait in files")
            await expect(page.locator("#state")).to_have_text("degraded: 1")


async def test_workers_are_shown_as_one_daemon(browser, tmp_path):
    async with FakeSink() as sink, Daemon(tmp_path, settings(sink.url, workers=2)) as daemon:
        async with connection(daemon.address("edr")) as send:
            await send(f"{CEF}alice")
        async with Visit(browser, daemon.admin_url) as visit:
            await expect(rows(visit.page, "workers-table")).to_have_count(3)
            await expect(visit.page.locator("#workers")).to_have_text("2 workers")
            await expect(
                visit.page.get_by_role("img", name=re.compile("^Received 1,"))
            ).to_be_visible()


# Hostile messages.

HOSTILE = {
    "markup": (f"{CEF}<script>alert(1)</script><img src=x onerror=alert(2)>", "<script>alert(1)"),
    "controls": (f"{CEF}bell\x07 \x1b[31mred\x1b[0m", "‹BEL› ‹ESC›[31mred"),
    "direction": (f"{CEF}evil\u202egnp.exe \u2066x\u2069 \ufeff", "evil‹U+202E›gnp.exe"),
    "long": (f"{CEF}{'A' * 1_000_000}", "A" * 60),
}
NAMES = '{"log_type": "alert", "<img src=x onerror=alert(3)>": "<b>", "a\u202eb\x1b": 1}'
HEADER = "<13>1 - <script>alert(4)</script> \"'><img/src=x/onerror=alert(5)> - - - "

# Characters that are not to be seen as themselves; line feeds are kept.
HIDDEN = r"/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/"


async def assert_harmless(page):
    """Nothing of a message is markup or hides, and there is only so much of it."""
    text = "document.body.textContent"
    assert await page.evaluate(f"{text}.match({HIDDEN})?.[0]?.charCodeAt(0) ?? null") is None
    assert await page.locator("main script, main img, main b").count() == 0
    assert await page.evaluate("document.getElementsByTagName('*').length") < 6000


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_hostile_message_is_shown_as_text(browser, troubled, kind):
    """In the tail, beside its event, and where it is tried."""
    message, shown = HOSTILE[kind]
    async with Visit(browser, troubled.admin_url) as visit:
        page = visit.page
        await choose(page, "Live tail")
        await expect(page.locator("#tail-state")).to_have_text("Live")
        async with connection(troubled.address("edr")) as send:
            await send(message, HEADER)
        await messages(page).first.click()
        await expect(page.locator("#tail-raw")).to_contain_text(shown)
        await expect(page.locator("#tail-raw")).to_contain_text("<script>alert(4)</script>")
        if kind == "long":
            await page.get_by_role("button", name="Show all").click()
            await expect(page.locator("#tail-raw pre")).to_contain_text("A" * 60_000)
        await assert_harmless(page)
        await page.get_by_role("button", name="Try this one").click()
        await expect(page.locator("#trial-state")).to_contain_text("arsed")
        await expect(page.locator("#trial-result")).to_contain_text(shown)
        await assert_harmless(page)


async def test_hostile_names_of_fields_are_shown_as_text(browser, troubled):
    """Also where they are told as unknown."""
    async with Visit(browser, troubled.admin_url) as visit:
        page = visit.page
        async with connection(troubled.address("xdr")) as send:
            await send(NAMES)
        await expect(page.locator("#drift")).to_contain_text("<img src=x onerror=alert(3)>")
        await expect(page.locator("#drift")).to_contain_text("a?b?")
        await assert_harmless(page)
        await choose(page, "Try a message")
        await page.get_by_role("combobox", name="Parser").select_option("harfanglab")
        await page.get_by_role("textbox", name="Message, with or without").fill(NAMES)
        await page.keyboard.press("Control+Enter")
        await expect(page.locator("#trial-result mark.unused").first).to_contain_text("<img")
        await assert_harmless(page)


async def test_a_message_of_very_many_fields_is_shown_in_part(browser, troubled):
    """More is shown when it is asked for."""
    fields = ", ".join(f'"<i>{number}": [{number}]' for number in range(20_000))
    async with Visit(browser, troubled.admin_url) as visit:
        page = visit.page
        await choose(page, "Try a message")
        await page.get_by_role("combobox", name="Parser").select_option("harfanglab")
        await page.get_by_role("textbox", name="Message, with or without").fill(
            f'{{"log_type": "a", {fields}}}'
        )
        await page.get_by_role("button", name="Parse").click()
        table = page.get_by_role("table", name="Fields of the message that are in no field")
        await expect(table.get_by_role("rowheader")).to_have_count(200)
        await page.get_by_role("button", name="Show more").click()
        await expect(table.get_by_role("rowheader")).to_have_count(400)


async def test_a_message_that_is_too_long_is_refused(browser, troubled):
    async with Visit(browser, troubled.admin_url, expected=["status of 413"]) as visit:
        page = visit.page
        await choose(page, "Try a message")
        await page.get_by_role("textbox", name="Message, with or without").fill("x" * 1_100_000)
        await page.get_by_role("button", name="Parse").click()
        await expect(page.locator("#trial-state")).to_have_text(
            "The message is too long: at most 1 MiB."
        )


# The daemon comes and goes.


async def test_a_page_says_that_its_daemon_is_away_and_finds_it_again(browser, tmp_path):
    """What it showed stays, marked as old."""
    async with FakeSink() as sink:
        chosen = settings(sink.url, admin={"port": steady_port()})
        async with Daemon(tmp_path, chosen) as daemon:
            visit = Visit(browser, daemon.admin_url, expected=AWAY)
            await visit.__aenter__()
            await fresh(visit.page)
            daemon.process.kill()
            away = visit.page.get_by_role("alert")
            await expect(away).to_contain_text("The daemon has not answered since")
            await expect(visit.page.locator("#connection")).to_contain_text("away, next try in")
            await expect(rows(visit.page, "sinks").filter(has_text="siem")).to_be_visible()
        async with Daemon(tmp_path, chosen):
            await expect(visit.page.locator("#connection")).to_have_text("live")
            await expect(away).to_be_hidden()
            announced = visit.page.get_by_role("status").filter(has_text="The daemon answers again")
            await expect(announced).to_be_attached()
            assert await visit.page.locator("#errors").count() == 0
            await visit.__aexit__(None)


async def test_the_page_needs_the_token(browser, tmp_path):
    """And is left for the sign-in page when the daemon goes by another token."""
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    async with FakeSink() as sink:
        chosen = settings(sink.url, admin={"port": 0, "token_file": str(file)})
        async with (
            Daemon(tmp_path, chosen) as daemon,
            Visit(browser, daemon.admin_url, expected=UNKNOWN) as visit,
        ):
            page = visit.page
            token, sign_in = page.get_by_label("Token"), page.get_by_role("button", name="Sign in")
            await expect(token).to_be_focused()
            await token.fill("another")
            await sign_in.click()
            await expect(page.get_by_role("alert")).to_have_text("That is not the daemon's token.")
            await page.goto(f"{daemon.admin_url}/?wait")  # as after many of them
            await expect(page.get_by_role("alert")).to_contain_text("Wait a minute.")
            await assert_accessible(page)
            await token.fill(TOKEN)
            await page.keyboard.press("Enter")
            await fresh(page)
            await choose(page, "Live tail")
            await page.get_by_role("button", name="Sign out").click()
            await expect(token).to_be_visible()
            await token.fill(TOKEN)
            await sign_in.click()
            await fresh(page)
            assert TOKEN not in str(await page.context.cookies())
            assert await page.evaluate("document.cookie") == ""
            file.write_text("yet-another-token\n")
            daemon.headers["Authorization"] = f"Bearer {TOKEN}"
            assert (await daemon.reload())[0] == 200
            await expect(sign_in).to_be_visible()


# The page itself.


async def test_mistakes_of_the_page_are_shown_on_it(browser, troubled):
    """As text, and only so many; the console has them too."""
    async with Visit(
        browser, troubled.admin_url, expected=["error: a <b>mistake", "error: late"]
    ) as visit:
        page = visit.page
        await fresh(page)
        await page.evaluate("setTimeout(() => { throw new Error('a <b>mistake</b>'); })")
        await page.evaluate("setTimeout(() => { Promise.reject(new Error('later')); })")
        fault = page.get_by_role("alert").filter(has_text="This page has a fault")
        await expect(fault).to_contain_text("a <b>mistake</b>")
        await expect(fault).to_contain_text("later")
        for number in range(20):
            await page.evaluate(f"setTimeout(() => {{ throw new Error('late{number}'); }})")
        await expect(fault.get_by_role("listitem")).to_have_count(5)


async def test_nobody_is_asked_but_while_somebody_looks(browser, troubled):
    """One stream for the overview, another for the tail; nothing is asked again and again."""
    async with Visit(browser, troubled.admin_url) as visit:
        page = visit.page
        await fresh(page)
        before = await page.locator("#uptime").inner_text()
        await expect(page.locator("#uptime")).not_to_have_text(before)
        asked = [request for request in visit.requests if request.startswith("GET /api/")]
        assert asked == ["GET /api/live"]
        await choose(page, "Live tail")
        await expect(page.locator("#tail-state")).to_have_text("Live")
        await page.evaluate(
            "Object.defineProperty(document, 'hidden', {get: () => true});"
            "document.dispatchEvent(new Event('visibilitychange'))"
        )
        await expect(page.locator("#connection")).to_have_text("stopped")
        await expect(page.locator("#tail-state")).to_have_text("Stopped")
        asked = [request for request in visit.requests if request.startswith("GET /api/")]
        assert asked == ["GET /api/live", "GET /api/tail"]


FOCUSED = """() => {
    const element = document.activeElement;
    if (element === document.body) return null;
    element.dataset.visited = "yes";
    const style = getComputedStyle(element);
    return [element.id || element.getAttribute("aria-label") || element.name || element.textContent,
            style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0];
}"""

# What a person can do something with, and what has to be scrolled.
REACHABLE = ":is(button, a, input, select, textarea, summary, [tabindex='0']):not([tabindex='-1'])"


async def tabbed(page):
    """Press Tab through the page; return what had the focus, in order."""
    found = []
    await page.evaluate("document.body.tabIndex = -1; document.body.focus();")
    while True:
        await page.keyboard.press("Tab")
        focused = await page.evaluate(FOCUSED)
        if focused is None or focused[0] == (found and found[0]):
            return found
        name, is_marked = focused
        assert is_marked, name
        found.append(name)


@pytest.mark.parametrize("tab", TABS)
async def test_everything_is_reached_by_keyboard(browser, troubled, tab):
    """In the order in which it is read, and what has the focus is marked."""
    async with Visit(browser, troubled.admin_url) as visit:
        page = visit.page
        await fresh(page)
        await choose(page, tab)
        if tab == "Live tail":
            async with connection(troubled.address("edr")) as send:
                await send(f"{CEF}alice")
            await messages(page).first.click()
        if tab == "Try a message":
            await page.get_by_role("combobox", name="Insert a sample").select_option(index=1)
            await expect(page.locator("#trial-state")).to_contain_text("Parsed")
        found = await tabbed(page)
        chosen = await page.get_by_role("tab", name=tab).get_attribute("id")
        assert found[:3] == ["Skip to content", "theme", chosen]
        missed = page.locator(f"{REACHABLE}:visible:not([data-visited])")
        assert await missed.evaluate_all("all => all.map((it) => it.outerHTML)") == []


async def test_tabs_messages_and_the_skip_link_work_by_keyboard(browser, troubled):
    async with Visit(browser, troubled.admin_url) as visit:
        page = visit.page
        await fresh(page)
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to content")).to_be_in_viewport()
        await page.keyboard.press("Enter")
        await expect(page.locator("main")).to_be_focused()
        await page.get_by_role("tab", name="Overview").focus()
        for key, tab in (("ArrowLeft", 2), ("ArrowLeft", 1), ("Home", 0), ("ArrowRight", 1)):
            await page.keyboard.press(key)
            await expect(page.get_by_role("tab", name=TABS[tab])).to_be_focused()
            await expect(page.get_by_role("tabpanel", name=TABS[tab])).to_be_visible()
        await expect(page.locator("#tail-state")).to_have_text("Live")
        async with connection(troubled.address("edr")) as send:
            await send(f"{CEF}alice")
            await send(f"{CEF}bob")
        await expect(messages(page)).to_have_count(2)
        await page.get_by_role("listbox").focus()
        for key, name in (("ArrowDown", "bob"), ("ArrowDown", "alice"), ("Home", "bob")):
            await page.keyboard.press(key)
            await expect(messages(page).and_(page.locator("[aria-selected=true]"))).to_contain_text(
                name
            )
            await expect(page.locator("#tail-event")).to_contain_text(name)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 1440), ("light", 390)])
async def test_everybody_can_use_it(browser, troubled, scheme, width):
    """By the rules of axe; and nothing is beyond the edge of a phone."""
    size = {"width": width, "height": 844}
    async with Visit(browser, troubled.admin_url, color_scheme=scheme, viewport=size) as visit:
        page = visit.page
        await fresh(page)
        for tab in TABS:
            await choose(page, tab)
            if tab == "Live tail":
                await expect(page.locator("#tail-state")).to_have_text("Live")
                async with connection(troubled.address("edr")) as send:
                    await send(f"{CEF}{'name' * 50}")
                    await send("no CEF at all")
                await messages(page).last.click()
            if tab == "Try a message":
                await page.get_by_role("combobox", name="Insert a sample").select_option(index=1)
                await expect(page.locator("#trial-state")).to_contain_text("Parsed")
            assert await page.evaluate("document.documentElement.scrollWidth") == width
            await assert_accessible(page)


async def assert_accessible(page):
    found = (await Axe().run(page)).response["violations"]
    assert [
        (violation["id"], [node["target"] for node in violation["nodes"]])
        for violation in found
        if violation["impact"] in {"serious", "critical"}
    ] == []


async def test_the_theme_is_the_systems_until_one_is_chosen(browser, troubled):
    """And is kept."""
    async with Visit(browser, troubled.admin_url, color_scheme="dark") as visit:
        page = visit.page
        theme = page.locator("#theme")
        dark = "rgb(14, 19, 24)"
        await expect(page.locator("body")).to_have_css("background-color", dark)
        await theme.click()
        await expect(theme).to_have_text("Theme: light")
        await expect(page.locator("body")).not_to_have_css("background-color", dark)
        await page.reload()
        await expect(theme).to_have_text("Theme: light")


async def test_nothing_moves_for_who_wants_no_motion(browser, troubled):
    async with Visit(browser, troubled.admin_url, reduced_motion="reduce") as visit:
        page = visit.page
        await fresh(page)
        moving = (
            "[...document.querySelectorAll('*')].filter((it) => "
            "parseFloat(getComputedStyle(it).transitionDuration) > 0 || "
            "getComputedStyle(it).animationName !== 'none').length"
        )
        assert await page.evaluate(moving) == 0
