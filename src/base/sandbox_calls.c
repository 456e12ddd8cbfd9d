#include "base/sandbox_calls.h"

#include "base/log.h"

#include <errno.h>
#include <glib.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define INT_MASK 0xffffffffU
#define SOCKET_TYPE_MASK 0xfU /* the rest are flags */
#define SOCKET_TYPES 16U
#define REFUSED SCMP_ACT_ERRNO(EPERM)

/* All else is allowed: which calls libraries make is their business, and changes. Those that no
 * kernel or library has heard of are left out. */
static const char *const refused[] = {
	/* other programs and processes */
	"execve",
	"execveat",
	"ptrace",
	"process_vm_readv",
	"process_vm_writev",
	"process_madvise",
	"pidfd_open",
	"pidfd_getfd",
	"pidfd_send_signal",
	"kcmp",
	"tkill",
	"rt_sigqueueinfo",
	"rt_tgsigqueueinfo",
	/* mounts and namespaces */
	"mount",
	"umount",
	"umount2",
	"move_mount",
	"open_tree",
	"fsopen",
	"fsconfig",
	"fsmount",
	"fspick",
	"mount_setattr",
	"pivot_root",
	"chroot",
	"unshare",
	"setns",
	"open_by_handle_at",
	/* who we are */
	"setuid",
	"setgid",
	"setreuid",
	"setregid",
	"setresuid",
	"setresgid",
	"setfsuid",
	"setfsgid",
	"setgroups",
	"capset",
	/* servers */
	"listen",
	"accept",
	"accept4",
	/* the machine */
	"acct",
	"adjtimex",
	"bpf",
	"clock_adjtime",
	"clock_settime",
	"delete_module",
	"finit_module",
	"init_module",
	"ioperm",
	"iopl",
	"kexec_file_load",
	"kexec_load",
	"modify_ldt",
	"perf_event_open",
	"personality",
	"quotactl",
	"quotactl_fd",
	"reboot",
	"setdomainname",
	"sethostname",
	"settimeofday",
	"stime",
	"swapoff",
	"swapon",
	"syslog",
	"vhangup",
	/* ways around all this that few have looked at */
	"io_uring_enter",
	"io_uring_register",
	"io_uring_setup",
	"userfaultfd",
};

static int refuse_names(scmp_filter_ctx filter)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < G_N_ELEMENTS(refused); i++) {
		int number = seccomp_syscall_resolve_name(refused[i]);

		if (number != __NR_SCMP_ERROR)
			err = seccomp_rule_add(filter, REFUSED, number, 0);
	}
	return err;
}

/* A kind compared whole: the kernel looks at its lower half alone, so higher bits must not hide it.
 */
static int refuse_family(scmp_filter_ctx filter, int family)
{
	return seccomp_rule_add(filter, REFUSED, SCMP_SYS(socket), 1,
				SCMP_A0(SCMP_CMP_MASKED_EQ, INT_MASK, (scmp_datum_t)family));
}

static int refuse_type(scmp_filter_ctx filter, int family, unsigned type)
{
	return seccomp_rule_add(filter, REFUSED, SCMP_SYS(socket), 2,
				SCMP_A0(SCMP_CMP_MASKED_EQ, INT_MASK, (scmp_datum_t)family),
				SCMP_A1(SCMP_CMP_MASKED_EQ, SOCKET_TYPE_MASK, type));
}

static bool is_family_needed(int family)
{
	return family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK;
}

static int refuse_sockets(scmp_filter_ctx filter, bool local_streams)
{
	int err = seccomp_rule_add(filter, REFUSED, SCMP_SYS(socket), 1,
				   SCMP_A0(SCMP_CMP_GT, AF_NETLINK));

	for (int family = 0; err == 0 && family < AF_NETLINK; family++)
		if (!is_family_needed(family))
			err = refuse_family(filter, family);
	if (err == 0)
		err = refuse_type(filter, AF_INET, SOCK_RAW);
	if (err == 0)
		err = refuse_type(filter, AF_INET6, SOCK_RAW);
	for (unsigned type = 0; err == 0 && !local_streams && type < SOCKET_TYPES; type++)
		if (type != SOCK_DGRAM)
			err = refuse_type(filter, AF_UNIX, type);
	return err;
}

/* Nobody else is signalled; our own threads are. */
static int refuse_signals(scmp_filter_ctx filter, pid_t helper)
{
	int err = helper > 0 ? seccomp_rule_add(filter, REFUSED, SCMP_SYS(kill), 1,
						SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)helper))
			     : seccomp_rule_add(filter, REFUSED, SCMP_SYS(kill), 0);

	if (err == 0)
		err = seccomp_rule_add(filter, REFUSED, SCMP_SYS(tgkill), 1,
				       SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid()));
	return err;
}

static int refuse_namespaces(scmp_filter_ctx filter)
{
	static const unsigned flags[] = {CLONE_NEWNS,  CLONE_NEWUSER, CLONE_NEWPID,   CLONE_NEWNET,
					 CLONE_NEWIPC, CLONE_NEWUTS,  CLONE_NEWCGROUP};
	/* Its flags are in memory, where no filter sees them: the C library takes clone() then. */
	int err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

	for (size_t i = 0; err == 0 && i < G_N_ELEMENTS(flags); i++)
		err = seccomp_rule_add(filter, REFUSED, SCMP_SYS(clone), 1,
				       SCMP_A0(SCMP_CMP_MASKED_EQ, flags[i], flags[i]));
	return err;
}

/* Typing into the terminal that we were started from. */
static int refuse_typing(scmp_filter_ctx filter)
{
	static const unsigned requests[] = {TIOCSTI, TIOCLINUX};
	int err = 0;

	for (size_t i = 0; err == 0 && i < G_N_ELEMENTS(requests); i++)
		err = seccomp_rule_add(filter, REFUSED, SCMP_SYS(ioctl), 1,
				       SCMP_A1(SCMP_CMP_MASKED_EQ, INT_MASK, requests[i]));
	return err;
}

static int fill(scmp_filter_ctx filter, const struct sandbox_rules *rules)
{
	int err = refuse_names(filter);

	/* Not every kernel can. */
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
	if (err == 0)
		err = refuse_sockets(filter, rules->local_streams);
	if (err == 0)
		err = refuse_signals(filter, rules->helper);
	if (err == 0)
		err = refuse_namespaces(filter);
	if (err == 0)
		err = refuse_typing(filter);
	return err;
}

bool sandbox_calls_enter(const struct sandbox_rules *rules)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int err = filter ? fill(filter, rules) : -ENOMEM;

	if (err == 0)
		err = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	if (err != 0)
		log_warning("sandbox: no seccomp: %s", g_strerror(-err));
	return err == 0;
}
