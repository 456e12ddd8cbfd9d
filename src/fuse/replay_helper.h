/* The process that does on the mount what happened elsewhere (replay.h). */
#pragma once

#include <errno.h>
#include <limits.h>
#include <stdint.h>

/* No folder is made like this by anybody else: op_mkdir() refuses it. */
#define REPLAY_DIR_MODE 01000

#define REPLAY_PROOF_SIZE 64
/* What looking for the proof fails with, and nothing else. */
#define REPLAY_PROOF_ERRNO EBADE

enum replay_verb {
	REPLAY_VERB_GREET, /* the proof is all */
	REPLAY_VERB_MKNOD,
	REPLAY_VERB_UNLINK,
	REPLAY_VERB_CHMOD,
	REPLAY_VERB_MKDIR,
	REPLAY_VERB_RMDIR,
};

struct replay_command {
	enum replay_verb verb;
	uint64_t device;	       /* nothing is done outside of it */
	char proof[REPLAY_PROOF_SIZE]; /* nor where nobody knows this name */
	char dir[PATH_MAX];
	char name[NAME_MAX + 1];
};

/* Reads commands from `in` and writes the errno of each (int) to `out`, until its end. Called in
 * the forked process; does not allocate nor lock. */
_Noreturn void replay_helper_run(int in, int out);
