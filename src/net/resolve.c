#include "net/resolve.h"

#include "base/error.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct resolve {
	/* Written before the helper starts. */
	char *host;
	char *port;
	int fd; /* eventfd */

	pthread_mutex_t lock; /* guards what follows */
	unsigned refs;	      /* owner and helper */
	bool done;
	int code; /* of getaddrinfo() */
	int code_errno;
	unsigned count;
	union resolve_address addresses[LIMIT_ADDRESSES];
};

static void resolve_unref(struct resolve *resolve)
{
	bool last;

	pthread_mutex_lock(&resolve->lock);
	last = --resolve->refs == 0;
	pthread_mutex_unlock(&resolve->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&resolve->lock);
	if (resolve->fd >= 0)
		close(resolve->fd);
	g_free(resolve->host);
	g_free(resolve->port);
	g_free(resolve);
}

socklen_t resolve_address_len(const union resolve_address *address)
{
	return address->any.sa_family == AF_INET6 ? sizeof(address->v6) : sizeof(address->v4);
}

static const struct addrinfo *first_of_family(const struct addrinfo *list, int family)
{
	while (list && list->ai_family != family)
		list = list->ai_next;
	return list;
}

/* The families take turns, so that a dead IPv6 of many addresses does not hide IPv4. */
static void resolve_collect_locked(struct resolve *resolve, const struct addrinfo *list)
{
	static const int families[] = {AF_INET6, AF_INET};
	const struct addrinfo *next[] = {
		first_of_family(list, AF_INET6),
		first_of_family(list, AF_INET),
	};
	unsigned turn = list->ai_family == AF_INET;

	while (resolve->count < LIMIT_ADDRESSES && (next[0] || next[1])) {
		union resolve_address *address = &resolve->addresses[resolve->count++];

		if (!next[turn])
			turn = !turn;
		memcpy(address, next[turn]->ai_addr, MIN(next[turn]->ai_addrlen, sizeof(*address)));
		next[turn] = first_of_family(next[turn]->ai_next, families[turn]);
		turn = !turn;
	}
}

static void *resolve_run(void *data)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct resolve *resolve = data;
	struct addrinfo *list = NULL;
	int code = getaddrinfo(resolve->host, resolve->port, &hints, &list);
	int code_errno = errno;

	pthread_mutex_lock(&resolve->lock);
	resolve->code = code;
	resolve->code_errno = code_errno;
	if (code == 0)
		resolve_collect_locked(resolve, list);
	resolve->done = true;
	pthread_mutex_unlock(&resolve->lock);

	if (code == 0)
		freeaddrinfo(list);
	eventfd_write(resolve->fd, 1);
	resolve_unref(resolve);
	return NULL;
}

/* Detached: nobody could wait for a hanging one. Takes no signals, which are main's. */
static int start_thread(struct resolve *resolve)
{
	pthread_attr_t attr;
	sigset_t all, before;
	pthread_t thread;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&thread, &attr, resolve_run, resolve);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return err;
}

struct resolve *resolve_start(const char *host, uint16_t port, GError **error)
{
	struct resolve *resolve = g_new0(struct resolve, 1);
	int err = 0;

	resolve->host = g_strdup(host);
	resolve->port = g_strdup_printf("%u", port);
	pthread_mutex_init(&resolve->lock, NULL);
	resolve->refs = 2;
	resolve->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (resolve->fd < 0)
		err = errno;
	else
		err = start_thread(resolve);
	if (!err)
		return resolve;

	g_set_error(error, MAILFS_ERROR, ERROR_UNREACHABLE, "cannot look up %s: %s", host,
		    g_strerror(err));
	resolve->refs = 1;
	resolve_unref(resolve);
	return NULL;
}

void resolve_free(struct resolve **resolve)
{
	if (*resolve)
		resolve_unref(*resolve);
	*resolve = NULL;
}

int resolve_fd(const struct resolve *resolve)
{
	return resolve->fd;
}

static void report_failure(const char *host, int code, int code_errno, GError **error)
{
	const char *why = code == EAI_SYSTEM ? g_strerror(code_errno) : gai_strerror(code);

	g_set_error(error, MAILFS_ERROR, ERROR_NO_HOST, "no address for %s: %s", host,
		    code == 0 ? "neither IPv4 nor IPv6" : why);
}

int resolve_finish(struct resolve *resolve, union resolve_address ret_addresses[LIMIT_ADDRESSES],
		   unsigned *ret_count, GError **error)
{
	int result = 0;

	pthread_mutex_lock(&resolve->lock);
	if (resolve->done && resolve->count == 0) {
		report_failure(resolve->host, resolve->code, resolve->code_errno, error);
		result = -1;
	} else if (resolve->done) {
		memcpy(ret_addresses, resolve->addresses, sizeof(resolve->addresses));
		*ret_count = resolve->count;
		result = 1;
	}
	pthread_mutex_unlock(&resolve->lock);
	return result;
}

bool resolve_is_loopback(const union resolve_address *address)
{
	const uint8_t *bytes;

	if (address->any.sa_family == AF_INET)
		return ntohl(address->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	if (address->any.sa_family != AF_INET6)
		return false;
	bytes = address->v6.sin6_addr.s6_addr;
	return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr) ||
	       (IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr) && bytes[12] == IN_LOOPBACKNET);
}
