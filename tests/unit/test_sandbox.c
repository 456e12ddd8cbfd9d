#include "base/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the machine gives: asked once, in another process. */
static char *state;

/* What a test has on the disk. */
static char *base, *ours, *readable, *other;

static void probe(void)
{
	const struct sandbox_rules nothing = {0};
	char bytes[64] = "";
	int fds[2], status;
	pid_t pid;

	g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
	pid = fork();
	if (pid == 0) {
		char *text = sandbox_enter(&nothing);

		_exit(write(fds[1], text, strlen(text)) < 0);
	}
	close(fds[1]);
	g_assert_cmpint(read(fds[0], bytes, sizeof(bytes) - 1), >, 0);
	close(fds[0]);
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_cmpint(status, ==, 0);
	state = g_strdup(bytes);
}

static bool has(const char *what)
{
	if (strstr(state, what))
		return true;
	g_test_skip(state);
	return false;
}

static long landlock(void)
{
	const char *at = strstr(state, "landlock ");

	return at ? strtol(at + strlen("landlock "), NULL, 10) : 0;
}

/* Runs `body` in a process that has entered the sandbox. */
static void within(const struct sandbox_rules *rules, void (*body)(const void *), const void *data)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		g_autofree char *text = sandbox_enter(rules);

		g_assert_cmpstr(text, ==, state);
		body(data);
		_exit(0);
	}
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_cmpint(status, ==, 0);
}

#define REFUSED(call, number)                                                                      \
	do {                                                                                       \
		errno = 0;                                                                         \
		g_assert_cmpint(call, ==, -1);                                                     \
		g_assert_cmpint(errno, ==, number);                                                \
	} while (0)

static void make_file(const char *dir, const char *name)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);

	g_assert_true(g_file_set_contents(path, "x", 1, NULL));
}

static void make_dirs(void)
{
	base = g_dir_make_tmp("mailfs-sandbox-XXXXXX", NULL);
	g_assert_nonnull(base);
	ours = g_build_filename(base, "ours", NULL);
	readable = g_build_filename(base, "readable", NULL);
	other = g_build_filename(base, "other", NULL);
	g_assert_cmpint(g_mkdir(ours, 0700), ==, 0);
	g_assert_cmpint(g_mkdir(readable, 0700), ==, 0);
	g_assert_cmpint(g_mkdir(other, 0700), ==, 0);
	make_file(ours, "file");
	make_file(readable, "file");
	make_file(other, "file");
}

static void remove_dirs(void)
{
	char *const dirs[] = {ours, readable, other};

	for (size_t i = 0; i < G_N_ELEMENTS(dirs); i++) {
		g_autofree char *file = g_build_filename(dirs[i], "file", NULL);

		g_assert_cmpint(g_unlink(file), ==, 0);
		g_assert_cmpint(g_rmdir(dirs[i]), ==, 0);
		g_free(dirs[i]);
	}
	g_assert_cmpint(g_rmdir(base), ==, 0);
	g_free(base);
}

/* open() there, closed again: 0, or errno. */
static int try_open(const char *dir, const char *name, int flags)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static struct sandbox_rules rules_for_files(const char **read, const char **write)
{
	*read = readable;
	*write = ours;
	return (struct sandbox_rules){.read = read, .reads = 1, .write = write, .writes = 1};
}

static void look_at_files(const void *data)
{
	g_assert_cmpint(try_open(ours, "file", O_RDWR), ==, 0);
	g_assert_cmpint(try_open(readable, "file", O_RDONLY), ==, 0);
	g_assert_cmpint(try_open(readable, "file", O_WRONLY), ==, EACCES);
	g_assert_cmpint(try_open(readable, "new", O_WRONLY | O_CREAT), ==, EACCES);
	g_assert_cmpint(try_open(other, "file", O_RDONLY), ==, EACCES);
	g_assert_cmpint(try_open(other, "", O_RDONLY | O_DIRECTORY), ==, EACCES);
	g_assert_cmpint(try_open("/dev", "null", O_RDWR), ==, 0);
	g_assert_cmpint(try_open("/etc", "", O_RDONLY | O_DIRECTORY), ==, 0);
	g_assert_cmpint(try_open("/etc", "mailfs-test", O_WRONLY | O_CREAT), ==, EACCES);
}

static void files_outside_are_out_of_reach(void)
{
	const char *read, *write;
	struct sandbox_rules rules;

	if (!has("landlock"))
		return;
	make_dirs();
	rules = rules_for_files(&read, &write);
	within(&rules, look_at_files, NULL);
	remove_dirs();
}

