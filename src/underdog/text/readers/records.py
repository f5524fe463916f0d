"""Files of records: JSON Lines and Parquet. One document a record."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from underdog.text.document import Document, Found, Reject, make_document
from underdog.text.readers.span import Span
from underdog.text.readers.streams import LARGEST, CutShort, blocks, lines

_ROWS = 512
_TOO_LARGE = "larger than 32 MiB"


def read_json_lines(span: Span) -> Iterator[Found]:
    """A document from each line that is a JSON object with text in `span.field`; blank lines are skipped."""
    number, found = span.line, False
    try:
        for number, line in lines(blocks(Path(span.path), span.start, span.stop), span.line):
            if line is None:
                yield Reject(span.path, number, _TOO_LARGE)
            elif line.strip():
                yield _record(line, span, number)
            found = True
    except CutShort as problem:
        yield Reject(span.path, number + found, str(problem))
    else:
        if not found:
            yield Reject(span.path, None, "empty")


def _record(line: bytes, span: Span, number: int) -> Found:
    field = span.field
    try:
        record = json.loads(line.decode("utf-8-sig"))
        text = record[field]
        if not isinstance(text, str):
            raise TypeError
        return make_document(text, span.source, f"{span.path}:{number}")
    except UnicodeDecodeError as problem:
        reason = f"not UTF-8 at byte {problem.start}"
    except UnicodeEncodeError:
        reason = f'"{field}" holds half a character (a lone surrogate)'
    except json.JSONDecodeError as problem:
        reason = f"not valid JSON: {problem.msg} at column {problem.colno}"
    except ValueError as problem:  # a number with thousands of digits
        reason = f"not valid JSON: {problem}"
    except RecursionError:
        reason = "nested too deeply"
    except KeyError:
        reason = f'"{field}" is missing'
    except TypeError:
        reason = f'"{field}" is not a string' if isinstance(record, dict) else "not a JSON object"
    return Reject(span.path, number, reason)


def read_parquet(span: Span) -> Iterator[Found]:
    """A document from each row of the row groups `span.start` to `span.stop`; `span.line` is the first row's number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = span.line
    try:
        with pq.ParquetFile(span.path) as file:
            if span.field not in file.schema_arrow.names:
                yield Reject(span.path, None, f'no column "{span.field}"')
                return
            groups = range(span.start, file.num_row_groups if span.stop is None else span.stop)
            for batch in file.iter_batches(_ROWS, groups, columns=[span.field]):
                for text in batch.column(0).to_pylist():
                    yield _row(text, span, row)
                    row += 1
    except (pa.ArrowException, OSError, UnicodeDecodeError) as problem:
        yield Reject(span.path, row, f"cannot be read: {' '.join(str(problem).split())}")


def _row(text: Any, span: Span, row: int) -> Document | Reject:
    if not isinstance(text, str):
        return Reject(span.path, row, f'"{span.field}" is not a string')
    if len(text) > LARGEST:
        return Reject(span.path, row, _TOO_LARGE)
    return make_document(text, span.source, f"{span.path}:{row}")
