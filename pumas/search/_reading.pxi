# Reading FTS5: leaf pages into segments, segments into arrays.

cdef uint32_t NOWHERE = 0xFFFFFFFFu
cdef int MAIN = 0x30  # first byte of the terms of the main index; those of prefix indexes follow


cdef class _Buffer:
    """Bytes that grow; items of one size are appended one by one."""

    cdef char* at
    cdef size_t used
    cdef size_t room

    def __dealloc__(self):
        free(self.at)

    cdef int reserve(self, size_t more) except -1 nogil:
        cdef size_t room
        cdef char* at
        if self.used + more <= self.room:
            return 0
        room = max(self.room + self.room // 2, self.used + more, <size_t>4096)
        at = <char*>realloc(self.at, room)
        if at == NULL:
            with gil:
                raise MemoryError
        self.at = at
        self.room = room
        return 0

    cdef int add(self, const void* item, size_t size) except -1 nogil:
        self.reserve(size)
        memcpy(self.at + self.used, item, size)
        self.used += size
        return 0

    cdef inline int add32(self, uint32_t item) except -1 nogil:
        self.reserve(4)
        (<uint32_t*>(self.at + self.used))[0] = item
        self.used += 4
        return 0


cdef int _varint(const uint8_t* data, size_t* at, size_t end, uint64_t* out) noexcept nogil:
    """SQLite's variable-length integer; 0 when it passes `end`."""
    cdef uint64_t value = 0
    cdef size_t i = at[0]
    cdef int n
    for n in range(8):
        if i >= end:
            return 0
        value = (value << 7) | (data[i] & 0x7F)
        i += 1
        if data[i - 1] < 0x80:
            at[0] = i
            out[0] = value
            return 1
    if i >= end:
        return 0
    out[0] = (value << 8) | data[i]
    at[0] = i + 1
    return 1


cdef class Documents:
    cdef readonly object rowids
    cdef readonly object token_starts
    cdef const int64_t[::1] _rowids
    cdef const uint32_t[::1] _starts
    cdef uint32_t[:, ::1] _columns
    cdef readonly Py_ssize_t count
    cdef readonly int columns

    def __init__(self, rowids, list sizes, int columns):
        cdef Py_ssize_t i, count = len(sizes)
        cdef size_t at, size
        cdef uint64_t value, total = 0, length
        cdef int column
        cdef const uint8_t[::1] blob
        starts = np.empty(count + 1, np.uint32)
        cdef uint32_t[::1] out = starts
        self.rowids = np.ascontiguousarray(rowids, np.int64)
        self._rowids = self.rowids
        if self._rowids.shape[0] != count or count >= 0x1000000:
            raise ValueError("the number of documents is out of range")
        self._columns = np.empty((count, columns), np.uint32)
        self.columns = columns
        self.count = count
        for i in range(count):
            if i and self._rowids[i] <= self._rowids[i - 1]:
                raise ValueError("the rowids don't ascend")
            if not isinstance(sizes[i], bytes):
                raise ValueError("a size record is no blob")
            data = <const uint8_t*><char*>(<bytes>sizes[i])
            size = len(<bytes>sizes[i])
            at = 0
            length = 0
            out[i] = <uint32_t>total
            for column in range(columns):
                if not _varint(data, &at, size, &value) or value > 65535:
                    raise ValueError("a size record is out of range")
                self._columns[i, column] = <uint32_t>value
                length += value
            if at != size or length > 65535:
                raise ValueError("a size record is out of range")
            total += length
            if total >= 0x80000000u:
                raise ValueError("there are too many tokens")
        out[count] = <uint32_t>total
        self.token_starts = starts
        self._starts = starts

    def column_totals(self):
        return np.asarray(self._columns).sum(axis=0, dtype=np.int64).tolist()

    cdef Py_ssize_t ordinal(self, int64_t rowid, Py_ssize_t after) noexcept nogil:
        """The ordinal of a rowid, from `after` on; -1 when there is none."""
        cdef Py_ssize_t low = after, high = self.count, middle, step = 1
        if low < high and self._rowids[low] == rowid:
            return low
        # The next posting of a term is seldom far away.
        while low + step < high and self._rowids[low + step] < rowid:
            low += step
            step *= 2
        if low + step < high:
            high = low + step + 1
        while low < high:
            middle = (low + high) // 2
            if self._rowids[middle] < rowid:
                low = middle + 1
            else:
                high = middle
        return low if low < self.count and self._rowids[low] == rowid else -1


cdef class Segment:
    cdef Documents _documents
    cdef _Buffer _terms, _ends, _first_postings, _ordinals, _counts, _slots, _split
    cdef size_t _term_at, _term_size, _term_total
    cdef size_t _posting_total
    cdef bint _has_term, _is_first, _is_done
    cdef int64_t _rowid
    cdef Py_ssize_t _ordinal, _after
    cdef size_t _remaining  # of a position list that goes on on the next page

    def __init__(self, Documents documents not None):
        self._documents = documents
        self._terms = _Buffer()
        self._ends = _Buffer()
        self._first_postings = _Buffer()
        self._ordinals = _Buffer()
        self._counts = _Buffer()
        self._slots = _Buffer()
        self._split = _Buffer()

    def add_page(self, bytes page not None):
        cdef const uint8_t* data = <const uint8_t*><char*>page
        cdef size_t size = len(page), content, pos = 4, index, next_term, end, take
        cdef uint64_t value
        cdef bint is_first_on_page = True, is_first_term = True
        cdef int first_rowid
        if self._is_done:
            return
        if size < 4:
            raise ValueError("a page is too short")
        first_rowid = (data[0] << 8) | data[1]
        content = (data[2] << 8) | data[3]
        if content < 4 or content > size:
            raise ValueError("a page's end of content is out of range")
        index = content
        next_term = 0
        if index < size:
            if not _varint(data, &index, size, &value) or value < 4 or value >= content:
                raise ValueError("a page's first term is out of range")
            next_term = <size_t>value
        while True:
            end = next_term if next_term else content
            while pos < end:
                if self._remaining:
                    take = min(self._remaining, end - pos)
                    self._split.add(data + pos, take)
                    self._remaining -= take
                    pos += take
                    if not self._remaining:
                        self._add_positions(<const uint8_t*>self._split.at, self._split.used)
                    continue
                if not self._has_term:
                    raise ValueError("a page begins without a term")
                if is_first_on_page and is_first_term and first_rowid != <int>pos:
                    raise ValueError("a page's first rowid is not where it should be")
                self._add_rowid(data, &pos, end, is_first_on_page)
                is_first_on_page = False
                if not _varint(data, &pos, end, &value) or value > (0x80000000u):
                    raise ValueError("the size of a position list is out of range")
                take = <size_t>(value >> 1)
                if take <= end - pos:
                    self._add_positions(data + pos, take)
                    pos += take
                else:
                    self._remaining = take
                    self._split.used = 0
            if not next_term:
                return
            if self._remaining:
                raise ValueError("a position list ends too early")
            self._add_term(data, &pos, content, is_first_term)
            if self._is_done:
                return
            is_first_term = False
            next_term = 0
            if index < size:
                if not _varint(data, &index, size, &value) or value == 0 or value >= content:
                    raise ValueError("a page's next term is out of range")
                next_term = end + <size_t>value
                if next_term < pos or next_term >= content:
                    raise ValueError("a page's next term is out of range")

    cdef int _add_term(self, const uint8_t* data, size_t* pos, size_t content, bint is_whole) except -1:
        cdef uint64_t keep = 0, size
        cdef size_t before = self._term_at
        cdef size_t length
        if not is_whole and not _varint(data, pos, content, &keep):
            raise ValueError("a term is out of range")
        if not _varint(data, pos, content, &size) or size > content - pos[0]:
            raise ValueError("a term is out of range")
        if keep > self._term_size + 1 or (keep == 0 and size == 0):
            raise ValueError("a term is out of range")
        if keep == 0:
            if data[pos[0]] > MAIN:
                self._is_done = True
                return 0
            if data[pos[0]] < MAIN:
                raise ValueError("a term is out of range")
        # The leading byte is not kept: `keep` counts it.
        self._begin_term(data + pos[0] + (keep == 0), <size_t>size - (keep == 0), <size_t>keep - (keep > 0))
        pos[0] += <size_t>size
        return 0

    cdef int _begin_term(self, const uint8_t* text, size_t size, size_t keep) except -1:
        cdef size_t before = self._term_at, before_size = self._term_size
        cdef int order
        self._terms.reserve(keep + size)
        memcpy(self._terms.at + self._terms.used, self._terms.at + before, keep)
        memcpy(self._terms.at + self._terms.used + keep, text, size)
        if self._has_term:
            order = _compare(
                <uint8_t*>self._terms.at + before, before_size, <uint8_t*>self._terms.at + self._terms.used, keep + size
            )
            if order >= 0:
                raise ValueError("the terms don't ascend")
        self._term_at = self._terms.used
        self._term_size = keep + size
        self._terms.used += keep + size
        if self._terms.used >= 0x80000000u:
            raise ValueError("there are too many terms")
        self._ends.add32(<uint32_t>self._terms.used)
        self._first_postings.add32(<uint32_t>self._posting_total)
        self._term_total += 1
        self._has_term = True
        self._is_first = True
        self._after = 0
        return 0

    cdef int _add_rowid(self, const uint8_t* data, size_t* pos, size_t end, bint is_whole) except -1:
        cdef uint64_t value
        cdef int64_t rowid
        if not _varint(data, pos, end, &value):
            raise ValueError("a rowid is out of range")
        rowid = <int64_t>value if is_whole or self._is_first else <int64_t>(<uint64_t>self._rowid + value)
        return self._begin_posting(rowid)

    cdef int _begin_posting(self, int64_t rowid) except -1:
        if not self._is_first and rowid <= self._rowid:
            raise ValueError("the rowids of a term don't ascend")
        self._is_first = False
        self._rowid = rowid
        self._ordinal = self._documents.ordinal(rowid, self._after)
        if self._ordinal >= 0:
            self._after = self._ordinal
        return 0

    cdef int _add_positions(self, const uint8_t* data, size_t size) except -1:
        """One posting. Of a row that is gone there is none; one without positions takes an older one away."""
        cdef size_t at = 0
        cdef uint64_t value, column = 0, offset = 0
        cdef uint32_t count = 0, base
        cdef Py_ssize_t ordinal = self._ordinal
        cdef uint32_t* slots
        if ordinal < 0:
            return 0
        self._slots.reserve(size * 4)
        slots = <uint32_t*>(self._slots.at + self._slots.used)
        base = self._documents._starts[ordinal]
        while at < size:
            if not _varint(data, &at, size, &value):
                raise ValueError("a position is out of range")
            if value == 1:
                if not _varint(data, &at, size, &value) or value <= column or value >= <uint64_t>self._documents.columns:
                    raise ValueError("a column is out of range")
                while column < value:
                    base += self._documents._columns[ordinal, column]
                    column += 1
                offset = 0
                continue
            if value < 2 or value > 0x80000000u:
                raise ValueError("a position is out of range")
            offset += value - 2
            # An older segment may hold a longer text of the row; its posting is not the one that counts.
            slots[count] = base + <uint32_t>offset if offset < self._documents._columns[ordinal, column] else NOWHERE
            count += 1
        self._slots.used += count * 4
        self._ordinals.add32(<uint32_t>ordinal)
        self._counts.add32(count)
        self._posting_total += 1
        return 0

    def add_instance(self, bytes term not None, int64_t rowid, int column, uint32_t offset):
        """One occurrence, in order of term, rowid, column and offset; for the second reader."""
        cdef uint32_t base, slot
        cdef const uint8_t* text = <const uint8_t*><char*>term
        cdef size_t size = len(term)
        cdef int before
        if not self._has_term or _compare(<uint8_t*>self._terms.at + self._term_at, self._term_size, text, size):
            self._begin_term(text, size, 0)
        if self._is_first or rowid != self._rowid:
            self._begin_posting(rowid)
            if self._ordinal < 0:
                raise ValueError("an occurrence belongs to no row")
            self._ordinals.add32(<uint32_t>self._ordinal)
            self._counts.add32(0)
            self._posting_total += 1
        base = self._documents._starts[self._ordinal]
        if not 0 <= column < self._documents.columns or offset >= self._documents._columns[self._ordinal, column]:
            raise ValueError("an occurrence is out of range")
        for before in range(column):
            base += self._documents._columns[self._ordinal, before]
        self._slots.add32(base + offset)
        (<uint32_t*>(self._counts.at + self._counts.used - 4))[0] += 1

    def finish(self):
        if self._remaining:
            raise ValueError("a position list ends too early")
        self._first_postings.add32(<uint32_t>self._posting_total)


cdef int _compare(const uint8_t* a, size_t a_size, const uint8_t* b, size_t b_size) noexcept nogil:
    cdef int order = memcmp(a, b, min(a_size, b_size))
    if order:
        return order
    return (a_size > b_size) - (a_size < b_size)


cdef struct _Cursor:
    const uint8_t* text
    const uint32_t* ends
    const uint32_t* first_postings
    const uint32_t* ordinals
    const uint32_t* counts
    const uint32_t* slots  # of the first position of `posting`
    size_t term
    size_t term_count
    size_t posting
    size_t posting_end
    bint is_holder  # has the term that is being merged


cdef class _Merge:
    """Segments, newest first, into one list of terms and postings."""

    cdef list segments
    cdef _Cursor* cursors
    cdef int count
    cdef _Buffer terms, term_starts, posts, post_starts, slots, slot_starts
    cdef uint32_t[::1] tokens

    def __cinit__(self, list segments, Documents documents not None):
        cdef Segment segment
        cdef int i
        self.segments = segments
        self.count = <int>len(segments)
        self.cursors = <_Cursor*>calloc(max(self.count, 1), sizeof(_Cursor))
        if self.cursors == NULL:
            raise MemoryError
        for i in range(self.count):
            segment = segments[i]
            self.cursors[i].text = <const uint8_t*>segment._terms.at
            self.cursors[i].ends = <const uint32_t*>segment._ends.at
            self.cursors[i].first_postings = <const uint32_t*>segment._first_postings.at
            self.cursors[i].ordinals = <const uint32_t*>segment._ordinals.at
            self.cursors[i].counts = <const uint32_t*>segment._counts.at
            self.cursors[i].slots = <const uint32_t*>segment._slots.at
            self.cursors[i].term_count = segment._term_total
        self.terms = _Buffer()
        self.term_starts = _Buffer()
        self.posts = _Buffer()
        self.post_starts = _Buffer()
        self.slots = _Buffer()
        self.slot_starts = _Buffer()
        self.tokens = np.full(documents._starts[documents.count], NOWHERE, np.uint32)

    def __dealloc__(self):
        free(self.cursors)

    cdef int run(self) except -1 nogil:
        cdef int i, order, least
        cdef const uint8_t* text
        cdef size_t size, before
        while True:
            least = -1
            for i in range(self.count):
                self.cursors[i].is_holder = False
                if self.cursors[i].term >= self.cursors[i].term_count:
                    continue
                order = -1 if least < 0 else self._order(i, least)
                if order < 0:
                    least = i
                self.cursors[i].is_holder = order <= 0
            if least < 0:
                break
            # A holder before `least` had a greater term.
            for i in range(least):
                self.cursors[i].is_holder = False
            before = self.posts.used
            self._merge_postings()
            if self.posts.used > before:
                text = self._term(least, &size)
                self.term_starts.add32(<uint32_t>self.terms.used)
                self.terms.add(text, size)
                self.post_starts.add32(<uint32_t>(before // 4))
            for i in range(self.count):
                self.cursors[i].term += self.cursors[i].is_holder
        self.term_starts.add32(<uint32_t>self.terms.used)
        self.post_starts.add32(<uint32_t>(self.posts.used // 4))
        self.slot_starts.add32(<uint32_t>(self.slots.used // 4))
        return 0

    cdef const uint8_t* _term(self, int i, size_t* size) noexcept nogil:
        cdef size_t number = self.cursors[i].term
        cdef uint32_t begin = self.cursors[i].ends[number - 1] if number else 0
        size[0] = self.cursors[i].ends[number] - begin
        return self.cursors[i].text + begin

    cdef int _order(self, int a, int b) noexcept nogil:
        cdef size_t a_size, b_size
        cdef const uint8_t* a_text = self._term(a, &a_size)
        cdef const uint8_t* b_text = self._term(b, &b_size)
        return _compare(a_text, a_size, b_text, b_size)

    cdef int _merge_postings(self) except -1 nogil:
        """The postings of one term, from every segment that has it; of one document the newest counts."""
        cdef int i, winner
        cdef uint32_t ordinal, least
        cdef uint32_t term = <uint32_t>(self.term_starts.used // 4)
        cdef size_t slots_before = self.slots.used, posts_before = self.posts.used
        cdef _Cursor* one
        for i in range(self.count):
            one = &self.cursors[i]
            if one.is_holder:
                one.posting_end = one.first_postings[one.term + 1]
        while True:
            winner = -1
            least = NOWHERE
            for i in range(self.count):
                one = &self.cursors[i]
                if one.is_holder and one.posting < one.posting_end and one.ordinals[one.posting] < least:
                    least = one.ordinals[one.posting]
                    winner = i
            if winner < 0:
                break
            self._take(&self.cursors[winner], term)
            for i in range(winner, self.count):
                one = &self.cursors[i]
                if one.is_holder and one.posting < one.posting_end and one.ordinals[one.posting] == least:
                    one.slots += one.counts[one.posting]
                    one.posting += 1
        if self.posts.used > posts_before:
            self.slot_starts.add32(<uint32_t>(slots_before // 4))
        return 0

    cdef int _take(self, const _Cursor* one, uint32_t term) except -1 nogil:
        cdef uint32_t count = one.counts[one.posting]
        cdef uint32_t k
        if not count:
            return 0
        for k in range(count):
            if one.slots[k] == NOWHERE or self.tokens[one.slots[k]] != NOWHERE:
                with gil:
                    raise ValueError("a position is out of range or taken twice")
            self.tokens[one.slots[k]] = term
        self.slots.add(one.slots, count * sizeof(uint32_t))
        self.posts.add32((one.ordinals[one.posting] << 8) | min(count, <uint32_t>255))
        return 0


cdef object _array(_Buffer buffer, dtype):
    """A copy of a buffer as an array; the buffer is emptied."""
    found = np.empty(buffer.used // np.dtype(dtype).itemsize, dtype)
    cdef uint8_t[::1] target = found.view(np.uint8)
    if buffer.used:
        memcpy(&target[0], buffer.at, buffer.used)
    free(buffer.at)
    buffer.at = NULL
    buffer.used = buffer.room = 0
    return found


def merge(list segments not None, Documents documents not None):
    cdef _Merge merged
    cdef Segment segment
    cdef size_t occurrences = 0
    for segment in segments:
        if segment._documents is not documents:
            raise ValueError("a segment is of other documents")
        occurrences += segment._slots.used // sizeof(uint32_t)
    # Before there is room for as many tokens as the sizes claim.
    if occurrences < documents._starts[documents.count]:
        raise ValueError("a document has fewer occurrences than tokens")
    merged = _Merge(segments, documents)
    with nogil:
        merged.run()
    tokens = np.asarray(merged.tokens)
    if np.any(tokens == NOWHERE):
        raise ValueError("a document has fewer occurrences than tokens")
    following = _array(merged.slots, np.uint32)
    cdef uint32_t[::1] slots = following
    with nogil:
        _mark_ends(documents, merged.tokens)
        _follow(slots, merged.tokens)
    return {
        "term_bytes": _array(merged.terms, np.uint8),
        "term_starts": _array(merged.term_starts, np.uint32),
        "posts": _array(merged.posts, np.uint32),
        "post_starts": _array(merged.post_starts, np.uint32),
        "next": following,
        "next_starts": _array(merged.slot_starts, np.uint32),
        "tokens": tokens,
        "token_starts": documents.token_starts,
        "lengths": np.diff(documents.token_starts).astype(np.uint16),
        "rowids": documents.rowids,
    }


cdef void _mark_ends(Documents documents, uint32_t[::1] tokens) noexcept nogil:
    """Mark the last token of each column, so that no phrase crosses into the next one."""
    cdef Py_ssize_t i
    cdef int column
    cdef uint32_t end
    for i in range(documents.count):
        end = documents._starts[i]
        for column in range(documents.columns):
            end += documents._columns[i, column]
            if documents._columns[i, column]:
                tokens[end - 1] |= LAST


cdef void _follow(uint32_t[::1] slots, const uint32_t[::1] tokens) noexcept nogil:
    """Put in place of each slot the token after it."""
    cdef Py_ssize_t i
    for i in range(slots.shape[0]):
        slots[i] = LAST if tokens[slots[i]] & LAST else tokens[slots[i] + 1] & ~LAST
