import grpc
import pytest

from xenolith import errors
from xenolith.errors import XenolithError, error_class, error_class_of


def test_every_code_has_its_class() -> None:
    for code in grpc.StatusCode:
        if code is not grpc.StatusCode.OK:
            assert error_class(code).code is code
            assert error_class_of(code.value[0]) is error_class(code)
    assert error_class_of(77) is errors.UnknownError


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name.endswith("Error")])
def test_there_is_one_root(name: str) -> None:
    assert issubclass(getattr(errors, name), XenolithError)


def test_text_names_fields_that_the_message_leaves_out() -> None:
    violation = errors.FieldViolation(field="n", description="is negative")
    assert str(XenolithError("bad request", violations=[violation])) == "bad request; n: is negative"
    assert str(XenolithError("n is negative", violations=[violation])) == "n is negative"
