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