static void work_with_files(const void *data)
{
	g_autofree char *a = g_build_filename(ours, "a", NULL);
	g_autofree char *b = g_build_filename(ours, "b", NULL);
	g_autofree char *in_a = g_build_filename(a, "file", NULL);
	g_autofree char *in_b = g_build_filename(b, "file", NULL);
	g_autofree char *outside = g_build_filename(other, "moved", NULL);

	g_assert_cmpint(g_mkdir(a, 0700), ==, 0);
	g_assert_cmpint(g_mkdir(b, 0700), ==, 0);
	make_file(a, "file");
	g_assert_cmpint(truncate(in_a, 0), ==, 0);
	g_assert_cmpint(rename(in_a, in_b), ==, 0);
	g_assert_cmpint(link(in_b, in_a), ==, 0);
	g_assert_cmpint(rename(in_b, outside), ==, -1);
	g_assert_cmpint(unlink(in_a), ==, 0);
	g_assert_cmpint(unlink(in_b), ==, 0);
	g_assert_cmpint(rmdir(a), ==, 0);
	g_assert_cmpint(rmdir(b), ==, 0);
}

static void our_directories_are_ours(void)
{
	const char *read, *write;
	struct sandbox_rules rules;

	if (!has("landlock"))
		return;
	make_dirs();
	rules = rules_for_files(&read, &write);
	within(&rules, work_with_files, NULL);
	remove_dirs();
}

static void *look_in_thread(void *data)
{
	return GINT_TO_POINTER(try_open(other, "file", O_RDONLY));
}

static void start_thread(const void *data)
{
	pthread_t thread;
	void *result;

	g_assert_cmpint(pthread_create(&thread, NULL, look_in_thread, NULL), ==, 0);
	g_assert_cmpint(pthread_join(thread, &result), ==, 0);
	g_assert_cmpint(GPOINTER_TO_INT(result), ==, EACCES);
}

static void threads_are_held_too(void)
{
	const char *read, *write;
	struct sandbox_rules rules;

	if (!has("landlock"))
		return;
	make_dirs();
	rules = rules_for_files(&read, &write);
	within(&rules, start_thread, NULL);
	remove_dirs();
}

/* --- the network --- */

static int listener(uint16_t *ret_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_assert_cmpint(bind(fd, (struct sockaddr *)&address, len), ==, 0);
	g_assert_cmpint(listen(fd, 1), ==, 0);
	g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &len), ==, 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

static int try_connect(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int result;

	g_assert_cmpint(fd, >=, 0);
	result = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
	close(fd);
	return result;
}

static void connect_to_both(const void *data)
{
	const uint16_t *ports = data;
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_assert_cmpint(try_connect(ports[0]), ==, 0);
	g_assert_cmpint(try_connect(ports[1]), ==, EACCES);
	REFUSED(bind(fd, (struct sockaddr *)&any, sizeof(any)), EACCES);
	close(fd);
}

static void only_named_ports_are_reached(void)
{
	uint16_t ports[2];
	int fds[] = {listener(&ports[0]), listener(&ports[1])};
	const struct sandbox_rules rules = {.ports = ports, .port_count = 1};

	if (landlock() >= 4)
		within(&rules, connect_to_both, ports);
	else
		g_test_skip(state);
	close(fds[0]);
	close(fds[1]);
}

static void resolve(const void *data)
{
	struct addrinfo *list = NULL;

	g_assert_cmpint(getaddrinfo("localhost", "imaps", NULL, &list), ==, 0);
	g_assert_nonnull(list);
	freeaddrinfo(list);
}

static void names_are_resolved(void)
{
	const struct sandbox_rules rules = {0};

	within(&rules, resolve, NULL);
}

static void make_socket(int family, int type, int protocol)
{
	int fd = socket(family, type | SOCK_CLOEXEC, protocol);

	g_assert_cmpint(fd, >=, 0);
	close(fd);
}

