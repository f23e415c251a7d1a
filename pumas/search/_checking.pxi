# Whether arrays from a file can be trusted: nothing in them points outside, everything ascends that is searched.


cdef bint _ascends(const uint32_t[::1] starts, size_t last) noexcept nogil:
    """Whether offsets begin with 0, never fall and end with `last`."""
    cdef Py_ssize_t i
    if starts.shape[0] < 1 or starts[0] != 0 or starts[starts.shape[0] - 1] != last:
        return False
    for i in range(1, starts.shape[0]):
        if starts[i] < starts[i - 1]:
            return False
    return True


cdef bint _is_list(const uint32_t[::1] posts, size_t start, size_t stop, size_t documents, bint is_sorted) noexcept nogil:
    """Whether a list of postings lies in its array, holds documents only, and ascends where it must."""
    cdef size_t i
    if start > stop or stop > <size_t>posts.shape[0]:
        return False
    for i in range(start, stop):
        if posts[i] >> 8 >= documents or not posts[i] & MANY:
            return False
        if is_sorted and i > start and posts[i] >> 8 <= posts[i - 1] >> 8:
            return False
    return True


cdef const char* _fault(Arrays a) noexcept nogil:
    cdef size_t documents = a._rowids.shape[0], terms = a._term_starts.shape[0] - 1
    cdef size_t term, i, occurrences, start, stop
    if documents >= 0x1000000 or terms >= LAST:
        return b"too many documents or terms"
    if not _ascends(a._term_starts, a._term_bytes.shape[0]):
        return b"the offsets of the terms"
    if <size_t>a._post_starts.shape[0] != terms + 1 or not _ascends(a._post_starts, a._posts.shape[0]):
        return b"the offsets of the postings"
    if <size_t>a._next_starts.shape[0] != terms + 1 or not _ascends(a._next_starts, a._next.shape[0]):
        return b"the offsets of the occurrences"
    if <size_t>a._token_starts.shape[0] != documents + 1 or not _ascends(a._token_starts, a._tokens.shape[0]):
        return b"the offsets of the tokens"
    if <size_t>a._lengths.shape[0] != documents or <size_t>a._types.shape[0] != documents:
        return b"the lengths or types"
    for i in range(documents):
        if a._lengths[i] != a._token_starts[i + 1] - a._token_starts[i]:
            return b"the lengths"
        if i and a._rowids[i] <= a._rowids[i - 1]:
            return b"the rowids"
    for i in range(<size_t>a._tokens.shape[0]):
        if a._tokens[i] & ~LAST >= terms:
            return b"the tokens"
    for i in range(<size_t>a._next.shape[0]):
        if a._next[i] >= terms and a._next[i] != LAST:
            return b"the following tokens"
    for term in range(terms):
        start = a._term_starts[term]
        if term and _compare(
            &a._term_bytes[0] + a._term_starts[term - 1], start - a._term_starts[term - 1],
            &a._term_bytes[0] + start, a._term_starts[term + 1] - start,
        ) >= 0:
            return b"the order of the terms"
        start = a._post_starts[term]
        stop = a._post_starts[term + 1]
        if start == stop or not _is_list(a._posts, start, stop, documents, True):
            return b"the postings"
        occurrences = 0
        for i in range(start, stop):
            if a._posts[i] & MANY < MANY:
                occurrences += a._posts[i] & MANY
            else:
                occurrences += a._occurrences(a._posts[i] >> 8, NULL, 0, <uint32_t>term, <uint32_t>term + 1)
        if occurrences != a._next_starts[term + 1] - a._next_starts[term]:
            return b"the number of occurrences"
    return _heavy_fault(a, documents, terms)


cdef const char* _heavy_fault(Arrays a, size_t documents, size_t terms) noexcept nogil:
    cdef Py_ssize_t row
    for row in range(a._heavy.shape[0]):
        if a._heavy[row, LOW] >= a._heavy[row, HIGH] or a._heavy[row, HIGH] > terms:
            return b"a heavy range"
        if row and (
            a._heavy[row, LOW] < a._heavy[row - 1, LOW]
            or (a._heavy[row, LOW] == a._heavy[row - 1, LOW] and a._heavy[row, HIGH] <= a._heavy[row - 1, HIGH])
        ):
            return b"the order of the heavy ranges"
        if not _is_list(
            a._champions, a._heavy[row, CHAMPIONS], a._heavy[row, CHAMPIONS_STOP], documents, False
        ) or not _is_list(a._unions, a._heavy[row, UNION], a._heavy[row, UNION_STOP], documents, True):
            return b"a list of a heavy range"
        if a._heavy[row, COUNT] > documents or (
            a._heavy[row, UNION] != a._heavy[row, UNION_STOP]
            and a._heavy[row, UNION_STOP] - a._heavy[row, UNION] != a._heavy[row, COUNT]
        ):
            return b"the size of a heavy range"
    return NULL


def find_fault(Arrays arrays not None):
    cdef const char* fault
    with nogil:
        fault = _fault(arrays)
    return None if fault == NULL else fault.decode()
