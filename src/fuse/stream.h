/* `.mailfs/events`: who has it open gets a line for each event from then on. Each reader has a
 * buffer of its own; one who does not read loses lines, and a line tells him how many. Any thread;
 * nothing blocks but for a short mutex.
 *
 * A line: time (UTC, ISO 8601), kind, path, and what else belongs to it; parted by tabs. What
 * could be taken for the end of a field stands as \ooo, as in /proc/mounts. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STREAM_BYTES 65536u /* that wait for a reader, at most */
#define STREAM_READERS 64u

struct streams;
struct stream;
struct fuse_pollhandle;

/* Called with no lock held. `handle`: of who polls, to be told and destroyed; may be NULL. */
typedef void (*stream_ready_fn)(void *data, uint32_t reader, struct fuse_pollhandle *handle);

struct streams *streams_new(stream_ready_fn ready, void *data);
/* After all readers. */
void streams_free(struct streams **streams);

/* NULL: there are too many. */
struct stream *stream_open(struct streams *streams);
void stream_close(struct streams *streams, struct stream **stream);
/* The number that stands for it; never 0, and not used twice. */
uint32_t stream_number(const struct stream *stream);
/* How many bytes; 0: none yet. */
size_t stream_read(struct streams *streams, struct stream *stream, char *buffer, size_t size);
/* True if there is something to read. `handle` is kept for when there is more, ready or not: who
 * asked for edges (EPOLLET) does not poll again before; the former one is given back in `*ret_old`.
 */
bool stream_poll(struct streams *streams, struct stream *stream, struct fuse_pollhandle *handle,
		 struct fuse_pollhandle **ret_old);
/* The same of a number; false if it is nobody's. */
bool streams_are_ready(struct streams *streams, uint32_t reader);

/* Whether anybody listens. */
bool streams_are_open(struct streams *streams);
/* `more`: the last field; NULL: there is none. */
void streams_tell(struct streams *streams, int64_t now_ns, const char *kind, const char *path,
		  const char *more);
