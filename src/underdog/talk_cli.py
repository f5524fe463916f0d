"""The verbs that talk to a model: in the terminal, and to others over HTTP."""

import os
import sys
from typing import Annotated, Literal

import typer

ModelPath = Annotated[
    str,
    typer.Argument(
        help="A run (runs/demo-…), a checkpoint folder, a .gguf file or http://host/v1#name.", show_default=False
    ),
]
SERVER_KEY = "UNDERDOG_SERVER_KEY"  # environment; typer would make a key of each of its words
ServerKeys = Annotated[list[str], typer.Option(help=f"Ask for this key (repeatable); else the one in ${SERVER_KEY}.")]
Context = Annotated[int | None, typer.Option(help="Tokens that a conversation may have.", min=64)]
Cache = Annotated[
    Literal["full", "int8"],
    typer.Option(help="How keys and values are kept: full, or int8 in a quarter to half of it."),
]


def add_to(app: typer.Typer) -> None:
    for verb in (chat, serve):
        app.command()(verb)


def chat(
    model: ModelPath,
    prompt: Annotated[str | None, typer.Argument(help="Ask this one question and end.", show_default=False)] = None,
    system: Annotated[str | None, typer.Option(help="What the model is told before the conversation.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 = always the likeliest token.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Longest answer, reasoning included.")] = None,
    seed: Annotated[int | None, typer.Option(help="Equal seeds give equal answers.")] = None,
    thinking: Annotated[bool | None, typer.Option(help="Ask the chat template for a mode.", show_default=False)] = None,
    thinking_budget: Annotated[int | None, typer.Option(help="Tokens of reasoning, then the answer.")] = None,
    context: Context = None,
    cache: Cache = "full",
) -> None:
    """Talk to a model in the terminal.

    What is not set comes from the model's own generation_config.json.
    """
    from underdog.generate.open import Loading, is_address, open_model
    from underdog.generate.options import Options
    from underdog.serve.terminal import chat as talk
    from underdog.serve.terminal import chat_once

    loading = Loading(context, None if is_address(model) else 1, cache)
    served = open_model(model, loading, lambda footprint: footprint.check())
    options = Options(
        temperature=temperature,
        max_new_tokens=max_tokens,
        seed=seed,
        thinking=thinking,
        thinking_budget=thinking_budget,
    )
    if prompt is None:
        talk(served, options=options, system=system)
    else:
        chat_once(served, prompt, options, system=system)


def serve(
    model: ModelPath,
    host: Annotated[str, typer.Option(help="Address to listen on; beyond this machine with --api-key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 = any that is free.", min=0, max=65535)] = 8000,
    context: Context = None,
    cache: Cache = "full",
    answers: Annotated[
        int | None, typer.Option(help="Answers drawn at once; each may fill the context.", min=1, max=256)
    ] = None,
    api_key: ServerKeys = [],  # noqa: B006
    cors: Annotated[list[str], typer.Option(help="Let scripts of this origin ask (repeatable).")] = [],  # noqa: B006
    grace: Annotated[float, typer.Option(help="Seconds that answers get to end after Ctrl-C.", min=0)] = 5.0,
    inside: Annotated[int, typer.Option(help="Requests drawn or waiting; the next gets a 429.", min=1)] = 64,
) -> None:
    """Serve a model: OpenAI's API, and a chat page in the browser."""
    from underdog.generate.footprint import Footprint
    from underdog.generate.open import Loading, open_model
    from underdog.serve.guard import Limits
    from underdog.serve.server import serve as start

    def weigh(footprint: Footprint) -> None:
        footprint.check()
        print(f"memory     {footprint}", file=sys.stderr, flush=True)

    def ready(address: str) -> None:
        print(f"chat page  {address}\nAPI        {address.rstrip('/')}/v1\nCtrl-C stops.", flush=True)

    keys = api_key or ([os.environ[SERVER_KEY]] if SERVER_KEY in os.environ else [])
    limits = Limits(tuple(keys), tuple(cors), inside, grace=grace)
    served = open_model(model, Loading(context, answers, cache), weigh)
    if start(served, host, port, ready, limits):
        sys.stdout.flush()
        os._exit(0)  # who pressed Ctrl-C does not wait for a call of the model that is for nobody
