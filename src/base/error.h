/* One error domain for the whole house. Each code stands for one line of a table that gives the
 * exit status (sysexits) and the errno that a user sees, so that no other file decides it.
 *
 * Messages are one line, without a full stop, fit for "mailfs: %s": what, where, what to do.
 * Server text inside them has passed text_clean(). They never hold a secret.
 */
#pragma once

#include <glib.h>

#define MAILFS_ERROR mailfs_error_quark()
GQuark mailfs_error_quark(void);

enum mailfs_error {
	ERROR_USAGE,	   /* command line                        64 EINVAL */
	ERROR_CONFIG,	   /* option value, secret file           78 EINVAL */
	ERROR_NO_HOST,	   /* the name does not resolve           68 EHOSTUNREACH */
	ERROR_UNREACHABLE, /* refused, no route, connection lost  69 EHOSTUNREACH */
	ERROR_TIMEOUT,	   /* a deadline passed                   75 ETIMEDOUT */
	ERROR_TEMPORARY,   /* the server says: later              75 EAGAIN */
	ERROR_TLS,	   /* certificate, name, handshake        76 EACCES */
	ERROR_PROTOCOL,	   /* the server's answer makes no sense  76 EIO */
	ERROR_AUTH,	   /* login refused                       77 EACCES */
	ERROR_NO_LOGIN,	   /* none is offered that may be used    77 EACCES */
	ERROR_DENIED,	   /* NOPERM, ACL                         77 EACCES */
	ERROR_MOUNT,	   /* mountpoint                          73 EIO */
	ERROR_IO,	   /* local files                         74 EIO */
	ERROR_GONE,	   /* folder or message does not exist    74 ENOENT */
	ERROR_STALE,	   /* it was replaced (UIDVALIDITY)       74 ESTALE */
	ERROR_LIMIT,	   /* over one of limits.h                76 EFBIG */
	ERROR_BUSY,	   /* account mounted elsewhere, INUSE    75 EBUSY */
	ERROR_QUOTA,	   /* OVERQUOTA                           74 EDQUOT */
	ERROR_READ_ONLY,   /* the store cannot do this            74 EROFS */
	ERROR_EXISTS,	   /* a folder of that name               74 EEXIST */
	ERROR_NOT_EMPTY,   /* a folder that holds something       74 ENOTEMPTY */
	ERROR_REFUSED,	   /* this message, for good              74 EINVAL */
	ERROR_SERVER,	   /* NO for a reason that fits no other  69 EIO */
	ERROR_NO_SPACE,	   /* the local disk is full              74 ENOSPC */
};

/* Both take NULL (0) and errors of foreign domains (70, EIO). */
int error_exit_code(const GError *error);
int error_errno(const GError *error);
