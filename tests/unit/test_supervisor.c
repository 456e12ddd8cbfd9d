#include "base/log.h"
#include "base/supervisor.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A service manager's socket, as the variable names it. */
static int manager_new(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	g_assert_cmpint(fd, >=, 0);
	memcpy(address.sun_path, name, len);
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	g_assert_cmpint(bind(fd, (const struct sockaddr *)&address,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
			==, 0);
	return fd;
}

static void hears(int fd, const char *lines)
{
	char got[200];
	ssize_t len = recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT);

	g_assert_cmpint(len, >=, 0);
	got[len] = '\0';
	g_assert_cmpstr(got, ==, lines);
}

static void tells(const char *name)
{
	int manager = manager_new(name);
	struct supervisor *supervisor;

	g_setenv("NOTIFY_SOCKET", name, TRUE);
	supervisor = supervisor_new();
	g_assert_nonnull(supervisor);
	/* Children, such as password commands, do not speak for us. */
	g_assert_null(g_getenv("NOTIFY_SOCKET"));
	supervisor_tell(supervisor, "READY=1\nSTATUS=here");
	hears(manager, "READY=1\nSTATUS=here");
	close(manager);
	supervisor_tell(supervisor, "STOPPING=1");
	supervisor_free(&supervisor);
	g_assert_null(supervisor);
}

static void test_path(void)
{
	g_autofree char *dir = g_dir_make_tmp("mailfs-test-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(dir, "notify", NULL);

	tells(path);
	g_unlink(path);
	g_rmdir(dir);
}

static void test_abstract(void)
{
	g_autofree char *name = g_strdup_printf("@mailfs-test-%d", getpid());

	tells(name);
}

static int connected_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
	g_assert_cmpint(connect(fd, (const struct sockaddr *)&address, sizeof(address)), ==, 0);
	return fd;
}

struct crowd {
	int manager;
	sem_t begin;
};

/* Others first, until our word comes. */
static void *hear_all(void *data)
{
	struct crowd *crowd = data;
	char got[200] = "";

	sem_wait(&crowd->begin);
	while (strcmp(got, "READY=1") != 0) {
		ssize_t len = recv(crowd->manager, got, sizeof(got) - 1, 0);

		g_assert_cmpint(len, >, 0);
		got[len] = '\0';
	}
	return NULL;
}

static void test_crowd(void)
{
	g_autofree char *dir = g_dir_make_tmp("mailfs-test-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(dir, "notify", NULL);
	struct crowd crowd = {.manager = manager_new(path)};
	int other = connected_to(path);
	struct supervisor *supervisor;
	pthread_t thread;

	g_setenv("NOTIFY_SOCKET", path, TRUE);
	supervisor = supervisor_new();
	while (send(other, "noise", 5, 0) == 5)
		continue;
	sem_init(&crowd.begin, 0, 0);
	g_assert_cmpint(pthread_create(&thread, NULL, hear_all, &crowd), ==, 0);
	sem_post(&crowd.begin);
	supervisor_tell(supervisor, "READY=1");
	pthread_join(thread, NULL);
	sem_destroy(&crowd.begin);
	supervisor_free(&supervisor);
	close(other);
	close(crowd.manager);
	g_unlink(path);
	g_rmdir(dir);
}

static void test_nobody(void)
{
	struct supervisor *supervisor;

	g_unsetenv("NOTIFY_SOCKET");
	supervisor = supervisor_new();
	g_assert_null(supervisor);
	supervisor_tell(supervisor, "READY=1");
	supervisor_free(&supervisor);
	g_setenv("NOTIFY_SOCKET", "", TRUE);
	g_assert_null(supervisor_new());
}

/* The longest that fits is 107 bytes. */
static void test_wrong(void)
{
	g_autofree char *longest = g_strnfill(107, 'x');
	g_autofree char *too_long = g_strnfill(108, 'x');
	const char *const names[] = {"relative/path",	"@",	 "/", "vsock:2:1",
				     "/no/such/socket", too_long};

	longest[0] = too_long[0] = '@';
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_setenv("NOTIFY_SOCKET", names[i], TRUE);
		g_assert_null(supervisor_new());
		g_assert_null(g_getenv("NOTIFY_SOCKET"));
	}
	tells(longest);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	log_open("mailfs-test", LOG_LEVEL_ERROR);
	g_test_add_func("/supervisor/path", test_path);
	g_test_add_func("/supervisor/abstract", test_abstract);
	g_test_add_func("/supervisor/crowd", test_crowd);
	g_test_add_func("/supervisor/nobody", test_nobody);
	g_test_add_func("/supervisor/wrong", test_wrong);
	return g_test_run();
}
