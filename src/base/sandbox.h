/* What the process needs from here on, and the kernel refuses the rest: Landlock for files and TCP
 * ports, seccomp for system calls (EPERM, and the audit log says so). A kernel or a build that
 * lacks one of them gives less; nothing fails for that.
 *
 * Always allowed: to read what the resolver and the libraries read (/etc, /usr, ...), to use what
 * is open already, threads. Never: to run a program, to mount, to trace, to signal others, to
 * listen, and sockets but TCP, UDP, datagrams on this machine and questions about the network
 * (netlink). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sandbox_rules {
	/* Paths; directories with all below them. What does not exist, and NULL, is left out. */
	const char *const *read;
	size_t reads;
	const char *const *write;
	size_t writes;
	const uint16_t *ports; /* to connect to; always: of the DNS and of Kerberos */
	size_t port_count;
	pid_t helper;	    /* that may be killed; 0: nobody */
	bool local_streams; /* stream sockets on this machine: the session bus has them, but some
			     * resolvers too */
};

/* Of the calling thread and those that it starts later; there is no way out. What is in force, such
 * as "landlock 7, seccomp", or "none"; free with g_free(). With a sanitizer nothing is: it must
 * trace and write. */
char *sandbox_enter(const struct sandbox_rules *rules);
