"""Chat templates: ours, and what renders any family's.

A template is Jinja as the field writes it into a folder (chat_template.jinja). It comes with a model, so it is code of
strangers: it runs in Jinja's sandbox and sees plain data only.

Ours is ChatML with reasoning and Hermes' form of tools, as Nanbeige4.1 and Qwen3 write them. Reasoning of turns before
the last user message is dropped unless `keep_all_think` is set. `enable_thinking=False` opens the answer with an empty
thought.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from underdog.errors import UserError

if TYPE_CHECKING:
    from jinja2 import Template

CHAT_TEMPLATE = """\
{%- set state = namespace(last_user=-1) -%}
{%- for message in messages -%}
{%- if message.role == 'user' -%}{%- set state.last_user = loop.index0 -%}{%- endif -%}
{%- endfor -%}
{%- if tools -%}
{{- '<|im_start|>system\\n' -}}
{%- if messages and messages[0].role == 'system' -%}{{- messages[0].content + '\\n\\n' -}}{%- endif -%}
{{- 'Tools, one JSON Schema a line:\\n<tools>\\n' -}}
{%- for tool in tools -%}{{- (tool | tojson) + '\\n' -}}{%- endfor -%}
{{- '</tools>\\nA call: <tool_call>\\n{"name": ..., "arguments": {...}}\\n</tool_call><|im_end|>\\n' -}}
{%- endif -%}
{%- for message in messages -%}
{%- if message.role == 'assistant' -%}
{{- '<|im_start|>assistant\\n' -}}
{%- if message.reasoning_content is defined and message.reasoning_content is not none
    and (keep_all_think or loop.index0 > state.last_user) -%}
{{- '<think>' + message.reasoning_content + '</think>' -}}
{%- endif -%}
{{- message.content | trim -}}
{%- for call in message.tool_calls or [] -%}
{%- if message.content | trim or not loop.first -%}{{- '\\n' -}}{%- endif -%}
{{- '<tool_call>\\n{"name": ' + (call.function.name | tojson) + ', "arguments": ' -}}
{{- (call.function.arguments | tojson) + '}\\n</tool_call>' -}}
{%- endfor -%}
{{- '<|im_end|>\\n' -}}
{%- elif message.role == 'tool' -%}
{%- if loop.first or messages[loop.index0 - 1].role != 'tool' -%}{{- '<|im_start|>user' -}}{%- endif -%}
{{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' -}}
{%- if loop.last or messages[loop.index0 + 1].role != 'tool' -%}{{- '<|im_end|>\\n' -}}{%- endif -%}
{%- elif not (tools and loop.first and message.role == 'system') -%}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- if enable_thinking is defined and not enable_thinking -%}{{- '<think></think>' -}}{%- endif -%}
{%- endif -%}
"""

PLAIN_TEMPLATE = """\
{%- for message in messages -%}
{%- if message.role == 'assistant' -%}
{{- 'assistant:\\n' -}}
{%- if message.reasoning_content is defined and message.reasoning_content is not none -%}
{{- '<think>' + message.reasoning_content + '</think>' -}}
{%- endif -%}
{{- message.content | trim + eos_token -}}
{%- else -%}
{{- message.role + ':\\n' + message.content + '\\n\\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- 'assistant:\\n' -}}{%- endif -%}
"""
"""For base models that have no form of their own and no tokens for ChatML: SFT gives them this one."""


def render_template(source: str, variables: Mapping[str, Any], where: str = "The chat template") -> str:
    """The text that a template makes of messages, tools and settings.

    Raises:
        UserError: the template is malformed, or refuses these messages.
    """
    from jinja2 import TemplateError

    try:
        return _compiled(source).render(**variables)
    except (TemplateError, TypeError, ValueError, KeyError, AttributeError) as problem:
        raise UserError(f"{where} refuses this conversation: {problem}.") from None


@lru_cache(maxsize=32)
def _compiled(source: str) -> "Template":
    try:
        from jinja2 import nodes
        from jinja2.exceptions import TemplateError
        from jinja2.ext import Extension, loopcontrols
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError:
        raise UserError("Chat templates need jinja2.", hint='pip install "jinja2>=3.1.6"') from None

    class Generation(Extension):
        """`{% generation %}` marks what the assistant says in templates made for training. `chat.rows` finds that out
        by itself, so the block means its content."""

        tags = {"generation"}  # noqa: RUF012  (what Jinja reads)

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body, lineno=line)

    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json  # Jinja's own escapes what HTML would misread
    environment.globals |= {"raise_exception": refuse, "strftime_now": lambda form: datetime.now().strftime(form)}
    return environment.from_string(source)


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, **form: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **form)
