/* The threads that serve the kernel's requests. One at a time, the leader, reads them. Before it
 * serves one that may take a while, another thread becomes the leader. One that is quick it serves
 * as the leader: to wake another thread would take longer.
 *
 * Who reads many messages asks for the next so soon that most of the time went into waking a thread
 * on another processor, which then woke the reader. So behind a quick request the leader looks for
 * the next one for some microseconds before it sleeps, and more and more seldom if none comes. */
#pragma once

#include "fuse/library.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;

/* The file is opened, and closed, without a wait for a disk. */
typedef bool (*loop_at_once_fn)(void *data, uint64_t node);

struct loop *loop_new(struct fuse_session *session, unsigned threads, loop_at_once_fn is_at_once,
		      void *data);
void loop_free(struct loop **loop);
/* Serves a session that is mounted until the mount is gone or loop_end(), by threads of its own.
 * 0, or -errno if the kernel's channel failed. */
int loop_run(struct loop *loop);
/* Any thread; also before it runs. */
void loop_end(struct loop *loop);
