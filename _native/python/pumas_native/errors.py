"""What native operations raise.

NativeError                   a fault inside the native code (a panic); a bug, please report it
Cancelled                     the operation's `CancelToken` was set
ScanFailed (OSError)          the root of a walk can't be listed, or the tree is too large
InvalidArgument (ValueError)  bytes or columns handed in are not of the form asked for, or a name is unknown
NotRegularFile (OSError)      a folder, FIFO, socket or device was given as a file
FileChangedError (OSError)    a file changed while it was read, so that there is no digest
"""


class NativeError(Exception):
    """A fault inside the native code; it never passes as a `BaseException`."""


class Cancelled(Exception):
    """The operation's `CancelToken` was set; nothing was changed."""


class ScanFailed(OSError):
    """The root of a walk can't be listed, or the tree has too many entries."""


class InvalidArgument(ValueError):
    """Bytes or columns handed in are not of the form asked for, or a name is unknown; nothing was done."""


class NotRegularFile(OSError):
    """A folder, FIFO, socket or device was given as a file; it was not read. `filename` names it."""


class FileChangedError(OSError):
    """A file changed while it was read, so that there is no digest; try again. `filename` names it."""
