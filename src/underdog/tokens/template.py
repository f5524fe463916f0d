"""The chat template that goes into the exported folder: ChatML with reasoning.

`chat.render` does the same in Python; tests hold the two together. Reasoning of turns before the last user
message is dropped unless `keep_all_think` is set (as Nanbeige4.1 and Qwen3 do).
"""

CHAT_TEMPLATE = """\
{%- set state = namespace(last_user=-1) -%}
{%- for message in messages -%}
{%- if message.role == 'user' -%}{%- set state.last_user = loop.index0 -%}{%- endif -%}
{%- endfor -%}
{%- for message in messages -%}
{%- if message.role == 'assistant' -%}
{{- '<|im_start|>assistant\\n' -}}
{%- if message.reasoning_content is defined and message.reasoning_content is not none
    and (keep_all_think or loop.index0 > state.last_user) -%}
{{- '<think>' + message.reasoning_content + '</think>' -}}
{%- endif -%}
{{- message.content | trim + '<|im_end|>\\n' -}}
{%- else -%}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""
