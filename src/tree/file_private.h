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
	bool writer;	      /* of a spool file */
	pthread_mutex_t lock; /* guards what follows; but `fd` of a spool file never changes */
	int fd;

	/* of a message */
	bool complete;		 /* `fd` holds all of it, for good; else only the start */
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
	bool append;	 /* whatever the offset, it is written behind the rest */
	bool unfinished; /* the last word of it is not applied yet, or there is none */
	bool changed;	 /* not taken yet */
};

struct tree_file *file_new(uint64_t node, int fd);
/* 0, or EIO. Short only at the end of the file. */
int file_read_fd(int fd, const struct file_range *range);

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
