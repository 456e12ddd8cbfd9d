/* Plays a transcript against something that is fed bytes and gives bytes out. A driver says what
 * that is and which directives it knows. One directive is known everywhere: "! hold" lets the
 * server's next bytes come before ours are written. */
#pragma once

#include "wire_script.h"

#include <stddef.h>
#include <stdint.h>

struct wire_play;

struct wire_driver {
	void *(*open)(struct wire_play *play);
	void (*close)(void *subject);
	/* The server's bytes; what became of them is the driver's to remember. */
	void (*feed)(void *subject, const uint8_t *bytes, size_t len);
	/* What was sent and not taken yet. */
	const uint8_t *(*sent)(void *subject, size_t *ret_len);
	void (*take)(void *subject, size_t len);
	/* Fails the play by wire_fail() if it is wrong or not met. */
	void (*directive)(void *subject, const char *text);
	/* At the end: that nothing unexpected is left. */
	void (*finish)(void *subject);
};

enum wire_cuts { WIRE_WHOLE, WIRE_BYTES, WIRE_RANDOM };

/* Ends the program with the place in the transcript if it is not as written. */
void wire_play(const char *path, const struct wire_driver *driver, enum wire_cuts cuts,
	       uint32_t seed);
void wire_fail(const struct wire_play *play, const char *format, ...)
	G_GNUC_PRINTF(2, 3) G_GNUC_NORETURN;
