/* What an operation lacks: a small comparable key. The same need of many readers is met once. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum need_kind {
	NEED_NONE,
	NEED_FOLDERS, /* the list of folders, at most poll seconds old */
	NEED_FOLDER,  /* folder `id`: its messages, at most poll seconds old */
	/* Folder `id`, while it is listed for the first time: messages above the UID `upto`, or the
	 * end of that listing. */
	NEED_MESSAGES,
	NEED_BODY,    /* epoch `id`, message `uid`: its first `upto` bytes, or all */
	NEED_AHEAD,   /* more of the run `uid`, whose batch `upto` is begun: a wish, never settled */
	NEED_PAGES,   /* those behind `uid` that are here, into the kernel's cache: likewise */
	NEED_SIZE,    /* epoch `id`, message `uid`: whether announced sizes are true */
	NEED_RIGHTS,  /* folder `id`: what the server allows in it */
	/* What was promised is done: settled with 0 when it is, with the errno of what was refused.
	 * Stating one sends at once what would have waited for company. */
	NEED_CHANGE,  /* epoch `id`, message `uid` */
	NEED_CHANGES, /* folder `id` and what is on its way into it; INDEX_ROOT: all */
	NEED_SPOOL,   /* spool file `uid` is on the server */
	NEED_OUTBOX,  /* file `uid` of the outbox has a verdict; 0: all; `upto` as of CHANGES */
	NEED_EVENTS,  /* reader `uid` of .mailfs/events has something to read; never stated */
	NEED_TICKET,  /* the folder operation `uid` (engine_folder_op()); never stated */
};

struct need {
	enum need_kind kind;
	uint32_t id;
	uint32_t uid;
	/* Not part of the key. Bytes; UINT64_MAX: the whole. Of MESSAGES a UID. Of CHANGES: until then
	 * (clock_mono_ms()) those count that are about to be closed. */
	uint64_t upto;
};

static inline bool need_equal(const struct need *a, const struct need *b)
{
	return a->kind == b->kind && a->id == b->id && a->uid == b->uid;
}
