"""What native operations raise.

NativeError                   a fault inside the native code (a panic); a bug, please report it
Cancelled                     the operation's `CancelToken` was set
ScanFailed (OSError)          the root of a walk can't be listed, or the tree is too large
InvalidArgument (ValueError)  bytes or columns handed in are not of the form asked for, or a name is unknown
NotRegularFile (OSError)      a folder, FIFO, socket or device was given as a file
FileChangedError (OSError)    a file changed while it was read, so that there is no digest
HeaderError (ValueError)      a file gives no header
├── UnknownFormat             it does not begin as a file of a known format, or of the one asked for
├── HeaderCut                 it ends before its header does, or promises more than it holds
├── HeaderTooLarge            a count or a length is over its limit
└── HeaderMalformed           it breaks a rule of its format
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
    """A folder, FIFO, socket or device was given as a file; it was not opened. `filename` names it."""


class FileChangedError(OSError):
    """A file changed while it was read, so that there is no digest; try again. `filename` names it."""


class HeaderError(ValueError):
    """A file gives no header.

    Attributes:
        path: The file, as it was named.
        offence: What is wrong with it, a sentence that begins with "it" or with the part that is wrong.
    """

    def __init__(self, path: str, offence: str) -> None:
        super().__init__(path, offence)
        self.path = path
        self.offence = offence

    def __str__(self) -> str:
        return f"{self.path}: {self.offence}"


class UnknownFormat(HeaderError):
    """It does not begin as a file of a known format, or of the one asked for."""


class HeaderCut(HeaderError):
    """It ends before its header does, or promises more than it holds."""


class HeaderTooLarge(HeaderError):
    """A count or a length is over its limit."""


class HeaderMalformed(HeaderError):
    """It breaks a rule of its format."""
