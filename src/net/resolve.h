/* One look-up of a host name with getaddrinfo(), which may hang as long as the resolver likes: so
 * it runs in a helper thread of its own. The owner (one thread) polls resolve_fd() and never waits;
 * it may free the look-up while it hangs, the helper then drops what it found.
 *
 * Addresses come in the order of getaddrinfo(), IPv6 and IPv4 taking turns (RFC 8305 section 4),
 * LIMIT_ADDRESSES at most.
 */
#pragma once

#include "base/limits.h"

#include <glib.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct resolve;

union resolve_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* NULL with ERROR_UNREACHABLE if there is no descriptor or thread to spare. */
struct resolve *resolve_start(const char *host, uint16_t port, GError **error);
void resolve_free(struct resolve **resolve);

/* Readable once the look-up has ended. */
int resolve_fd(const struct resolve *resolve);

/* 1: there are addresses; 0: not yet; -1: ERROR_NO_HOST. */
int resolve_finish(struct resolve *resolve, union resolve_address ret_addresses[LIMIT_ADDRESSES],
		   unsigned *ret_count, GError **error);

socklen_t resolve_address_len(const union resolve_address *address);
/* 127.0.0.0/8, also as IPv6 spells it, and ::1. */
bool resolve_is_loopback(const union resolve_address *address);
