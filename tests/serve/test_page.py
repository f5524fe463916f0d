"""The chat page in a real browser, against a real server."""

import json
import re
from pathlib import Path

import httpx
import pytest

from underdog.serve.guard import Limits
from underdog.serve.page import HOME

CHROMIUM = Path("/usr/bin/chromium")
FOLDER = Path(__file__).parents[2] / "src/underdog/serve/web"
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>'


def test_the_page_is_served_and_needs_nothing_else(api):
    response = httpx.get(api)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    for name in re.findall(r'(?:src|href)="(?!data:)([^"]+)"', response.text):
        assert name.startswith(HOME) and httpx.get(api + name).status_code == 200
    assert httpx.get(f"{api}{HOME}secret.js").json()["error"]["message"] == f"There is no GET {HOME}secret.js here."


@pytest.mark.parametrize("file", sorted(FOLDER.iterdir()), ids=lambda file: file.name)
def test_what_a_model_writes_is_never_markup(file):
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\(", file.read_text(encoding="utf-8")
    )


@pytest.fixture(scope="module")
def browser():
    sync = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip("needs chromium")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Page:
    """A tab, and what a person does in it."""

    def __init__(self, tab, url):
        self.tab = tab
        self.asked = []  # bodies of requests
        self.elsewhere = []  # requests to others
        self.problems = []  # of scripts and of the page's own rules
        tab.on("request", self._sees)
        tab.on("pageerror", lambda problem: self.problems.append(str(problem)))
        tab.on("console", lambda line: self.problems.append(line.text) if "status of 4" not in line.text else None)
        tab.goto(url)

    def _sees(self, request):
        if not request.url.startswith(("http://127.0.0.1:", "data:")):
            self.elsewhere.append(request.url)
        if request.post_data:
            self.asked.append(json.loads(request.post_data))

    def ask(self, question):
        self.tab.fill("#question", question)
        self.tab.keyboard.press("Enter")
        self.tab.locator("#send", has_text="Send").wait_for()

    def texts(self, selector):
        return self.tab.locator(selector).all_inner_texts()


@pytest.fixture
def visit(browser, serving):
    """A model, limits -> a page of its server."""
    opened = []

    def visit(served, limits=None):
        server = serving(served, limits)
        url, _ = server.__enter__()
        context = browser.new_context()
        context.set_default_timeout(10_000)
        page = Page(context.new_page(), url)
        opened.append((server, context, page))
        return page

    yield visit
    for server, context, page in opened:
        context.close()
        server.__exit__(None, None, None)
        assert page.elsewhere == [] and page.problems == []


def test_a_conversation_that_outlives_the_tab(scripted, visit):
    page = visit(scripted("<think>hm</think>Größe 🙂 **so** <b>"))
    page.ask("one")
    page.ask("two")
    assert page.texts("#name") == ["scripted"] and page.texts("#chats li button:first-child") == ["one"]
    assert page.texts(".said") == ["one", "Größe 🙂 so <b>", "two", "Größe 🙂 so <b>"]
    assert page.texts(".said strong") == ["so", "so"]
    thought = page.tab.locator(".thought").first
    assert thought.get_attribute("open") is None and thought.locator("div").text_content() == "hm"
    first, second = page.asked
    assert first["stream"] and "temperature" not in first
    assert second["messages"] == [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "Größe 🙂 **so** <b>", "reasoning_content": "hm"},
        {"role": "user", "content": "two"},
    ]
    page.tab.reload()
    assert page.texts(".said")[2:] == ["two", "Größe 🙂 so <b>"]
    page.tab.get_by_role("button", name="Again").click()
    page.tab.locator("#send", has_text="Send").wait_for()
    assert page.asked[-1] == second and len(page.texts(".said")) == 4


def test_several_chats_and_the_keyboard(scripted, visit):
    page = visit(scripted("fine"))
    page.ask("one")
    page.tab.keyboard.press("Alt+n")
    assert page.texts(".turn") == []
    page.ask("two")
    assert page.texts("#chats li button:first-child") == ["two", "one"]
    page.tab.keyboard.press("Alt+ArrowDown")
    assert page.texts(".user .said") == ["one"]
    page.tab.keyboard.press("ArrowUp")  # edits the last question
    assert page.tab.input_value("#question") == "one"
    page.tab.keyboard.press("Escape")
    assert page.tab.input_value("#question") == ""
    page.tab.keyboard.press("ArrowUp")
    page.ask("three")
    assert page.texts(".user .said") == ["three"] and len(page.asked[-1]["messages"]) == 1
    page.tab.on("dialog", lambda dialog: dialog.accept())
    page.tab.get_by_label("Delete one").click()
    assert page.texts("#chats li button:first-child") == ["two"] and page.texts(".turn") == []
    page.tab.locator("#new").focus()
    page.tab.keyboard.press("?")
    assert page.tab.locator("#keys").is_visible()


def test_an_answer_that_is_stopped_stays_as_far_as_it_came(scripted, visit):
    served = scripted("on ", pause=0.01)
    page = visit(served)
    page.tab.fill("#question", "one")
    page.tab.keyboard.press("Enter")
    page.tab.locator(".assistant .said", has_text="on on").wait_for()
    page.tab.keyboard.press("Enter")  # does nothing while an answer runs
    page.tab.keyboard.press("Escape")
    page.tab.locator(".notice", has_text="Stopped.").wait_for()
    assert served.engine.closed.acquire(timeout=10)
    assert len(page.asked) == 1 and page.texts("#send") == ["Send"]


