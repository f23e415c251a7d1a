from __future__ import annotations

import errno

import pytest

from pumas import errors
from pumas.errors import NoSpace, PumasError, Unavailable, system_errors


def _all(kind=PumasError):
    return [kind, *(found for child in kind.__subclasses__() for found in _all(child))]


def test_each_class_has_a_kind_of_its_own_and_the_code_of_its_root():
    kinds = [kind.kind for kind in _all()]
    assert len(set(kinds)) == len(kinds)
    for kind in _all():
        root = kind.__mro__[kind.__mro__.index(PumasError) - 1] if kind is not PumasError else kind
        assert kind.code == root.code
        assert kind.__name__ in errors.__doc__
        assert kind.exit_code > 0


def test_the_classes_of_the_original_have_a_counterpart():
    assert set(errors.ORIGINAL_CLASSES) == {
        "InstallationError",
        "DependencyError",
        "NetworkError",
        "ValidationError",
        "MetadataError",
        "ProcessError",
        "ResourceError",
        "CancellationError",
    }
    assert all(issubclass(ours, PumasError) for ours in errors.ORIGINAL_CLASSES.values())


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, NoSpace, "drive is full"),
        (errno.EROFS, Unavailable, "no permission"),
        (errno.EACCES, Unavailable, "no permission"),
        (errno.EIO, Unavailable, "Writing it failed: Input/output error"),
    ],
)
def test_what_the_system_says_becomes_a_sentence(number, kind, words):
    with pytest.raises(kind, match=words) as caught, system_errors("Writing it"):
        raise OSError(number, __import__("os").strerror(number), "/some/path")
    assert "/some/path" not in str(caught.value)
    assert isinstance(caught.value, OSError)


def test_our_own_errors_pass_unchanged():
    with pytest.raises(NoSpace, match="mine"), system_errors("Writing it"):
        raise NoSpace("mine")
