/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Contents of files in mounted file systems that need not be asked for: wire/pages.h, read by the client.
 *
 * A read takes what pages there are from its offset on, straight into the guest's buffer, and looks after each whether it was still the same
 * page when all of it had been copied.  Then it moves the open file's offset, if that is still where it began; if another one has
 * moved it meanwhile, all is read again from there.  Where a page is missing the server is asked.
 */
#include <linux/fs.h>
#include "remote_shown.h"

#define TRIES	4

struct reading {
	struct task *t;
	const struct um_pages *pages;
	uint32_t count;			/* of pages that are used */
	uint64_t node;
	struct shown_node n;
	struct guest_iov *g;
	bool done;			/* all of it, or as far as the file goes, or the guest's memory */
	bool fault;			/* the latter */
};

/* The page of that place, if its first `need` bytes are known. */
static const struct um_page *page_find(const struct reading *r, uint64_t index, uint32_t need, uint32_t *seq)
{
	const struct um_page *set = r->pages->page + um_page_set(r->node, index, r->count);

	for (unsigned i = 0; i < UM_DCACHE_WAYS; i++) {
		const struct um_page *p = &set[i];
		uint32_t len;

		*seq = __atomic_load_n(&p->seq, __ATOMIC_ACQUIRE);
		if (__atomic_load_n(&p->nodeid, __ATOMIC_RELAXED) != r->node || __atomic_load_n(&p->index, __ATOMIC_RELAXED) != index ||
		    __atomic_load_n(&p->contents, __ATOMIC_RELAXED) != r->n.contents)
			continue;
		len = __atomic_load_n(&p->len, __ATOMIC_RELAXED);
		return len <= UM_PAGE_SIZE && need <= len ? p : NULL;
	}
	return NULL;
}

/* From one page.  Bytes copied, 0 if there is none to be had. */
static size_t copy_page(struct reading *r, uint64_t offset, size_t want)
{
	const uint32_t at = offset % UM_PAGE_SIZE;
	const struct guest_iov before = *r->g;
	const struct um_page *p;
	uint32_t seq;
	size_t n;

	if (want > UM_PAGE_SIZE - at)
		want = UM_PAGE_SIZE - at;
	p = page_find(r, offset / UM_PAGE_SIZE, at + (uint32_t)want, &seq);
	if (!p)
		return 0;
	n = iov_put(r->t, r->g, r->pages->data[p - r->pages->page] + at, want);
	if (!um_entry_whole(&p->seq, seq)) {
		*r->g = before;
		return 0;
	}
	r->done = r->fault = n < want;
	return n;
}

/* From offset on, as far as there are pages. */
static size_t copy_pages(struct reading *r, uint64_t offset)
{
	size_t done = 0;

	r->done = r->fault = false;
	while (!r->done && r->g->left) {
		const uint64_t at = offset + done, rest = at < r->n.attr.size ? r->n.attr.size - at : 0;
		size_t n;

		if (!rest) {
			r->done = true;
			break;
		}
		n = copy_page(r, at, rest < r->g->left ? rest : r->g->left);
		if (!n && !r->done)
			break;
		done += n;
	}
	r->done |= !r->g->left;
	return done;
}

/* The open file's entry, or NULL. */
static struct um_open *open_find(const struct shown *m, const struct file *f)
{
	struct um_open *o = um_open_of(m->opens, f->handle);

	return __atomic_load_n(&o->handle, __ATOMIC_ACQUIRE) == f->handle ? o : NULL;
}

/*
 * By the open file's own offset, which is moved, once: of two that read records from one open file each gets whole ones.  So what one request
 * can bring is not put together from what is known and what has to be asked for, in between which another one could read.
 */
