#include "base/supervisor.h"

#include "base/log.h"

#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_MS 5000

struct supervisor {
	int fd;
};

/* An absolute path, or a name of the abstract kind, whose first byte is written as '@'. */
static bool address_make(const char *name, struct sockaddr_un *ret, socklen_t *ret_len)
{
	size_t len = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof(ret->sun_path))
		return false;
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(ret->sun_path, name, len);
	if (name[0] == '@')
		ret->sun_path[0] = '\0';
	*ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	return true;
}

/* Connected at once: later the path may be out of reach. -1: it cannot be. */
static int address_connect(const char *name)
{
	struct sockaddr_un address;
	socklen_t len;
	int fd;

	if (!address_make(name, &address, &len)) {
		errno = EINVAL;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, len) < 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		fd = -1;
	}
	return fd;
}

struct supervisor *supervisor_new(void)
{
	g_autofree char *name = g_strdup(g_getenv("NOTIFY_SOCKET"));
	int fd;

	if (!name || *name == '\0')
		return NULL;
	g_unsetenv("NOTIFY_SOCKET");
	fd = address_connect(name);
	if (fd < 0) {
		log_warning("NOTIFY_SOCKET: %s", g_strerror(errno));
		return NULL;
	}
	return supervisor_of(fd);
}

struct supervisor *supervisor_of(int fd)
{
	struct supervisor *supervisor = g_new0(struct supervisor, 1);

	supervisor->fd = fd;
	return supervisor;
}

/* Who is told of much may have no room for a moment; but one that hangs is not waited for. */
static void wait_for_room(const struct supervisor *supervisor)
{
	struct pollfd fd = {.fd = supervisor->fd, .events = POLLOUT};

	while (poll(&fd, 1, PATIENCE_MS) < 0 && errno == EINTR)
		continue;
}

void supervisor_tell(const struct supervisor *supervisor, const char *lines)
{
	if (!supervisor)
		return;
	wait_for_room(supervisor);
	if (send(supervisor->fd, lines, strlen(lines), MSG_NOSIGNAL) < 0)
		log_debug("NOTIFY_SOCKET: %s", g_strerror(errno));
}

void supervisor_free(struct supervisor **supervisor)
{
	if (*supervisor)
		close((*supervisor)->fd);
	g_clear_pointer(supervisor, g_free);
}
