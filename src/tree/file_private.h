/* What the kinds of open files share. Any thread. */
#pragma once

#include "tree/file.h"
#include "tree/tree_private.h"

struct file_range {
	uint64_t offset;
	size_t len;
	void *buffer;
	size_t *ret_len;
};

struct tree_file {
	uint64_t node;
	bool writer;	      /* of a draft: a file of the spool or the outbox */
	bool append;	      /* of flags, and of a draft of the outbox: behind the rest */
	pthread_mutex_t lock; /* guards what follows; but `fd` of a draft never changes */
	int fd;

	int write_error; /* of a draft: errno of a write that failed; 0: none */

	/* of a message */
	uint64_t start;		 /* where it begins in `fd` */
	bool complete;		 /* `fd` or `held` holds all of it, for good; else only the start */
	struct held_body *held;	 /* instead of `fd`, until it is read */
	bool was_here;		 /* complete when it was opened */
	struct tree_entry entry; /* when it was last seen */
	uint64_t size;		 /* complete: of the file; else what the index says */
	uint64_t received;	 /* not complete: bytes that `fd` holds */
	uint64_t asked;		 /* `received` when the rest was asked for */
	bool exact;
	int resized; /* sign of the size less its hint, once exact */
	bool told;   /* `resized` was taken */

	/* of a text */
	char *text;
	gsize text_len;

	/* of flags */
	GString *written;
	bool unfinished; /* the last word of it is not applied yet, or there is none */
	bool changed;	 /* not taken yet */
};

struct tree_file *file_new(uint64_t node, int fd);
/* 0, or EIO. Short only at the end of the file. */
int file_read_fd(int fd, const struct file_range *range);

/* --- of the spool and the outbox --- */

/* Takes over `fd`. */
struct tree_file *file_new_draft(struct tree *tree, uint64_t node, int fd, bool writer);
void file_forget_draft(struct tree *tree, struct tree_file *file);
/* A write that failed: what is in the file is not sent, until it is made anew (0). Told again when
 * it is closed: not everybody looks at each write. */
void file_set_write_error(struct tree_file *file, int error);
int file_get_write_error(struct tree_file *file);
/* Whoever has it open; false: nobody. */
bool file_stat_draft(struct tree *tree, uint64_t node, struct stat *ret);
/* Of one that has no name any more: who has it open may look at it still, and the kernel does not
 * tell which file is asked of. */
bool file_lost_draft(struct tree *tree, uint64_t node, struct tree_entry *ret);

/* --- of the spool (draft.c) --- */

int draft_read(struct tree *tree, struct tree_call *call, struct tree_file *file,
	       const struct file_range *range);
int draft_write(const struct visit *visit, struct tree_file *file, uint64_t offset, size_t len,
		const void *buffer);
/* `file` may be NULL. */
int draft_setattr(const struct visit *visit, uint64_t node, struct tree_file *file,
		  const struct tree_setattr *setattr);
int draft_flush(struct tree *tree, struct tree_file *file);
int draft_fsync(const struct visit *visit, struct tree_file *file);
void draft_close(struct tree *tree, struct tree_file *file);
void draft_abandon(struct tree *tree, struct tree_file *file);
/* The empty file becomes a copy of the message; EOPNOTSUPP. */
int draft_clone(const struct visit *visit, struct tree_file *file, uint64_t message, uint64_t size);
bool draft_is_clone(struct tree *tree, struct tree_file *file, uint64_t message);

/* --- of the outbox (outbox_file.c): messages, but for the texts of what failed --- */

int outbox_file_open(const struct visit *visit, uint64_t node, int flags, struct tree_file **ret);
/* The first writer of what was just made. */
int outbox_file_open_new(const struct visit *visit, uint32_t id, struct tree_file **ret);
int outbox_file_write(const struct visit *visit, struct tree_file *file, uint64_t offset,
		      size_t len, const void *buffer);
/* `file` may be NULL. */
int outbox_file_setattr(const struct visit *visit, uint64_t node, struct tree_file *file,
			const struct tree_setattr *setattr);
int outbox_file_flush(struct tree *tree, struct tree_file *file);
int outbox_file_fsync(const struct visit *visit, struct tree_file *file);
void outbox_file_close(struct tree *tree, struct tree_file *file);
void outbox_file_abandon(struct tree *tree, struct tree_file *file);

/* --- of flags (flags_file.c) --- */

/* Takes `text`, which is what can be read. `flags`: of open(2). */
struct tree_file *flags_file_new(uint64_t node, int flags, char *text, gsize len);
/* Applies the words that are whole now. Errors of flags_write(), and EINVAL: not at the end; EFBIG.
 * On failure it was not written. */
int flags_file_write(const struct visit *visit, struct tree_file *file, uint64_t offset, size_t len,
		     const void *buffer);
/* To 0: what is written from now on is a text of its own. Else EINVAL. */
int flags_file_truncate(struct tree_file *file, uint64_t size);
/* Applies the last word too. */
int flags_file_flush(const struct visit *visit, struct tree_file *file);
