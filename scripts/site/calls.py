"""Shows the methods of the clients in the reference by the arguments that they take and what they return.

In the code they are assignments, ``score = _call(oracle_calls.score)``, of functions that make calls as data.
What those return, and options that they take as one dataclass, are written out here.
"""

from typing import Any

import griffe

__all__ = ["ClientCalls"]

_MAKERS = {"_call": "{}", "_stream": "Iterator[{}]"}


class ClientCalls(griffe.Extension):
    """Puts functions in the place of such assignments."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Change the two modules of clients, once all of the package is known."""
        if pkg.path != "xenolith":
            return
        for module in ("client_sync", "client_async"):
            for owner in pkg[f"client.{module}"].classes.values():
                _name_services(owner)
                for name, member in list(owner.members.items()):
                    if member.is_attribute and (call := _target(pkg, member.value)):
                        method = _method(pkg, owner, name, *call, awaited=module == "client_async")
                        owner.set_member(name, method)


def _name_services(client: griffe.Class) -> None:
    """Give a client's three services their own types instead of the variables of its base."""
    for base in client.bases:
        if isinstance(base, griffe.ExprSubscript) and str(base.left) == "ClientBase":
            for name, kind in zip(("generator", "oracle", "trainer"), base.slice.elements, strict=True):
                inherited = client.inherited_members[name].final_target
                shown = griffe.Attribute(name, annotation=kind, parent=client)
                shown.docstring = inherited.docstring
                shown.labels = {"property"}
                client.set_member(name, shown)


def _target(pkg: griffe.Module, value: Any) -> tuple[str, griffe.Function] | None:
    """Return the maker and the function of ``_call(module.function)``; None of any other value."""
    if not isinstance(value, griffe.ExprCall) or str(value.function) not in _MAKERS:
        return None
    module, _, function = str(value.arguments[0]).partition(".")
    return str(value.function), pkg[f"client.{module}.{function}"]


def _method(
    pkg: griffe.Module, owner: griffe.Class, name: str, maker: str, call: griffe.Function, *, awaited: bool
) -> griffe.Function:
    text = call.docstring.value if call.docstring else ""
    parameters = list(call.parameters)
    if any(str(decorator.value).startswith("takes(") for decorator in call.decorators):
        options = pkg[f"client.{call.parent.name}"][str(parameters[0].annotation)]
        parameters, listed = _fields(pkg, options)
        text = f"{text}\n\nParameters\n----------\n{listed}"
    inner = str(call.returns).partition("[")[2].removesuffix("]")
    returns = _MAKERS[maker].format(inner)
    if awaited:
        returns = f"Async{returns}" if maker == "_stream" else f"Awaitable[{returns}]"
    self = griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)
    method = griffe.Function(
        name,
        parameters=griffe.Parameters(self, *parameters),
        returns=returns,
        lineno=call.lineno,
        endlineno=call.endlineno,
        parent=owner,
    )
    said = call.docstring or griffe.Docstring("")
    method.docstring = griffe.Docstring(
        text, parent=method, lineno=call.lineno, parser=said.parser, parser_options=said.parser_options
    )
    return method


def _fields(pkg: griffe.Module, options: griffe.Class) -> tuple[list[griffe.Parameter], str]:
    """Return the fields of a dataclass as parameters, and their documentation; inherited ones come first."""
    parameters, lines = [], []
    for base in options.bases:
        if str(base) in options.module.members:
            more, text = _fields(pkg, options.module[str(base)])
            parameters += more
            lines.append(text)
    kind = griffe.ParameterKind.positional_or_keyword
    if "kw_only=True" in " ".join(str(decorator.value) for decorator in options.decorators):
        kind = griffe.ParameterKind.keyword_only
    for name, field in options.attributes.items():
        if name == "_":
            kind = griffe.ParameterKind.keyword_only
            continue
        parameters.append(griffe.Parameter(name, annotation=field.annotation, kind=kind, default=field.value))
        said = (field.docstring.value if field.docstring else "").replace("\n", "\n    ")
        lines.append(f"{name}\n    {said}")
    return parameters, "\n".join(lines)
