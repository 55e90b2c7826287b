"""CIF 2.0 as CIF 1.1: its triple quotes, lists and tables, which no value of a crystal needs."""

import re

__all__ = ["as_cif1"]

_MARK = re.compile(r"#\\#CIF_2\.0\b")
_INSIDE = r"(?:(?!\n\s*data_)[\s\S])*?"
"""Whatever does not begin a data block: what has lost its end ends there, and costs its own block alone."""
_TOKEN = re.compile(
    rf'(?P<triple>(?<![^\s\[{{:])(?P<quotes>"""|\'\'\'){_INSIDE}(?P=quotes))'
    rf"|(?P<field>^;{_INSIDE}^;)"
    r"|(?P<remark>(?<!\S)#[^\n]*)"
    r"""|(?P<quoted>(?<![^\s\[{:])(?:"[^"\n]*"|'[^'\n]*'))"""
    r"|(?P<heading>^\s*data_\S*)"
    r"|(?P<opens>[\[{])|(?P<closes>[\]}])",
    re.MULTILINE,
)


def as_cif1(text: str) -> str:
    """Return text of the same lines that a parser of CIF 1.1 reads; text that is no CIF 2.0 as it is.

    Strings of one line in triple quotes keep their value; longer ones, lists and tables become unknown.
    """
    if not _MARK.match(text.lstrip()):
        return text
    pieces: list[str] = []
    place, depth, start = 0, 0, 0
    for token in _TOKEN.finditer(text):
        if token["opens"]:
            if depth or not text[token.start() - 1 : token.start()].strip():
                start = start if depth else token.start()
                depth += 1
        elif token["closes"] and depth:
            depth -= 1
            if not depth:
                pieces += [text[place:start], _unknown(text[start : token.end()])]
                place = token.end()
        elif token["heading"]:
            depth = 0
        elif token["triple"] and not depth:
            pieces += [text[place : token.start()], _plain(token["triple"])]
            place = token.end()
    return "".join([*pieces, text[place:]])


def _plain(quoted: str) -> str:
    value = quoted[3:-3]
    for quote in "\"'":
        if quote not in value and "\n" not in value:
            return f"{quote}{value}{quote}"
    return _unknown(quoted)


def _unknown(value: str) -> str:
    return "?" + "\n" * value.count("\n")