def test_no_answer_is_told_and_left_out(scripted, visit):
    page = visit(scripted("<think>hm"))
    page.ask("one")
    assert page.texts(".notice") == ["There is no answer: the model ended its turn inside its reasoning."]
    assert page.texts(".wrong") == ["The question is left out of the chat."]
    assert page.tab.input_value("#question") == "one"  # to be asked again
    page.ask("two")
    assert page.asked[1]["messages"] == [{"role": "user", "content": "two"}]


def test_tools_are_seen_and_answered(scripted, visit):
    page = visit(scripted(CALL))
    page.tab.keyboard.press("Alt+s")
    page.tab.fill("[name=tools]", json.dumps([WEATHER]))
    page.ask("Weather?")
    assert page.asked[0]["tools"] == [WEATHER]
    assert page.texts(".call b") == ["weather"] and '"city": "Rome"' in page.texts(".call pre")[0]
    page.ask("and?")  # waits for the result
    assert len(page.asked) == 1
    page.tab.fill(".call textarea", "sunny")
    page.tab.get_by_role("button", name="Give result").click()
    page.tab.locator(".call").nth(1).wait_for()
    assert page.texts(".call .result") == ["sunny"]
    call = page.asked[1]["messages"][1]["tool_calls"][0]
    assert page.asked[1]["messages"][2] == {"role": "tool", "content": "sunny", "tool_call_id": call["id"]}


def test_settings_go_into_the_request(scripted, visit):
    page = visit(scripted("fine"))
    page.tab.click("#tune")
    said = {"temperature": 0.5, "top_k": 20, "seed": 7, "max_tokens": 50}
    for name, value in said.items():
        page.tab.fill(f"[name={name}]", str(value))
    page.tab.fill("[name=system]", "Be kind.")
    page.tab.select_option("[name=thinking]", "off")
    page.tab.select_option("[name=format]", "schema")
    page.tab.fill("[name=schema]", '{"type": ')
    page.ask("one")
    assert page.asked == [] and page.texts(".wrong")[0].startswith("Settings, schema: This is no JSON")
    page.tab.fill("[name=schema]", '{"type": "string"}')
    page.ask("one")
    schema = {"name": "answer", "schema": {"type": "string"}}
    assert page.asked[0] == page.asked[0] | said | {
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "one"}],
        "response_format": {"type": "json_schema", "json_schema": schema},
        "chat_template_kwargs": {"enable_thinking": False},
    }
    page.tab.reload()
    assert page.tab.input_value("[name=temperature]") == "0.5"  # with the chat


def test_a_key_is_asked_for_and_forgotten_with_the_tab(scripted, visit):
    page = visit(scripted("fine"), Limits(keys=("secret",)))
    page.tab.locator(".wrong", has_text="A valid API key is needed").wait_for()
    page.tab.keyboard.type("secret")  # the field has the focus
    page.tab.keyboard.press("Tab")
    page.tab.locator("#name", has_text="scripted").wait_for()
    page.ask("one")
    assert page.texts(".assistant .said") == ["fine"]
    assert "secret" not in str(page.tab.evaluate("() => JSON.stringify(localStorage)"))


def test_an_error_is_told_in_the_servers_words(scripted, visit):
    page = visit(scripted("fine"))
    page.ask("long " * 5000)
    assert re.search(r"has \d+ tokens; the model's context holds 4096", page.texts(".wrong")[0])


def test_dark_and_light(scripted, visit):
    page = visit(scripted("fine"))
    seen = {}
    for theme in ("dark", "light"):
        page.tab.select_option("#theme", theme)
        page.tab.reload()
        seen[theme] = page.tab.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert seen == {"dark": "rgb(22, 24, 28)", "light": "rgb(255, 255, 255)"}


def test_markdown(scripted, visit):
    written = {
        "a *b* **c** `d*e*` f_g_h 2*3*4": "<p>a <em>b</em> <strong>c</strong> <code>d*e*</code> f_g_h 2*3*4</p>",
        "[x](https://a.b/c) [y](javascript:z)": (
            '<p><a href="https://a.b/c" target="_blank" rel="noopener noreferrer">x</a> [y](javascript:z)</p>'
        ),
        "- a\n  - b\n- c": "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>",
        "3. a\n4. b": '<ol start="3"><li>a</li><li>b</li></ol>',
        "# T\ntext\nmore": "<h1>T</h1><p>text<br>more</p>",
        "|a|b|\n|-|-|\n|1|2|": "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>",
        "> a\n> b": "<blockquote><p>a<br>b</p></blockquote>",
        "<script>alert(1)</script>": "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>",
    }
    page = visit(scripted("fine"))
    blocks = "async (text) => (await import('/page/markdown.js')).blocks(text).map((one) => one.outerHTML).join('')"
    assert {text: page.tab.evaluate(blocks, text) for text in written} == written
    unfinished = page.tab.evaluate(blocks, "```py\na < b\n")  # as it streams in
    assert '<code class="language-py">a &lt; b\n</code>' in unfinished
