/* What the kernel must be told to forget. One thread does it: a notification may wait for a lock
 * that a request in the same directory holds, so no handler and no other thread can afford it.
 * Pushing never blocks; any thread may.
 *
 * So much at once that too many wait (NOTIFY_MAX) is told in a coarser way: the thread goes through
 * all nodes of the same kind that the kernel knows (a *sweep*), and finds out what is to be said of
 * each by then. Names of what is gone are not known any more: its attributes are dropped, so that
 * the kernel asks, hears ESTALE, and looks up the name again. (Who has such a file open can read
 * on, but hears that too from fstat().)
 *
 * Names of a directory in which a request is parked are told when it was answered: if the process
 * were killed while the notifier waits for the lock of such a directory, the kernel could neither
 * end the thread nor the request, nor whoever made it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fuse_pollhandle;
struct fuse_session;
struct known;
struct notify;

#define NOTIFY_MAX 8192 /* that wait */

/* `known` is borrowed. */
struct notify *notify_new(struct fuse_session *session, struct known *known);
/* Starts the thread; what was pushed before is lost (nothing was mounted). */
void notify_start(struct notify *notify);
/* Ends the thread after the notification under way; requests must still be served, or it may hang.
 * What is queued and what comes later is dropped. */
void notify_stop(struct notify *notify);
void notify_free(struct notify **notify);
#define NOTIFY_PAGES_SIZE (64 * 1024) /* of a file for the kernel's cache */

/* What fills `buffer` with the `size` bytes of a node; false: they are not to be had now. */
typedef bool (*notify_bytes_fn)(void *data, uint64_t node, uint32_t size, void *buffer);
/* What says notify_name() for each name that these nodes (rising) do not have any more. Their
 * attributes are dropped anyway. */
typedef void (*notify_names_fn)(void *data, const uint64_t *nodes, size_t count);
/* Before the start. Both are called in the thread, with no lock held. */
void notify_set_source(struct notify *notify, notify_bytes_fn bytes, notify_names_fn names,
		       void *data);

/* A request that keeps the directory locked waits; it was answered. As often as the other. */
void notify_hold(struct notify *notify, uint64_t directory);
void notify_release(struct notify *notify, uint64_t directory);

/* The attributes of a node are not what they were. Once in the queue is enough. */
void notify_attr(struct notify *notify, uint64_t node);
/* A name stands for something else now, or for nothing. Takes `name` (g_malloc). `node`: what the
 * kernel may take it for; 0: not known. */
void notify_name(struct notify *notify, uint64_t parent, char *name, uint64_t node);
/* The attributes of all that share `node`'s upper half. */
void notify_siblings(struct notify *notify, uint64_t node);
/* The kernel shall have the `size` bytes of a file in its cache, which has been told that there are
 * so many; when nothing else is to be told. What is too much or too large is dropped. */
void notify_pages(struct notify *notify, uint64_t node, uint64_t size);
/* Who polls is to look again. Takes `handle`. */
void notify_poll(struct notify *notify, struct fuse_pollhandle *handle);
