"""A real browser, for tests that look at pages as a reader does."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import absent

FLAGS = [
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@contextmanager
def chromium() -> Iterator[Any]:
    """Start Chromium, with nothing kept from an earlier time and no way out of this machine."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        yield browser
        browser.close()


def launch(kind: Any, *flags: str) -> Any:
    """Start one more browser of a kind, with further flags."""
    program = shutil.which("chromium")
    if program is None:
        absent("Chromium (Debian: apt-get install chromium fonts-dejavu-core)")
    return kind.launch(executable_path=program, args=[*FLAGS, *flags], chromium_sandbox=False)


@contextmanager
def opened(
    browser: Any, path: Path, scheme: str = "light", width: int = 1280
) -> Iterator[tuple[Any, list[str]]]:
    """Open a file, folds open, without a network; gives the page and what else it asked for."""
    size = {"width": width, "height": 900}
    context = browser.new_context(color_scheme=scheme, viewport=size, offline=True)
    page, asked = context.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.resolve().as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    yield page, [url for url in asked if url != page.url and not url.startswith("data:")]
    context.close()


def violations(page: Any, within: str = "html") -> list[str]:
    """What axe-core finds against WCAG 2 A and AA: rule, place and reason."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, within, {"runOnly": RULES, "resultTypes": ["violations"]})
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found.response["violations"]
        for node in rule["nodes"]
    ]


# Words that are there and cannot be read: hidden by their box, or beyond the page's edges. Code may
# be scrolled to, and on a telephone a table too; on a wide screen a table has to be seen whole.
CLIPPED = """within => [...document.querySelector(within).querySelectorAll('*')].filter(node => {
    const own = [...node.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    const box = node.getBoundingClientRect(), style = getComputedStyle(node);
    if (!own || box.width < 2 || box.height < 2 || !node.checkVisibility()) return false;
    if (['SCRIPT', 'STYLE', 'OPTION', 'SELECT', 'TEXTAREA'].includes(node.tagName)) return false;
    const hides = ['hidden', 'clip'].includes(style.overflowX) && style.position !== 'absolute';
    if (hides && node.scrollWidth > node.clientWidth + 1) return true;
    const whole = document.documentElement.clientWidth > 1000 && node.closest('table');
    for (let up = node.parentElement; up; up = up.parentElement) {
        const look = getComputedStyle(up), edge = up.getBoundingClientRect();
        const beyond = box.right > edge.right + 1;
        if (['auto', 'scroll'].includes(look.overflowX)) return beyond && Boolean(whole);
        if (['hidden', 'clip'].includes(look.overflowX) && beyond) return true;
    }
    if (box.right <= 0) return false;  // a link to skip to, seen once it has the focus
    return box.left < -1 || box.right > document.documentElement.clientWidth + 1;
}).map(node => `${node.tagName} "${node.textContent.trim().slice(0, 60)}" cannot be read whole`)"""


def clipped(page: Any, within: str = "html") -> list[str]:
    """Words that are cut off: tag and text of each."""
    return page.evaluate(CLIPPED, within)


def barriers(paths: Iterable[Path]) -> list[str]:
    """What keeps readers out of pages: wide and less wide in light, dark on a telephone."""
    with chromium() as browser:
        found = []
        for path in paths:
            for scheme, width in (("light", 1440), ("light", 1100), ("dark", 360)):
                with opened(browser, path, scheme, width) as (page, asked):
                    told = [*clipped(page), *(f"asks for {url}" for url in asked)]
                    told += violations(page) if width != 1440 else []
                    found += [f"{path.name}, {scheme}, {width}: {one}" for one in told]
        return found