static size_t read_on(struct reading *r, struct um_open *o)
{
	const struct guest_iov before = *r->g;

	for (int i = 0; i < TRIES; i++) {
		uint64_t offset = __atomic_load_n(&o->offset, __ATOMIC_ACQUIRE);
		size_t n;

		if (offset & UM_OPEN_BUSY)
			break;
		n = copy_pages(r, offset);
		if (!n)
			return 0;
		if (!r->done && before.left <= UM_DATA_SIZE) {
			*r->g = before;
			break;
		}
		if (__atomic_compare_exchange_n(&o->offset, &offset, offset + n, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return n;
		*r->g = before;
	}
	r->done = false;
	return 0;
}

/* What is shown of an open file: its entry, and *m; NULL: ask. */
static struct um_open *open_shown(struct task *t, const struct file *f, const struct um_server **head, const struct shown **m)
{
	*m = shown_alive(t, f->server, head);
	return *m && (*m)->pages ? open_find(*m, f) : NULL;
}

/* An open file that may be read without asking: its entry, r and *names are made up; NULL: ask. */
static struct um_open *reading_begin(struct reading *r, const struct file *f, const struct um_dcache **names, struct shown_clock *now)
{
	const struct um_server *head;
	const struct shown *m;
	struct um_open *o = open_shown(r->t, f, &head, &m);

	if (!o || __atomic_load_n(&head->shadow, __ATOMIC_RELAXED))		/* who watches shall be told */
		return NULL;
	*names = m->names;
	r->pages = m->pages;
	r->count = __atomic_load_n(&head->pages, __ATOMIC_RELAXED);
	r->node = __atomic_load_n(&o->node, __ATOMIC_RELAXED);
	return shown_node(m->names, r->node, now, &r->n) ? o : NULL;
}

long pages_read(struct task *t, const struct file *f, struct guest_iov *g, uint64_t offset, bool *done)
{
	struct reading r = { .t = t, .g = g };
	struct shown_clock now = { 0 };
	const struct um_dcache *names;
	struct um_open *o = reading_begin(&r, f, &names, &now);
	size_t n = 0;

	*done = false;
	if (!o)
		return 0;
	if (offset == UM_OFFSET_FILE)
		n = read_on(&r, o);
	else if (offset <= INT64_MAX)
		n = copy_pages(&r, offset);
	*done = r.done;
	return !n && r.fault ? -EFAULT : (long)n;
}

/* ---- directories --------------------------------------------------------------------------------------- */

/* Bytes from `at` on of what is shown of a directory. */
static bool listing_copy(const struct reading *r, uint64_t at, void *to, uint32_t want)
{
	const uint32_t in = at % UM_PAGE_SIZE;
	const struct um_page *p;
	uint32_t seq;

	p = page_find(r, at / UM_PAGE_SIZE, in + want, &seq);
	if (!p)
		return false;
	memcpy(to, r->pages->data[p - r->pages->page] + in, want);
	return um_entry_whole(&p->seq, seq);
}

static bool listing_get(const struct reading *r, uint8_t *to, uint32_t size)
{
	uint64_t at = sizeof(struct um_listing);

	for (uint32_t done = 0, part; done < size; done += part, at += part) {
		part = UM_PAGE_SIZE - (uint32_t)(at % UM_PAGE_SIZE);
		part = part < size - done ? part : size - done;
		if (!listing_copy(r, at, to + done, part))
			return false;
	}
	return true;
}

/* What kind of file it is, in each record that does not tell.  false: these are no records. */
static bool listing_kinds(const struct reading *r, const struct um_dcache *names, uint8_t *records, uint32_t size, struct shown_clock *now)
{
	for (uint32_t at = 0; at < size;) {
		struct linux_dirent64 *d = (struct linux_dirent64 *)(records + at);

		if (size - at < sizeof *d + 1 || d->d_reclen < sizeof *d + 1 || d->d_reclen > size - at || d->d_reclen % 8 || records[at + d->d_reclen - 1])
			return false;
		if (!d->d_type)
			d->d_type = shown_kind(names, r->node, d->d_name, now);
		at += d->d_reclen;
	}
	return true;
}

/* All of it, to the guest. */
static bool listing_put(struct reading *r, const struct um_dcache *names, uint32_t size, struct shown_clock *now)
{
	uint8_t *records = heap_alloc(size);
	bool all = records && listing_get(r, records, size) && listing_kinds(r, names, records, size, now) &&
		   iov_put(r->t, r->g, records, size) == size;

	heap_free(records);
	return all;
}

/*
 * A reading is done here if the guest takes all of it at once, or has done so: who has got one part must go on in the same listing, which only
 * the server's agent can keep.
 */
bool pages_listing(struct task *t, const struct file *f, struct guest_iov *g, long *result)
{
	struct reading r = { .t = t, .g = g };
	struct shown_clock now = { 0 };
	const struct um_dcache *names;
	struct um_open *o = reading_begin(&r, f, &names, &now);
	struct um_listing l;
	uint64_t offset;

	if (!o || !(r.n.flags & UM_DCACHE_OPENS))
		return false;
	offset = __atomic_load_n(&o->offset, __ATOMIC_ACQUIRE);
	*result = 0;
	if (offset)
		return !(offset & UM_OPEN_BUSY) && __atomic_load_n(&o->flags, __ATOMIC_ACQUIRE) & UM_OPEN_END;
	if (!listing_copy(&r, 0, &l, sizeof l) || !l.size || l.size > UM_LISTING_MOST || l.size > g->left || !l.last ||
	    l.last & UM_OPEN_BUSY || !listing_put(&r, names, l.size, &now))
		return false;
	__atomic_fetch_or(&o->flags, UM_OPEN_END, __ATOMIC_RELEASE);
	*result = l.size;
	return __atomic_compare_exchange_n(&o->offset, &offset, l.last, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* ---- offsets ------------------------------------------------------------------------------------------- */

/* From where an offset is counted; -1: it has to be asked for. */
static int64_t seek_base(const struct shown *m, const struct um_open *o, unsigned whence, uint64_t now)
{
	struct shown_clock clock = { 0 };
	struct shown_node n;

	switch (whence) {
	case SEEK_SET:
		return 0;
	case SEEK_CUR:
		return (int64_t)now;
	case SEEK_END:
		return shown_node(m->names, __atomic_load_n(&o->node, __ATOMIC_RELAXED), &clock, &n) ? (int64_t)n.attr.size : -1;
	default:
		return -1;
	}
}

bool pages_seek(struct task *t, const struct file *f, int64_t offset, unsigned whence, long *result)
{
	const struct um_server *head;
	const struct shown *m;
	struct um_open *o = open_shown(t, f, &head, &m);
	uint64_t now;
	int64_t base;

	if (!o || (S_ISDIR(f->mode) && (offset || whence == SEEK_END)))		/* elsewhere in a directory only its server finds the way */
		return false;
	now = __atomic_load_n(&o->offset, __ATOMIC_ACQUIRE);
	base = now & UM_OPEN_BUSY ? -1 : seek_base(m, o, whence, now);
	if (base < 0)
		return false;
	*result = __builtin_add_overflow(base, offset, &base) || base < 0 ? -EINVAL : base;
	return *result < 0 ||
	       __atomic_compare_exchange_n(&o->offset, &now, (uint64_t)base, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

bool pages_closed(struct task *t, const struct file *f)
{
	const struct um_server *head;
	const struct shown *m;
	struct um_open *o = open_shown(t, f, &head, &m);

	if (o)
		__atomic_fetch_or(&o->flags, UM_OPEN_CLOSED, __ATOMIC_RELEASE);
	return o;
}
