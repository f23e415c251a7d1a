"""What native operations raise.

NativeError                   a fault inside the native code (a panic); a bug, please report it
Cancelled                     the operation's `CancelToken` was set
ScanFailed (OSError)          the root of a walk can't be listed, or the tree is too large
InvalidArgument (ValueError)  bytes or columns handed in are not of the form asked for
"""


class NativeError(Exception):
    """A fault inside the native code; it never passes as a `BaseException`."""


class Cancelled(Exception):
    """The operation's `CancelToken` was set; nothing was changed."""


class ScanFailed(OSError):
    """The root of a walk can't be listed, or the tree has too many entries."""


class InvalidArgument(ValueError):
    """Bytes or columns handed in are not of the form asked for; nothing was done."""
