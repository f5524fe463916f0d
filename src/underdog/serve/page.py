"""The chat page: plain files of this package, which ask nobody but this server for anything."""

from importlib.resources import files

from fastapi import FastAPI
from fastapi.responses import Response

from underdog.serve.errors import ApiError

HOME = "/page/"  # where the files are, but for the page itself, which is at /
KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def install_page(app: FastAPI) -> None:
    folder = files("underdog.serve") / "web"
    texts = {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir() if _kind(file.name)}

    @app.get("/")
    async def chat_page() -> Response:
        return answer("index.html")

    @app.get(HOME + "{name}")
    async def part(name: str) -> Response:
        if name not in texts:
            raise ApiError(404, f"There is no GET {HOME}{name} here.")
        return answer(name)

    def answer(name: str) -> Response:
        return Response(texts[name], media_type=_kind(name), headers=HEADERS)


def _kind(name: str) -> str | None:
    return KINDS.get(name.rpartition(".")[2])