static void make_sockets(const void *data)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	make_socket(AF_INET, SOCK_STREAM, 0);
	make_socket(AF_INET, SOCK_DGRAM, 0);
	make_socket(AF_NETLINK, SOCK_RAW, 0);
	/* Without IPv6 it fails for another reason. */
	if (socket(AF_INET6, SOCK_STREAM, 0) < 0)
		g_assert_cmpint(errno, ==, EAFNOSUPPORT);
	REFUSED(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), EPERM);
	REFUSED(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), EPERM);
	REFUSED(socket(AF_PACKET, SOCK_RAW, 0), EPERM);
	REFUSED(socket(AF_ALG, SOCK_SEQPACKET, 0), EPERM);
	REFUSED(socket(AF_VSOCK, SOCK_STREAM, 0), EPERM);
	REFUSED(socket(AF_AX25, SOCK_DGRAM, 0), EPERM);
	REFUSED(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), EPERM);
	REFUSED(socket(AF_UNIX, SOCK_SEQPACKET, 0), EPERM);
	/* The kernel would not see what the filter sees. */
	REFUSED(syscall(SYS_socket, (1L << 32) | AF_UNIX, SOCK_STREAM, 0), EPERM);
	REFUSED(syscall(SYS_socket, AF_UNIX, (1L << 32) | SOCK_STREAM, 0), EPERM);
	REFUSED(listen(fd, 1), EPERM);
	REFUSED(accept(fd, NULL, NULL), EPERM);
	/* Nobody is there; that it may be tried is the point. */
	g_strlcpy(name.sun_path, "/nonexistent/mailfs", sizeof(name.sun_path));
	REFUSED(connect(fd, (struct sockaddr *)&name, sizeof(name)), ENOENT);
	close(fd);
}

static void other_sockets_are_refused(void)
{
	const struct sandbox_rules rules = {0};

	if (has("seccomp"))
		within(&rules, make_sockets, NULL);
}

static void make_local_stream(const void *data)
{
	make_socket(AF_UNIX, SOCK_STREAM, 0);
}

static void local_streams_can_be_allowed(void)
{
	const struct sandbox_rules rules = {.local_streams = true};

	within(&rules, make_local_stream, NULL);
}

/* --- the rest --- */

static void run_program(const void *data)
{
	char *const argv[] = {(char *)"true", NULL};

	g_assert_cmpint(execv("/bin/true", argv), ==, -1);
	g_assert_true(errno == EPERM || errno == EACCES);
}

static void programs_are_refused(void)
{
	const struct sandbox_rules rules = {0};

	if (strcmp(state, "none") != 0)
		within(&rules, run_program, NULL);
	else
		g_test_skip(state);
}

static void break_out(const void *data)
{
	char key = 'x';

	REFUSED(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL), EPERM);
	REFUSED(mount("none", "/", "tmpfs", 0, NULL), EPERM);
	REFUSED(umount2("/nonexistent", MNT_DETACH), EPERM);
	REFUSED(unshare(CLONE_NEWUSER), EPERM);
	REFUSED(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL), EPERM);
	REFUSED(syscall(SYS_io_uring_setup, 1, NULL), EPERM);
	REFUSED(syscall(SYS_bpf, 0, NULL, 0), EPERM);
	REFUSED(chroot("/"), EPERM);
	REFUSED(setuid(getuid()), EPERM);
	REFUSED(ioctl(STDIN_FILENO, TIOCSTI, &key), EPERM);
}

static void ways_out_are_refused(void)
{
	const struct sandbox_rules rules = {0};

	if (has("seccomp"))
		within(&rules, break_out, NULL);
}

static void signal_all(const void *data)
{
	const pid_t *helper = data;

	REFUSED(kill(getppid(), 0), EPERM);
	REFUSED(kill(-1, 0), EPERM);
	REFUSED(syscall(SYS_tgkill, getppid(), getppid(), 0), EPERM);
	g_assert_cmpint(pthread_kill(pthread_self(), 0), ==, 0);
	if (*helper)
		g_assert_cmpint(kill(*helper, SIGKILL), ==, 0);
	else
		REFUSED(kill(1, 0), EPERM);
}

static void only_the_helper_is_signalled(void)
{
	struct sandbox_rules rules = {0};
	int status;
	pid_t pid;

	if (!has("seccomp"))
		return;
	within(&rules, signal_all, &rules.helper);
	pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	rules.helper = pid;
	within(&rules, signal_all, &rules.helper);
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_cmpint(WTERMSIG(status), ==, SIGKILL);
}

int main(int argc, char **argv)
{
	int result;

	g_test_init(&argc, &argv, NULL);
	probe();
	g_test_add_func("/sandbox/files", files_outside_are_out_of_reach);
	g_test_add_func("/sandbox/ours", our_directories_are_ours);
	g_test_add_func("/sandbox/threads", threads_are_held_too);
	g_test_add_func("/sandbox/ports", only_named_ports_are_reached);
	g_test_add_func("/sandbox/names", names_are_resolved);
	g_test_add_func("/sandbox/sockets", other_sockets_are_refused);
	g_test_add_func("/sandbox/local-streams", local_streams_can_be_allowed);
	g_test_add_func("/sandbox/programs", programs_are_refused);
	g_test_add_func("/sandbox/ways-out", ways_out_are_refused);
	g_test_add_func("/sandbox/signals", only_the_helper_is_signalled);
	result = g_test_run();
	g_free(state);
	return result;
}
