/* One fuzz target: arbitrary bytes in, and an abort if a property does not hold. */
#pragma once

#include <glib.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Of exactly this length, so that a read beyond the end is seen; never NULL. Free with g_free(). */
static inline char *fuzz_copy(const uint8_t *bytes, size_t len)
{
	char *copy = g_malloc(MAX(len, 1));

	if (len > 0)
		memcpy(copy, bytes, len);
	return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* Not g_assert(): that one can be compiled out. */
#define FUZZ_CHECK(condition)                                                                      \
	do {                                                                                       \
		if (!(condition))                                                                  \
			g_error("%s:%d: %s", __FILE__, __LINE__, #condition);                      \
	} while (0)
