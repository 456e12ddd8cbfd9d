#include "config/secret.h"

#include "base/error.h"

#include <string.h>
#include <sys/mman.h>

/* Pages of its own: a lock and "not into core dumps" hold for whole pages. */
struct secret {
	size_t size; /* of the mapping */
	size_t len;
	char text[];
};

struct secret *secret_new(const char *bytes, size_t len)
{
	size_t size = sizeof(struct secret) + len + 1;
	struct secret *secret =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (secret == MAP_FAILED)
		g_error("out of memory for a secret");
	/* Best effort: a small RLIMIT_MEMLOCK must not keep anyone from his mail. */
	(void)mlock(secret, size);
	(void)madvise(secret, size, MADV_DONTDUMP);
	secret->size = size;
	secret->len = len;
	if (len > 0)
		memcpy(secret->text, bytes, len);
	return secret;
}

void secret_free(struct secret **secret)
{
	if (!*secret)
		return;
	explicit_bzero((*secret)->text, (*secret)->len);
	munmap(*secret, (*secret)->size);
	*secret = NULL;
}

const char *secret_text(const struct secret *secret)
{
	return secret->text;
}

size_t secret_len(const struct secret *secret)
{
	return secret->len;
}

struct secret *secret_from_line(const char *bytes, size_t len, const char *what, GError **error)
{
	const char *end = memchr(bytes, '\n', len);
	size_t line = end ? (size_t)(end - bytes) : len;

	if (end && line > 0 && bytes[line - 1] == '\r')
		line--;
	if (line == 0) {
		g_set_error(error, MAILFS_ERROR, ERROR_CONFIG, "no password in %s", what);
		return NULL;
	}
	if (memchr(bytes, '\0', line)) {
		g_set_error(error, MAILFS_ERROR, ERROR_CONFIG, "a NUL in %s", what);
		return NULL;
	}
	return secret_new(bytes, line);
}
