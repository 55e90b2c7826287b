"""Pages about the contract, made from protos/: services, messages and enumerations with their comments."""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import grpc_tools
from google.protobuf import descriptor_pb2 as pb
from grpc_tools import protoc

__all__ = ["contract_pages"]

_SYNTAX, _FIELD, _NESTED, _NESTED_ENUM = 12, 2, 3, 4
_MESSAGE, _ENUM, _SERVICE, _METHOD, _VALUE = 4, 5, 6, 2, 2
"""Numbers of fields in the descriptors of files, messages and services: the steps of a comment's path."""
_TYPES = {number: name.removeprefix("TYPE_").lower() for name, number in pb.FieldDescriptorProto.Type.items()}
Field = pb.FieldDescriptorProto
Place = tuple[int, ...]


def contract_pages(protos: Path) -> dict[str, str]:
    """Return the pages by name (``oracle.md``, and ``index.md``, which lists them).

    Parameters
    ----------
    protos
        The folder that import paths of the contract begin at.

    Raises
    ------
    ValueError
        The contract does not compile.
    """
    files = _compiled(protos)
    homes = {name: f"{Path(file.name).stem}.md" for file in files for name in _names(file)}
    pages = {f"{Path(file.name).stem}.md": _Page(file, homes).text() for file in files}
    return {"index.md": _index(files), **pages}


def _compiled(protos: Path) -> list[pb.FileDescriptorProto]:
    """Return the descriptors of all files, with their comments."""
    sources = sorted(str(path.relative_to(protos)) for path in protos.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "contract"
        command = ["protoc", f"-I{protos}", f"-I{Path(grpc_tools.__file__).parent / '_proto'}"]
        if protoc.main([*command, "--include_source_info", f"--descriptor_set_out={out}", *sources]):
            raise ValueError(f"{protos} does not compile; protoc said why")
        return list(pb.FileDescriptorSet.FromString(out.read_bytes()).file)


def _names(file: pb.FileDescriptorProto) -> Iterator[str]:
    def below(
        prefix: str, messages: Iterable[pb.DescriptorProto], enums: Iterable[pb.EnumDescriptorProto]
    ) -> Iterator[str]:
        for message in messages:
            name = f"{prefix}.{message.name}"
            yield name
            yield from below(name, message.nested_type, message.enum_type)
        for enum in enums:
            yield f"{prefix}.{enum.name}"

    yield from below(f".{file.package}", file.message_type, file.enum_type)


def _index(files: list[pb.FileDescriptorProto]) -> str:
    lines = ["# The contract", "", "All that passes between services, from the comments in `protos/`.", ""]
    lines += ["| page | services | about |", "|---|---|---|"]
    for file in files:
        stem = Path(file.name).stem
        services = ", ".join(f"[{s.name}]({stem}.md#{s.name})" for s in file.service)
        lines.append(f"| [{stem}]({stem}.md) | {services} | {_cell(_head(file))} |")
    return "\n".join(lines) + "\n"


def _comments(file: pb.FileDescriptorProto) -> dict[Place, str]:
    """Return comments by the place of what they are about."""
    found = {}
    for location in file.source_code_info.location:
        text = location.leading_comments or location.trailing_comments
        found[tuple(location.path)] = "\n".join(line.strip() for line in text.strip().splitlines())
    return found


def _head(file: pb.FileDescriptorProto) -> str:
    """Return the comment that a file begins with, above its syntax."""
    return _comments(file).get((_SYNTAX,), "")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


class _Page:
    """The page of one file."""

    def __init__(self, file: pb.FileDescriptorProto, homes: dict[str, str]) -> None:
        self.file, self.homes = file, homes
        self.comments = _comments(file)
        self.here = f"{Path(file.name).stem}.md"

    def text(self) -> str:
        """Return its Markdown."""
        file = self.file
        blocks = [f"# {Path(file.name).stem}.proto", _head(file)]
        blocks += [block for i, service in enumerate(file.service) for block in self._service(i, service)]
        prefix = f".{file.package}"
        for i, message in enumerate(file.message_type):
            blocks += self._message((_MESSAGE, i), message, prefix)
        for i, enum in enumerate(file.enum_type):
            blocks += self._enum((_ENUM, i), enum, prefix)
        return "\n\n".join(block for block in blocks if block) + "\n"

    def _service(self, index: int, service: pb.ServiceDescriptorProto) -> Iterator[str]:
        path = (_SERVICE, index)
        yield f"## {service.name} {{#{service.name}}}"
        yield self.comments.get(path, "")
        rows = ["| method | takes | gives | |", "|---|---|---|---|"]
        for i, method in enumerate(service.method):
            takes = ("stream of " if method.client_streaming else "") + self._link(method.input_type)
            gives = ("stream of " if method.server_streaming else "") + self._link(method.output_type)
            about = _cell(self.comments.get((*path, _METHOD, i), ""))
            rows.append(f"| `{method.name}` | {takes} | {gives} | {about} |")
        yield "\n".join(rows)

    def _message(self, path: Place, message: pb.DescriptorProto, prefix: str) -> Iterator[str]:
        if message.options.map_entry:
            return
        name = f"{prefix}.{message.name}"
        yield self._heading(name)
        yield self.comments.get(path, "")
        maps = {f"{name}.{n.name}": n for n in message.nested_type if n.options.map_entry}
        rows = ["| field | type | |", "|---|---|---|"]
        for i, field in enumerate(message.field):
            about = _cell(self.comments.get((*path, _FIELD, i), ""))
            if field.HasField("oneof_index") and not field.proto3_optional:
                about = f"One of `{message.oneof_decl[field.oneof_index].name}`. {about}"
            rows.append(f"| `{field.name}` | {self._type(field, maps)} | {about} |")
        yield "\n".join(rows) if message.field else "No fields."
        for i, nested in enumerate(message.nested_type):
            yield from self._message((*path, _NESTED, i), nested, name)
        for i, enum in enumerate(message.enum_type):
            yield from self._enum((*path, _NESTED_ENUM, i), enum, name)

    def _enum(self, path: Place, enum: pb.EnumDescriptorProto, prefix: str) -> Iterator[str]:
        yield self._heading(f"{prefix}.{enum.name}")
        yield self.comments.get(path, "")
        rows = ["| value | number | |", "|---|---|---|"]
        for i, value in enumerate(enum.value):
            about = _cell(self.comments.get((*path, _VALUE, i), ""))
            rows.append(f"| `{value.name}` | {value.number} | {about} |")
        yield "\n".join(rows)

    def _heading(self, name: str) -> str:
        short = self._short(name)
        return f"## {short} {{#{short}}}"

    def _short(self, name: str) -> str:
        return name.removeprefix(f".{self.file.package}.")

    def _type(self, field: Field, maps: dict[str, pb.DescriptorProto]) -> str:
        if entry := maps.get(field.type_name):
            key, value = (self._type(f, {}) for f in entry.field)
            return f"map from {key} to {value}"
        kind = self._link(field.type_name) if field.type_name else f"`{_TYPES[field.type]}`"
        if field.label == Field.LABEL_REPEATED:
            return f"list of {kind}"
        return f"{kind}, optional" if field.proto3_optional else kind

    def _link(self, name: str) -> str:
        short = self._short(name)
        home = self.homes.get(name)
        if home is None:
            return f"`{short.removeprefix('.')}`"
        return f"[{short}]({'' if home == self.here else home}#{short})"
