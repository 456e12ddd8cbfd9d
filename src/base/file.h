/* Small helpers on local files. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* It says that the disk has no room, or none for this user. */
bool file_is_full(int number);
/* False, with ERROR_IO, or ERROR_NO_SPACE, "cannot VERB 'PATH': " and what errno says. */
bool file_fail(const char *verb, const char *path, GError **error);

/* mkdir -p; the last component gets mode 0700, and an existing one must be a directory of ours, not
 * a link. ERROR_IO, here and below, if nothing else is said. */
bool file_make_private_dir(const char *path, GError **error);
/* The whole file if it is a regular one of at most `max` bytes, else ERROR_LIMIT. With `private`:
 * refused (ERROR_CONFIG) if group or others may read it or it is not ours. The result is
 * NUL-terminated, with `*ret_len` bytes before the NUL. Free with g_free(). */
bool file_read(const char *path, size_t max, bool private, char **ret_bytes, gsize *ret_len,
	       GError **error);
/* Removes a directory of ours and all in it, never following a link. A missing one is fine. */
bool file_remove_tree(const char *path, GError **error);
/* Writes all, through EINTR and short writes. */
bool file_pwrite_all(int fd, const void *bytes, size_t len, off_t offset);
