/* A resolver that obeys the test: hang.invalid hangs until fake_release(), whatever.fake.invalid
 * has the addresses of fake_set_list(), the rest of .invalid does not exist. Other names go to the
 * real one. Included by one file of a program. */
#pragma once

#include <dlfcn.h>
#include <glib.h>
#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned hanging;
	bool released;
	const char *list; /* "ADDRESS PORT;..." of fake.invalid */
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

typedef int resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static inline resolver *real_resolver(void)
{
	return (resolver *)dlsym(RTLD_NEXT, "getaddrinfo");
}

static inline int fake_list(const struct addrinfo *hints, struct addrinfo **ret)
{
	g_auto(GStrv) entries = NULL;
	struct addrinfo **tail = ret;

	pthread_mutex_lock(&fake.lock);
	entries = g_strsplit(fake.list, ";", -1);
	pthread_mutex_unlock(&fake.lock);
	for (char **entry = entries; *entry; entry++) {
		g_auto(GStrv) words = g_strsplit(*entry, " ", 2);

		g_assert_cmpint(real_resolver()(words[0], words[1], hints, tail), ==, 0);
		tail = &(*tail)->ai_next;
	}
	return 0;
}

static inline int fake_hang(void)
{
	pthread_mutex_lock(&fake.lock);
	fake.hanging++;
	pthread_cond_broadcast(&fake.changed);
	while (!fake.released)
		pthread_cond_wait(&fake.changed, &fake.lock);
	fake.hanging--;
	pthread_cond_broadcast(&fake.changed);
	pthread_mutex_unlock(&fake.lock);
	return EAI_AGAIN;
}

static inline void fake_await_hanging(unsigned hanging)
{
	pthread_mutex_lock(&fake.lock);
	while (fake.hanging != hanging)
		pthread_cond_wait(&fake.changed, &fake.lock);
	pthread_mutex_unlock(&fake.lock);
}

static inline void fake_release(bool released)
{
	pthread_mutex_lock(&fake.lock);
	fake.released = released;
	pthread_cond_broadcast(&fake.changed);
	pthread_mutex_unlock(&fake.lock);
}

static inline void fake_set_list(const char *list)
{
	pthread_mutex_lock(&fake.lock);
	fake.list = list;
	pthread_mutex_unlock(&fake.lock);
}

/* Takes the place of libc's in the whole test program. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
		struct addrinfo **ret)
{
	if (g_str_equal(name, "hang.invalid"))
		return fake_hang();
	if (strstr(name, "fake.invalid"))
		return fake_list(hints, ret);
	if (g_str_has_suffix(name, ".invalid"))
		return EAI_NONAME;
	return real_resolver()(name, service, hints, ret);
}
