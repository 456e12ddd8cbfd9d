/* Small helpers on local files. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Bytes of a file. */
struct file_span {
	int fd; /* -1: none */
	uint64_t start;
	uint64_t size;
};

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
/* For a file that says what we do: refused (ERROR_CONFIG) if others may write to it, or if it is
 * neither ours nor root's. `*ret_private`: ours, and nobody else may read it. */
bool file_read_trusted(const char *path, size_t max, char **ret_bytes, gsize *ret_len,
		       bool *ret_private, GError **error);
/* The same as file_read() below the directory `dir_fd`, never through a link. */
bool file_read_at(int dir_fd, const char *name, size_t max, char **ret_bytes, gsize *ret_len,
		  GError **error);
/* A directory in the directory `dir_fd`, made with mode 0700 if need be, never through a link: a
 * descriptor, or -1 with errno. */
int file_open_dir_at(int dir_fd, const char *name);
/* Makes a file (mode 0600) of these bytes, or what is there one, and syncs it; the directory is not
 * synced. False with errno, and then there is no such file. */
bool file_write_at(int dir_fd, const char *name, const void *bytes, size_t len);
/* Removes a directory of ours and all in it, never following a link. A missing one is fine. */
bool file_remove_tree(const char *path, GError **error);
/* Writes all, through EINTR and short writes. */
bool file_pwrite_all(int fd, const void *bytes, size_t len, off_t offset);
