#include "base/sandbox.h"

#include "base/log.h"
#include "base/sandbox_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PORT_DNS 53
#define PORT_KERBEROS 88

/* Those that older headers lack: ABI 3, 5, 4 and 6. */
#define FS_TRUNCATE (1ULL << 14)
#define FS_IOCTL_DEV (1ULL << 15)
#define NET_BIND_TCP (1ULL << 0)
#define NET_CONNECT_TCP (1ULL << 1)
#define RULE_NET_PORT 2
/* Not the scope of signals: the kernel takes the end of our main thread, of which the watchdog is
 * told by one, for a signal of ours. */
#define SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0)

/* Before it nothing could be renamed from one directory to another, as the outbox does. */
#define ABI_MIN 2
#define FS_ALL_OF_MIN ((1ULL << 14) - 1)

#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_CHANGE                                                                                  \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                           \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |                            \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER | FS_TRUNCATE)
/* Those that a rule for a file may have. */
#define FS_OF_FILES                                                                                \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |                              \
	 LANDLOCK_ACCESS_FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

/* As the kernel's, with what came later. An older one takes it as long as that is 0. */
struct ruleset {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};

struct port_rule {
	uint64_t access;
	uint64_t port;
};

/* Whole directories, since what is in them is replaced while we run. */
static const char *const system_read[] = {
	"/etc",
	"/usr",
	"/lib",
	"/lib32",
	"/lib64",
	"/libx32",
	"/nix/store",
	"/gnu/store",
	/* where /etc/resolv.conf may lead */
	"/run/systemd/resolve",
	"/run/resolvconf",
	"/run/NetworkManager",
	"/run/connman",
	"/run/netconfig",
	"/mnt/wsl",
	"/var/lib/ca-certificates",
	"/var/lib/sss/mc",
	"/sys/devices/system/cpu",
	"/dev/random",
	"/dev/urandom",
};

static const char *const system_write[] = {"/dev/null"};

/* Paths with ':' between them, which libraries may look at as late as they like. */
static const char *const variables[] = {
	"SSL_CERT_FILE", "SSL_CERT_DIR",    "OPENSSL_CONF", "OPENSSL_MODULES",
	"GCONV_PATH",	 "LD_LIBRARY_PATH", "HOSTALIASES",  "KRB5_CONFIG",
};

/* Of the sanitizers; not there without one. */
extern void __asan_init(void) __attribute__((weak));
extern void __lsan_do_leak_check(void) __attribute__((weak));
extern void __tsan_init(void) __attribute__((weak));

static bool is_sanitized(void)
{
	return __asan_init || __lsan_do_leak_check || __tsan_init;
}

/* --- Landlock --- */

static struct ruleset ruleset_of(long abi)
{
	struct ruleset ruleset = {.fs = FS_ALL_OF_MIN};

	if (abi >= 3)
		ruleset.fs |= FS_TRUNCATE;
	if (abi >= 4)
		ruleset.net = NET_BIND_TCP | NET_CONNECT_TCP;
	if (abi >= 5)
		ruleset.fs |= FS_IOCTL_DEV;
	if (abi >= 6)
		ruleset.scoped = SCOPE_ABSTRACT_UNIX_SOCKET;
	return ruleset;
}

static bool add_path(int fd, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = access};
	struct stat attr;
	bool added = true;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return true;
	if (fstat(rule.parent_fd, &attr) == 0 && !S_ISDIR(attr.st_mode))
		rule.allowed_access &= FS_OF_FILES;
	if (syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0) {
		/* Such as a mount that is going away. */
		log_debug("sandbox: %s: %s", path, g_strerror(errno));
		added = false;
	}
	close(rule.parent_fd);
	return added;
}

static bool add_paths(int fd, const char *const *paths, size_t count, uint64_t access)
{
	bool added = true;

	for (size_t i = 0; i < count; i++)
		if (paths[i] && !add_path(fd, paths[i], access))
			added = false;
	return added;
}

static bool add_variables(int fd)
{
	bool added = true;

	for (size_t i = 0; i < G_N_ELEMENTS(variables); i++) {
		const char *value = g_getenv(variables[i]);
		g_auto(GStrv) paths = g_strsplit(value ? value : "", ":", -1);

		for (char **path = paths; *path; path++)
			if (**path == '/' && !add_path(fd, *path, FS_READ))
				added = false;
	}
	return added;
}

static bool add_port(int fd, uint16_t port)
{
	const struct port_rule rule = {.access = NET_CONNECT_TCP, .port = port};

	return syscall(SYS_landlock_add_rule, fd, RULE_NET_PORT, &rule, 0) == 0;
}

static bool add_ports(int fd, const struct sandbox_rules *rules)
{
	bool added = add_port(fd, PORT_DNS) && add_port(fd, PORT_KERBEROS);

	for (size_t i = 0; added && i < rules->port_count; i++)
		added = add_port(fd, rules->ports[i]);
	return added;
}

static bool add_rules(int fd, const struct sandbox_rules *rules, const struct ruleset *ruleset)
{
	uint64_t change = (FS_READ | FS_CHANGE) & ruleset->fs;

	return add_paths(fd, system_read, G_N_ELEMENTS(system_read), FS_READ) &&
	       add_paths(fd, system_write, G_N_ELEMENTS(system_write), change) &&
	       add_variables(fd) && add_paths(fd, rules->read, rules->reads, FS_READ) &&
	       add_paths(fd, rules->write, rules->writes, change) &&
	       (!ruleset->net || add_ports(fd, rules));
}

/* 0: not in force. */
static long enter_landlock(const struct sandbox_rules *rules)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset ruleset;
	int fd;

	if (abi < ABI_MIN) {
		log_debug("sandbox: no Landlock: %s",
			  abi < 0 ? g_strerror(errno) : "too old a kernel");
		return 0;
	}
	ruleset = ruleset_of(abi);
	fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0);
	/* Half of the rules would be a prison. */
	if (fd < 0 || !add_rules(fd, rules, &ruleset) ||
	    syscall(SYS_landlock_restrict_self, fd, 0) < 0) {
		log_warning("sandbox: no Landlock: %s", g_strerror(errno));
		abi = 0;
	}
	if (fd >= 0)
		close(fd);
	return abi;
}

/* --- */

char *sandbox_enter(const struct sandbox_rules *rules)
{
	GString *state = g_string_new(NULL);
	long abi;

	/* Without it only root could; from here on no program gains rights by its mode. */
	if (!is_sanitized() && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) {
		abi = enter_landlock(rules);
		if (abi > 0)
			g_string_append_printf(state, "landlock %ld", abi);
		/* Last: it must not refuse what sets up the other. */
		if (sandbox_calls_enter(rules))
			g_string_append_printf(state, "%sseccomp", state->len ? ", " : "");
	}
	if (!state->len)
		g_string_append(state, "none");
	log_debug("sandbox: %s", state->str);
	return g_string_free(state, FALSE);
}
