/* libfuse before 3.17 promises parallel look-ups in one directory (FUSE_CAP_PARALLEL_DIROPS) but
 * never tells the kernel, so that one slow look-up holds up all others. This adds the flag to the
 * answer of the kernel's first request, INIT, on its way out. Newer ones need nothing of it. */
#pragma once

#include "fuse/library.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define INIT_PATCH_NEEDED (FUSE_VERSION < FUSE_MAKE_VERSION(3, 17))

enum init_patch_state {
	INIT_PATCH_REQUEST, /* waits for INIT */
	INIT_PATCH_REPLY,   /* waits for its answer */
	INIT_PATCH_DONE,
};

/* The session's userdata must start with it. */
struct init_patch {
	_Atomic enum init_patch_state state;
	uint64_t unique; /* of the INIT request */
};

/* After fuse_session_mount(), before the loop. */
bool init_patch_install(struct fuse_session *session);
