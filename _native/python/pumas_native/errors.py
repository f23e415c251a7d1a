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
TransferError                 a file did not arrive
├── UrlRefused (ValueError)   its address, or a header for it, is of no form that can be asked for
├── StatusRefused             the server answered with a status that is no success
├── HtmlAnswer                a page came in place of the file
├── AnswerPacked              the bytes are packed though the plain ones were asked for
├── AnswerMalformed           the answer breaks a rule of HTTP, or is not what was asked for
├── ContentChanged            the content changed on the server while it was fetched
├── WrongLength               it is longer or shorter than was promised
├── WrongDigest               it is whole and not the declared one
├── RedirectRefused           a redirect leads nowhere, in a ring or out of TLS
├── AddressRefused            a public host leads to a private address
└── HostUnreachable (ConnectionError)  no connection, one that breaks or stalls, or no trust (TLS), time and again
NoRoom (OSError)              the drive has no room for a file; what is there of it is kept
PartBusy (BlockingIOError)    another transfer writes the same file
TargetExists (FileExistsError)  the file that was to be fetched is there, or something else of its name
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


class TransferError(Exception):
    """A file did not arrive; what is there of it is kept for the next time, unless the class says else.

    Attributes:
        url: Its first address.
        offence: What went wrong.
    """

    def __init__(self, url: str, offence: str) -> None:
        super().__init__(url, offence)
        self.url = url
        self.offence = offence

    def __str__(self) -> str:
        return f"{self.url}: {self.offence}"


class UrlRefused(TransferError, ValueError):
    """Its address, or a header for it, is of no form that can be asked for; nothing was asked."""


class StatusRefused(TransferError):
    """The server answered with a status that is no success.

    Attributes:
        status: As HTTP numbers it.
        retry_after_s: The wait in seconds that the server asks for, if it does.
    """

    def __init__(self, url: str, offence: str, status: int, retry_after_s: float | None) -> None:
        super().__init__(url, offence)
        self.args = (url, offence, status, retry_after_s)
        self.status = status
        self.retry_after_s = retry_after_s


class HtmlAnswer(TransferError):
    """A page came in place of the file: of a portal, or of a site that wants someone to sign in."""


class AnswerPacked(TransferError):
    """The bytes are packed (gzip, say) though the plain ones were asked for."""


class AnswerMalformed(TransferError):
    """The answer breaks a rule of HTTP, or is not what was asked for."""


class ContentChanged(TransferError):
    """The content changed on the server while it was fetched; the next time begins anew."""


class WrongLength(TransferError):
    """It is longer or shorter than was promised."""


class WrongDigest(TransferError):
    """It is whole, and its SHA-256 is not the declared one; the part is left as evidence and not gone on with."""


class RedirectRefused(TransferError):
    """A redirect leads to no address of HTTP, in a ring, or out of TLS into the open."""


class AddressRefused(TransferError):
    """A host with a public address leads to a private one."""


class HostUnreachable(TransferError, ConnectionError):
    """No connection, one that breaks or stalls, or no trust (TLS), as often as it was tried."""


class NoRoom(OSError):
    """The drive has no room for a file; `filename` names it. What is there of it is kept."""


class PartBusy(BlockingIOError):
    """Another transfer, of this process or another one, writes the same file; `filename` names it."""


class TargetExists(FileExistsError):
    """The file that was to be fetched is there, or something else of its name; `filename` names it."""
